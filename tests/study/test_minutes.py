"""The published figure of equal minutes is the drawing of the numbers beside it, and these are what the readmes say."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def numbers():
    return json.loads((DOCS / "minutes.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language, suffix", [("en", ".svg"), ("zh", ".zh.svg")])
def test_the_published_figure_is_the_drawing(language, suffix):
    draw = runpy.run_path(str(ROOT / "benchmarks" / "minutes_figure.py"))["draw"]
    assert (DOCS / f"minutes{suffix}").read_text(encoding="utf-8") == draw(numbers(), language)


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_says_what_was_measured(page):
    (row,) = (row for row in (ROOT / page).read_text(encoding="utf-8").splitlines() if "benchmarks/minutes.py" in row)
    (line,) = (line for line in numbers()["lines"] if (line["set"], line["minutes"]) == ("cifar10", 5.0))
    for name in ("reslab", line["best_peer"]):
        assert f"{100 * line['accuracy'][name][0]:.1f} %" in row
