"""What differs from family to family of transformers' models, in one table.

A family is a `model_type` of transformers' configurations. One that is not in the table works, too:
it is written with `generate`, is told no language, and CTranslate2 is not used for it.

This module is light: it imports the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["AUTO_CLASSES", "FAMILIES", "FAST_CAUSAL", "FastDecoder", "Family", "family_of"]


@dataclass(frozen=True)
class FastDecoder:
    """How the fast loop computes the decoder of an encoder-decoder."""

    architecture: str
    """Name of the class of transformers."""
    steps: Literal["bart", "t5"]
    """What the layers look like: learned or sinusoidal positions and biases, or T5's."""
    norm_first: bool = False
    """Whether a layer norm stands before each part, not behind it."""
    positions: Literal["row", "row after two", "token"] = "row"
    """How a position's vector is found: by its number, by that plus 2, or by M2M100's module, which
    reads the tokens."""
    scales_outside: bool = False
    """Whether the embeddings are scaled by the decoder, not by the embedding module."""
    has_logits_bias: bool = True


@dataclass(frozen=True)
class Family:
    """One family."""

    name: str = ""
    translates: bool = False
    """Whether its models are translators, which are not asked for anything else."""
    languages: Literal["prefix", "token"] = "token"
    """How a model whose tokenizer has codes of languages is told which to write: by a word at the
    front of the source (`>>de<<`), or by the first token of the target. One without codes is told
    nothing."""
    prompt: Literal["plain", "task words"] = "plain"
    """Whether the task is named in words before the text, as T5 is trained ("summarize: ")."""
    relative_positions: bool = False
    """Whether there is no limit on the tokens it reads."""
    positions_after_padding: bool = False
    """Whether positions are counted from the number of the padding token on, so that two fewer are
    left than the configuration says."""
    fast: FastDecoder | None = None
    ctranslate2: Literal["", "bart", "m2m_100", "t5"] = ""
    """The loader of CTranslate2's converter for it; "" where that engine is not used."""
    ctranslate2_config: tuple[tuple[str, bool], ...] = ()
    """Where it normalises: transformers has it in its code, the converter looks for it in the
    configuration."""


def _norms(before: bool, embedding: bool) -> tuple[tuple[str, bool], ...]:
    return (("normalize_before", before), ("normalize_embedding", embedding))


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "marian",
            translates=True,
            languages="prefix",
            fast=FastDecoder("MarianMTModel", "bart", scales_outside=True),
            ctranslate2="bart",
            ctranslate2_config=_norms(False, False),
        ),
        Family(
            "m2m_100",  # NLLB too
            translates=True,
            fast=FastDecoder(
                "M2M100ForConditionalGeneration",
                "bart",
                norm_first=True,
                positions="token",
                has_logits_bias=False,
            ),
            ctranslate2="m2m_100",
            ctranslate2_config=_norms(True, False),
        ),
        Family(
            "mbart",
            translates=True,
            fast=FastDecoder(
                "MBartForConditionalGeneration", "bart", norm_first=True, positions="row after two"
            ),
            ctranslate2="bart",
            ctranslate2_config=_norms(True, True),
        ),
        Family("fsmt", translates=True),
        Family(
            "bart",
            fast=FastDecoder("BartForConditionalGeneration", "bart", positions="row after two"),
            ctranslate2="bart",
            ctranslate2_config=_norms(False, True),
        ),
        Family(
            "pegasus",
            fast=FastDecoder(
                "PegasusForConditionalGeneration", "bart", norm_first=True, scales_outside=True
            ),
            ctranslate2="bart",
            ctranslate2_config=_norms(True, False),
        ),
        Family(
            "t5",
            prompt="task words",
            relative_positions=True,
            fast=FastDecoder("T5ForConditionalGeneration", "t5"),
            ctranslate2="t5",
        ),
        Family("mt5", relative_positions=True, ctranslate2="t5"),
        Family("umt5", relative_positions=True),
        Family("longt5", relative_positions=True),
        *(
            Family(name, positions_after_padding=True)
            for name in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
        ),
    )
}
_OTHER = Family()

FAST_CAUSAL = frozenset(
    {
        "GPT2LMHeadModel",
        "GPTNeoXForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "OlmoForCausalLM",
        "Olmo2ForCausalLM",
        "PhiForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "SmolLM3ForCausalLM",
        "GemmaForCausalLM",
        "GraniteForCausalLM",
        "StableLmForCausalLM",
    }
)
"""Classes of causal models whose caches the fast loop keeps itself: they keep keys and values of
all tokens and take a mask of four dimensions. Each is tested."""

AUTO_CLASSES = {
    "translate": "AutoModelForSeq2SeqLM",
    "summarize": "AutoModelForSeq2SeqLM",
    "language-model": "AutoModelForCausalLM",
    "masked-language-model": "AutoModelForMaskedLM",
    "classify": "AutoModelForSequenceClassification",
    "label-tokens": "AutoModelForTokenClassification",
    "answer": "AutoModelForQuestionAnswering",
}
"""Task of a recipe → the Auto class of transformers that opens such a model."""


def family_of(name: str) -> Family:
    """The family of a `model_type`; what holds for most where it is not in the table."""
    return FAMILIES.get(name, _OTHER)
