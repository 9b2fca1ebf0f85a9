"""The tokenizers of our models as transformers knows tokenizers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llm_magics.training.export.hf_export import MAX_POSITIONS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from llm_magics.models.folder.native_tokenizer import NativeTokenizer

__all__ = ["twin_tokenizer"]


def twin_tokenizer(tokenizer: NativeTokenizer, side: str, ends: bool) -> PreTrainedTokenizerFast:
    """One side ("source" or "target") as transformers knows tokenizers; the same ids, and the same
    text back.

    ends: whether a text is followed by the end mark, as translators are given it.
    """
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    ours, special = getattr(tokenizer, side), tokenizer.special
    document = json.loads(ours.to_str())
    # The tokens that spell bytes are special to the library; a text decoded without special tokens
    # would lack them.
    document["added_tokens"] = [
        token for token in document["added_tokens"] if token["id"] in special.values()
    ]
    theirs = Tokenizer.from_str(json.dumps(document))
    marks = {name: ours.id_to_token(number) for name, number in special.items()}
    if ends:
        eos = marks["eos"]
        theirs.post_processor = processors.TemplateProcessing(
            single=f"$A {eos}", pair=f"$A {eos} $B {eos}", special_tokens=[(eos, special["eos"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=theirs,
        model_max_length=MAX_POSITIONS,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        **{
            f"{name}_token": mark
            for name, mark in marks.items()
            if name in ("pad", "bos", "eos", "unk") and mark is not None
        },
    )
