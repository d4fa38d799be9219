"""CONTRIBUTING.md, "Twelve changes": each file that is named exists, and each name that stands behind it is in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHANGES = re.split(r"^### ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.M)[1:]
NAMED = re.compile(r"`([\w./]+\.\w+)`(?:\s+\(([^)]*`[^)]*)\))?")
"""A file, and in parentheses behind it what to look for in it."""


def named(change):
    """(file, names) in the order of the text."""
    return [(path, re.findall(r"`([\w.]+)`", names)) for path, names in NAMED.findall(change) if "/" in path]


def test_there_are_twelve():
    assert [int(change.split(".")[0]) for change in CHANGES] == list(range(1, 13))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.splitlines()[0])
def test_files_and_names_are_there(change):
    found = named(change)
    assert len(found) >= 2 and any(path.startswith("tests/") for path, _ in found)
    for path, names in found:
        assert (ROOT / path).is_file(), path
        text = (ROOT / path).read_text(encoding="utf-8")
        assert [name for name in names if not re.search(rf"(?<![\w.]){re.escape(name)}\b", text)] == [], path
