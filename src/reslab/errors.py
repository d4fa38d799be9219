"""Errors for people: one sentence that says what is wrong, one hint that says what to do."""

import difflib
import re
from collections.abc import Iterable

_UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that steer a terminal, break a line, turn the direction of writing or cannot be encoded."""


def visible(text: str) -> str:
    """The text on one line that says what it holds: control and bidirectional characters are spelt out, as in `\\x1b`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ResLabError(Exception):
    """Something the person at the keyboard can mend. Shown as `error: …` and `hint: …`, never as a traceback.

    Raised by every public function of the package for bad input; catch this one class.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        message, hint = visible(message), hint and visible(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint


class GateNotMet(ResLabError):
    """The work was done and its result is below the bar (check, export): exit code 1."""

    exit_code = 1


class BadPicture(ResLabError):
    """One picture cannot be decoded; `reason` is short enough for a table cell."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot read {name}: {reason}", "mend or remove the file; training goes on with --skip-bad")
        self.name = name
        self.reason = reason


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that a person who typed `word` most likely meant, as the beginning of a hint."""
    by_lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.5)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return "known: " + ", ".join(by_lower.values()) if by_lower else "there is nothing to choose from"
