"""The next word: figures, continuation, masks, and what is shown."""

from __future__ import annotations

import math

import pytest

from llm_magics.display.html import render
from llm_magics.errors import InputError, WrongTask
from llm_magics.rows.rows import RowError
from llm_magics.tasks.predict import predict, predict_each

TEXT = "The cat sleeps on the sofa."


def test_the_figures_are_those_of_the_tokens(manager, tiny):
    found = predict(TEXT, manager=manager, model=tiny("llama"), count=5)
    probabilities = [token.probability for token in found.tokens]
    assert found.perplexity == pytest.approx(
        math.prod(probabilities) ** (-1 / len(probabilities)), rel=1e-6
    )
    assert found.bits == pytest.approx(sum(-math.log2(one) for one in probabilities), rel=1e-6)
    assert len(found.next) == 5
    assert found.text == found.next[0].text
    frame = found.to_pandas()
    assert list(frame.text) == [token.text for token in found.tokens]
    assert frame.surprisal_bits.sum() == pytest.approx(found.bits)


def test_the_text_goes_on_with_the_candidate_chosen(manager, tiny):
    found = predict(TEXT, manager=manager, model=tiny("llama"), count=3)
    longer = found.continued(2)
    assert longer.startswith(TEXT)
    assert longer == TEXT + found.next[2].text
    with pytest.raises(InputError, match="no candidate 3 to go on with; there are 3"):
        found.continued(3)


def test_masks_are_filled_in(manager, tiny):
    found = predict("The <mask> sleeps.", manager=manager, model=tiny("bert"), count=4)
    assert len(found.masks) == 1
    best = found.tokens[found.masks[0]].candidates[0].text.strip()
    assert found.text == f"The {best} sleeps."
    assert found.next == ()
    assert "Masked words" in render(found.node())
    assert found.perplexity is None


def test_a_masked_model_without_masks_scores_the_text(manager, tiny):
    found = predict(TEXT, manager=manager, model=tiny("bert"), count=2)
    assert found.perplexity > 1
    assert "pseudo-perplexity" in found.plain()


def test_every_character_of_the_text_is_shown_once_and_escaped(manager, tiny):
    from html.parser import HTMLParser

    text = "A <b>cat</b>  sleeps."
    shown = render(predict(text, manager=manager, model=tiny("llama"), count=2).node())
    assert "<b>cat" not in shown
    pieces, depth = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            depth.append(tag)

        def handle_endtag(self, tag):
            depth.pop()

        def handle_data(self, data):
            if "p" in depth and "small" not in depth:
                pieces.append(data)

    Reader().feed(shown)
    assert text in "".join(pieces)


def test_models_that_predict_nothing_are_refused(manager, tiny):
    with pytest.raises(WrongTask, match="predicts no next word"):
        predict(TEXT, manager=manager, model=tiny("marian"))
    with pytest.raises(WrongTask, match="has no weights"):
        predict(TEXT, manager=manager, model="embedded:extractive")
    with pytest.raises(InputError, match="count must be"):
        predict(TEXT, manager=manager, model=tiny("llama"), count=0)


def test_rows_go_one_by_one(manager, tiny):
    found = predict_each([TEXT, None, "A dog."], manager=manager, model=tiny("llama"), count=1)
    assert [isinstance(one, RowError) for one in found] == [False, True, False]


def test_it_can_be_stopped(manager, tiny, monkeypatch):
    from llm_magics.models.read import next_tokens

    monkeypatch.setattr(next_tokens, "_WINDOW", 10)
    found = predict(TEXT * 5, manager=manager, model=tiny("llama"), stop=lambda: True)
    assert found.interrupted
    assert found.tokens[0].probability is not None
    assert found.tokens[-1].probability is None
