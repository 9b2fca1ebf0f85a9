"""Tokens as people read them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models

from llm_magics.attention.tokens import check_length, readable, source_pair
from llm_magics.errors import AttentionError


def with_rules(decoder) -> Tokenizer:
    """A tokenizer that puts its tokens together by these rules."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoder
    return tokenizer


BYTES = with_rules(decoders.ByteLevel())
PIECES = with_rules(decoders.WordPiece())
SENTENCE = with_rules(
    decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
)


@pytest.mark.parametrize(
    ("tokenizer", "raw", "shown"),
    [
        (BYTES, ["The", "Ġcat", "Ċ", "Ġ", "cafÃ©"], ["The", "cat", "\n", " ", "café"]),
        (BYTES, ["Ġâ", "Ĥ", "¬", "5"], ["€(1/3)", "€(2/3)", "€(3/3)", "5"]),
        (BYTES, ["â", "<|end|>", "Ĥ¬"], ["<E2>", "<|end|>", "<82><AC>"]),
        (BYTES, ["<｜end▁of｜>"], ["<｜end▁of｜>"]),
        (PIECES, ["[CLS]", "play", "##ing", "##", "#"], ["[CLS]", "play", "ing", "##", "#"]),
        (
            SENTENCE,
            ["▁The", "▁", "cat", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "<0xFF>", "</s>"],
            ["The", " ", "cat", "🙂(1/4)", "🙂(2/4)", "🙂(3/4)", "🙂(4/4)", "<FF>", "</s>"],
        ),
    ],
)
def test_marks_go_and_bytes_become_the_characters_they_spell(tokenizer, raw, shown):
    assert readable(tokenizer, raw) == shown


def test_a_real_byte_level_tokenizer_reads_back_as_its_text(loaded):
    tokenizer = loaded("bert").tokenizer
    raw = tokenizer.tokenize("the cat sat café")
    assert raw[1] == "Ġcat"
    assert readable(tokenizer, raw)[:3] == ["the", "cat", "sat"]
    assert readable(tokenizer, raw)[-2:] == ["é(1/2)", "é(2/2)"]


def test_what_the_model_has_no_positions_for_is_refused(loaded):
    check_length(loaded("bert", max_position_embeddings=20), range(20))
    with pytest.raises(AttentionError, match="21 tokens, the model reads 20"):
        check_length(loaded("bert", max_position_embeddings=20), range(21))
    roberta = loaded(
        "roberta", max_position_embeddings=20
    )  # counts from behind its padding token, 0
    with pytest.raises(AttentionError, match="the model reads 19"):
        check_length(roberta, range(20))
    with pytest.raises(AttentionError, match="an attention map shows 8,192"):
        check_length(
            SimpleNamespace(module=loaded("t5", "AutoModelForSeq2SeqLM", "seq2seq").module),
            range(8193),
        )


def test_only_encoders_read_pairs(loaded):
    with pytest.raises(AttentionError, match="pair"):
        source_pair(loaded("gpt2", "AutoModelForCausalLM", "causal"), "one", "two")
