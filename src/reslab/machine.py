"""What this machine has, without PyTorch."""

import ctypes
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of signal.h, as Linux lays it out."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Give this thread the stack for signal handlers back that it had before; elsewhere than on Linux do nothing.

    A library may bring one of its own and restore the old one when it is done. Where two such pieces of work overlap, the
    second restores what the first has freed, and the next Ctrl-C ends the process (seen with OpenVINO 2026.4 and AMX).
    """
    if platform.system() != "Linux":
        yield
        return
    change, before = ctypes.CDLL(None).sigaltstack, _Stack()
    change(None, ctypes.byref(before))
    try:
        yield
    finally:
        change(ctypes.byref(before), None)


def chip() -> str:
    """The processor's kind."""
    return platform.processor() or platform.machine()


def peak_memory() -> int:
    """Bytes of memory that this process has held at most; 0 where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024


def describe(library: str) -> str:
    """The machine in a line, for who computes with this library on the processor."""
    version = importlib.metadata.version(library)
    return f"cpu ({chip()}), {os.cpu_count()} cores, {library} {version}, Python {platform.python_version()}"
