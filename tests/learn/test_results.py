"""Numbers that a lesson quotes from a longer run are those of the run's file."""

import ast
import re
from pathlib import Path

import pytest

from reslab.system.files import read_json

FOLDER = Path(__file__).parents[2] / "lessons"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lesson_1_quotes_the_measured_costs_of_wrong_preparation(language):
    text = (FOLDER / language / "1-pictures.md").read_text(encoding="utf-8")
    quoted = ast.literal_eval(re.search(r"^right = (\{.*?^\})", text, re.M | re.S)[1])
    pictures = int(re.search(r"^pictures = (\d+)$", text, re.M)[1])
    measured = read_json(FOLDER / "results" / "bricks.json")
    assert (quoted, pictures) == (measured["right"], measured["pictures"])
