"""Randomness of one's own: dropout is torch's in distribution, and neither reads nor moves torch's
generator when asked."""

from __future__ import annotations

import pytest
import torch

from llm_magics.nn import RecurrentSeq2Seq, TextClassifier
from llm_magics.nn.randomness import Dropout, drawing_from, initialised_from


def test_dropout_keeps_the_mean_and_passes_the_gradient_of_what_it_keeps():
    torch.manual_seed(0)
    x = torch.ones(200, 200, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.25)(x)
    assert set(out.unique().tolist()) == {0.0, 1 / 0.75}
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)
    (grad,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(grad, out.detach())
    assert Dropout(0.25).eval()(x) is x


def test_draws_from_ones_own_generator_do_not_depend_on_torchs():
    x, layer = torch.ones(50), Dropout(0.5)

    def drawn(noise: int) -> torch.Tensor:
        torch.manual_seed(noise)
        with drawing_from(torch.Generator().manual_seed(3)):
            first = layer(x)
            torch.rand(noise)  # another cell
            return torch.cat([first, layer(x)])

    assert drawn(1).equal(drawn(2))
    before = torch.get_rng_state()
    with drawing_from(torch.Generator().manual_seed(3)):
        layer(x)
    assert torch.get_rng_state().equal(before)
    layer(x)
    assert not torch.get_rng_state().equal(before)


@pytest.mark.parametrize(
    "build",
    [
        lambda: RecurrentSeq2Seq(
            9, 9, embedding_size=4, hidden_size=6, attention="additive", bidirectional=True
        ),
        lambda: TextClassifier(9, 2, encoder="transformer", d_model=8),
        lambda: TextClassifier(9, 2, encoder="lstm", d_model=8),
    ],
)
def test_weights_are_a_function_of_the_seed_alone(build):
    before = torch.get_rng_state()
    first, again, other = (initialised_from(build, seed).state_dict() for seed in (1, 1, 2))
    assert torch.get_rng_state().equal(before)
    assert all(first[name].equal(again[name]) for name in first)
    assert not all(first[name].equal(other[name]) for name in first)


def test_a_share_that_would_leave_nothing_is_refused():
    with pytest.raises(ValueError, match="below 1, not 1"):
        Dropout(1.0)
