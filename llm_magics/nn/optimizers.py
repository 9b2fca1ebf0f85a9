"""Gradient descent from its formulas: SGD, momentum and Adam, for reading; g_t is the gradient of
the loss at θ_{t-1}.

They take and give what every `torch.optim.Optimizer` does, so the training loop uses them as it
uses torch's own. AdamW and everything else is torch's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["SGD", "Adam", "Momentum"]


class Descent(torch.optim.Optimizer):
    """What the three share: walk over the parameters and let `update` change each in place."""

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        """Change `parameter` (any shape) in place; `gradient` has its shape and includes the weight
        decay λθ."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step for every parameter that has a gradient; returns the loss of `closure`, if one
        is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    gradient = parameter.grad + group["weight_decay"] * parameter
                    self.update(parameter, gradient, self.state[parameter], group)
        return loss


class SGD(Descent):
    """θ_t = θ_{t-1} - η g_t, with η the learning rate `lr`. Source: Robbins & Monro 1951."""

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, *, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        parameter.sub_(settings["lr"] * gradient)


class Momentum(Descent):
    """v_t = μ v_{t-1} + g_t,  θ_t = θ_{t-1} - η v_t, with μ the `momentum` and v_0 = 0. Source:
    Polyak 1964."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        velocity = state.setdefault("velocity", torch.zeros_like(parameter))
        velocity.mul_(settings["momentum"]).add_(gradient)
        parameter.sub_(settings["lr"] * velocity)


class Adam(Descent):
    """m_t = β₁ m_{t-1} + (1-β₁) g_t        v_t = β₂ v_{t-1} + (1-β₂) g_t²
    θ_t = θ_{t-1} - η m̂_t / (√v̂_t + ε),     m̂_t = m_t / (1-β₁ᵗ),  v̂_t = v_t / (1-β₂ᵗ)

    with m_0 = v_0 = 0. η → ``lr``, (β₁, β₂) → ``betas``, ε → ``eps``. Source: Kingma & Ba 2015,
    algorithm 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], settings: dict[str, Any]
    ) -> None:
        (beta_1, beta_2), t = settings["betas"], state.get("step", 0) + 1
        mean = state.setdefault("mean", torch.zeros_like(parameter))
        square = state.setdefault("square", torch.zeros_like(parameter))
        mean.mul_(beta_1).add_(gradient, alpha=1 - beta_1)
        square.mul_(beta_2).add_(gradient * gradient, alpha=1 - beta_2)
        corrected_mean, corrected_square = mean / (1 - beta_1**t), square / (1 - beta_2**t)
        parameter.sub_(
            settings["lr"] * corrected_mean / (corrected_square.sqrt() + settings["eps"])
        )
        state["step"] = t
