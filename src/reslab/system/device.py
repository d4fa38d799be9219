"""What PyTorch finds on this machine. Functions, called by whoever runs."""

import ctypes
import os
import platform
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from reslab.system import machine

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 2**30

if hasattr(os, "register_at_fork"):  # a forked child has none of the threads that PyTorch would hand its work to
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def fastest() -> torch.device:
    """The fastest device that is there: CUDA, Apple's MPS, or the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


LAYOUTS = {"channels-last": torch.channels_last, "channels-first": torch.contiguous_format}
"""How maps lie in memory. Convolutions mostly like the first, and some processors the second where maps are small."""


def placed(network: Module, layout: str = "channels-last") -> Any:
    """The network on the fastest device, its weights laid out so."""
    return network.to(device=fastest(), memory_format=LAYOUTS[layout])  # pyrefly: ignore


def laid_out(images: Tensor, layout: str) -> Tensor:
    """The images laid out so; every map of a network follows its input."""
    return images.contiguous(memory_format=LAYOUTS.get(layout, torch.channels_last))


def precision() -> tuple[str, str]:
    """What training multiplies in on the fastest device (see `mixed`), and the key of the reason in `words`."""
    where = fastest()
    if where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16", "reason.precision.gpu"
    if where.type == "cuda":
        return "float16", "reason.precision.old_gpu"
    if where.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bfloat16", "reason.precision.amx"
    return "float32", "reason.precision.full"


def mixed(where: torch.device, kind: str) -> AbstractContextManager[Any]:
    """Mixed precision (Micikevicius et al. 2017): convolutions and products in `kind`, weights and sums in float32."""
    return torch.autocast(where.type, getattr(torch, kind), enabled=kind != "float32")


def scaler(where: torch.device, kind: str) -> torch.amp.GradScaler:
    """Keeps small gradients of float16 from vanishing (section 3.2 there); does nothing for the other kinds."""
    return torch.amp.GradScaler(where.type, enabled=kind == "float16")


def synchronize(where: torch.device) -> None:
    """Wait for the device, so that a clock means something."""
    if where.type == "cuda":
        torch.cuda.synchronize()
    elif where.type == "mps":
        torch.mps.synchronize()


def keep_memory() -> None:
    """Let glibc keep what it has once got from the system instead of giving it back after every step.

    A step's activations are some hundred megabytes that come and go; fetched afresh, each costs thousands of page
    faults. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL("libc.so.6")
    for parameter, value in ((_M_MMAP_THRESHOLD, _KEPT_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES)):
        libc.mallopt(parameter, value)


def exact() -> None:
    """Ask for the same bits from the same numbers: deterministic kernels, no tuning by the clock."""
    torch.backends.cudnn.benchmark = False
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would import the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyrefly: ignore  # nothing here reads such memory


def threads() -> int:
    """Threads of one operation. Sums depend on it in the last digit, so a resumed run must have the same."""
    return torch.get_num_threads()


def use_threads(count: int) -> None:
    """Compute with this many threads from now on."""
    torch.set_num_threads(count)


def describe() -> str:
    """The machine in a line, for logs."""
    where = fastest()
    chip = torch.cuda.get_device_name() if where.type == "cuda" else machine.chip()
    return f"{where.type} ({chip}), {threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"
