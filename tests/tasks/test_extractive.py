"""The embedded summariser picks telling sentences, without repeating itself, in four languages and
more."""

import math
from collections import Counter

import pytest

from llm_magics.text.extractive import count_words, pick_sentences, scores, shorten, terms

NEWS = [
    "The city council approved a new tram line between the harbour and the university on Monday.",
    "The weather was mild that evening.",
    "The tram line will cost 120 million euros and open in four years, the council said.",
    "On Monday the city council approved a new tram line between the university and the harbour.",
    "Students at the university welcomed the tram, which will replace two crowded bus routes.",
    "A dog barked.",
]


def test_off_topic_sentences_are_left_out():
    picked = pick_sentences(NEWS, 50)
    assert 0 in picked
    assert not {1, 5} & set(picked)


def test_a_repeated_sentence_is_taken_once():
    assert not {0, 3} <= set(pick_sentences(NEWS, 48))


def test_sentences_come_in_the_order_of_the_text():
    assert pick_sentences(NEWS, 60) == sorted(pick_sentences(NEWS, 60))


@pytest.mark.parametrize("limit", [1, 5, 16, 20, 33, 50, 1000])
def test_the_limit_is_kept(limit):
    assert sum(count_words(NEWS[i]) for i in pick_sentences(NEWS, limit)) <= limit


def test_nothing_is_picked_when_nothing_fits():
    assert pick_sentences(["One two three four five."], 3) == []
    assert pick_sentences([], 10) == []


def test_of_two_equal_sentences_the_earlier_scores_higher():
    values = scores(["The cat sat on the old red mat near the door."] * 3)
    assert values == sorted(values, reverse=True)
    assert values[0] > values[2]


def test_scores_are_the_formula_computed_another_way():
    sentences = ["red cat red", "cat dog", "bird sings loudly today"]
    counts = [Counter(s.split()) for s in sentences]
    spread = Counter(w for c in counts for w in c)
    words = sorted(spread)
    rows = [
        [(1 + math.log(c[w])) * math.log(1 + 3 / spread[w]) if c[w] else 0.0 for w in words]
        for c in counts
    ]
    cut = {w: w[:6] for w in words}
    assert len(set(cut.values())) == len(words)  # stems do not collide here
    rows = [[x / math.hypot(*row) for x in row] for row in rows]
    centre = [sum(column) for column in zip(*rows, strict=True)]
    expected = [
        sum(a * b for a, b in zip(row, centre, strict=True))
        / math.hypot(*centre)
        / (1 + 0.1 * math.log(1 + i))
        * min(1, len(s.split()) / 10)
        for i, (row, s) in enumerate(zip(rows, sentences, strict=True))
    ]
    assert scores(sentences) == pytest.approx(expected)


def test_chinese_is_compared_by_pairs_of_characters():
    assert terms("机器翻译 GPT4 好") == ["机器", "器翻", "翻译", "gpt4", "好"]
    text = ["机器翻译把一种语言变成另一种语言。", "天气不错。", "机器翻译的质量取决于数据和模型。"]
    assert pick_sentences(text, 35) == [0, 2]


def test_words_are_counted_as_people_count_them():
    assert count_words("It's a well-known 3.5 % rise, isn't it?") == 7
    assert count_words("机器翻译 is hard") == 6
    assert count_words(" — … ") == 0


def test_shortening_keeps_whole_words():
    assert shorten("one two, three four", 2) == "one two …"
    assert shorten("one two", 2) == "one two"
    assert shorten("机器翻译", 2) == "机器 …"
