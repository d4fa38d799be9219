"""TOUR.md: the heart file by file, each after what it imports, in honest minutes; every other room on the map."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOUR = (ROOT / "TOUR.md").read_text(encoding="utf-8")
HEART, MAP = TOUR.split("## Part 2")
FASTEST = 80  # lines a minute
FILE = re.compile(r"^(\d+)\. `(src/reslab/[\w/]+\.py)`", re.M)


def heart():
    return [path for _, path in FILE.findall(HEART)]


def lines(path):
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def imports(path):
    """The modules of the package that a file imports when it is itself imported."""
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reslab"):
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                yield "src/" + name.replace(".", "/") + ".py"


def test_each_file_of_the_heart_after_what_it_imports():
    order = {path: number for number, path in enumerate(heart())}
    pairs = [(path, needed) for path in order for needed in imports(path) if needed in order]
    assert len(pairs) > 40
    assert [(path, needed) for path, needed in pairs if order[needed] >= order[path]] == []


def test_the_numbers_run_from_1():
    assert [int(number) for number, _ in FILE.findall(HEART)] == list(range(1, len(heart()) + 1))


def test_no_file_of_a_room_of_the_heart_is_missing():
    for room in ("pixels", "nn", "data", "metrics"):
        files = {
            p.relative_to(ROOT).as_posix() for p in (ROOT / "src/reslab" / room).glob("*.py") if p.stem != "__init__"
        }
        assert files == {path for path in heart() if path.startswith(f"src/reslab/{room}/")}
    assert "src/reslab/train/loop.py" in heart()


def test_the_minutes_are_honest():
    parts = re.split(r"^### .*\((\d+) minutes\).*$", HEART, flags=re.M)
    minutes = [int(number) for number in parts[1::2]]
    assert len(minutes) == 5 and 80 <= sum(minutes) <= 130
    for given, part in zip(minutes, parts[2::2], strict=True):
        total = sum(lines(path) for _, path in FILE.findall(part))
        assert total / FASTEST <= given <= total / 40, part.splitlines()[:3]


def test_every_room_is_on_the_map():
    rooms = {p.parent.relative_to(ROOT).as_posix() + "/" for p in (ROOT / "src/reslab").rglob("*.py")}
    loose = {p.relative_to(ROOT).as_posix() for p in (ROOT / "src/reslab").glob("*.py")}
    heart_rooms = {f"src/reslab/{name}/" for name in ("pixels", "nn", "data", "metrics")}
    named = set(re.findall(r"`(src/reslab/[\w/.]+)`", MAP))
    assert named == (rooms - heart_rooms - {"src/reslab/"}) | loose
