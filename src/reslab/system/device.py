"""PyTorch on this machine: device, memory layout, precision, threads, determinism."""

import os
import platform
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from reslab.system import machine

_KEPT_BYTES = 2**30

os.environ.setdefault(
    "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
)  # cuBLAS gives the same sums each time only with it (`exact`)

if hasattr(os, "register_at_fork"):  # a forked child has none of the threads that PyTorch would hand its work to
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def fastest() -> torch.device:
    """The fastest available device: CUDA, Apple's MPS, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


LAYOUTS = {"channels-last": torch.channels_last, "channels-first": torch.contiguous_format}
"""Memory layouts. The first is mostly faster for convolutions, the second on some processors where maps are small."""


def to_device(network: Module, layout: str = "channels-last") -> Any:
    """The network on the fastest device, its weights in that layout.

    This turns TF32 off for convolutions, as PyTorch does by default for matrix products: with its mantissa of 10 bits,
    probabilities on an H200 differed from a processor's by 1.5e-3.
    """
    torch.backends.cudnn.allow_tf32 = False
    return network.to(device=fastest(), memory_format=LAYOUTS[layout])  # pyrefly: ignore


def to_layout(images: Tensor, layout: str) -> Tensor:
    """The images in that layout; every map of a network follows its input."""
    return images.contiguous(memory_format=LAYOUTS.get(layout, torch.channels_last))


GUESSED = "reason.precision.avx"
"""The reason of a precision that is to be timed."""


def precision() -> tuple[str, str]:
    """The precision of training on the fastest device (see `mixed_precision`), and the key of its reason in `words`.

    Where a processor has instructions for bfloat16 but no unit for matrices, that is a guess, which timed steps confirm.
    """
    where = fastest()
    if where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16", "reason.precision.gpu"
    if where.type == "cuda":
        return "float16", "reason.precision.old_gpu"
    if where.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bfloat16", "reason.precision.amx"
    if where.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return "bfloat16", GUESSED
    return "float32", "reason.precision.full"


def mixed_precision(where: torch.device, kind: str) -> AbstractContextManager[Any]:
    """Mixed precision (Micikevicius et al. 2017): convolutions and products in `kind`, weights and sums in float32."""
    return torch.autocast(where.type, getattr(torch, kind), enabled=kind != "float32")


def scaler(where: torch.device, kind: str) -> torch.amp.GradScaler:
    """Keeps small gradients of float16 from vanishing (section 3.2 there); does nothing for the other kinds."""
    return torch.amp.GradScaler(where.type, enabled=kind == "float16")


def synchronize(where: torch.device) -> None:
    """Wait until the device has finished, so that it can be timed."""
    if where.type == "cuda":
        torch.cuda.synchronize()
    elif where.type == "mps":
        torch.mps.synchronize()


def keep_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the system after every step.

    A step allocates and frees some hundred megabytes of activations; new memory from the system would cost thousands of
    page faults. Without glibc this does nothing.
    """
    machine.keep_freed_memory(_KEPT_BYTES)


def exact() -> None:
    """Ask for results that are equal bit by bit: deterministic kernels, no autotuning by time."""
    torch.backends.cudnn.benchmark = False
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would import the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyrefly: ignore  # nothing here reads such memory


def threads() -> int:
    """Threads of one operation. Sums depend on it in the last digit, so a resumed run must use as many."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Compute with this many threads from now on."""
    torch.set_num_threads(count)


def describe() -> str:
    """One-line description of this machine, for logs."""
    where = fastest()
    chip = torch.cuda.get_device_name() if where.type == "cuda" else machine.chip()
    return f"{where.type} ({chip}), {threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"
