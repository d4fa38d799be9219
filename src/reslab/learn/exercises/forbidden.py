"""What an exercise forbids: the names of what an answer uses although it may not, noted while it runs.

Calls are seen however they were imported, since PyTorch itself reports them; networks by the layers they consist of.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode, resolve_name

CONVOLUTION = (
    *(torch.conv1d, torch.conv2d, torch.conv3d, torch.convolution),
    *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
)
AUTOGRAD = (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward)


class _Functions(TorchFunctionMode):
    """Refuses some of PyTorch's functions."""

    def __init__(self, functions: tuple[Callable[..., Any], ...], used: list[str]) -> None:
        super().__init__()
        self.functions, self.used = functions, used

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.functions:
            _refuse(resolve_name(func) or f"{func.__module__}.{func.__name__}", self.used)
        return func(*args, **(kwargs or {}))


def without(*functions: Callable[..., Any]) -> Callable[[], AbstractContextManager[list[str]]]:
    """An `Exercise.watch` that notes calls of some of PyTorch's functions; such a call raises an exception."""

    @contextmanager
    def watch() -> Iterator[list[str]]:
        used: list[str] = []
        with _Functions(functions, used):
            yield used

    return watch


def without_modules(*packages: str) -> Callable[[], AbstractContextManager[list[str]]]:
    """An `Exercise.watch` that notes networks with a module of one of these packages, when it is built or runs."""

    @contextmanager
    def watch() -> Iterator[list[str]]:
        used: list[str] = []

        def look(module: nn.Module, *_: Any) -> None:
            name = f"{type(module).__module__}.{type(module).__qualname__}"
            if name.split(".")[0] in packages:
                _refuse(name, used)

        handles = [hooks.register_module_parameter_registration_hook(look)]
        handles += [hooks.register_module_module_registration_hook(look), hooks.register_module_forward_pre_hook(look)]
        try:
            yield used
        finally:
            for handle in handles:
                handle.remove()

    return watch


def _refuse(name: str, used: list[str]) -> None:
    used.append(name)
    raise RuntimeError(f"{name} is not allowed here")
