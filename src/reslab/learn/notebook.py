"""A lesson as a Jupyter notebook, from the same page: outputs and figures stand in it, each exercise waits in a cell."""

import base64
import re
from pathlib import Path
from typing import Any

from reslab.learn.check import exercises_of
from reslab.learn.course import STATEMENT, Lesson
from reslab.learn.exercise import Exercise
from reslab.learn.lesson import BLOCK, drawn
from reslab.learn.page.render import KINDS
from reslab.learn.stubs import stub_in
from reslab.system.language import Language

_SETUP = """# This notebook needs: pip install "reslab[train]"
import os

os.environ["RESLAB_LANG"] = "{language}"
"""
_CHECK = """{stub}

from reslab.learn.check import check

check("{number}", {name});
"""
_DETAILS = re.compile(r"^<details>.*?^</details>\n?", re.M | re.S)
_OUTPUT = re.compile(r"```\n\n```text\n(.*?)```\n\Z", re.S)
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)#]+)(?:#[^)]*)?\)")

Json = dict[str, Any]


def notebook(lesson: Lesson, language: Language) -> Json:
    """The document of an .ipynb file (nbformat 4.5).

    The code of the lesson is a cell each, with what it printed and drew. An exercise is what it asks, a cell with its stub and
    its check, and the answer folded away.
    """
    text = lesson.path.read_text(encoding="utf-8")
    cells = [_code(_SETUP.format(language=language))]
    answers = [found.span() for found in _DETAILS.finditer(text)]
    stops: list[tuple[int, int, Json]] = []
    for block in BLOCK.finditer(text):
        if block["key"] != "quote" and not any(start <= block.start() < end for start, end in answers):
            stops.append((*block.span(), _block(block, lesson.path, language)))
    stubs = {each.number: each for each in (exercises_of(lesson.number) if lesson.number else ())}
    for asked in STATEMENT.finditer(text):
        if asked[1] in stubs and f'check("{asked[1]}"' not in asked[2]:  # a bug hunt shows its stub itself
            stops.append((asked.end(), asked.end(), _code(_ask(stubs[asked[1]], language))))
    at = 0
    for start, end, cell in sorted(stops, key=lambda stop: stop[:2]):
        cells += [*_prose(text[at:start], text, lesson.path), cell]
        at = end
    cells += _prose(text[at:], text, lesson.path)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells, "metadata": {"kernelspec": python, "language_info": {"name": "python"}}, "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


def _ask(exercise: Exercise, language: Language) -> str:
    stub = stub_in(language, exercise.number, exercise.stub)
    return _CHECK.format(stub=stub.rstrip(), number=exercise.number, name=exercise.name)


def _block(block: re.Match[str], path: Path, language: Language) -> Json:
    """A block with what it printed; one that draws ends with its figure."""
    outputs: list[Json] = []
    if printed := _OUTPUT.search(block[0]):
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed[1]})
    if block["key"] != "figure":
        return _code(block["code"], outputs)
    files = [drawn(path, f"{block['name']}{ending}") for ending in (f".{language}.svg", ".svg")]
    figure = next(file for file in files if file.is_file()).read_text(encoding="utf-8")
    outputs.append({"output_type": "display_data", "data": {"image/svg+xml": figure}, "metadata": {}})
    return _code(block["code"].rstrip() + "\nfigure", outputs)


def _code(source: str, outputs: list[Json] | None = None) -> Json:
    return {
        "cell_type": "code", "execution_count": None, "metadata": {}, "outputs": outputs or [], "source": source.rstrip(),
    }  # fmt: skip


def _prose(part: str, page: str, path: Path) -> list[Json]:
    """Text between two cells of code: its pictures inside it, but for those that the code draws itself."""
    names = {block["name"] for block in BLOCK.finditer(page) if block["key"] == "figure"}

    def inside(image: re.Match[str]) -> str:
        file = path.parent / image[2]
        if file.name.split(".")[0] in names:
            return ""
        coded = base64.b64encode(file.read_bytes()).decode()
        return f"![{image[1]}](data:image/{KINDS[file.suffix]};base64,{coded})"

    def link(found: re.Match[str]) -> str:
        """A page by the command that shows it, other files by their names: a notebook may lie anywhere."""
        words, file = found[1], (path.parent / found[2]).resolve()
        page = re.fullmatch(r"(\d+)-.*|.*", file.stem)
        if page is None or file.suffix != ".md" or file.parent != path.parent.resolve():
            return words
        name = page[1] or file.stem
        return f"{words} (`reslab learn {name}`)" if path.parent.name == "en" else f"{words}（`reslab learn {name}`）"

    part = _LINK.sub(link, _IMAGE.sub(inside, re.sub(r"^```python quote=\S+$", "```python", part, flags=re.M)))
    part = re.sub(r"\n{3,}", "\n\n", part).strip()
    return [{"cell_type": "markdown", "metadata": {}, "source": part}] if part else []
