"""Judge a file of the reader's: it is run in a process of its own, for a limited time.

`python -m reslab.learn.answer FILE EXERCISES` is that process. What the file prints goes to stderr; the verdicts are JSON.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from reslab.errors import ResLabError, nearest
from reslab.learn.check import exercise, numbers_of, texts_of
from reslab.learn.exercise import Text
from reslab.learn.judge import Verdict, judge
from reslab.system.language import reader_language
from reslab.words.phrases import text

SECONDS = 60.0
"""A check may take, the import of PyTorch included."""

QUIET = 5.0
"""Seconds after which a check that goes on says so."""

_LARGEST = 2**20  # bytes of a file


def judge_file(
    file: Path, exercises: str, language: str, seconds: float = SECONDS, waiting: Callable[[], None] = lambda: None
) -> list[Verdict]:
    """The verdicts on those of the exercises whose names the file defines.

    Args:
        exercises: As in "6.2"; "6" for those of a lesson.
        waiting: Called once if it lasts longer than `QUIET`.

    Raises:
        ResLabError: there is no such exercise; the file cannot be read or run, defines none of the names, or takes too long.
    """
    numbers_of(exercises)  # before the file runs
    _refuse(file)
    package = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    child = [sys.executable, "-P", "-m", __name__, str(file), exercises]
    environment = os.environ | {"PYTHONPATH": paths, "RESLAB_LANG": language}
    with subprocess.Popen(child, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            said = _communicated(process, seconds, waiting)
        except subprocess.TimeoutExpired:
            hint = text("learn.endless_hint", language)
            raise ResLabError(text("learn.endless", language, file=file, seconds=f"{seconds:g}"), hint) from None
        finally:
            process.kill()
    if not said:
        raise ResLabError(text("learn.ended", language, file=file, code=process.returncode))
    document = json.loads(said)
    if "error" in document:
        raise ResLabError(*document["error"])
    return [Verdict(each["number"], each["right"], Text(*each["says"])) for each in document["verdicts"]]


def _communicated(process: subprocess.Popen[bytes], seconds: float, waiting: Callable[[], None]) -> bytes:
    """What the child writes until it ends."""
    try:
        return process.communicate(timeout=min(QUIET, seconds))[0]
    except subprocess.TimeoutExpired:
        if seconds <= QUIET:
            raise
        waiting()
        return process.communicate(timeout=seconds - QUIET)[0]


def _refuse(file: Path) -> None:
    """Say so at once if this cannot be a file of Python."""
    if file.suffix == ".ipynb":
        hint = 'in the notebook: from reslab.learn.check import check; check("6.2", my_function)'
        raise ResLabError(f"{file} is a notebook", hint)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ResLabError(f"{file} {what}", "reslab learn start NUMBER writes a file to begin with")
    if file.stat().st_size > _LARGEST:
        raise ResLabError(f"{file} has {file.stat().st_size:,} bytes", "an answer is a short file of Python")


def _verdicts(file: Path, exercises: str) -> list[Verdict]:
    """In the child: run the file, judge what it defines."""
    defined = _run(file)
    asked = {number: texts_of(number).name for number in numbers_of(exercises)}
    found = [exercise(number) for number, name in asked.items() if name in defined]
    if not found:
        language, names = reader_language(), ", ".join(dict.fromkeys(asked.values()))
        own = [name for name, what in defined.items() if not (name.startswith("_") or isinstance(what, ModuleType))]
        otherwise = text("learn.defines", language, names=", ".join(own))
        hint = nearest(names, own, otherwise) if len(asked) == 1 and own else None
        raise ResLabError(text("learn.nameless", language, file=file, names=names), hint)
    return [judge(each, defined[each.name]) for each in found]


def _run(file: Path) -> dict[str, Any]:
    """What the file defines; it is not `__main__`, and what lies beside it can be imported.

    Raises:
        ResLabError: it is not Python, or raises an exception.
    """
    module = ModuleType("answer")
    module.__file__ = str(file)
    sys.modules["answer"] = module
    sys.path.append(str(file.resolve().parent))
    sys.dont_write_bytecode = True  # the folder is the reader's
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except BaseException as error:
        syntax = error if isinstance(error, SyntaxError) and error.filename == str(file) else None
        line, said = (syntax.lineno, syntax.msg) if syntax else (_line(file, error), str(error))
        where = f"{file}:{line}" if line else str(file)
        kind = type(error).__name__
        raise ResLabError(text("learn.raised", reader_language(), where=where, kind=kind, said=said or "-")) from None
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


def _line(file: Path, error: BaseException) -> int | None:
    """The innermost line of the file that led to an exception."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return lines[-1] if lines else None


def _main(file: Path, exercises: str) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the file prints is no verdict
    try:
        verdicts = _verdicts(file, exercises)
    except ResLabError as error:
        document: dict[str, Any] = {"error": [error.message, error.hint]}
    else:
        document = {"verdicts": [{"number": v.number, "right": v.right, "says": [*v.says]} for v in verdicts]}
    json.dump(document, answers)
    for stream in (answers, sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # whatever threads the file has begun


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
