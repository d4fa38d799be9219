"""The published figure of few pictures per class is the drawing of the numbers beside it, and these are what the page says."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def numbers():
    return json.loads((ROOT / "lessons" / "results" / "few_shot.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language, suffix", [("en", ".svg"), ("zh", ".zh.svg")])
def test_the_published_figure_is_the_drawing(language, suffix):
    draw = runpy.run_path(str(ROOT / "reproduce" / "few_shot_figure.py"))["draw"]
    assert (DOCS / f"few_shot{suffix}").read_text(encoding="utf-8") == draw(numbers(), language)


def test_trained_weights_win_wherever_the_page_says_so():
    text = (DOCS / "en" / "reference" / "finetuning.md").read_text(encoding="utf-8")
    for row in numbers()["rows"]:
        assert f"{100 * row['accuracy']:.1f}" in text
        if row["way"] != "scratch":
            assert row["better than scratch by"]["low"] > 0
