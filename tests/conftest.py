"""The typed session: `pytest --typed` checks every annotated shape of the rooms below while their tests run.

torch.compile cannot trace the checker, so tests that are marked `plain` are left to the ordinary session. `pytest --rest` is
the ordinary session without what `pytest --typed` of those rooms has run.
"""

import os
import tempfile

# Small networks, and often several processes at once: one thread each is faster than a quarrel over cores, and the
# children that tests start inherit it. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test fetches anything from outside: the mirror is a port that refuses, the cache an empty folder.
os.environ["RESLAB_MIRROR"] = "http://127.0.0.1:9"
os.environ["RESLAB_CACHE"] = tempfile.mkdtemp(prefix="reslab-cache-")

from contextlib import contextmanager

import pytest

from tests.browser import chromium

NOBODY = 65534
TYPED_ROOMS = ("reslab.nn", "reslab.pixels", "reslab.metrics")
TYPED_TESTS = tuple(f"tests/{room.partition('.')[2]}/" for room in TYPED_ROOMS)


def pytest_addoption(parser):
    parser.addoption("--typed", action="store_true", help="check annotated shapes with beartype")
    parser.addoption(
        "--rest", action="store_true", help="all but what the typed session of tests/{nn,pixels,metrics} runs"
    )


def pytest_configure(config):
    if config.getoption("--typed"):
        from jaxtyping import install_import_hook

        install_import_hook(TYPED_ROOMS, "beartype.beartype")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--typed"):
        skip = pytest.mark.skip(reason="torch.compile cannot trace the shape checker")
        for item in items:
            if "plain" in item.keywords:
                item.add_marker(skip)
    if config.getoption("--rest"):
        done = [item for item in items if item.nodeid.startswith(TYPED_TESTS) and "plain" not in item.keywords]
        config.hook.pytest_deselected(items=done)
        items[:] = [item for item in items if item not in set(done)]


@pytest.fixture
def without_rights():
    """A context in which root is nobody: root may read everything."""

    @contextmanager
    def become():
        before = os.geteuid()
        if before == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(before)

    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no file permissions to take away")
    return become


@pytest.fixture(scope="module")
def browser():
    """Chromium; tests that ask for it are marked `browser`."""
    with chromium() as opened:
        yield opened
