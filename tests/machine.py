"""What tests do to the machine around a run: a small disk, and a wait for its progress."""

import os
import subprocess
import time
from contextlib import contextmanager

import pytest

EPOCH_PATIENCE = 60  # seconds


@contextmanager
def small_disk(folder, megabytes):
    """A disk of some megabytes at `folder`; skips where mounting is not allowed."""
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def wait_for_epochs(run, process, epochs):
    """Until the journal of `run` tells of so many finished epochs."""
    deadline = time.monotonic() + EPOCH_PATIENCE
    while time.monotonic() < deadline:
        journal = run / "journal.jsonl"
        if journal.exists() and journal.read_text(encoding="utf-8").count('"epoch",') >= epochs:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("the run made no progress")
