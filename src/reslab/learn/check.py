"""Find an exercise by its number, and judge an answer to it."""

import importlib
import re
from functools import lru_cache
from typing import Any

from reslab.errors import ResLabError
from reslab.learn.exercise import Exercise, Verdict, judge

LESSONS = 17

_NUMBER = re.compile(r"(\d+)\.(\d+)")


@lru_cache
def exercises_of(lesson: int) -> tuple[Exercise, ...]:
    """The exercises of a lesson that a program can judge, in order.

    Raises:
        ResLabError: there is no such lesson.
    """
    if not 1 <= lesson <= LESSONS:
        raise ResLabError(f"there is no lesson {lesson}", f"lessons are 1 to {LESSONS}")
    try:
        module = importlib.import_module(f"reslab.learn.exercises.lesson{lesson}")
    except ModuleNotFoundError as error:
        if error.name != f"reslab.learn.exercises.lesson{lesson}":
            raise
        return ()
    return module.EXERCISES


def exercise(number: str) -> Exercise:
    """The exercise with this number, as in "6.2".

    Raises:
        ResLabError: there is none.
    """
    found = _NUMBER.fullmatch(number)
    if found is None:
        raise ResLabError(f"{number!r} is no exercise", "write lesson.exercise, as in 6.2")
    known = exercises_of(int(found[1]))
    for each in known:
        if each.number == number:
            return each
    names = ", ".join(each.number for each in known) or "no exercises that are checked"
    raise ResLabError(f"there is no exercise {number}", f"lesson {found[1]} has {names}")


def check(number: str, answer: Any) -> Verdict:
    """Judge an answer, and print one line about it; for notebooks and lessons.

    Args:
        number: As in "6.2".
        answer: A function, a class or a value, as the exercise asks for.

    Raises:
        ResLabError: there is no such exercise.
    """
    verdict = judge(exercise(number), answer)
    print(f"{number} {'✔' if verdict.right else '✘'} {verdict.says.en}")
    return verdict
