"""Tokenizers of every kind: what they know, that they give the text back, that they come out the
same."""

from __future__ import annotations

import hashlib
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magics.errors import RecipeError
from llm_magics.models.folder.native_tokenizer import NativeTokenizer
from llm_magics.training.data.number_words import number_words
from llm_magics.training.data.tokenizer import SPECIAL, train_tokenizer
from llm_magics.training.recipe.recipe import Tokenizer

KINDS = ("bpe", "unigram", "word", "char")
TEXTS = [
    "Das Mädchen liest ein Buch.",
    "Ein Hund (klein) läuft über die Straße!",
    "one two  three, four",
    "ROMEO:\nWhat light? 12",
    "我们学习语言。",
    'she said: "no" – and left',
] * 12
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SEEN_TEXT = st.text(st.sampled_from(sorted(set("".join(TEXTS)))), max_size=40)


def house(kind: str, texts: list[str] = TEXTS, **options) -> NativeTokenizer:
    tokenizer = train_tokenizer(texts, Tokenizer(kind=kind, **{"vocab_size": 700, **options}))
    return NativeTokenizer(tokenizer, tokenizer, SPECIAL)


@pytest.fixture(scope="module")
def trained() -> dict[str, NativeTokenizer]:
    return {kind: house(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_begins_with_the_special_tokens(trained, kind):
    tokenizer = trained[kind].source
    assert [tokenizer.token_to_id(token) for token in ("<pad>", "<s>", "</s>", "<unk>")] == list(
        SPECIAL.values()
    )
    assert [tokenizer.id_to_token(i) for i in SPECIAL.values()] == ["<pad>", "<s>", "</s>", "<unk>"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_learnt_from_comes_back_exactly(trained, kind):
    tokenizer = trained[kind]
    for text in TEXTS[:6]:
        ids = tokenizer.encode_source([text])[0]
        assert tokenizer.decode_target(ids) == text
        assert ids[-1] == SPECIAL["eos"]
        assert not set(ids[:-1]) & set(SPECIAL.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_file(kind):
    # number words have many ties, which the unigram trainer of `tokenizers` breaks anew at every
    # call
    texts = [text for pair in number_words(("de", "en"), 400, 0)["train"] for text in pair] + TEXTS
    assert len({house(kind, some).source.to_str() for some in (texts, texts, texts[::-1])}) == 1


def test_a_bpe_is_the_one_that_recipes_before_had():
    texts = [text for pair in number_words(("en", "de"), 2000, 0)["train"] for text in pair]
    made = json.loads(train_tokenizer(texts, Tokenizer(vocab_size=600)).to_str())
    learnt = json.dumps([made["model"]["vocab"], made["model"]["merges"]])
    assert hashlib.sha256(learnt.encode()).hexdigest()[:16] == "f853f9fd65c9e62e"
    assert made["normalizer"] == {"type": "NFC"}
    assert [part["type"] for part in made["pre_tokenizer"]["pretokenizers"]] == [
        "Metaspace",
        "Digits",
        "Punctuation",
    ]


@settings(max_examples=200, deadline=None)
@given(SEEN_TEXT)
def test_characters_come_back_exactly(trained, text):
    ids = trained["char"].encode_source([text])[0]
    assert len(ids) == len(text) + 1
    assert trained["char"].decode_source(ids) == text


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT)
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_any_text_comes_back_from_pieces_and_bytes(trained, kind, text):
    ids = trained[kind].encode_source([text])[0]
    assert not set(ids[:-1]) & set(SPECIAL.values())
    composed = unicodedata.normalize("NFC", text).replace("▁", " ")
    if kind == "bpe" and composed.startswith(" "):
        composed = composed[
            1:
        ]  # as documented: the mark of the first word takes the place of one space
    assert trained[kind].decode_source(ids) == composed


SEPARATORS = (" ", "  ", ", ", ".", "\n", " (", ")", "   \n ")


@pytest.fixture(scope="module")
def words() -> NativeTokenizer:
    return house(
        "word",
        [f"{before}{word}" for word in ("Hund", "ein", "学习") for before in SEPARATORS],
        min_frequency=1,
    )


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["Hund", "ein", "学", "习"]), st.sampled_from(SEPARATORS)),
        max_size=12,
    )
)
def test_spacing_comes_back_from_words_that_are_known(words, pairs):
    text = "".join(word + separator for word, separator in pairs)
    ids = words.encode_source([text])[0]
    assert SPECIAL["unk"] not in ids
    assert words.decode_source(ids) == text


