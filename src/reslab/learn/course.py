"""The course as it lies on the disk: which pages there are, what they are called, what their exercises ask."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reslab.errors import ResLabError
from reslab.system.language import LANGUAGES

LESSONS = 17
"""Of the whole course."""

STATEMENT = re.compile(r"^\*\*(\d+\.\d+)\*\*[ \n]*(.*?)(?=^<details>|^\*\*\d+\.\d+\*\*|\Z)", re.M | re.S)
"""An exercise of a page: its number, and what it asks for up to the answer."""

_NUMBERED = re.compile(r"(\d+)-")


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson in one language, or another page of the course."""

    number: int
    """0 for pages that are no lesson."""
    path: Path
    title: str
    statements: dict[str, str]
    """Number of an exercise -> Markdown of what it asks."""

    @property
    def slug(self) -> str:
        """As in `6-residual-block`."""
        return self.path.stem


def folder() -> Path:
    """Where the lessons lie: beside this file in an installed package, at the top in a checkout.

    Raises:
        ResLabError: in neither place.
    """
    here = Path(__file__)
    for place in (here.parent / "lessons", here.parents[3] / "lessons"):
        if (place / LANGUAGES[0]).is_dir():
            return place
    raise ResLabError("the lessons are not installed", "pip install --force-reinstall 'reslab[train]'")


@lru_cache
def pages(language: str, place: Path | None = None) -> tuple[Lesson, ...]:
    """Every lesson that there is, in order, then the other pages.

    Args:
        place: The folder of the lessons; by default that of this installation.
    """
    found = [_read(path) for path in ((place or folder()) / language).glob("*.md")]
    return tuple(sorted(found, key=lambda page: (page.number or LESSONS + 1, page.slug)))


def lessons(language: str, place: Path | None = None) -> tuple[Lesson, ...]:
    """Every lesson that there is, in order."""
    return tuple(page for page in pages(language, place) if page.number)


def lesson(number: int, language: str) -> Lesson:
    """One lesson.

    Raises:
        ResLabError: there is none of that number.
    """
    there = {each.number: each for each in lessons(language)}
    if number in there:
        return there[number]
    raise ResLabError(f"there is no lesson {number}", f"lessons are 1 to {LESSONS}; reslab learn lists them")


def _read(path: Path) -> Lesson:
    text, numbered = path.read_text(encoding="utf-8"), _NUMBERED.match(path.name)
    title = text.split("\n", 1)[0].removeprefix("# ").strip()
    return Lesson(
        int(numbered[1]) if numbered else 0,
        path,
        title,
        {found[1]: found[2].strip() for found in STATEMENT.finditer(text)},
    )
