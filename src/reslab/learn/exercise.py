"""An exercise: a stub to fill in, an oracle that judges, classic mistakes that are recognised, three hints.

A mistake in the bank is a wrong answer. A reader's answer that is not right is compared with each of them: where it behaves
as one does, whatever its code looks like, the reader gets the sentence that belongs to that mistake.
"""

import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Text(NamedTuple):
    """The same text in both languages."""

    en: str
    zh: str


def call(answer: Any, case: tuple[Any, ...]) -> Any:
    """What a function returns for the arguments of a case."""
    return answer(*case)


def value(answer: Any, case: tuple[Any, ...]) -> Any:
    """The answer itself, for questions whose answer is a number or a choice."""
    return answer


@dataclass(frozen=True, slots=True)
class Raised:
    """What a case gives if the answer raises an exception; equal to others of the same type."""

    kind: str
    message: str = ""
    line: int | None = None
    """The innermost of the reader's own lines that led to it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and self.kind == other.kind


@dataclass(frozen=True, slots=True)
class Mistake:
    """A classic wrong answer and what to say about it."""

    answer: Any
    """Wrong in the way that the sentence describes; the tests hold it to that."""
    en: str
    zh: str
    when: Callable[[list[Any], list[Any]], bool] | None = None
    """Recognises the mistake from what the reader's answer gave and what was expected, case by case; without it the mistake
    is recognised where both give the same in every case."""

    @property
    def says(self) -> Text:
        return Text(self.en, self.zh)


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the course asks for, and how it judges."""

    number: str
    """`lesson.exercise`, as in "6.2"."""
    name: str
    """What the reader's file defines: a function, a class or a value."""
    stub: str
    """Python source to start from; it stands for no answer yet."""
    expected: Any
    """The oracle, of the same kind as the answer: PyTorch's own function, a closed form, the product; or the value."""
    mistakes: tuple[Mistake, ...]
    hints: tuple[Text, Text, Text]
    """From a nudge to nearly the solution."""
    cases: Callable[[], Sequence[tuple[Any, ...]]] = lambda: [()]
    """The arguments to try; drawn from a fixed seed."""
    observe: Callable[[Any, tuple[Any, ...]], Any] = call
    """What is compared, for an answer and a case: numbers, arrays, tensors, texts, or tuples and lists of them."""
    tolerance: float = 1e-5
    """Absolute, and relative to the expected value."""
    watch: Callable[[], AbstractContextManager[list[str]]] = lambda: nullcontext([])
    """Around the reader's answer: notes the names of what it uses although the exercise forbids that (`exercises.forbidden`)."""


def same(given: Any, expected: Any, tolerance: float) -> bool:
    """Whether two results agree: the same structure, shapes and texts, and numbers within the tolerance."""
    if isinstance(given, Raised) or isinstance(expected, Raised):
        return bool(given == expected)
    if isinstance(expected, (str, bool, type(None))) or isinstance(given, (str, bool, type(None))):
        return type(given) is type(expected) and given == expected
    if isinstance(expected, (tuple, list)):
        return (
            isinstance(given, (tuple, list))
            and len(given) == len(expected)
            and all(same(g, e, tolerance) for g, e in zip(given, expected, strict=True))
        )
    if isinstance(given, (tuple, list)):
        return False
    try:
        one, other = (np.asarray(as_numpy(each)) for each in (given, expected))
        return (
            one.shape == other.shape
            and one.dtype.kind in "biuf"
            and np.allclose(one.astype(float), other.astype(float), rtol=tolerance, atol=tolerance, equal_nan=True)
        )
    except (TypeError, ValueError):
        return False


def as_numpy(values: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def raised(error: Exception) -> Raised:
    """An exception as a result, with the last line of the reader's file (`answer`) or notebook (`__main__`) that led to it."""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") in ("answer", "__main__")
    ]
    return Raised(type(error).__name__, str(error), lines[-1] if lines else None)
