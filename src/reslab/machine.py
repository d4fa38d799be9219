"""What this machine has, without PyTorch."""

import importlib.metadata
import os
import platform


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
