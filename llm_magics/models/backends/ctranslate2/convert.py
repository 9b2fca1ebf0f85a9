"""A transformers module in CTranslate2's format, by CTranslate2's own converter, and compared with
the module.

Three things are done otherwise than `ct2-transformers-converter` does them:

- It is given a module that our loader opened, so that what the loader refuses is not read behind
  its back.
- In the converted vocabulary, tokens are called by their numbers: "0", "1", … Texts become tokens
  by the model's own tokenizer, and no list of words has to agree with it.
- Marian's first token is <pad> with its own embedding, as in transformers, not zeros: after a
  fine-tuning it is not zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llm_magics.errors import BrokenModel
from llm_magics.models.families import family_of

__all__ = ["convert"]

_PROBED = 8
_TOLERANCE = {"float32": 1e-3}
"""How far log-probabilities may be off, in parts of their mean; formats of fewer bits round their
weights."""
_ROUNDED_TOLERANCE = 0.25


def convert(module: Any, folder: Path, compute_type: str) -> None:
    """Writes `module` (float32, on the CPU) into the folder. The module is used up: its weights may
    be rounded in place.

    Raises BrokenModel when the result gives texts other probabilities than the module does.
    """
    import ctranslate2
    import torch

    probe = _probe(module)
    with torch.no_grad():
        expected = _log_probabilities(module, *probe)
        spec = _specification(module)
        spec.validate()
        spec.optimize(quantization=compute_type)
    spec.save(str(folder))
    read = ctranslate2.Translator(str(folder), compute_type="default", intra_threads=1)
    source, target = ([str(token) for token in tokens] for tokens in probe)
    found = read.score_batch([source], [target])[0].log_probs
    off = sum(abs(a - b) for a, b in zip(found, expected, strict=True)) / sum(map(abs, expected))
    if not off <= _TOLERANCE.get(compute_type, _ROUNDED_TOLERANCE):  # also for nan
        raise BrokenModel(
            f"CTranslate2 computes this {module.config.model_type} model otherwise than "
            f"transformers does (log-probabilities are {off:.0%} off): leave the engine out"
        )


def _specification(module: Any) -> Any:
    """What CTranslate2 is to save: the weights, the numbers as vocabulary, and which of them are
    special."""
    from ctranslate2.converters import transformers as converter

    config = module.config
    family = family_of(config.model_type)
    for name, value in family.ctranslate2_config:
        setattr(config, name, value)
    if family.ctranslate2 in ("bart", "m2m_100"):
        loader = (
            converter.BartLoader() if family.ctranslate2 == "bart" else converter.M2M100Loader()
        )
        spec = loader.get_model_spec(module)
    else:
        spec = converter.T5Loader().get_model_spec(module)
        # The converter goes by tie_word_embeddings, which transformers 5 sets for every T5; MT5 has
        # never scaled.
        spec.decoder.scale_outputs = (
            config.d_model**-0.5 if getattr(config, "scale_decoder_outputs", False) else 1.0
        )
    spec.register_source_vocabulary(
        [str(i) for i in range(spec.encoder.embeddings[0].weight.shape[0])]
    )
    spec.register_target_vocabulary(
        [str(i) for i in range(spec.decoder.embeddings.weight.shape[0])]
    )
    start, end = start_token(module), end_token(module)
    for name, token in (
        ("decoder_start_token", start),
        ("bos_token", start),
        ("unk_token", start),
        ("eos_token", end),
    ):
        setattr(spec.config, name, str(token))
    spec.config.add_source_bos = spec.config.add_source_eos = False
    return spec


def start_token(module: Any) -> int:
    """The token before the first one written."""
    settings, config = module.generation_config, module.config
    for holder in (settings, config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            if getattr(holder, name, None) is not None:
                return getattr(holder, name)
    raise BrokenModel(
        "neither configuration names the token that a text begins with (decoder_start_token_id)"
    )


def end_token(module: Any) -> int:
    """The token that ends a text, the first one where there are several; `decode_ctranslate2` names
    them all."""
    end = module.generation_config.eos_token_id
    end = module.config.eos_token_id if end is None else end
    if end is None or end == []:
        raise BrokenModel("neither configuration names the token that ends a text (eos_token_id)")
    return end[0] if isinstance(end, list) else end


def _probe(module: Any) -> tuple[list[int], list[int]]:
    """(source, target): tokens from all over the vocabulary, none of them special; what they say is
    no matter."""
    config = module.config
    special = {start_token(module), end_token(module), config.pad_token_id}
    sizes = (config.vocab_size, getattr(config, "decoder_vocab_size", None) or config.vocab_size)
    spread = [
        [token for token in range(1, size, max(1, size // (2 * _PROBED))) if token not in special]
        for size in sizes
    ]
    return spread[0][:_PROBED], spread[1][_PROBED // 2 :][:_PROBED]


def _log_probabilities(module: Any, source: list[int], target: list[int]) -> list[float]:
    """Of each token of the target and of the end, as the module computes them."""
    import torch

    logits = module(
        input_ids=torch.tensor([source]),
        decoder_input_ids=torch.tensor([[start_token(module), *target]]),
    ).logits[0]  # (T + 1, V)
    return (
        logits.log_softmax(-1)
        .gather(1, torch.tensor([[*target, end_token(module)]]).T)[:, 0]
        .tolist()
    )
