"""Small random models of many families, what their own eager attention says, and models with
tokenizers."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pytest
import torch

_SMALL = {"vocab_size": 100}
_BERT = {
    **_SMALL,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LLAMA = {**_BERT, "num_key_value_heads": 2}
_BART = {
    **_SMALL,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}
_SPECIAL = {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
FAMILIES = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": {**_BERT, "embedding_size": 32},
    "albert": {**_BERT, "embedding_size": 32},  # one module for all layers
    "distilbert": {**_SMALL, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "modernbert": {**_BERT, **_SPECIAL, "local_attention": 6},  # sliding windows
    "gpt2": {
        **_SMALL,
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "gpt_neox": _BERT,
    "opt": {**_BERT, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "llama": _LLAMA,
    "qwen3": {**_LLAMA, "head_dim": 8},
    "mistral": {**_LLAMA, "sliding_window": 4},
    "gemma2": {**_LLAMA, "head_dim": 8, "sliding_window": 4, "attn_logit_softcapping": 2.0},
    "gpt_oss": {
        **_LLAMA,
        "head_dim": 8,
        "sliding_window": 4,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
    },
    "deberta-v2": _BERT,  # does not follow the AttentionInterface
    "bart": _BART,
    "m2m_100": _BART,
    "pegasus": _BART,
    "marian": {
        **_BART,
        "pad_token_id": 1,
        "decoder_start_token_id": 1,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
    },
    "t5": {
        **_SMALL,
        "d_model": 32,
        "num_layers": 2,
        "num_heads": 4,
        "d_ff": 64,
        "d_kv": 8,
        "decoder_start_token_id": 0,
    },
}
FIELDS = {
    "self": "attentions",
    "encoder": "encoder_attentions",
    "decoder": "decoder_attentions",
    "cross": "cross_attentions",
}


def build(family: str, auto: str = "AutoModel", **changes):
    """A model in eval mode; weights are drawn wide enough for maps that are not flat."""
    import transformers

    torch.manual_seed(0)
    config = transformers.CONFIG_MAPPING[family](**{**FAMILIES[family], **changes})
    model = getattr(transformers, auto).from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10.0)
    return model


@cache
def inputs(is_pair: bool, batch: int = 1) -> dict[str, torch.Tensor]:
    """Token ids for an encoder-decoder model or another."""
    torch.manual_seed(1)
    given = {"input_ids": torch.randint(5, 90, (batch, 12))}
    if is_pair:
        given["decoder_input_ids"] = torch.randint(5, 90, (batch, 7))
    return given


@torch.no_grad()
def eager_maps(model, **given) -> dict[str, torch.Tensor]:
    """Kind → (B, layers, H, T, S), from the model's own eager attention."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    output = model(**given, output_attentions=True)
    model.set_attn_implementation(before)
    kinds = ("encoder", "decoder", "cross") if model.config.is_encoder_decoder else ("self",)
    return {kind: torch.stack(getattr(output, FIELDS[kind]), 1) for kind in kinds}


def stacked(layers) -> torch.Tensor:
    """(layers, H, T, S)"""
    return torch.stack(
        [torch.stack([layer.weights(head) for head in range(layer.heads)]) for layer in layers]
    )


@pytest.fixture(scope="session")
def small():
    """build(family), inputs(is_pair, batch), eager_maps(model, **inputs), stacked(layers)."""
    return SimpleNamespace(build=build, inputs=inputs, eager_maps=eager_maps, stacked=stacked)


WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "dog",
    "ran",
    "to",
    "my",
    "house",
    "café",
    "€",
    "🙂",
]


def byte_level():
    """A byte-level BPE without merges beyond whole words: what it does not know it spells in
    bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<pad>", "<s>", "</s>", "<mask>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator([" ".join(WORDS[:11])] * 20, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<mask>",
    )


@pytest.fixture(scope="session")
def loaded():
    """loaded(family, auto, kind, **changes) -> what the manager would give: module, tokenizer,
    kind."""
    tokenizer = byte_level()

    def make(family: str, auto: str = "AutoModel", kind: str = "encoder", **changes):
        model = build(family, auto, **{"vocab_size": 400, **changes})
        return SimpleNamespace(module=model, tokenizer=tokenizer, kind=kind, reference=family)

    return make


@pytest.fixture(scope="session")
def own_loaded():
    """own_loaded(module, kind) -> one of our own models with a tokenizer of ours, a word a
    token."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from llm_magics.models.folder.native_tokenizer import NativeTokenizer

    marks = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
    raw = Tokenizer(
        models.WordLevel(
            {word: number for number, word in enumerate([*marks, *WORDS])}, unk_token="<unk>"
        )
    )
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = NativeTokenizer(raw, raw, {"pad": 0, "bos": 1, "eos": 2, "unk": 3, "mask": 4})
    return lambda module, kind: SimpleNamespace(
        module=module.eval(), tokenizer=tokenizer, kind=kind, reference="ours"
    )
