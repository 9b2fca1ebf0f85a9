"""The alignment error by hand, and that of our own translator where the true links are known:
digits of number words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from llm_magics.attention import explore
from llm_magics.attention.measures import alignment_error, strongest_links
from llm_magics.training.data.number_words import spell

UNITS = ["", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
TENS = [
    "",
    "",
    "zwanzig",
    "dreißig",
    "vierzig",
    "fünfzig",
    "sechzig",
    "siebzig",
    "achtzig",
    "neunzig",
]
NUMBERS = [
    number
    for number in range(2_121, 10_000, 37)
    if "0" not in str(number) and str(number)[2] != "1"
]


def spans(number: int) -> list[tuple[int, int]]:
    """Where each digit of a number of four digits is spelt in its German word: the last two stand
    the other way round."""
    thousands, hundreds, tens, units = (int(digit) for digit in str(number))
    parts = [
        (0, UNITS[thousands] + "tausend"),
        (1, UNITS[hundreds] + "hundert"),
        (3, UNITS[units]),
        (None, "und"),
        (2, TENS[tens]),
    ]
    found, at = {}, 0
    for digit, text in parts:
        found[digit] = (at, at + len(text))
        at += len(text)
    assert "".join(text for _, text in parts) == spell(number, "de")
    return [found[digit] for digit in range(4)]


def error(store, layer: int, head: int, model, number: int) -> float:
    """The alignment error of one head, digits of the target against the spelt digits of the
    source."""
    text, truth = spell(number, "de"), spans(number)
    source, target = (
        model.tokenizer.source_offsets(text),
        model.tokenizer.target_offsets(str(number)),
    )
    weights = store.weights("cross", layer, head)
    by_part = torch.zeros(len(target), 4)
    for column, (start, stop) in enumerate(source):
        for part, (left, right) in enumerate(truth):
            if left < stop <= right and stop > start:
                by_part[:, part] += weights[:, column]
    possible = {
        (row, digit) for row, (start, stop) in enumerate(target) for digit in range(start, stop)
    }
    sure = {(row, start) for row, (start, stop) in enumerate(target) if stop - start == 1}
    found = {
        (row, part) for row, part in strongest_links(by_part) if target[row][1] > target[row][0]
    }
    return alignment_error(found, sure, possible)


def test_the_error_by_hand():
    found, sure = {(0, 0), (1, 1), (2, 2)}, {(0, 0), (1, 2)}
    assert alignment_error(found, sure) == pytest.approx(1 - 2 / 5)
    assert alignment_error(found, sure, {(2, 2)}) == pytest.approx(1 - 3 / 5)
    assert alignment_error(sure, sure) == 0
    assert alignment_error(set(), sure) == 1
    assert alignment_error(set(), set()) == 0


def test_every_row_is_linked_with_what_it_looks_at_most():
    assert strongest_links(torch.tensor([[0.2, 0.7, 0.1], [0.0, 0.0, 0.0], [0.9, 0.1, 0.0]])) == {
        (0, 1),
        (2, 0),
    }


def test_the_truth_spells_the_digits_it_names():
    word = spell(4_732, "de")
    assert [word[start:stop] for start, stop in spans(4_732)] == [
        "viertausend",
        "siebenhundert",
        "dreißig",
        "zwei",
    ]


@pytest.mark.long
def test_a_head_of_our_translator_aligns_the_digits_of_number_words(tmp_path):
    from llm_magics.models.folder.native import load_native
    from llm_magics.training.recipe.recipe import load_recipe
    from llm_magics.training.run.loop import train
    from llm_magics.training.runs.runs import create_run

    recipe = load_recipe("number-words").with_settings(
        {"data.languages": ["de", "en"], "schedule.epochs": 3}
    )
    errors = {}
    for name, changes in (("before", {"schedule.max_steps": 1}), ("after", {})):
        run = create_run(tmp_path, recipe.with_settings(changes), name)
        list(train(run, device="cpu"))
        module, tokenizer, _ = load_native(run.folder / "model")
        errors[name] = errors_of(
            SimpleNamespace(module=module, tokenizer=tokenizer, kind="seq2seq", reference=name)
        )
    assert errors["before"].min() > 0.5
    assert errors["after"].min() < 0.1


def errors_of(model) -> torch.Tensor:
    """(layers, heads), the mean over all numbers."""
    made = []
    for number in NUMBERS:
        store = explore(model, spell(number, "de"), str(number))
        panel = store.panel("cross")
        made.append(
            [
                [error(store, layer, head, model, number) for head in range(panel.heads)]
                for layer in range(len(panel.layers))
            ]
        )
    return torch.tensor(made).mean(0)