@settings(max_examples=100, deadline=None)
@given(ANY_TEXT)
@pytest.mark.parametrize("kind", KINDS)
def test_offsets_name_the_characters_of_each_token(trained, kind, text):
    offsets = trained[kind].source_offsets(text)
    ids = trained[kind].encode_source([text])[0]
    assert len(offsets) == len(ids)
    assert offsets[-1] == (len(text), len(text))
    assert all(0 <= start <= end <= len(text) for start, end in offsets)
    assert [start for start, _ in offsets] == sorted(start for start, _ in offsets)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("char", ["我", "们", "\n", "a", "我"]),
        ("bpe", ["我", "们", "\n", "a", "我"]),
        ("unigram", ["我", "们", "\n", "a", "我"]),
        ("word", ["我", "们", "\n", "a", "我"]),
    ],
)
def test_offsets_cut_a_text_with_chinese_and_a_line_end_where_people_would(trained, kind, expected):
    text = "我们\na我"
    cut = [text[start:end] for start, end in trained[kind].source_offsets(text)[:-1]]
    assert list(dict.fromkeys(cut)) == list(dict.fromkeys(expected))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_every_byte_of_an_emoji_stands_where_the_emoji_does(trained, kind):
    text = "Hund 😀日!"
    cut = [text[start:end].strip() for start, end in trained[kind].source_offsets(text)[:-1]]
    assert cut.count("😀") == 4
    assert cut.count("日") == 3
    assert cut[-1] == "!"


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_written_in_a_text_is_text(trained, kind):
    for text in ("</s>", "a <pad> b", "<0x41>", "<unk>"):
        ids = trained[kind].encode_source([text])[0]
        assert not {SPECIAL["pad"], SPECIAL["bos"], SPECIAL["eos"]} & set(ids[:-1])
        if kind in ("bpe", "unigram"):
            assert trained[kind].decode_source(ids) == text


def test_rare_words_and_unseen_characters_are_unknown():
    words = house("word", ["a a a b", "a b c"], min_frequency=2)
    assert words.source.get_vocab_size() == 4 + 2
    assert words.encode_source(["a c"])[0] == [
        words.source.token_to_id("▁a"),
        SPECIAL["unk"],
        SPECIAL["eos"],
    ]
    characters = house("char", ["abab"])
    assert characters.encode_source(["a😀b"])[0] == [4, SPECIAL["unk"], 5, SPECIAL["eos"]]


def test_punctuation_and_chinese_characters_are_words_of_their_own():
    words = house("word", ["(ein Hund), 学习!"], min_frequency=1)
    assert words.source_tokens(words.encode_source(["(ein Hund), 学习!"])[0])[:-1] == [
        "▁",
        "(",
        "ein",
        "▁Hund",
        ")",
        ",",
        "▁",
        "学",
        "习",
        "!",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_lower_case_is_for_learning_and_use(kind):
    tokenizer = house(kind, ["Ein HUND", "ein hund"] * 5, lowercase=True)
    ids = tokenizer.encode_source(["EIN Hund"])[0]
    assert tokenizer.decode_source(ids) == "ein hund"
    assert ids == tokenizer.encode_source(["ein hund"])[0]


def test_vocab_size_is_a_limit():
    for kind, size in (("unigram", 280), ("word", 10), ("char", 12), ("bpe", 400)):
        assert house(kind, vocab_size=size).source.get_vocab_size() <= size
    assert {"a", "b"} < set(house("char", ["aaab", "aac"], vocab_size=6).source.get_vocab())


def test_a_saved_tokenizer_reads_back_as_it_was(trained, tmp_path):
    from tokenizers import Tokenizer as Read

    for kind in KINDS:
        path = tmp_path / f"{kind}.json"
        trained[kind].source.save(str(path))
        again = NativeTokenizer(Read.from_file(str(path)), Read.from_file(str(path)), SPECIAL)
        text = "Ein Hund  liest: 😀 学\n12</s>"
        assert again.encode_source([text]) == trained[kind].encode_source([text])


@pytest.mark.parametrize("texts", [[], [""], ["\n \t"], ["▅▁▅"]])
def test_nothing_to_learn_from_is_an_error(texts):
    with pytest.raises(RecipeError, match="unigram vocabulary needs"):
        house("unigram", texts)
    if not "".join(texts):
        with pytest.raises(RecipeError, match="no text to learn"):
            house("char", texts)


def test_a_unigram_vocabulary_without_room_is_an_error():
    with pytest.raises(RecipeError, match=r"vocab_size = 200: .* choose 1000 or more"):
        house("unigram", vocab_size=200)


def test_pieces_follow_the_frequent_words():
    tokenizer = house(
        "unigram", ["Straßenbahn", "Straßenbahnen", "Bahn", "Straße"] * 30, vocab_size=320
    )
    assert len(tokenizer.encode_source(["Straßenbahn"])[0]) <= 3
