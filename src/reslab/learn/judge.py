"""Judge an answer to an exercise: compare it with the oracle, recognise classic mistakes, and say in words what differs."""

import ast
import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, as_numpy, call, raised, same

_SHOWN = 90  # characters of a result in a message
_DIGITS = (4, 6, 9, 17)  # significant ones of two numbers, until they look different
_WHOLE = 1e15  # whole numbers below it are written in full
_STUB_RAISES = ("NotImplementedError", "")
_NO_ANSWER = Text("there is no answer yet: this is the stub as it was", "还没有作答：起始代码还是原样")
_NO_RETURN = Text("it returns None: is a `return` missing?", "返回了 None：是不是漏写了 return？")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says."""

    number: str
    right: bool
    says: Text


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """Compare an answer with the oracle in every case; a wrong one with the bank of mistakes."""
    if says := _no_answer(exercise, answer):
        return Verdict(exercise.number, False, says)
    cases = list(exercise.cases())
    expected = _observed(exercise, exercise.expected, cases)
    with exercise.watch() as used:
        given = _observed(exercise, answer, cases)
    if used:
        return Verdict(exercise.number, False, _forbidden(used[0]))
    wrong = [n for n, (g, e) in enumerate(zip(given, expected, strict=True)) if not same(g, e, exercise.tolerance)]
    if not wrong:
        return Verdict(exercise.number, True, _praise(len(cases)))
    first = given[wrong[0]]
    if any(isinstance(each, Raised) and (each.kind, each.message) == _STUB_RAISES for each in _leaves(first)):
        return Verdict(exercise.number, False, _NO_ANSWER)
    for mistake in exercise.mistakes:
        if _recognised(mistake, exercise, cases, given, expected):
            return Verdict(exercise.number, False, mistake.says)
    if (first is None and exercise.observe is call) or (isinstance(first, Raised) and "'NoneType'" in first.message):
        return Verdict(exercise.number, False, _NO_RETURN)
    says = _difference(exercise, cases[wrong[0]], first, expected[wrong[0]], (len(wrong), len(cases)))
    return Verdict(exercise.number, False, says)


def _observed(exercise: Exercise, answer: Any, cases: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What an answer gives, case by case; exceptions are results, too."""
    results: list[Any] = []
    for case in cases:
        try:
            results.append(exercise.observe(answer, _copied(case)))
        except Exception as error:
            results.append(raised(error))
    return results


