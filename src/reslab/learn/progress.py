"""What the reader has done so far: exercises passed and hints seen, kept in the cache folder."""

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from reslab.errors import ResLabError
from reslab.system.fetch import cache_folder
from reslab.system.files import SCHEMA, read_json, write_json
from reslab.system.values import build


@dataclass(frozen=True, slots=True)
class Progress:
    """Numbers as in "6.2"."""

    schema: int = SCHEMA
    passed: tuple[str, ...] = ()
    hints: dict[str, int] = field(default_factory=dict)
    """Which of its hints was shown last, from 1."""


def file() -> Path:
    """Where it is kept: in RESLAB_CACHE, or ~/.cache/reslab."""
    return cache_folder("learn") / "progress.json"


def read_progress() -> Progress:
    """What was kept; nothing if there is no file yet.

    Raises:
        ResLabError: the file is damaged.
    """
    if not file().is_file():
        return Progress()
    try:
        return build(Progress, read_json(file()), file())
    except ResLabError as error:
        raise ResLabError(error.message, "delete this file to begin with no exercise passed") from None


def keep_passed(number: str) -> None:
    """Remember an exercise as passed; where nothing can be kept, the verdict is all there is."""
    with suppress(ResLabError):
        before = read_progress()
        if number not in before.passed:
            _write(Progress(passed=(*before.passed, number), hints=before.hints))


def next_hint(number: str, of: int) -> int:
    """Which hint comes next, from 1; after the last the first again."""
    before = read_progress()
    following = before.hints.get(number, 0) % of + 1
    _write(Progress(passed=before.passed, hints=before.hints | {number: following}))
    return following


def _write(progress: Progress) -> None:
    write_json(file(), asdict(progress))
