"""Muon: momentum whose step, for a convolution, is made orthogonal, so that no direction of its filters is left behind.

torch.optim.Muon takes matrices only and works in bfloat16, which most processors multiply slowly; this one takes filters
as they are and stays in their precision. The tests hold it against that one.

Beside it torch's own optimizers without torch._dynamo, whose import takes a second.
"""

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, optim

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration (Jordan 2024, "Muon"): steep at 0, so that few rounds bring every singular value near 1."""

_ROUNDS = 3
_REST_MOMENTUM = 0.85


class Eager(optim.Optimizer):
    """An optimizer that is never compiled.

    torch wraps these methods so that its compiler leaves them alone; at their first call the wrappers import it.
    """

    add_param_group = inspect.unwrap(optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(optim.Optimizer.zero_grad)


class SGD(Eager, optim.SGD):
    """torch.optim.SGD, never compiled."""

    step = torch.no_grad()(inspect.unwrap(optim.SGD.step))


class Adam(Eager, optim.Adam):
    """torch.optim.Adam, never compiled."""

    step = torch.no_grad()(inspect.unwrap(optim.Adam.step))


class AdamW(Eager, optim.AdamW):
    """torch.optim.AdamW, never compiled."""

    step = torch.no_grad()(inspect.unwrap(optim.AdamW.step))


class Muon(Eager):
    """Jordan 2024, kellerjordan.github.io/posts/muon, for convolutions; SGD with Nesterov momentum for everything else.

    Filters are kept at norm sqrt(out_channels): the batch norm behind them makes their scale meaningless, and a fixed one
    makes the rate a rate of turning (after Jordan's airbench94_muon).

    Args:
        groups: parameter groups; those with `orthogonal` hold filters `[out, in, height, width]`.
        lr: the peak rate of the filters.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        defaults = {"lr": lr, "momentum": _REST_MOMENTUM, "weight_decay": 0.0, "orthogonal": False, "lr_scale": 1.0}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                state = self.state[parameter]
                momentum = state.setdefault("momentum_buffer", torch.zeros_like(parameter))
                momentum.mul_(group["momentum"]).add_(gradient)
                direction = gradient.add(momentum, alpha=group["momentum"])
                if group["orthogonal"]:
                    parameter.mul_(len(parameter) ** 0.5 / parameter.norm())
                    direction = _orthogonal_filters(direction)
                parameter.add_(direction, alpha=-group["lr"])


def orthogonalize(matrix: Tensor, rounds: int = _ROUNDS) -> Tensor:
    """A matrix with the same singular vectors, and singular values that approach 1: Newton and Schulz's iteration."""
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide is matrix else x.T


def _orthogonal_filters(gradient: Tensor) -> Tensor:
    """The same for filters, seen as one row each; the order within a row is that of memory (channels last)."""
    rows = gradient.permute(0, 2, 3, 1)
    return orthogonalize(rows.flatten(1)).view(rows.shape).permute(0, 3, 1, 2)