def _copied(case: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments, arrays and tensors as copies: an answer that writes into them harms no other."""
    return tuple(a.clone() if hasattr(a, "clone") else a.copy() if isinstance(a, np.ndarray) else a for a in case)


def _recognised(
    mistake: Mistake, exercise: Exercise, cases: Sequence[tuple[Any, ...]], given: list[Any], expected: list[Any]
) -> bool:
    if mistake.when:
        with suppress(Exception):  # what an answer gives may be anything; what cannot be compared is another mistake
            return bool(mistake.when(given, expected))
        return False
    theirs = _observed(exercise, mistake.answer, cases)
    return all(same(g, t, exercise.tolerance) for g, t in zip(given, theirs, strict=True))


def _no_answer(exercise: Exercise, answer: Any) -> Text | None:
    """What is said of a stub's value as it was, of what is no function where one is asked for, of another number of arguments."""
    stub = _defined(exercise)
    name = exercise.name
    if not isinstance(stub, ast.FunctionDef | ast.ClassDef):
        namespace: dict[str, Any] = {}
        exec(exercise.stub, namespace)
        unchanged = type(answer) is type(namespace[name]) and bool(answer == namespace[name])
        return _NO_ANSWER if unchanged else None
    if not callable(answer):
        kind = type(answer).__name__
        if isinstance(stub, ast.FunctionDef):
            return Text(f"{name} must be a function, and is of type {kind}", f"{name} 应为函数，现在的类型是 {kind}")
        return Text(f"{name} must be a class, and is of type {kind}", f"{name} 应为类，现在的类型是 {kind}")
    names = _arguments(stub)
    with suppress(ValueError, TypeError):  # some built-in functions have no signature
        signature = inspect.signature(answer)
        try:
            signature.bind(*names)
        except TypeError:
            return _another_number(name, names)
    return None


def _defined(exercise: Exercise) -> ast.stmt | None:
    """The function or class that the stub defines; None where it sets a value."""
    return next((node for node in ast.parse(exercise.stub).body if getattr(node, "name", None) == exercise.name), None)


def _arguments(stub: ast.FunctionDef | ast.ClassDef) -> list[str]:
    """The names of the arguments that must be given, those of `__init__` for a class."""
    function: ast.stmt | None = stub
    if isinstance(stub, ast.ClassDef):
        function = next((node for node in stub.body if getattr(node, "name", None) == "__init__"), None)
    if not isinstance(function, ast.FunctionDef):
        return []
    names = [each.arg for each in function.args.args]
    return names[isinstance(stub, ast.ClassDef) : len(names) - len(function.args.defaults)]


def _another_number(name: str, names: list[str]) -> Text:
    listed = ", ".join(names)
    if not names:
        return Text(f"{name} must take no arguments", f"{name} 不应要求参数")
    plural = "argument" if len(names) == 1 else "arguments"
    return Text(f"{name} must take {len(names)} {plural}: {listed}", f"{name} 应接受 {len(names)} 个参数：{listed}")


def _forbidden(name: str) -> Text:
    return Text(
        f"your code uses {name}: the exercise asks you to do without it",
        f"您的代码用到了 {name}：本练习要求不借助它来完成",
    )


def _praise(cases: int) -> Text:
    if cases == 1:
        return Text("right", "正确")
    return Text(f"right in all {cases} cases", f"{cases} 个用例全部正确")


def _leaves(result: Any) -> Iterator[Any]:
    """A result, or what it consists of."""
    if isinstance(result, (tuple, list)):
        for each in result:
            yield from _leaves(each)
    else:
        yield result


def _difference(
    exercise: Exercise, case: tuple[Any, ...], given: Any, expected: Any, wrong_of: tuple[int, int]
) -> Text:
    """The first case that differs, in words; what is expected only of functions and classes, since else it is the answer."""
    place, one, other = _first_difference(given, expected, exercise.tolerance)
    if not callable(exercise.expected):
        if isinstance(given, str) and isinstance(expected, int | float):
            return Text(f"a number is asked for, and {given!r} is a text", f"这里要的是数，而 {given!r} 是字符串")
        hint = f"reslab learn hint {exercise.number}"
        return Text(f"not right: {one.en}{place.en}; for a hint: {hint}", f"不对：{place.zh}{one.zh}；想看提示：{hint}")
    wrong, cases = wrong_of
    if cases > 1:
        shown = _shown_case(exercise, case)
        start = Text(
            f"different in {wrong} of {cases} cases; the first ({shown}) gives ",
            f"{cases} 个用例中有 {wrong} 个不符；第一个（{shown}）",
        )
    else:
        start = Text("not right: it gives ", "不对：")
    return Text(
        f"{start.en}{one.en}{place.en}, expected {other.en}",
        f"{start.zh}{place.zh}给出{_spaced(one.zh)}，应为{_spaced(other.zh)}",
    )


def _spaced(chinese: str) -> str:
    """With a blank in front of what begins with a letter or a digit."""
    return f" {chinese}" if chinese[:1].isascii() else chinese


def _first_difference(given: Any, expected: Any, tolerance: float) -> tuple[Text, Text, Text]:
    """Where two results differ first, and what they are there."""
    part: list[str] = []
    while isinstance(given, (tuple, list)) and isinstance(expected, (tuple, list)) and len(given) == len(expected):
        at = next(n for n, (g, e) in enumerate(zip(given, expected, strict=True)) if not same(g, e, tolerance))
        part.append(str(at + 1))
        given, expected = given[at], expected[at]
    named = ".".join(part)
    one, other = _numbers(given), _numbers(expected)
    if one is None or other is None or one.shape != other.shape:
        place = Text(f" in part {named}", f"在第 {named} 部分") if part else Text("", "")
        return place, _shown(given), _shown(expected)
    index = np.unravel_index(np.argmin(np.isclose(one, other, tolerance, tolerance, equal_nan=True)), one.shape)
    pairs = [(_written(one[index], digits), _written(other[index], digits)) for digits in _DIGITS]
    a, b = next((pair for pair in pairs if pair[0] != pair[1]), pairs[-1])
    place = Text(f" in part {named}", f"在第 {named} 部分") if part else Text("", "")
    if index:
        inside = [int(each) for each in index]
        place = Text(f" at {inside}{place.en}", f"{place.zh}的 {inside} 处" if part else f"在 {inside} 处")
    return place, Text(a, a), Text(b, b)


def _written(number: float, digits: int) -> str:
    return f"{number:,.0f}" if float(number).is_integer() and abs(number) < _WHOLE else f"{number:.{digits}g}"


def _numbers(result: Any) -> np.ndarray | None:
    """A number, an array or a tensor as an array of numbers; None for anything else."""
    if result is None or isinstance(result, (str, bool, tuple, list, Raised)):
        return None
    with suppress(Exception):  # a result may be anything
        array = np.asarray(as_numpy(result))
        if array.dtype.kind in "biuf":
            return array.astype(float)
    return None


def _shown(result: Any) -> Text:
    """A result as short text: an exception with its line, a shape, a length, or the value."""
    if isinstance(result, Raised):
        en, zh = (f" (line {result.line})", f"（第 {result.line} 行）") if result.line else ("", "")
        said = _clipped(result.message)
        return Text(f"{result.kind}{en}: {said}".removesuffix(": "), f"{result.kind}{zh}：{said}".removesuffix("："))
    if isinstance(result, (tuple, list)):
        en, zh = ("tuple", "元组") if isinstance(result, tuple) else ("list", "列表")
        return Text(f"a {en} of length {len(result)}", f"长度为 {len(result)} 的{zh}")
    array = _numbers(result)
    if array is None:
        said = _clipped(repr(result))
        return Text(said, said)
    if array.ndim == 0:
        said = _written(array.item(), _DIGITS[1])
        return Text(said, said)
    en, zh = ("a tensor", "张量") if hasattr(result, "detach") else ("an array", "数组")
    return Text(f"{en} of shape {[*array.shape]}", f"形状为 {[*array.shape]} 的{zh}")


def _shown_case(exercise: Exercise, case: tuple[Any, ...]) -> str:
    """The arguments of a case, arrays by their shapes; with their names where the answer gets them as they are."""
    stub = _defined(exercise)
    names = [each.arg for each in stub.args.args] if isinstance(stub, ast.FunctionDef) else []
    if exercise.observe is not call or len(names) != len(case):
        names = []
    shown = []
    for n, argument in enumerate(case):
        array = _numbers(argument)
        shaped = array is not None and array.ndim > 0
        text = str([*array.shape]) if shaped and array is not None else _clipped(_plain(argument))
        named = f"{names[n]}{' ' if shaped else '='}{text}" if names else text
        many = "tensor(" in text or "array(" in text
        shown.append(f"len({names[n] if names else '…'})={len(argument)}" if many else named)
    return _clipped(", ".join(shown))


def _plain(argument: Any) -> str:
    """A text as it is, a function or an object by its name, anything else as Python writes it."""
    if isinstance(argument, str):
        return argument
    if isinstance(argument, int | float | tuple | list | dict | None):
        return repr(argument)
    return getattr(argument, "__name__", type(argument).__name__)


def _clipped(said: str) -> str:
    said = " ".join(said.split())
    return said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
