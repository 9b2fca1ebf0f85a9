"""The optimizers against torch.optim's, in float64, over many steps; and Adam's first step in
closed form."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from llm_magics.nn.optimizers import SGD, Adam, Momentum

PAIRS = {
    "sgd": (lambda p: SGD(p, 0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "sgd with decay": (
        lambda p: SGD(p, 0.05, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, weight_decay=0.1),
    ),
    "momentum": (
        lambda p: Momentum(p, 0.02, momentum=0.8),
        lambda p: torch.optim.SGD(p, 0.02, momentum=0.8),
    ),
    "adam": (
        lambda p: Adam(p, 0.01, betas=(0.8, 0.95)),
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.95)),
    ),
    "adam with decay": (
        lambda p: Adam(p, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_thirty_steps_equal_torchs(name):
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    theirs = copy.deepcopy(ours)
    mine, other = PAIRS[name][0](ours.parameters()), PAIRS[name][1](theirs.parameters())
    for _ in range(30):
        x = torch.randn(5, 4).double()
        for model, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_adams_first_step_is_the_learning_rate_in_the_direction_of_the_gradients_sign():
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    optimizer = Adam([weight], lr=0.1)
    (weight * torch.tensor([5.0, -0.3, 1e-3])).sum().backward()
    optimizer.step()
    torch.testing.assert_close(
        weight.detach(), torch.tensor([0.9, -1.9, 2.9], dtype=torch.float64), rtol=1e-5, atol=1e-5
    )


def test_a_state_that_was_saved_goes_on_as_if_nothing_had_happened():
    def run(restart: bool) -> torch.Tensor:
        torch.manual_seed(1)
        weight = nn.Parameter(torch.randn(3, 3).double())
        optimizer = Adam([weight])
        for number in range(6):
            if restart and number == 3:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = Adam([weight])
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            (weight.square() * torch.randn(3, 3)).sum().backward()
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(True), run(False))


def test_a_closure_gives_its_loss_back():
    weight = nn.Parameter(torch.ones(2))
    optimizer = SGD([weight], lr=0.5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = weight.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert weight.tolist() == [0.5, 0.5]
