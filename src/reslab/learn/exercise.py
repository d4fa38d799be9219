"""An exercise: a stub to fill in, an oracle that judges, classic mistakes that are recognised, three hints.

A mistake in the bank is a wrong answer. A reader's answer that is not right is compared with each of them: where it behaves
as one does, whatever its code looks like, the reader gets the sentence that belongs to that mistake.
"""

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

_SHOWN = 90  # characters of a result in a message


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
    says: Text
    when: Callable[[list[Any], list[Any]], bool] | None = None
    """Recognises the mistake from what the reader's answer gave and what was expected, case by case; without it the mistake
    is recognised where both give the same in every case."""


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says."""

    number: str
    right: bool
    says: Text


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """Compare an answer with the oracle in every case; a wrong one with the bank of mistakes."""
    cases = list(exercise.cases())
    expected = _observed(exercise, exercise.expected, cases)
    given = _observed(exercise, answer, cases)
    wrong = [n for n, (g, e) in enumerate(zip(given, expected, strict=True)) if not same(g, e, exercise.tolerance)]
    if not wrong:
        return Verdict(exercise.number, True, _praise(len(cases)))
    for mistake in exercise.mistakes:
        if _recognised(mistake, exercise, cases, given, expected):
            return Verdict(exercise.number, False, mistake.says)
    return Verdict(
        exercise.number, False, _difference(exercise, given[wrong[0]], expected[wrong[0]], len(wrong), len(cases))
    )


def _recognised(
    mistake: Mistake, exercise: Exercise, cases: Sequence[tuple[Any, ...]], given: list[Any], expected: list[Any]
) -> bool:
    if mistake.when:
        with suppress(Exception):  # what an answer gives may be anything; what cannot be compared is another mistake
            return bool(mistake.when(given, expected))
        return False
    theirs = _observed(exercise, mistake.answer, cases)
    return all(same(g, t, exercise.tolerance) for g, t in zip(given, theirs, strict=True))


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


def _observed(exercise: Exercise, answer: Any, cases: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What an answer gives, case by case; exceptions are results, too."""
    results: list[Any] = []
    for case in cases:
        try:
            results.append(exercise.observe(answer, _copied(case)))
        except Exception as error:
            results.append(Raised(type(error).__name__, str(error), _line(error)))
    return results


def _line(error: Exception) -> int | None:
    """Of the reader's file (`answer`) or notebook (`__main__`)."""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__") in ("answer", "__main__")
    ]
    return lines[-1] if lines else None


def _copied(case: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, arrays and tensors as copies: an answer that writes into them harms no other."""
    return tuple(a.clone() if hasattr(a, "clone") else a.copy() if isinstance(a, np.ndarray) else a for a in case)


def _praise(cases: int) -> Text:
    if cases == 1:
        return Text("right", "正确")
    return Text(f"right in all {cases} cases", f"{cases} 个用例全部正确")


def _difference(exercise: Exercise, given: Any, expected: Any, wrong: int, cases: int) -> Text:
    """The first case that differs, in words."""
    if isinstance(given, Raised) and given.kind == NotImplementedError.__name__:
        return Text(
            "there is no answer yet: the stub raises NotImplementedError", "还没有作答：存根引发 NotImplementedError"
        )
    if given is None and exercise.observe is call:
        return Text("it returns None: is a `return` missing?", "返回了 None：是不是漏写了 return？")
    if cases > 1:
        where = Text(
            f"different in {wrong} of {cases} cases; the first gives ",
            f"{cases} 个用例中有 {wrong} 个不符；第一个给出 ",
        )
    else:
        where = Text("not right: it gives ", "不对：给出 ")
    return Text(
        f"{where.en}{_shown(given, 'line')}, expected {_shown(expected, 'line')}",
        f"{where.zh}{_shown(given, '行')}，应为 {_shown(expected, '行')}",
    )


def _shown(result: Any, word: str) -> str:
    """A result as short text: an exception with its line, a shape with the first numbers, or the value."""
    if isinstance(result, Raised):
        kind = f"{result.kind} ({word} {result.line})" if result.line else result.kind
        text = f"{kind}: {result.message}".removesuffix(": ")
    else:
        array = as_numpy(result)
        if isinstance(array, np.ndarray) and array.size > 1:
            first = ", ".join(f"{number:.4g}" for number in array.ravel()[:3].tolist())
            text = f"{tuple(array.shape)}: {first}, …"
        else:
            text = f"{array!r}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
