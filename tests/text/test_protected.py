"""What no model may change, found by its form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_magics.text.protected import has_words, kept_numbers, lost_spans, protected_spans


@pytest.mark.parametrize(
    ("sentence", "spans"),
    [
        ("It costs 20 euros.", [("number", "20")]),
        ("It costs $1,299.50 or 15 %.", [("number", "$1,299.50"), ("number", "15 %")]),
        ("The train leaves at 9:30.", [("time", "9:30")]),
        ("Born on 2026-11-29.", [("date", "2026-11-29")]),
        ("Am 3.12.2025 und 1.5 kg.", [("date", "3.12.2025"), ("number", "1.5")]),
        ("See https://example.org/a?b=c.", [("url", "https://example.org/a?b=c")]),
        ("Write to anna.b@example.org!", [("email", "anna.b@example.org")]),
        ("Open /etc/hosts and notes.txt now.", [("path", "/etc/hosts"), ("path", "notes.txt")]),
        ("Run `pip install x` first.", [("code", "`pip install x`")]),
        ("Hello %1$s, {name}!", [("placeholder", "%1$s"), ("placeholder", "{name}")]),
        (
            "%(count)d of ${total} {{user}} %s",
            [
                ("placeholder", "%(count)d"),
                ("placeholder", "${total}"),
                ("placeholder", "{{user}}"),
                ("placeholder", "%s"),
            ],
        ),
        ("<p>The <b>cat</b><br/>", [("tag", x) for x in ("<p>", "<b>", "</b>", "<br/>")]),
        ('<a href="x y">go</a>', [("tag", '<a href="x y">'), ("tag", "</a>")]),
        (
            "[here](https://a.b/c) is **bold**",
            [
                ("mark", "["),
                ("mark", "]"),
                ("link", "(https://a.b/c)"),
                ("mark", "**"),
                ("mark", "**"),
            ],
        ),
        ("The area is $a^2 + b^2$ here.", [("latex", "$a^2 + b^2$")]),
        ("Thanks @anna 👩\u200d💻!", [("mention", "@anna"), ("emoji", "👩\u200d💻")]),
        ("The cat sleeps; it is 5 < 6 & so on.", [("number", "5"), ("number", "6")]),
    ],
)
def test_protected_parts_are_found(sentence, spans):
    assert [(span.kind, span.text) for span in protected_spans(sentence)] == spans


@pytest.mark.parametrize(
    "sentence",
    [
        "The cat sleeps on the sofa.",
        "Don't forget your umbrella, it's going to rain.",
        "Is it A or B (or both)?",
        "He said: well-known facts, and/or rumours...",
        "100% of it"[4:],
        "Das ist ja toll! Wirklich?",
    ],
)
def test_plain_prose_has_none(sentence):
    assert protected_spans(sentence) == []


def test_a_segment_without_words_is_not_for_a_model():
    for text in ("00:00:10,300 --> 00:00:12,000", "5", "https://example.org", "{name}: %s", "<br>"):
        assert not has_words(text), text
    for text in ("5 cats", "<b>cat</b>", "你好", "{name} sleeps"):
        assert has_words(text), text


def test_what_is_lost_is_told():
    assert [s.text for s in lost_spans("It costs 20 euros.", "Es kostet 20000 Oroge.")] == ["20"]
    assert lost_spans("It costs 1,000.50 euros.", "Es kostet 1.000,50 Euro.") == []
    assert [s.text for s in lost_spans("{a} and {a}", "{a} und")] == ["{a}"]
    assert lost_spans("At 9:30 go to <b>it</b>.", "Geh um 9.30 Uhr <b>hin</b>.") == []


def test_numbers_are_compared_as_a_whole():
    assert kept_numbers("He is 47 and has 2 cats.", "Er hat 2 Katzen und ist 47.")
    assert not kept_numbers("He is 47.", "Er ist vier Jahre alt.")
    assert not kept_numbers("He is old.", "Er ist 47.")


@given(st.text(max_size=60))
def test_spans_lie_in_their_text_in_order(text):
    position = 0
    for span in protected_spans(text):
        assert position <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == span.text
        position = span.end
