"""Compile a C++ file of the package with this machine's own compiler, once, and load it."""

import ctypes
import hashlib
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from reslab.errors import ResLabError
from reslab.system.fetch import cache_folder
from reslab.system.files import write_atomically

FLAGS = (
    "-O3", "-mavx2", "-mfma", "-ffp-contract=off", "-fopenmp", "-shared", "-fPIC", "-std=c++17", "-fno-exceptions", "-fno-rtti",
)  # fmt: skip
"""No contraction: which products and sums become one instruction is written in the source, not left to the compiler."""

_PATIENCE = 300.0  # seconds
_CPUINFO = Path("/proc/cpuinfo")


def compiler() -> str | None:
    """The path of GCC's C++ compiler; None where there is none."""
    return shutil.which("g++")


@cache
def has_avx2() -> bool:
    """Whether this is Linux on an x86-64 processor with AVX2 and FMA."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags") and ":" in line), [])
    return {"avx2", "fma"} <= set(flags)


def library(source: Path) -> ctypes.CDLL:
    """The shared library of a C++ file, compiled into the cache folder when it is first needed.

    It is named by a hash of source and flags, and its own sha256 lies beside it: a file that is not what was written is
    compiled anew instead of being loaded.

    Raises:
        ResLabError: there is no compiler, no folder to write to, or what was compiled cannot be loaded.
    """
    text = source.read_bytes()
    name = hashlib.sha256(b"\0".join([text, *(flag.encode() for flag in FLAGS)])).hexdigest()[:32]
    place = cache_folder("compiled") / f"{source.stem}-{name}.so"
    if not _is_whole(place):
        _compile(source, place)
    try:
        return ctypes.CDLL(str(place))
    except OSError as error:
        raise ResLabError(f"{place} cannot be loaded: {error}") from None


def _digest_of(place: Path) -> Path:
    return place.with_suffix(".sha256")


def _is_whole(place: Path) -> bool:
    """Whether the file is the one whose digest was written."""
    try:
        return hashlib.sha256(place.read_bytes()).hexdigest() == _digest_of(place).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return False


def _compile(source: Path, place: Path) -> None:
    """Run the compiler in a folder of its own, and move the result to its place."""
    program = compiler()
    if program is None:
        raise ResLabError("they are compiled here, which needs g++, and there is none")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / place.name
        words = [program, *FLAGS, str(source), "-o", str(made)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)
            data = made.read_bytes() if done.returncode == 0 else b""
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ResLabError(f"{program} did not compile {source.name}: {error}") from None
    if not data:
        said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[-200:])
        raise ResLabError(f"{program} did not compile {source.name}: {said:.300}")
    write_atomically(place, data)
    write_atomically(_digest_of(place), hashlib.sha256(data).hexdigest().encode())
