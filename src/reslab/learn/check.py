"""Find an exercise by its number, and judge an answer to it."""

import ast
import importlib
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.learn.course import LESSONS
from reslab.learn.exercise import Exercise, Text
from reslab.learn.judge import Verdict, judge
from reslab.learn.progress import keep_passed
from reslab.system.language import LANGUAGES, reader_language

_HERE = Path(__file__).parent / "exercises"
_NUMBER = re.compile(r"(\d{1,4})\.(\d{1,4})")


@lru_cache
def exercises_of(lesson: int) -> tuple[Exercise, ...]:
    """The exercises of a lesson that a program can judge, in order.

    Raises:
        ResLabError: there is no such lesson.
    """
    if not 1 <= lesson <= LESSONS:
        raise ResLabError(f"there is no lesson {lesson}", f"lessons are 1 to {LESSONS}")
    return importlib.import_module(f"reslab.learn.exercises.lesson{lesson}").EXERCISES


def exercise(number: str) -> Exercise:
    """The exercise with this number, as in "6.2".

    Raises:
        ResLabError: there is none.
    """
    texts_of(number)
    return next(each for each in exercises_of(int(number.split(".")[0])) if each.number == number)


@dataclass(frozen=True, slots=True)
class Texts:
    """What an exercise says: all of it that can be shown without an oracle."""

    name: str
    stub: str
    hints: tuple[Text, ...]


def texts_of(number: str) -> Texts:
    """The name, the stub and the hints of an exercise; read from the source, since importing its oracle would load PyTorch.

    Raises:
        ResLabError: there is none.
    """
    found = _NUMBER.fullmatch(number)
    if found is None:
        hint = "write lesson.exercise, as in 6.2"
        if re.fullmatch(r"\d{1,4}", number):
            hint = f"lesson {number} has {', '.join(_texts(int(number)))}"
        raise ResLabError(f"{number!r} is no exercise", hint)
    known = _texts(int(found[1]))
    if number not in known:
        raise ResLabError(f"there is no exercise {number}", f"lesson {found[1]} has {', '.join(known)}")
    return known[number]


@lru_cache
def _texts(lesson: int) -> dict[str, Texts]:
    """Number -> texts, in the order of the numbers."""
    if not 1 <= lesson <= LESSONS:
        raise ResLabError(f"there is no lesson {lesson}", f"lessons are 1 to {LESSONS}")
    found: dict[str, Texts] = {}
    for file in (_HERE / f"lesson{lesson}.py", *_HERE.glob(f"lesson{lesson}_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == Exercise.__name__:
                given = {each.arg: each.value for each in node.keywords}
                hints: Any = given["hints"]
                said = tuple(Text(*map(ast.literal_eval, hint.args)) for hint in hints.elts)
                number, name, stub = (ast.literal_eval(given[key]) for key in ("number", "name", "stub"))
                found[number] = Texts(name, stub, said)
    return dict(sorted(found.items()))


def numbers_of(word: str) -> list[str]:
    """The number of an exercise, or those of all exercises of a lesson.

    Raises:
        ResLabError: neither.
    """
    if re.fullmatch(r"\d{1,4}", word):
        return [*_texts(int(word))]
    texts_of(word)
    return [word]


def check(number: str, answer: Any) -> Verdict:
    """Judge an answer, and print one line about it, in the language of RESLAB_LANG; for notebooks and lessons.

    Args:
        number: As in "6.2".
        answer: A function, a class or a value, as the exercise asks for.

    Raises:
        ResLabError: there is no such exercise.
    """
    verdict = judge(exercise(number), answer)
    line = line_of(verdict)
    heard = getattr(sys.stdout, "heard", None)  # a lesson is executed once, for the pages of both languages
    if heard is None:
        print(line[LANGUAGES.index(reader_language())])
        if verdict.right:
            keep_passed(number)
    else:
        print(line.en)
        heard.append(line)
    return verdict


def line_of(verdict: Verdict) -> Text:
    """A verdict as one line."""
    start = f"{verdict.number} {'✔' if verdict.right else '✘'}"
    return Text(*(f"{start} {said}" for said in verdict.says))
