"""Which numbers are learnt how: optimizers, weight decay, clipping, and the moving average of the weights."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from reslab.train.config import OptimConfig
from reslab.train.step.muon import SGD, Adam, AdamW, Muon


def build_optimizer(
    network: nn.Module,
    config: OptimConfig,
    lr_factors: Sequence[tuple[nn.Module, float]] | None = None,
    undecayed: Collection[str] = (),
) -> Optimizer:
    """The optimizer over two groups of the parameters that learn: with and without weight decay.

    Muon has three: convolutions, the linear layer, and what is not decayed.

    Args:
        lr_factors: parts of the network, each with what its rate is multiplied by; Muon takes none.
        undecayed: names of parameters that are not pulled to zero, because something else pulls them.
    """
    learning = [p for p in network.parameters() if p.requires_grad]
    free = {id(p) for name, p in network.named_parameters() if p.ndim <= 1 or name in undecayed}
    if config.name == "muon":
        return _muon(learning, config, free)
    groups: list[dict[str, Any]] = []
    for part, lr_scale in lr_factors or [(network, 1.0)]:
        mine = [p for p in part.parameters() if p.requires_grad]
        for params, decay in (
            ([p for p in mine if id(p) not in free], config.weight_decay),
            ([p for p in mine if id(p) in free], 0.0),
        ):
            if params:
                groups.append({"params": params, "weight_decay": decay, "lr_scale": lr_scale})
    fused = learning[0].device.type in ("cpu", "cuda")  # one pass over memory instead of six
    if config.name == "sgd":
        return SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=fused)
    kind = Adam if config.name == "adam" else AdamW
    return kind(groups, lr=config.lr, betas=config.betas, fused=fused)


def _muon(learning: Sequence[nn.Parameter], config: OptimConfig, free: Collection[int]) -> Optimizer:
    """Convolutions take orthogonal steps; the rest is left to SGD at a rate of its own."""
    scale = config.rest_lr / config.lr
    filters = {"params": [p for p in learning if p.ndim == 4], "momentum": config.momentum, "orthogonal": True}
    rest = [p for p in learning if p.ndim < 4]
    linear = {"params": [p for p in rest if id(p) not in free], "weight_decay": config.weight_decay, "lr_scale": scale}
    others = {"params": [p for p in rest if id(p) in free], "weight_decay": 0.0, "lr_scale": scale}
    return Muon([filters, linear, others], config.lr)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Use this learning rate for the next step; a group with an `lr_scale` uses that part of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


class EMA:
    """The exponential moving average of a network's weights and norm statistics.

    The decay grows from 0.1 to its value over the first steps, so that the random start is forgotten:
    min(decay, (1 + step) / (10 + step)).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = network.state_dict()
        floats = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.tensors[n] for n in floats], [current[n].detach() for n in floats], 1 - decay)
            for name in self.tensors.keys() - set(floats):
                self.tensors[name].copy_(current[name])


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Everything that the optimizer remembers, by parameter number and name: `3.momentum_buffer`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return {
        f"{number}.{name}": value
        for number, parameter in enumerate(parameters)
        for name, value in optimizer.state[parameter].items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:  # a fused step walks through memory: it must lie as the parameter does
            value = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
        elif parameter.device.type == "cuda":  # a fused step counts there
            value = value.to(parameter.device)
        optimizer.state[parameter][name] = value
