"""Whatever a chat model puts around its answer is taken off, nothing of the answer itself is, and
no answer is an error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_magics.tasks.prompts import parse_answer, parse_bullets, parse_cited, says_no_answer

quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Sentences as translators write them: words, then a full stop; not one that could itself be a label
# or a thought.
words = st.text(
    st.sampled_from("abcdefghijklmnopqrstuvwxyzäöüßéèñ你好日本мир"), min_size=1, max_size=8
)
sentences = st.lists(words, min_size=2, max_size=7).map(lambda found: "Es " + " ".join(found) + ".")
texts = st.lists(sentences, min_size=1, max_size=3).map(" ".join)

THOUGHTS = [
    "<think>They want German.</think>\n",
    "<thinking>\nhm\n\nhm\n</thinking>\n\n",
    "They want German.\n</think>\n\n",
    "<reasoning>x</reasoning> ",
    "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>",
]
LABELS = [
    "Translation: ",
    "Sure! Here is the translation:\n\n",
    "**Translation:** ",
    "Here's the German translation:\n",
    "Certainly, here is the text translated into German:\n\n",
    "### Summary\n\n",
    "The summary of the text: ",
    "Answer: ",
    "Assistant: ",
    "assistant\n",
    "Of course. Here is your summary: ",
    "Output:\n",
]
FENCES = [
    ("```\n", "\n```"),
    ("```text\n", "\n```"),
    ("```\n", "\n```\n\nLet me know if you need more!"),
    ("```markdown\n", ""),
]
QUOTES = [('"', '"'), ("„", "“"), ("“", "”"), ("«", "»"), ("'", "'"), ("`", "`")]
AFTERWORDS = [
    "\n\nNote: this is formal.",
    "\n\n(Note that “Es” is neuter.)",
    "\n\nLet me know if you need\nanything else!",
    "\n\nI hope this helps!",
    "\n\n**Explanation:** x\n\nFeel free to ask.",
]
ENDS = ["", "\n", "<|im_end|>", "</s>", "<|eot_id|>\n", "<end_of_turn>"]


@quick
@given(texts)
def test_an_answer_alone_stays_as_it_is(text):
    assert parse_answer(text, "A sentence.") == text
    assert parse_answer(parse_answer(text, "A sentence."), "A sentence.") == text


@quick
@given(
    text=texts,
    thought=st.sampled_from(["", *THOUGHTS]),
    label=st.sampled_from(["", *LABELS]),
    fence=st.sampled_from([("", ""), *FENCES]),
    quotes=st.sampled_from([("", ""), *QUOTES]),
    end=st.sampled_from(ENDS),
)
def test_thoughts_labels_fences_and_quotes_go_together(text, thought, label, fence, quotes, end):
    answer = thought + label + fence[0] + quotes[0] + text + quotes[1] + fence[1] + end
    assert parse_answer(answer, "A sentence.") == text


@quick
@given(
    text=texts,
    label=st.sampled_from(["", *LABELS]),
    after=st.sampled_from(AFTERWORDS),
    end=st.sampled_from(ENDS),
)
def test_what_is_said_about_the_answer_behind_it_goes(text, label, after, end):
    assert parse_answer(label + text + after + end, "A sentence.") == text


@quick
@given(
    text=texts,
    key=st.sampled_from(["translation", "summary", "answer", "result"]),
    after=st.sampled_from(["", "\n", " Done."]),
    fenced=st.booleans(),
)
def test_an_answer_in_json_that_nobody_asked_for_is_unwrapped(text, key, after, fenced):
    answer = json.dumps({key: text, "language": 3}, ensure_ascii=False)
    assert (
        parse_answer(
            f"```json\n{answer}\n```\n{after}" if fenced else answer + after, "A sentence."
        )
        == text
    )


@pytest.mark.parametrize(
    "answer",
    ['{"labels": ["a"]}', '{"sentiment": "positive"}', '[{"text": "Ada", "type": "PER"}]', "[]"],
)
def test_json_that_was_asked_for_stays(answer):
    assert parse_answer(answer, "Answer with JSON only") == answer
    assert parse_answer(f"```json\n{answer}\n```\nDone.", "Answer with JSON only") == answer


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("Summary: it rains.", "Zusammenfassung: Es regnet."),
        ("The final answer: no.", "Die endgültige Antwort: nein."),
        ("摘要：下雨。", "Summary: it rains."),
        ("„Ja“, sagte er. „Nein.“", "He said yes and no."),
        ('"Ja."', '"Yes."'),
        ("```\ncode\n```", "```\nKode\n```"),
        ("Ein Satz.\n\nNote: das bleibt.", "One sentence.\n\nNote: this stays."),
        ("Das <|Zeichen|> bleibt.", "The <|mark|> stays."),
        ("a</think>b", "x</think>y"),
        ('{"answer": "ja"}', '{"answer": "yes"}'),
        ("Assistant: ja", "Assistant: yes"),
        ("Er sagte: „Ja.“", "He said: “Yes.”"),
        ("It's the answer to everything.", "Es ist die Antwort auf alles."),
        ("Of course it rains.", "Natürlich regnet es."),
        ("Okay, let us go.", "Gut, gehen wir."),
    ],
)
def test_what_the_source_has_too_is_no_wrapping(answer, source):
    assert parse_answer(answer, source) == answer


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n ",
        "<think>never ends",
        "<think>a</think>",
        "Here is the translation:",
        "```",
        "```\n```",
        "</s>",
        "<|im_end|>",
    ],
)
def test_an_answer_that_holds_nothing_is_empty(answer):
    assert parse_answer(answer, "A sentence.") == ""
    assert parse_cited(parse_answer(answer, "A sentence.")) == ("", ())
    assert parse_bullets(parse_answer(answer, "A sentence.")) == []


@settings(max_examples=200, deadline=None)
@given(
    answer=st.text(max_size=80)
    | st.lists(
        st.sampled_from(
            [
                *THOUGHTS,
                *LABELS,
                *AFTERWORDS,
                *ENDS,
                '"',
                "„",
                "```\n",
                "{",
                "}",
                "[1]",
                "- x\n",
                "1. ",
                "word ",
                "\n",
                ":",
                "\ud800",
                "\x00",
            ]
        ),
        max_size=12,
    ).map("".join),
    source=st.text(max_size=20),
)
def test_no_answer_is_an_error_and_nothing_is_made_up(answer, source):
    found = parse_answer(answer, source)
    assert len(found) <= len(answer)
    assert "\\" in answer or set(found) <= set(answer)
    text, cited = parse_cited(answer)
    assert len(text) <= len(answer)
    assert all(isinstance(number, int) and 0 <= number < 1000 for number in cited)
    for point in parse_bullets(answer):
        assert point.strip() == point
        assert all(word in answer for word in point.split())
    assert isinstance(says_no_answer(answer), bool)


@quick
@given(
    points=st.lists(texts, min_size=1, max_size=5),
    mark=st.sampled_from(["- ", "* ", "• ", "– ", "{}. ", "{}) ", "  - "]),
    intro=st.sampled_from(["", "Here are the points:\n\n", "**Points**\n"]),
    gap=st.sampled_from(["\n", "\n\n"]),
)
def test_points_of_a_list_are_found_whatever_their_mark(points, mark, intro, gap):
    answer = intro + gap.join(mark.format(number) + point for number, point in enumerate(points, 1))
    expected = points if len(points) > 1 or not intro else []
    assert parse_bullets(answer) == expected


@quick
@given(points=st.lists(texts, min_size=2, max_size=4))
def test_a_point_that_goes_on_in_the_next_line_is_whole(points):
    answer = "\n".join("- " + point.replace(" ", "\n  ", 1) for point in points)
    assert parse_bullets(answer) == points


def test_prose_is_no_list():
    assert parse_bullets("One sentence - not a list.\nAnother - neither.") == []
    assert parse_bullets("It rains.\n- So they say.") == []


@quick
@given(
    text=texts,
    numbers=st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True),
    form=st.sampled_from(
        ["[{}]", "({})", "【{}】", "[sentences {}]", "[[{}]]", "[Source: {}]", "({}†source)"]
    ),
    comma=st.sampled_from([", ", ",", "; ", " and "]),
)
def test_what_an_answer_cites_is_found_and_taken_out(text, numbers, form, comma):
    cited = form.format(comma.join(map(str, numbers)))
    assert parse_cited(f"{text[:-1]} {cited}.") == (text, tuple(numbers))
    each = " ".join(f"[{number}]" for number in numbers)
    assert parse_cited(f"{text} {each}") == (text, tuple(numbers))


def test_ranges_are_counted_out_and_years_are_no_citations():
    assert parse_cited("So it is [2-4, 9].") == ("So it is.", (2, 3, 4, 9))
    assert parse_cited("So it is [1-999].")[1] == tuple(range(1, 22))
    assert parse_cited("In May (1889) it was [12].") == ("In May (1889) it was.", (12,))


@pytest.mark.parametrize(
    "text",
    [
        "Not in the text.",
        "**not in the text**",
        "The text does not say who.",
        "I don't know.",
        "",
        " ",
        "N/A",
        "Unknown.",
        "This is not mentioned in the text.",
        "The passage doesn’t explicitly state this.",
    ],
)
def test_that_there_is_no_answer_is_understood_in_other_words(text):
    assert says_no_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "Paris",
        "He was not in the text editor.",
        "An unknown woman.",
        "It does not rain.",
        "None of them came.",
        "He did not find it. " * 20 + "The text does not say why.",
    ],
)
def test_an_answer_with_such_words_is_an_answer(text):
    assert not says_no_answer(text)


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "```a\n",
        "```\n",
        "\n",
        " ",
        "[",
        "[1",
        "( ",
        "sure ",
        "- ",
        "{",
        '{"a":',
        "Here is the ",
        "\n\nnote",
        "<|a|>",
        "*",
        "text ",
        "not ",
    ],
)
@pytest.mark.timeout(120)  # 100,000 pieces take a second; looked at again from each of them, hours
def test_a_long_answer_of_any_kind_is_read_once(piece):
    answer = piece * 100_000 + "x"
    assert isinstance(parse_answer(answer), str)
    assert len(parse_cited(answer)[0]) <= len(answer)
    assert len(parse_bullets(answer)) <= 100_000
    assert not says_no_answer(answer)
