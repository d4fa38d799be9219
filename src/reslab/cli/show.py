"""Output: bars and tables in a terminal, plain lines in a file or a pipe."""

import json
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from reslab.cli.translations import localise
from reslab.errors import visible

_WIDE = 200  # a file or a pipe has no width: do not fold tables

_SILENT = os.environ.get("RANK", "0") != "0"  # of processes that train together only the first prints


class _Literal(Console):
    """A console that prints every text literally, in the reader's language: no markup, no emoji, no control characters."""

    def render_str(self, text: str, **style: Any) -> Text:
        """The text with its control characters, line breaks included, spelt out."""
        return super().render_str(localise(visible(text)), **style)


_LITERAL: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False, "quiet": _SILENT}

people = _Literal(stderr=True, width=None if sys.stderr.isatty() else _WIDE, **_LITERAL)
"""stderr: progress, warnings, decisions."""

results = _Literal(width=None if sys.stdout.isatty() else _WIDE, **_LITERAL)
"""stdout: what was asked for."""


def print_json(document: Any) -> None:
    """One JSON document on stdout and nothing else."""
    if _SILENT:
        return
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def print_json_line(row: dict[str, Any]) -> None:
    """One row of JSON Lines on stdout."""
    sys.stdout.write(json.dumps({"schema": 1, **row}, ensure_ascii=False, allow_nan=False) + "\n")


def say(what: Any = "", **style: Any) -> None:
    """Print a result: a table as wide as the terminal, a line without breaks."""
    if isinstance(what, str):
        style = {"soft_wrap": True, **style}
    results.print(what, **style)


def open_page(path: Path) -> None:
    """Show a page in the browser, where a person sits at a terminal of a machine with a screen."""
    screen = (
        os.name == "nt" or sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if sys.stdout.isatty() and screen:
        webbrowser.open(path.resolve().as_uri())


def percent(value: float) -> str:
    """A share as text."""
    return f"{100 * value:.2f} %"


def interval(share: dict[str, float], n: int) -> str:
    """A share with its 95 % interval and the number behind it."""
    return f"{percent(share['value'])} (95 % interval {percent(share['low'])} to {percent(share['high'])}, n = {n:,})"


def temperature(fit: dict[str, Any]) -> str:
    """The temperature of an evaluation's `calibration`, or why there is none."""
    if fit["temperature"] != 1:
        return f"temperature {fit['temperature']:.3f}"
    return (
        "temperature not applied: it did not improve held-out ECE and NLL" if fit["n"] else "no temperature was fitted"
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours as text."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def table(*headings: str, right: tuple[int, ...] = ()) -> Table:
    """An empty table; the columns numbered in `right` hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="right" if number in right else "left", overflow="fold")
    return made


class Bar:
    """A progress bar in a terminal; elsewhere it does nothing."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, label: str, total: int | None) -> None:
        """Start a new task in place of the last one."""
        if self._progress is None:
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(label, total=total, note="")

    def move(self, by: int = 0, to: int | None = None, note: str | None = None) -> None:
        """Advance by `by` steps, or to step `to`."""
        if self._progress is None or self._task is None:
            return
        changes: dict[str, Any] = {} if note is None else {"note": note}
        self._progress.update(self._task, advance=None if to is not None else by, completed=to, **changes)

    def extend(self, total: int) -> None:
        """Change the number of steps of the present task."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=total)

    @property
    def visible(self) -> bool:
        return self._progress is not None


@contextmanager
def bar(label: str = "", total: int | None = None) -> Iterator[Bar]:
    """A bar for the duration of the block."""
    if not people.is_terminal:
        yield Bar(None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=people, transient=True) as progress:
        made = Bar(progress)
        if label:
            made.begin(label, total)
        yield made
