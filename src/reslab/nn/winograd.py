"""Winograd's convolution in float32 on processors with AVX2: `winograd.cpp`, compiled when it is first needed."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from reslab.errors import ResLabError
from reslab.shapes import FILTERS, IMAGES, OUTPUT
from reslab.system.compiler import has_avx2, library

SOURCE = Path(__file__).with_name("winograd.cpp")
GROUP = 16
"""Input and output channels are multiples of it."""

HINT = "train with --convolution matmul; a run that uses Winograd's continues where that can be computed"

_TOLERANCE = 1e-4  # of the largest value; the rounding of the self-test's sums is a hundredth of it


@cache
def load() -> ctypes.CDLL:
    """The compiled functions, after a small test against PyTorch's.

    Raises:
        ResLabError: this machine cannot compile or run them, or their results are wrong.
    """
    if not has_avx2():
        raise ResLabError("Winograd convolutions need Linux and a processor with AVX2 and FMA", HINT)
    try:
        compiled = library(SOURCE)
    except ResLabError as error:
        raise ResLabError(f"Winograd convolutions: {error.message}", HINT) from None
    numbers, pointer, count = [ctypes.c_long] * 5, ctypes.c_void_p, ctypes.c_int
    compiled.workspace.argtypes, compiled.workspace.restype = [*numbers, count], ctypes.c_long
    compiled.convolve.argtypes, compiled.convolve.restype = [*[pointer] * 4, *numbers, count, count], None
    compiled.filter_gradient.argtypes, compiled.filter_gradient.restype = [*[pointer] * 4, *numbers, count], None
    _check(compiled)
    return compiled


def available() -> bool:
    """Whether this machine can compute them; the first call may compile, which takes seconds."""
    try:
        load()
    except ResLabError:
        return False
    return True


def _check(compiled: ctypes.CDLL) -> None:
    """Refuse a library whose results differ from PyTorch's, on an odd map and one of a single pixel."""
    for side in (5, 1):
        generator = torch.Generator().manual_seed(side)
        x, w, dy = (
            torch.randn(shape, generator=generator)
            for shape in ((2, 32, side, side), (16, 32, 3, 3), (2, 16, side, side))
        )
        dx, dw, _ = torch.ops.aten.convolution_backward(
            dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
        )
        ours = (_convolve(compiled, x, w, False), _convolve(compiled, dy, w, True), _filter_gradient(compiled, x, dy))
        for found, right in zip(ours, (F.conv2d(x, w, padding=1), dx, dw), strict=True):
            if not bool((found - right).abs().max() <= _TOLERANCE * right.abs().max()):
                raise ResLabError(f"{SOURCE.name} was compiled, but its results are wrong on this machine", HINT)


def convolve(x: Float[Tensor, IMAGES], weight: Float[Tensor, FILTERS]) -> Float[Tensor, OUTPUT]:
    """`F.conv2d(x, weight, padding=1)` of 3x3 filters, differentiable once."""
    return _Convolution.apply(x, weight)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(load(), x, weight, False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:  # pyrefly: ignore
        x, weight = ctx.saved_tensors
        dx = _convolve(load(), dy, weight, True) if ctx.needs_input_grad[0] else None
        return dx, _filter_gradient(load(), x, dy) if ctx.needs_input_grad[1] else None


def _convolve(compiled: ctypes.CDLL, x: Tensor, weight: Tensor, turned: bool) -> Tensor:
    """The convolution; `turned` gives the gradient of its input from that of its output."""
    x, weight = _channels_last(x), _channels_last(weight)
    batch, channels, height, width = x.shape
    outputs = weight.shape[1 if turned else 0]
    y = torch.empty((batch, outputs, height, width), dtype=torch.float32, memory_format=torch.channels_last)
    sizes, threads = (batch, height, width, channels, outputs), torch.get_num_threads()
    work = torch.empty(compiled.workspace(*sizes, threads), dtype=torch.float32)
    compiled.convolve(x.data_ptr(), weight.data_ptr(), y.data_ptr(), work.data_ptr(), *sizes, turned, threads)
    return y


def _filter_gradient(compiled: ctypes.CDLL, x: Tensor, dy: Tensor) -> Tensor:
    """The gradient of the filters from the input and the gradient of the output."""
    x, dy = _channels_last(x), _channels_last(dy)
    batch, channels, height, width = x.shape
    dw = torch.empty((dy.shape[1], channels, 3, 3), dtype=torch.float32, memory_format=torch.channels_last)
    sizes, threads = (batch, height, width, channels, dy.shape[1]), torch.get_num_threads()
    work = torch.empty(compiled.workspace(*sizes, threads), dtype=torch.float32)
    compiled.filter_gradient(x.data_ptr(), dy.data_ptr(), dw.data_ptr(), work.data_ptr(), *sizes, threads)
    return dw


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
