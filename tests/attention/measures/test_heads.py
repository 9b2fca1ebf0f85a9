"""What a head does, against sums written out one weight at a time, and on maps whose role is
known."""

from __future__ import annotations

import math

import pytest
import torch

from llm_magics.attention.layer import Layer
from llm_magics.attention.masks import Outside
from llm_magics.attention.measures import MEASURES, blocks, measure, measure_all, measures_of
from llm_magics.attention.store import AttentionStore, Panel
from llm_magics.errors import AttentionError

TOKENS = ["[CLS]", "a", "b", "b", "a", "[SEP]", "c", "b", "a", "[SEP]"]


def by_hand(name, w, tokens):
    """The measure of one map, as its formula reads."""
    size, is_separator = len(tokens), [token == "[SEP]" for token in tokens]
    rows = range(size)
    if name == "sink":
        return max(sum(w[i][j] for i in rows) / size for j in rows)
    earlier = {i: [j for j in range(i) if tokens[j] == tokens[i]] for i in rows}
    behind = {i: [j for j in earlier[i] if j + 1 < i] for i in rows}
    score = {
        "entropy": lambda i: -sum(v * math.log(v) for v in w[i] if v > 0),
        "distance": lambda i: sum(w[i][j] * abs(i - j) for j in rows),
        "previous-token": lambda i: w[i][i - 1] if i else None,
        "next-token": lambda i: w[i][i + 1] if i + 1 < size else None,
        "current-token": lambda i: w[i][i],
        "first-token": lambda i: w[i][0] if i else None,
        "separator": lambda i: (
            None if is_separator[i] else sum(w[i][j] for j in rows if is_separator[j])
        ),
        "duplicate-token": lambda i: sum(w[i][j] for j in earlier[i]) if earlier[i] else None,
        "induction": lambda i: sum(w[i][j + 1] for j in behind[i]) if behind[i] else None,
    }[name]
    counted = [value for i in rows if (value := score(i)) is not None]
    return sum(counted) / len(counted)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_what_its_formula_says(name, store_of, random_maps):
    maps = random_maps(2, 3, len(TOKENS))
    found = measure(store_of(maps, TOKENS), "self", name)
    expected = torch.tensor(
        [[by_hand(name, head.tolist(), TOKENS) for head in layer] for layer in maps]
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert MEASURES[name].formula
    assert "arXiv" in MEASURES[name].source


def test_all_measures_are_alike_in_one_pass_of_small_blocks(store_of, random_maps, monkeypatch):
    store = store_of(random_maps(1, 2, len(TOKENS)), TOKENS)
    whole = measure_all(store, "self")
    monkeypatch.setattr(blocks, "_ENTRIES", 2 * len(TOKENS))  # two rows at a time
    assert len(blocks.row_blocks(len(TOKENS), len(TOKENS))) == 5
    for name, values in measure_all(store, "self").items():
        torch.testing.assert_close(values, whole[name])


@pytest.mark.parametrize(
    ("role", "offset"), [("previous-token", -1), ("next-token", 1), ("current-token", 0)]
)
def test_a_head_that_only_looks_beside_it_has_its_role_and_no_other(role, offset, store_of):
    positions = (torch.arange(12) + offset).clamp(0, 11)
    values = measure_all(store_of(torch.eye(12)[positions][None, None]), "self")
    assert values[role].item() == 1
    assert values["entropy"].item() == 0
    others = {"previous-token", "next-token", "current-token"} - {role}
    assert all(values[other].item() < 0.1 for other in others)


def test_a_uniform_head_has_the_entropy_of_its_keys(store_of):
    assert measure(
        store_of(torch.full((1, 1, 16, 16), 1 / 16)), "self", "entropy"
    ).item() == pytest.approx(math.log(16))


def test_a_measure_is_zero_where_no_row_counts(store_of):
    values = measure_all(store_of(torch.full((1, 1, 3, 3), 1 / 3), ["a", "b", "c"]), "self")
    assert (
        values["duplicate-token"].item()
        == values["induction"].item()
        == values["separator"].item()
        == 0
    )


def test_cross_attention_has_the_measures_that_compare_no_places(store_of, random_maps):
    store = store_of(random_maps(1, 2, 5)[:, :, :3], list("abcde"), "cross", rows=list("xyz"))
    assert (
        set(measure_all(store, "cross"))
        == set(measures_of("cross"))
        == {"entropy", "first-token", "separator", "sink"}
    )
    expected = (
        store.panels[0].layers[0].maps[:, :, 0].mean(1)
    )  # the first row counts, too: it is no key
    torch.testing.assert_close(measure(store, "cross", "first-token")[0], expected)
    with pytest.raises(
        AttentionError, match="previous-token compares places of one text.*of it there is entropy"
    ):
        measure(store, "cross", "previous-token")
    with pytest.raises(AttentionError, match="no measure 'prev'; there is entropy"):
        measure(store, "self", "prev")


def test_a_map_of_8192_tokens_is_never_held_whole():
    size, largest = 8_192, 0
    query = torch.randn(1, size, 4, generator=torch.Generator().manual_seed(0))

    class Watched(Layer):
        def rows(self, head, start, stop):
            nonlocal largest
            largest = max(largest, (stop - start) * size)
            return super().rows(head, start, stop)

    store = AttentionStore(
        "long",
        [
            Panel(
                "self",
                [Watched(query, query, 0.5, Outside.causal(size, size))],
                ["x"] * size,
                ["x"] * size,
            )
        ],
    )
    values = measure_all(store, "self", ["previous-token", "first-token"])
    assert 0 < largest <= 1 << 21
    assert 0 < values["previous-token"].item() < 1
