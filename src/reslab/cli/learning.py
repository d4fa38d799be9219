"""`learn` and what belongs to it: `start`, `check`, `hint`, `notebook`."""

import os
import re
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from reslab.cli import show
from reslab.errors import ResLabError, nearest
from reslab.learn import course
from reslab.learn.progress import Progress, file, keep_passed, next_hint, read_progress
from reslab.system.files import write_atomically, write_json
from reslab.system.language import LANGUAGES, Language, reader_language
from reslab.words.phrases import text

app = App(name="learn")

Flag = Annotated[bool, Parameter(negative="")]
_VERBS = ("start", "check", "hint", "notebook")


@app.default
def learn(lesson: str | None = None, *, open: bool = True, lang: Language | None = None, json: Flag = False) -> None:
    """List the lessons with your progress or, with a number, show that lesson in the browser.

    Args:
        lesson: The number of a lesson, or the name of a page; it is shown as one file in the cache folder.
        open: Open the browser; where that cannot be, and with --no-open, the path is printed only.
        lang: The language; by default that of RESLAB_LANG, or English.
        json: Print JSON.
    """
    language = _language(lang)
    if lesson is None:
        _list(language, json)
        return
    chosen = _chosen(lesson, language, _VERBS)
    from reslab.learn.page.write import page_of

    page = page_of(chosen)
    if json:
        show.print_json({"schema": 1, "lesson": chosen.number, "language": language, "page": str(page)})
    else:
        show.say(str(page))
        if open:
            show.open_page(page)


@app.command
def start(exercise: str, *, out: Path | None = None, overwrite: Flag = False, lang: Language | None = None) -> None:
    """Write a file to begin an exercise with: what it asks, and a stub.

    Args:
        exercise: The number, as in 6.2.
        out: The file; by default exercise_6_2.py in this folder.
        overwrite: Replace a file that is there.
        lang: The language; by default that of RESLAB_LANG, or English.
    """
    from reslab.learn.start import file_of

    language = _language(lang)
    content = file_of(exercise, language)
    path = out or Path(f"exercise_{exercise.replace('.', '_')}.py")
    _refuse_to_replace(path, overwrite)
    write_atomically(path, content.encode())
    show.say(text("learn.started", language, file=path, number=exercise))


@app.command
def check(exercise: str, file: Path, *, lang: Language | None = None, json: Flag = False) -> int:
    """Judge your code; exit code 1 if anything is wrong.

    Args:
        exercise: The number, as in 6.2; with that of a lesson, each of its exercises that the file answers.
        file: Your Python file. It runs in a process of its own, for at most a minute.
        lang: The language; by default that of RESLAB_LANG, or English.
        json: Print JSON.
    """
    from reslab.learn.answer import SECONDS, judge_file
    from reslab.learn.check import line_of

    language = _language(lang)
    waiting = text("learn.waiting", language, seconds=f"{SECONDS:g}")
    verdicts = judge_file(file, exercise, language, waiting=lambda: show.people.print(waiting, soft_wrap=True))
    for verdict in verdicts:
        if verdict.right:
            keep_passed(verdict.number)
        if not json:
            show.say(getattr(line_of(verdict), language))
    right = all(verdict.right for verdict in verdicts)
    if json:
        rows = [{"exercise": v.number, "right": v.right, "says": getattr(v.says, language)} for v in verdicts]
        show.print_json({"schema": 1, "language": language, "right": right, "verdicts": rows})
    else:
        lesson = course.lesson(int(exercise.split(".")[0]), language)
        show.say(_passed(lesson, read_progress(), language))
    return 0 if right else 1


@app.command
def hint(exercise: str, *, lang: Language | None = None) -> None:
    """Show the next of three hints at each call, from a nudge to nearly the solution.

    Args:
        exercise: The number, as in 6.2.
        lang: The language; by default that of RESLAB_LANG, or English.
    """
    from reslab.learn.check import texts_of

    hints, language = texts_of(exercise).hints, _language(lang)
    at = next_hint(exercise, len(hints))
    shown = getattr(hints[at - 1], language)
    show.say(text("learn.hint", language, at=at, of=len(hints), hint=shown))


@app.command
def notebook(lesson: str, *, out: Path | None = None, overwrite: Flag = False, lang: Language | None = None) -> None:
    """Write a lesson as a Jupyter notebook, with its outputs and figures, and a cell for each exercise.

    Args:
        lesson: The number of a lesson, or the name of a page.
        out: The file; by default the page's name and the language, as in 6-residual-block.en.ipynb, in this folder.
        overwrite: Replace a file that is there.
        lang: The language; by default that of RESLAB_LANG, or English.
    """
    language = _language(lang)
    chosen = _chosen(lesson, language)
    from reslab.learn.notebook import notebook as made

    path = out or Path(f"{chosen.slug}.{language}.ipynb")
    _refuse_to_replace(path, overwrite)
    write_json(path, made(chosen, language))
    show.say(str(path))


def _language(lang: Language | None) -> Language:
    """The reader's language; where RESLAB_LANG names one that there is not, that is said."""
    language, asked = lang or reader_language(), os.environ.get("RESLAB_LANG", "").strip()
    if asked and not lang and not asked.lower().startswith(LANGUAGES):
        show.people.print(f"RESLAB_LANG is {asked}: the course is in en and zh, and this is en", soft_wrap=True)
    return language


def _chosen(word: str, language: Language, verbs: tuple[str, ...] = ()) -> course.Lesson:
    """The lesson of a number, or the page of a name, as a person types it; `verbs` may be meant instead."""
    if re.fullmatch(r"\d{1,4}", word):
        return course.lesson(int(word), language)
    names = {page.slug: page for page in course.pages(language)}
    if word in names:
        return names[word]
    if re.fullmatch(r"\d+\.\d+", word):
        raise ResLabError(f"{word} is an exercise", f"reslab learn start {word} begins it")
    hint = nearest(word, [*verbs, *names], otherwise="reslab learn lists the lessons")
    raise ResLabError(f"there is no lesson {word!r}", hint)


def _list(language: Language, json: bool) -> None:
    progress, lessons = read_progress(), course.lessons(language)
    if json:
        rows = [
            {
                "lesson": each.number,
                "title": each.title,
                "exercises": [*each.statements],
                "passed": _right(each, progress),
            }
            for each in lessons
        ]
        show.print_json({"schema": 1, "language": language, "progress": str(file()), "lessons": rows})
        return
    columns = [text(f"learn.column.{name}", language) for name in ("lesson", "title", "exercises")]
    made = show.table(*columns, right=(0, 2))
    for each in lessons:
        made.add_row(str(each.number), each.title, f"{len(_right(each, progress))} / {len(each.statements)}")
    show.say(made)
    for page in course.pages(language):
        if not page.number:
            show.say(f"{page.title}: reslab learn {page.slug}")
    show.say(text("learn.next_step", language, number=lessons[0].number))


def _right(lesson: course.Lesson, progress: Progress) -> list[str]:
    return [number for number in lesson.statements if number in progress.passed]


def _passed(lesson: course.Lesson, progress: Progress, language: Language) -> str:
    passed, of = len(_right(lesson, progress)), len(lesson.statements)
    return text("learn.passed", language, number=lesson.number, passed=passed, all=of)


def _refuse_to_replace(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise ResLabError(f"{path} is there already", "choose another file with --out, or replace it with --overwrite")
