"""What the examples in other languages need, fetched once from the package registries into the user's cache.

Where a tool or a registry is missing, the test that asks is skipped and says why.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import onnxruntime
import pytest
from filelock import FileLock

EXAMPLES = Path(__file__).parents[2] / "examples"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reslab-examples"
DEBIAN_HEADERS = "libonnxruntime-dev"  # from Debian 13 on
SECONDS = 180


def node_modules():
    """The packages that the JavaScript example pins, with none of their scripts run."""
    needs("node", "npm")
    pinned = EXAMPLES / "javascript" / "package.json"

    def install(folder):
        shutil.copy(pinned, folder)
        fetch(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return cached(f"node-{hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]}", install) / "node_modules"


def onnxruntime_home(folder):
    """Headers and library as a release of ONNX Runtime lays them out: `include` and `lib`.

    The library is the one in the Python package; it answers for the headers of every earlier version.
    """
    needs("g++")
    libraries = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not libraries:
        pytest.skip("this Python package of onnxruntime holds no libonnxruntime.so")
    (folder / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / "lib" / name).symlink_to(libraries[0])
    (folder / "include").symlink_to(headers())
    return folder


def headers():
    """Where the machine has them, else out of Debian's package."""
    installed = Path("/usr/include/onnxruntime")
    return installed if installed.is_dir() else cached("headers", _debian_headers) / "usr/include/onnxruntime"


def _debian_headers(folder):
    """Debian 12 has no such package: its own sources are asked for that of Debian 13. The system stays as it is."""
    needs("apt-get", "dpkg-deb")
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if not sources.is_file():
        pytest.skip("no headers of ONNX Runtime in /usr/include/onnxruntime")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        newer, lists, downloads = (Path(scratch) / name for name in ("newer.sources", "lists", "cache"))
        newer.write_text(sources.read_text(encoding="utf-8").replace("bookworm", "trixie"), encoding="utf-8")
        (lists / "partial").mkdir(parents=True)
        (downloads / "archives" / "partial").mkdir(parents=True)
        options = [f"-oDir::Etc::sourcelist={newer}", "-oDir::Etc::sourceparts=-", "-oAPT::Sandbox::User=root"]
        options += [f"-oDir::State::lists={lists}", f"-oDir::Cache={downloads}"]
        fetch(["apt-get", *options, "update"], scratch)
        fetch(["apt-get", *options, "download", DEBIAN_HEADERS], scratch)
        (package,) = Path(scratch).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)


def needs(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")


def cached(name, fill):
    """A folder of the cache, filled once, and there only when it is complete."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{name}.lock"):
        if not (CACHE / name).is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as filling:
                fill(Path(filling))
                Path(filling).rename(CACHE / name)
    return CACHE / name


def fetch(command, folder):
    """Run what asks a registry; skip if it says no or nothing."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} had no answer within {SECONDS} s")
    except subprocess.CalledProcessError as error:
        complaints = [line for line in error.stderr.splitlines() if line and "warn" not in line]
        pytest.skip(f"{command[0]} cannot fetch what the example needs: {' '.join(complaints[:2])}")
