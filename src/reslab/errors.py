"""Errors for people: one sentence about what is wrong, one hint about what to do."""

import difflib
import re
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

_INVISIBLE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that control a terminal, break a line, change the writing direction or cannot be encoded."""

_LONGEST = 800


def visible(text: str) -> str:
    """The text on one line, with control and bidirectional characters escaped, as in `\\x1b`."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _sentence(text: str) -> str:
    """The visible text, cut to `_LONGEST` characters."""
    text = visible(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class ResLabError(Exception):
    """A mistake that the user can correct. Shown as `error: …` and `hint: …`, never as a traceback.

    Every public function of the package raises it, or a subclass, for bad input.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        message, hint = _sentence(message), hint and _sentence(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it so that `__init__` is not called again: its arguments differ in subclasses."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class GateNotMet(ResLabError):
    """The work was done, but its result does not meet the requirement (check, export): exit code 1."""

    exit_code = 1


class Unreachable(ResLabError):
    """A server does not answer, or not as it should, however often it is asked."""


class ProcessLost(ResLabError):
    """Another process of the same training has ended, or does not answer: the run can be started again from its last state."""


class BadPicture(ResLabError):
    """One picture cannot be decoded; `reason` is short enough for a table cell."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot read {name}: {reason}", "repair or remove the file, or leave it out with --skip-bad")
        self.name = name
        self.reason = reason


class NoAnswer(BadPicture):
    """One picture was read, but the network's output for it is not finite."""

    def __init__(self, name: str) -> None:
        reason = "the network gave no finite number"
        hint = "the model is damaged, or was trained in too few bits; --skip-bad scores the others"
        ResLabError.__init__(self, f"no answer for {name}: {reason}", hint)
        self.name, self.reason = name, reason


def nearest(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """The known word that a person who typed `word` most likely meant, as the beginning of a hint.

    Words that differ only in their numbers are compared by these: `resnet49` is nearest to `resnet50`. Where none is near,
    the hint is `otherwise`, or all of them.
    """
    word, by_lower = str(word), {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.lower(), by_lower, n=max(1, len(by_lower)), cutoff=0.5)
    if close:
        return f"did you mean {by_lower[min(close, key=lambda name: _distance(word.lower(), name))]!r}?"
    if otherwise:
        return otherwise
    return "known: " + ", ".join(by_lower.values()) if by_lower else "there is nothing to choose from"


def _distance(first: str, second: str) -> tuple[float, float]:
    """How different two words are apart from their numbers, and the sum of the differences of their numbers."""
    mine, theirs = (re.sub(r"\d+", "0", word) for word in (first, second))
    numbers = [map(float, re.findall(r"\d+", word)) for word in (first, second)]
    return (
        -difflib.SequenceMatcher(None, mine, theirs).ratio(),
        sum(abs(a - b) for a, b in zip_longest(*numbers, fillvalue=0)),
    )
