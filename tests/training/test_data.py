"""Rows and batches."""

from __future__ import annotations

import gzip

import pytest

from llm_magics.errors import DataError, RecipeError
from llm_magics.training.data import batches, find_file, read_pairs
from llm_magics.training.number_words import LANGUAGES, number_words, spell
from llm_magics.training.recipe import Tokenizer
from llm_magics.training.tokenizer import SPECIAL, train_tokenizer

PAIRS = [([4] * (1 + n % 7) + [2], [5] * (1 + n % 5) + [2]) for n in range(300)]


def test_the_order_of_batches_is_a_function_of_seed_and_epoch():
    once, again = ([b.rows for b in batches(PAIRS, 60, seed=1, epoch=2)] for _ in range(2))
    assert once == again
    assert once != [b.rows for b in batches(PAIRS, 60, seed=1, epoch=3)]
    assert once != [b.rows for b in batches(PAIRS, 60, seed=2, epoch=2)]


def test_every_row_comes_once_an_epoch_and_no_batch_exceeds_the_budget():
    made = list(batches(PAIRS, 60, seed=0, epoch=0))
    assert sorted(row for batch in made for row in batch.rows) == list(range(300))
    for batch in made:
        widest = max(len(s) + len(t) for s, t in batch.pairs)
        assert len(batch.rows) * widest <= 120
        assert batch.count == len(made)


def test_joined_rows_have_one_end_mark_and_both_texts():
    joined = [pair for b in batches(PAIRS, 60, seed=0, epoch=0, join=1.0) for pair in b.pairs]
    assert all(source.count(2) == target.count(2) == 1 and source[-1] == target[-1] == 2 for source, target in joined)
    assert sum(len(s) for s, _ in joined) > 1.8 * sum(len(s) for s, _ in PAIRS)


@pytest.mark.parametrize(("line", "message"), [
    ("{not json", "data.jsonl:2: not a JSON object"),
    ("[1]", "data.jsonl:2: expected a JSON object, got list"),
    ('{"en": "x"}', "data.jsonl:2: field 'de' is missing"),
    ('{"en": "x", "de": " "}', "data.jsonl:2: field 'de' is missing, empty"),
    ('{"en": "x", "de": 3}', "data.jsonl:2: field 'de'"),
])
def test_a_bad_line_is_named_with_file_and_number(tmp_path, line, message):
    path = tmp_path / "data.jsonl"
    path.write_text('{"en": "a", "de": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        read_pairs(path, "en", "de")


def test_a_truncated_gzip_file_is_an_error_not_a_short_corpus(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"en": "a", "de": "b"}\n' * 5000)[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_pairs(path, "en", "de")


def test_a_file_is_found_in_the_data_folder(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text("")
    monkeypatch.setenv("LLM_MAGICS_DATA", str(tmp_path))
    assert find_file("x.jsonl") == tmp_path / "x.jsonl"
    with pytest.raises(DataError, match="'y.jsonl' not found"):
        find_file("y.jsonl")


def test_number_words_are_spelt_and_held_out_numbers_never_occur_in_training():
    assert spell(42, "de") == "zweiundvierzig"
    parts = number_words(LANGUAGES, 500, seed=3)
    digits = {part: {target for _, target in rows} for part, rows in parts.items()}
    assert sum(map(len, digits.values())) == 501
    assert not digits["train"] & (digits["test"] | digits["validation"])
    assert not digits["test"] & digits["validation"]
    with pytest.raises(RecipeError, match="'xx'"):
        spell(1, "xx")


def test_every_text_survives_the_tokenizer():
    texts = ["Das Mädchen liest ein Buch.", "one two three", "zwei  Leerzeichen"] * 20
    tokenizer = train_tokenizer(texts, Tokenizer(vocab_size=400))
    assert [tokenizer.token_to_id(t) for t in ("<pad>", "<s>", "</s>", "<unk>")] == list(SPECIAL.values())
    for text in [*texts[:3], "日本語 and 😀", "Ωmega 1234"]:
        ids = tokenizer.encode(text).ids
        assert SPECIAL["unk"] not in ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
