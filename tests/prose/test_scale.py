"""docs/*/reference/scale.md: every figure is its line of arithmetic on the page's constants, the same in both languages."""

import re

import pytest

from reslab.data.archives.remote import CHUNK
from reslab.data.archives.write import MAX_BYTES
from reslab.nn.count import parameters
from reslab.nn.zoo import ZOO
from tests.examples.scripts import ROOT

CONSTANT = re.compile(r"^\| `(\w+)` \| (\S+) \|", re.MULTILINE)
FIGURES = re.compile(r"^\| [^|`]+ \| `([^`]+)` \| (.+) \|$", re.MULTILINE)
COLUMNS = ((1e6, 1), (1e8, 10), (1e9, 1000))  # pictures, machines


def page(language):
    return (ROOT / "docs" / language / "reference" / "scale.md").read_text(encoding="utf-8")


def constants(text):
    return {name: float(value) for name, value in CONSTANT.findall(text)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_figure_follows_from_the_constants(language):
    text = page(language)
    rows = FIGURES.findall(text)
    assert len(rows) == 23
    for arithmetic, cells in rows:
        found = [float(cell.replace(",", "")) for cell in cells.split(" | ")]
        assert len(found) in (1, 3)
        for cell, (pictures, machines) in zip(found, COLUMNS, strict=False):
            value = eval(arithmetic, {}, constants(text) | {"pictures": pictures, "machines": machines})
            assert cell == float(f"{value:.2g}"), arithmetic


def test_both_languages_compute_the_same():
    english, chinese = page("en"), page("zh")
    assert constants(english) == constants(chinese) and FIGURES.findall(english) == FIGURES.findall(chinese)


def test_what_the_program_says_of_itself():
    known = constants(page("en"))
    assert known["gradient_bytes"] == pytest.approx(4 * parameters(ZOO["resnet18"]), rel=0.01)
    assert known["shard_bytes"] == pytest.approx(MAX_BYTES, rel=0.01)
    assert known["read_bytes"] == CHUNK
