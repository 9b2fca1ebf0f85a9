"""Spellings of number formats."""

from __future__ import annotations

import pytest
import torch

from llm_magics.errors import InputError
from llm_magics.models.folder.open import resolve_dtype
from llm_magics.models.number_format import (
    NUMBER_FORMAT_SPELLINGS,
    NUMBER_FORMATS,
    parse_number_format,
)


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (("fp32", "float32", "float", "FP32", " torch.float32 "), "float32"),
        (("bf16", "bfloat16", "torch.bfloat16"), "bfloat16"),
        (("fp16", "float16", "half", "torch.half"), "float16"),
        (("int8", "INT8"), "int8"),
        (("auto",), "auto"),
    ],
)
def test_a_number_format_is_known_by_every_spelling(spellings, name):
    assert {parse_number_format(spelling) for spelling in spellings} == {name}


def test_every_spelling_stands_for_a_format_that_torch_has():
    for spelling, name in NUMBER_FORMAT_SPELLINGS.items():
        assert name in NUMBER_FORMATS
        assert isinstance(resolve_dtype(spelling, "cpu"), torch.dtype)


@pytest.mark.parametrize("text", ["fp8", "q4", "", "generator", 32])
def test_what_is_not_a_number_format_is_refused_with_the_list(text):
    with pytest.raises(InputError, match=r"is not a number format: .*float32 \(fp32\).*int8"):
        parse_number_format(text)


def test_a_misspelt_number_format_gets_the_nearest():
    with pytest.raises(InputError, match="did you mean bfloat16"):
        parse_number_format("bflot16")


def test_loading_refuses_what_is_not_a_number_format():
    for wrong in ("generator", "float99", torch.int64, 3):
        with pytest.raises(InputError, match="is not a number format"):
            resolve_dtype(wrong, "cpu")
