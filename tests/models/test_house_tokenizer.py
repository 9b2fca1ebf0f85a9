"""House tokenizers: what a text says is text, whatever it looks like."""

from __future__ import annotations

import pytest

from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.training.data.tokenizer import SPECIAL, train_tokenizer
from llm_magics.training.recipe.recipe import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> NativeTokenizer:
    trained = train_tokenizer(["a b c the end", "Das Ende"] * 20, Tokenizer(vocab_size=320))
    return NativeTokenizer(trained, trained, SPECIAL)


@pytest.mark.parametrize("text", ["a </s> b", "<s> the <pad> end", "<unk>", "<0x41> is A"])
def test_a_text_that_looks_like_a_mark_is_text(tokenizer, text):
    ids = tokenizer.encode_source([text])[0]
    assert ids[-1] == SPECIAL["eos"]
    assert not set(ids[:-1]) & set(SPECIAL.values())
    assert tokenizer.decode_source(ids) == text


@pytest.mark.parametrize("text", ["日本語 😀", "Ωmega", "naïve café", "two  spaces"])
def test_letters_outside_the_vocabulary_come_back_by_their_bytes(tokenizer, text):
    assert tokenizer.decode_target(tokenizer.encode_target([text])[0]) == text
