"""Errors for people: one sentence that says what is wrong, one hint that says what to do."""

import difflib
from collections.abc import Iterable


class ResLabError(Exception):
    """Something the person at the keyboard can mend. Shown as `error: …` and `hint: …`, never as a traceback.

    Raised by every public function of the package for bad input; catch this one class.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
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


class NoAnswer(BadPicture):
    """One picture was read, and the network answered with something that is no number."""

    def __init__(self, name: str) -> None:
        reason = "the network gave no finite number"
        hint = "the model is damaged, or was trained in too few bits; --skip-bad scores the others"
        ResLabError.__init__(self, f"no answer for {name}: {reason}", hint)
        self.name, self.reason = name, reason


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that a person who typed `word` most likely meant, as the beginning of a hint."""
    by_lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return "known: " + ", ".join(by_lower.values()) if by_lower else "there is nothing to choose from"
