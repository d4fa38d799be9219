"""The glossary has the same terms in both languages, and translates them as the table of terms does."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "lessons"


def rows(path, first, second):
    """Two columns of a page's table: word -> word."""
    cells = [line.split(" | ") for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\| [^-]", line)]
    return {row[first].strip("| "): row[second].strip("| ") for row in cells[1:]}


def test_both_pages_have_the_same_terms():
    english, chinese = rows(FOLDER / "en/glossary.md", 0, 1), rows(FOLDER / "zh/glossary.md", 1, 0)
    assert english == chinese and len(english) > 60
    assert sorted(english, key=str.lower) == list(english)


def test_terms_are_those_of_the_table():
    ours, agreed = rows(FOLDER / "en/glossary.md", 0, 1), rows(FOLDER / "TERMS.md", 0, 1)
    both = ours.keys() & agreed.keys()
    assert len(both) > 40 and {en: ours[en] for en in both} == {en: agreed[en] for en in both}
