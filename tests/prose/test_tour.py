"""TOUR.md names every module once, and each after everything that it imports."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


def tour():
    return re.findall(r"^\d+\. `(src/reslab/[\w/]+\.py)`", (ROOT / "TOUR.md").read_text(encoding="utf-8"), re.M)


def modules():
    """Every module but the empty package files."""
    return [p.relative_to(ROOT).as_posix() for p in SOURCE.rglob("*.py") if p.read_text(encoding="utf-8").strip()]


def imports(path):
    """The modules of the package that a file imports when it is itself imported."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in tree.body:
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("reslab"):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            file = "src/" + name.replace(".", "/") + ".py"
            if name.startswith("reslab.") and (ROOT / file).exists():
                yield file


def test_every_module_once():
    assert len(modules()) > 40
    assert sorted(tour()) == sorted(modules())


def test_each_module_after_what_it_imports():
    order = {path: number for number, path in enumerate(tour())}
    pairs = [(path, needed) for path in tour() for needed in imports(path)]
    assert len(pairs) > 100
    early = [(path, needed) for path, needed in pairs if order[needed] >= order[path]]
    assert early == []


def test_the_numbers_run_from_1():
    numbers = re.findall(r"^(\d+)\. `src", (ROOT / "TOUR.md").read_text(encoding="utf-8"), re.M)
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]


def test_the_minutes_are_what_reading_takes():
    """Fifty lines a minute; a quarter more or less, or two minutes, is still honest."""
    parts = re.split(r"^## .*\((\d+) minutes\).*$", (ROOT / "TOUR.md").read_text(encoding="utf-8"), flags=re.M)
    assert len(parts) > 10
    for minutes, part in zip(parts[1::2], parts[2::2], strict=True):
        files = re.findall(r"^\d+\. `(src/reslab/[\w/]+\.py)`", part, re.M)
        lines = sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)
        assert abs(int(minutes) - lines / 50) <= max(2, 0.25 * lines / 50), part.splitlines()[:3]
