"""Tiles, pictures and thumbnails against pooling the whole map at once."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from llm_magics.attention.layer import Layer, MapLayer
from llm_magics.attention.masks import Outside
from llm_magics.attention.packed import Packed, kept
from llm_magics.attention.store import AttentionStore, Panel, compand
from llm_magics.errors import AttentionError


def level(weights: torch.Tensor) -> torch.Tensor:
    """⌊255 √w + ½⌋, written out."""
    return (255 * weights.double().sqrt() + 0.5).floor()


def store_of(*layers, kind: str = "self") -> AttentionStore:
    rows, columns = layers[0].size
    return AttentionStore("made up", [Panel(kind, list(layers), ["r"] * rows, ["c"] * columns)])


def random_layer(rows: int, columns: int, hidden=None, seed: int = 0) -> Layer:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *size: 3 * torch.randn(*size, generator=generator)  # noqa: E731 — one word for two lines
    return Layer(draw(4, rows, 8), draw(2, columns, 8), 0.3, hidden)


def whole_map(layer: Layer, head: int) -> torch.Tensor:
    """(T, S) from the formula, at once."""
    scores = layer.query[head] @ layer.key[head // 2].T * layer.scaling
    if layer.hidden is not None:
        keys = torch.arange(scores.shape[1])
        scores = scores.masked_fill(
            (keys < layer.hidden.first[:, None]) | (keys >= layer.hidden.last[:, None]), -math.inf
        )
    return scores.softmax(-1).nan_to_num(0.0)


def pooled_at_once(weights: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return F.max_pool2d(weights[None, None], (height, width), ceil_mode=True)[0, 0]


LAYERS = {
    "full": random_layer(700, 530),
    "causal": random_layer(700, 700, Outside.causal(700, 700)),
    "window": random_layer(
        600, 600, Outside((torch.arange(600) - 50).clamp(min=0), torch.arange(1, 601))
    ),
}


def as_levels(data: bytes, height: int, width: int) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(height, width).double()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("size", [64, 7])
def test_thumbnails_are_the_maximum_of_equal_cells(name, size):
    layer = LAYERS[name]
    store = store_of(layer, layer)
    height, width = store.thumbnail_size("self", size)
    cells = [math.ceil(length / size) for length in layer.size]
    atlas = store.atlas("self", size)
    seen = [(number, head) for number, head, _ in store.thumbnails("self", size)]
    assert seen == [(number, head) for number in range(2) for head in range(4)]
    assert atlas[1:] == (height, width)
    assert max(height, width) <= size
    pictures = (
        torch.frombuffer(bytearray(atlas[0]), dtype=torch.uint8).view(2, 4, height, width).double()
    )
    for head in range(4):
        expected = level(pooled_at_once(whole_map(layer, head), *cells))
        assert (pictures[1, head] - expected).abs().max() <= 1
        assert (
            pictures[1, head] != expected
        ).double().mean() < 0.001  # an odd one at a rounding edge


@pytest.mark.parametrize("name", LAYERS)
def test_the_tiles_of_a_level_are_the_pooled_map_cut_in_pieces(name):
    layer = LAYERS[name]
    store, (rows, columns) = store_of(layer), layer.size
    for number in (0, 1, 3):
        cell = 1 << number
        expected = level(pooled_at_once(whole_map(layer, 3), cell, cell))
        for row in range(math.ceil(rows / cell / 256)):
            for column in range(math.ceil(columns / cell / 256)):
                part = expected[row * 256 : (row + 1) * 256, column * 256 : (column + 1) * 256]
                tile = as_levels(store.tile("self", 0, 3, number, row, column), *part.shape)
                assert (tile - part).abs().max() <= 1


def test_a_picture_is_pooled_no_more_than_it_must_be():
    store = store_of(LAYERS["full"])
    data, height, width = store.picture("self", 0, 1, most=512)
    assert (height, width) == (350, 265)
    assert (
        as_levels(data, height, width) - level(pooled_at_once(whole_map(LAYERS["full"], 1), 2, 2))
    ).abs().max() <= 1
    assert store.picture("self", 0, 1, most=700)[1:] == (700, 530)


def test_a_thin_diagonal_stays_visible_in_the_atlas():
    eye = 50.0 * torch.eye(512)
    atlas, height, width = store_of(Layer(eye[None], eye[None], 1.0)).atlas("self", 64)
    picture = as_levels(atlas, height, width)
    assert (height, width) == (64, 64)
    assert torch.equal(picture, 255 * torch.eye(64).double())


def test_a_row_is_exact_and_costs_no_more_than_a_row():
    layer = LAYERS["causal"]
    row = store_of(layer).row("self", 0, 2, 300)
    torch.testing.assert_close(torch.tensor(row), whole_map(layer, 2)[300])
    assert row[301:] == [0.0] * 399


@pytest.mark.parametrize("column", [10, 600])
def test_a_neuron_says_how_one_weight_comes_about(column):
    layer = LAYERS["causal"]
    neuron = store_of(layer).neuron("self", 0, 3, 300, column)
    query, key = layer.query[3, 300], layer.key[1, column]
    assert neuron.query == query.tolist()
    assert neuron.key == key.tolist()
    assert neuron.product == pytest.approx((query * key).tolist())
    assert neuron.dot == pytest.approx(float((query * key).sum()), rel=1e-4, abs=1e-4)
    assert neuron.score == pytest.approx(
        0.3 * neuron.dot if column <= 300 else -math.inf, rel=1e-4, abs=1e-4
    )
    assert neuron.weight == pytest.approx(float(whole_map(layer, 3)[300, column]))
    assert set(neuron.as_dict()) == {"query", "key", "product", "dot", "score", "weight"}


def test_sixteen_bits_a_number_leave_a_map_within_one_level():
    torch.manual_seed(0)
    query, key = 9 * torch.randn(2, 1_100, 32), 9 * torch.randn(2, 1_100, 32)
    query[0, 7] = 0.0
    exact, packed = Layer(query, key, 0.02), Layer(kept(query), kept(key), 0.02)
    assert isinstance(packed.query, Packed)
    assert packed.query.nbytes < 0.6 * query.nbytes
    for head in range(2):
        assert (level(exact.weights(head)) - level(packed.weights(head))).abs().max() <= 1
        assert (exact.weights(head) - packed.weights(head)).abs().max() < 5e-4
    assert kept(query[:, :1_024]).dtype == torch.float32


def test_what_is_kept_of_a_batch_holds_no_more_memory_than_itself():
    batch = torch.zeros(16, 2, 100, 8)
    assert kept(batch[3]).untyped_storage().nbytes() == batch[3].nbytes


def test_capped_scores_and_sinks_follow_their_formulas():
    plain = random_layer(20, 20)
    layer = Layer(
        plain.query, plain.key, 0.3, softcap=2.0, sinks=torch.tensor([0.5, 1.0, -1.0, 3.0])
    )
    scores = 2.0 * torch.tanh(plain.query[3] @ plain.key[1].T * 0.3 / 2.0)
    expected = scores.exp() / (scores.exp().sum(-1, keepdim=True) + math.exp(3.0))
    torch.testing.assert_close(layer.weights(3), expected)


def test_a_layer_of_maps_alone_has_pictures_but_no_neurons():
    maps = torch.rand(4, 60, 30).softmax(-1)
    store = store_of(MapLayer(maps.half()))
    assert (
        as_levels(store.atlas("self", 10)[0][:100], 10, 10) - level(pooled_at_once(maps[0], 6, 3))
    ).abs().max() <= 1
    with pytest.raises(AttentionError, match="weights only"):
        store.neuron("self", 0, 0, 0, 0)


def test_the_mean_map_is_the_mean_over_layers_and_heads():
    layers = [random_layer(30, 20, seed=seed) for seed in (1, 2)]
    expected = torch.stack([whole_map(layer, head) for layer in layers for head in range(4)]).mean(
        0
    )
    torch.testing.assert_close(store_of(*layers).mean("self"), expected)


def test_companding_is_off_by_at_most_two_thousandths_of_the_root():
    weights = torch.rand(40, 40)
    back = (torch.tensor(list(compand(weights)), dtype=torch.float32) / 255).square().view(40, 40)
    assert (back - weights).abs().max() < 0.004


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda store: store.weights("self", 9, 0), "layers 0 to 0 and heads 0 to 3"),
        (lambda store: store.weights("cross", 0, 0), "there is self"),
        (lambda store: store.row("self", 0, 0, 700), "rows 0 to 699"),
        (lambda store: store.neuron("self", 0, 0, 0, -1), "columns 0 to 529"),
        (lambda store: store.tile("self", 0, 0, 1, 2, 0), "no tile"),
    ],
)
def test_asking_for_what_is_not_there_says_what_there_is(ask, message):
    with pytest.raises(AttentionError, match=message):
        ask(store_of(LAYERS["full"]))
