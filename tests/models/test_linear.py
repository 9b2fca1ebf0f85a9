"""Linear layers by oneDNN are torch's, inside and outside of somebody else's model."""

from __future__ import annotations

import pytest
import torch

from llm_magics.models.folder import linear
from llm_magics.models.folder.linear import faster_linear, linear_of

pytestmark = pytest.mark.skipif(linear._onednn() is None, reason="this torch has no oneDNN")


@pytest.fixture
def calls(monkeypatch):
    """The shapes that oneDNN is given; every product is large enough for it."""
    seen, fused = [], linear._onednn()
    monkeypatch.setattr(linear, "_WORK", 1)

    def watched(hidden, *rest):
        seen.append(tuple(hidden.shape))
        return fused(hidden, *rest)

    monkeypatch.setattr(linear, "_onednn", lambda: watched)
    return seen


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_as_a_function_computes_what_the_layer_does(calls, bias):
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 40, bias=bias)
    with torch.no_grad():
        for shape in ((1, 24), (7, 24), (2, 3, 24)):
            hidden = torch.randn(shape)
            assert torch.allclose(linear_of(layer)(hidden), layer(hidden), atol=1e-6)
            assert calls[-1] == shape


def test_the_layers_of_a_model_are_computed_by_it_inside_and_not_outside(calls):
    torch.manual_seed(0)
    model = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    hidden = torch.randn(2, 5, 32)
    expected = model(hidden)
    assert not calls
    with torch.no_grad(), faster_linear():
        model.train()  # torch has a fused way of its own for evaluation
        assert torch.allclose(
            torch.nn.Sequential(model.linear1, model.linear2)(hidden),
            model.linear2(model.linear1(hidden)),
        )
        assert calls == [(2, 5, 32), (2, 5, 64)] * 2
    with faster_linear():
        model.linear1(hidden).sum().backward()
    assert model.linear1.weight.grad is not None
    assert len(calls) == 4
    assert expected.shape == hidden.shape


def test_other_numbers_and_views_are_left_to_torch(calls):
    layer = torch.nn.Linear(24, 40)
    with torch.no_grad():
        assert linear_of(layer)(torch.randn(24, 3).t()).shape == (3, 40)
        assert linear_of(layer.bfloat16())(torch.randn(3, 24).bfloat16()).dtype == torch.bfloat16
    assert not calls
