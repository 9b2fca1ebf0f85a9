"""A text is taken apart into sentences and put together again without losing a byte of its
layout."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_magics.errors import InputError, TooLong
from llm_magics.text.segments import MAX_CHARACTERS, segment
from llm_magics.text.sentences import (
    MAX_SENTENCE_CHARACTERS,
    MAX_WIDE_SENTENCE_CHARACTERS,
    sentence_spans,
)

LAYOUT = """# A heading

Dr. Smith went to Washington, D.C. on
Jan. 5th. He said "Hello there. How are
you?" and left...

  - first item; it is long
    and goes on.
  - [ ] second "item"!
1. One.
2. Two. Three?

> quoted text that is
> wrapped by hand.

```
code. stays.
```
---
\tTab 😀 emoji!\r
Last line without an end"""


def texts(text, language="en"):
    return [sentence.text for sentence in segment(text, language).sentences]


def test_sentences_of_a_laid_out_text():
    assert texts(LAYOUT) == [
        "A heading",
        "Dr. Smith went to Washington, D.C. on Jan. 5th.",
        'He said "Hello there. How are you?" and left...',
        "first item; it is long and goes on.",
        'second "item"!',
        "One.",
        "Two.",
        "Three?",
        "quoted text that is wrapped by hand.",
        "Tab 😀 emoji!",
        "Last line without an end",
    ]


def test_everything_but_the_sentences_survives_byte_for_byte():
    document = segment(LAYOUT, "en")
    shown = document.join([f"<{i}>" for i in range(len(document.sentences))])
    assert shown == (
        "# <0>\n\n<1> <2>\n\n  - <3>\n  - [ ] <4>\n1. <5>\n2. <6> <7>\n\n> <8>\n\n```\ncode. "
        "stays.\n```\n---\n"
        "\t<9>\r\n<10>"
    )


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "de",
            (
                "Am 3. Oktober kam z. B. Herr Dr. Müller an. „Wie geht es?“, fragte er. Es "
                "kostet "
                "ca. 3,5 Euro. Gut!"
            ),
            [
                "Am 3. Oktober kam z. B. Herr Dr. Müller an.",
                "„Wie geht es?“, fragte er.",
                "Es kostet ca. 3,5 Euro.",
                "Gut!",
            ],
        ),
        (
            "fr",
            "M. Dupont est arrivé à 10 h. « Comment ça va ? » demanda-t-il. Très bien !",
            ["M. Dupont est arrivé à 10 h.", "« Comment ça va ? » demanda-t-il.", "Très bien !"],
        ),
        (
            "zh",
            "今天天气很好。我们去公园吧！他说：“我很好。”然后走了。GDP增长了3.5%。结果表明.它好.",
            [
                "今天天气很好。",
                "我们去公园吧！",
                "他说：“我很好。”",
                "然后走了。",
                "GDP增长了3.5%。",
                "结果表明.",
                "它好.",
            ],
        ),
        ("ja", "今日は。「元気？」と言った。", ["今日は。", "「元気？」と言った。"]),
        ("ar", "مرحبا بالعالم. كيف حالك؟ أنا بخير.", ["مرحبا بالعالم.", "كيف حالك؟", "أنا بخير."]),
        ("hi", "नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
        (
            "sw",
            "A language without rules of its own. It gets the English ones.",
            ["A language without rules of its own.", "It gets the English ones."],
        ),
    ],
)
def test_each_language_has_its_own_full_stops_and_quotes(language, text, expected):
    assert texts(text, language) == expected


def test_symbols_that_the_splitter_uses_for_itself_stay_in_the_text():
    assert texts("♬ Music plays. ∯ is a sign. A\x00b ends. \ud800 too. 👨‍👩‍👧 sleeps.") == [
        "♬ Music plays.",
        "∯ is a sign.",
        "A\x00b ends.",
        "\ud800 too.",
        "👨‍👩‍👧 sleeps.",
    ]


def test_prose_wrapped_by_hand_is_one_sentence():
    assert texts("This line was wrapped at some\nwidth by an editor.") == [
        "This line was wrapped at some width by an editor."
    ]
    assert texts("这一行是被编辑器按照固定的宽度折断的，它\n应该是一句话。", "zh") == [
        "这一行是被编辑器按照固定的宽度折断的，它应该是一句话。"
    ]
    assert texts("It is a well-\nknown fact.") == ["It is a well-known fact."]


@pytest.mark.parametrize(
    "text",
    [
        "apples\nbananas\npears",
        "Alice Brown\n12 High Street\nOxford",
        (
            "Two roads diverged in a yellow wood,\nAnd sorry I could not travel both\nAnd be one "
            "traveler, long I stood"
        ),
        "a line that ends with two spaces  \nis broken on purpose",
    ],
)
def test_lines_that_were_meant_as_lines_stay_lines(text):
    assert texts(text) == [line.strip() for line in text.splitlines()]


def test_what_has_no_letters_is_not_translated():
    assert texts("😀 !!! ---\n* * *\n\n…") == []
    assert segment("😀 !!!", "en").join([]) == "😀 !!!"


def test_a_sentence_that_no_model_can_read_is_cut_at_a_comma():
    clause = "and so it goes on and on and on, "
    parts = texts(clause * 100)
    assert max(map(len, parts)) <= MAX_SENTENCE_CHARACTERS
    assert all(part.endswith(",") for part in parts)
    assert max(map(len, texts("很" * 1000, "zh"))) <= MAX_WIDE_SENTENCE_CHARACTERS


def test_offsets_point_at_the_sentence_in_the_source():
    source = "First one. Second\nsentence that was wrapped here by hand."
    for sentence in segment(source, "en").sentences:
        assert " ".join(source[sentence.start : sentence.end].split()) == sentence.text


def test_touching_sentences_get_a_space_when_the_target_needs_one():
    document = segment("今天很好。明天呢？", "zh")
    assert (
        document.join(["Today is fine.", "And tomorrow?"], glue=" ")
        == "Today is fine. And tomorrow?"
    )
    assert document.join(["今天很好。", "明天呢？"]) == "今天很好。明天呢？"


def test_prefix_ends_at_the_first_unfinished_sentence():
    document = segment("One. Two.\n\nThree.", "en")
    assert document.prefix(["Eins.", "Zw", "Drei."], [True, False, True]) == "Eins. Zw"
    assert document.prefix(["Eins.", "Zwei.", "Drei."], [True] * 3) == "Eins. Zwei.\n\nDrei."


def test_join_wants_one_text_for_each_sentence():
    with pytest.raises(InputError, match="1 texts were given for 2 sentences"):
        segment("One. Two.", "en").join(["Eins."])


def test_too_much_text_is_refused_before_any_work_and_names_the_way_out():
    with pytest.raises(TooLong, match=r"10,000,000 characters.*--each"):
        segment("a. " * 3_333_333 + "b", "en")
    assert MAX_CHARACTERS == 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "a " * 50_000,
        "(" * 30_000,
        '"' * 30_000,
        "." * 50_000,
        "a.b." * 10_000,
        "1. " * 20_000,
        "A. " * 20_000,
        "，" * 50_000,
        " " * 100_000,
        "- " * 50_000,
        ">" * 100_000,
        "\n" * 100_000,
        "'a " * 20_000,
        "```\n" * 20_000,
    ],
)
@pytest.mark.timeout(60)  # they took minutes before paragraphs were cut into chunks
def test_hostile_repetition_loses_nothing_and_comes_to_an_end(text):
    document = segment(text, "en")
    assert document.join([text[s.start : s.end] for s in document.sentences]) == text


CHARACTERS = "aB9 .!?,\n\r\t-*>#`\"'«»„“”。！？，好あ♬∯ȸ😀\x00\ud800\u200f()"
ALPHABET = st.sampled_from([*CHARACTERS, "Dr. ", "z. B. ", "\r\n"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ALPHABET, max_size=80).map("".join),
    st.sampled_from(["en", "de", "fr", "zh", "ja", "ar", "xx"]),
)
def test_any_text_is_put_together_from_its_pieces(text, language):
    document = segment(text, language)
    assert document.join([text[s.start : s.end] for s in document.sentences]) == text
    assert all(s.text == s.text.strip() and s.text for s in document.sentences)


@settings(max_examples=200, deadline=None)
@given(st.lists(ALPHABET, max_size=60).map("".join), st.sampled_from(["en", "de", "zh"]))
def test_between_sentences_there_is_only_white_space(text, language):
    paragraph = " ".join(text.split())
    spans = sentence_spans(paragraph, language)
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(paragraph)]
    assert all(not paragraph[a:b].strip() for a, b in zip(ends, starts, strict=True))


def test_a_long_paragraph_gives_the_same_sentences_as_its_parts():
    rng = random.Random(0)
    sentences = [
        " ".join(
            ["Dr. Who"] + [rng.choice(["saw", "took", "kept"]) + " the thing" for _ in range(3)]
        )
        + "."
        for _ in range(400)
    ]
    assert texts(" ".join(sentences)) == sentences
