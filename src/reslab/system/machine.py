"""This machine's processor and memory, without PyTorch."""

import ctypes
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


class _Stack(ctypes.Structure):
    """`stack_t` of signal.h, as Linux lays it out."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Restore this thread's signal stack afterwards; on other systems than Linux do nothing.

    A library may install its own signal stack and restore the old one when it is done. If two such calls overlap, the
    second restores what the first has freed, and the next Ctrl-C kills the process (seen with OpenVINO 2026.4 and AMX).
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
    """The kind of processor."""
    return platform.processor() or platform.machine()


def keep_freed_memory(most: int) -> None:
    """Let glibc keep freed memory for later in blocks of up to `most` bytes; larger ones go back to the system at once.

    By default glibc keeps more the larger the blocks are that were freed. Without glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            ctypes.CDLL("libc.so.6").mallopt(parameter, most)


def peak_memory() -> int:
    """Peak memory of this process in bytes; 0 where the system does not report it (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024


def describe(library: str) -> str:
    """One-line description of this machine and the version of `library`."""
    version = importlib.metadata.version(library)
    return f"cpu ({chip()}), {os.cpu_count()} cores, {library} {version}, Python {platform.python_version()}"


_UNKNOWN_FREE_MEMORY = 4 * 2**30


_MEMINFO = Path("/proc/meminfo")


_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_memory() -> int:
    """Bytes that this process can still allocate, by the machine's memory and the limits of its container."""
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # Windows, macOS
        free = _UNKNOWN_FREE_MEMORY
    for allowed, used in _containers():
        with suppress(OSError, ValueError):  # no such container, or one without a limit ("max")
            free = min(free, int(allowed.read_text()) - int(used.read_text()))
    return max(0, free)


def _containers() -> Iterator[tuple[Path, Path]]:
    """Where Linux reports the memory limit and use of this process's containers (control groups, versions 2 and 1)."""
    own = {"": "", "memory": ""}
    with suppress(OSError):
        own |= {kind: path for _, kind, path in (line.split(":", 2) for line in _OWN_GROUPS.read_text().splitlines())}
    for path in {own[""], ""}:
        folder = _GROUPS / path.strip("/")
        yield folder / "memory.max", folder / "memory.current"
    for path in {own["memory"], ""}:
        folder = _GROUPS / "memory" / path.strip("/")
        yield folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes"


def default_workers() -> int:
    """One thread per processor that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
