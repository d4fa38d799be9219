"""Lessons are Markdown whose Python is executed: quotes come from the source, outputs and figures from the run.

    ```python quote=reslab.nn.blocks:Block.forward     filled with that symbol's source and where it is; not executed
    ```python                                          executed, all in one namespace; what it prints stands below
    ```python figure=2-gradients                       the same; its variable `figure` becomes lessons/figures/2-gradients.svg

`python -m reslab.learn.lesson lessons` updates every lesson of the folder, `… lessons 6` one.
"""

import ast
import importlib.util
import io
import re
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.figures.svg import Drawing
from reslab.system.language import LANGUAGES

BLOCK = re.compile(
    r"^```python(?: (?P<key>quote|figure)=(?P<name>\S+))?\n(?P<code>.*?)^```\n"
    r"(?:\n```text\n.*?^```\n|\n\*(?:Source: |源码：)[^\n]+\n)?",
    re.M | re.S,
)
"""A block of Python and, if it stands directly below, what it prints or where it is quoted from."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PLACE, _SHADE = 0.25, 0.02  # what another machine's rounding may move: pixels, and what has two decimals


class Printed(io.StringIO):
    """What a block prints, in English; `heard` has the lines that exist in both languages (`check.check`)."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, str]] = []

    def text(self, language: str) -> str:
        """All of it in that language."""
        printed = self.getvalue()
        for english, chinese in self.heard if language == "zh" else ():
            printed = printed.replace(f"{english}\n", f"{chinese}\n", 1)
        return printed


@dataclass(frozen=True, slots=True)
class Page:
    """A lesson as its file should be."""

    text: str
    figures: dict[str, str]
    """File name -> SVG."""


def source_of(symbol: str) -> str:
    """The source of `module:Class.method`, of a function, a class or a constant.

    Raises:
        ResLabError: there is no such module or name.
    """
    module, _, path = symbol.partition(":")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ResLabError(f"a lesson quotes {symbol}, but there is no module {module}")
    lines = Path(spec.origin).read_text(encoding="utf-8").splitlines()
    node: Any = ast.parse("\n".join(lines))
    for name in path.split("."):
        node = next((child for child in getattr(node, "body", []) if name in _names(child)), None)
    if node is None:
        raise ResLabError(f"a lesson quotes {symbol}, but {module} defines no such name")
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    return "\n".join(line[node.col_offset :] for line in lines[first - 1 : node.end_lineno]) + "\n"


def _source_line(symbol: str, language: str) -> str:
    """Which file a quote is from, as a link, and which class a method belongs to."""
    module, _, path = symbol.partition(":")
    file = f"src/{module.replace('.', '/')}.py"
    link, owner = f"[`{file}`](../../{file})", path.rpartition(".")[0]
    if language == "zh":
        return f"*源码：{link}" + (f"，类 `{owner}`*" if owner else "*")
    return f"*Source: {link}" + (f", class `{owner}`*" if owner else "*")


def _names(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    return [node.name] if isinstance(node, ast.ClassDef | ast.FunctionDef) else []


@lru_cache
def run(codes: tuple[str, ...]) -> tuple[tuple[Printed, Drawing | None], ...]:
    """Execute blocks one after the other in one namespace; returns what each prints and its figure.

    Cached, so that translations with the same code run once.
    """
    namespace: dict[str, Any] = {"__name__": "lesson"}
    outcomes = []
    for number, code in enumerate(codes, start=1):
        printed = Printed()
        namespace.pop("figure", None)
        with redirect_stdout(printed):
            exec(compile(code, f"<block {number}: {code.splitlines()[0]}>", "exec"), namespace)
        outcomes.append((printed, namespace.get("figure")))
    return tuple(outcomes)


def executed(text: str) -> tuple[str, ...]:
    """The blocks of a lesson that are executed."""
    return tuple(match["code"] for match in BLOCK.finditer(text) if match["key"] != "quote")


def render(text: str, language: str) -> Page:
    """Run a lesson and fill in its quotes, its outputs and its figures."""
    outcomes = iter(run(executed(text)))
    figures: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        head = match[0].split("\n", 1)[0]
        if match["key"] == "quote":
            return f"{head}\n{source_of(match['name'])}```\n\n{_source_line(match['name'], language)}\n"
        printed, figure = next(outcomes)
        if match["key"] == "figure":
            if figure is None:
                raise ResLabError(f"the block of {match['name']} does not set `figure`")
            files: dict[str, str] = {each: figure.file(each) for each in LANGUAGES}
            alone = len(set(files.values())) == 1  # a figure without words serves both languages
            figures[f"{match['name']}.svg" if alone else f"{match['name']}.{language}.svg"] = files[language]
        shown = printed.text(language)
        below = f"\n```text\n{shown}```\n" if shown else ""
        return f"{head}\n{match['code']}```\n{below}"

    return Page(BLOCK.sub(fill, text), figures)


def stale(path: Path) -> list[str]:
    """The files of a lesson that differ from what a run gives: the page itself, or figures."""
    return _compared(path)[1]


def bring_up_to_date(path: Path) -> list[str]:
    """Rewrite what is stale; returns its names."""
    page, old = _compared(path)
    for name in old:
        file, text = (path, page.text) if name == path.name else (drawn(path, name), page.figures[name])
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return old


def _compared(path: Path) -> tuple[Page, list[str]]:
    text = path.read_text(encoding="utf-8")
    page = render(text, path.parent.name)
    old = [] if page.text == text else [path.name]
    for name, figure in page.figures.items():
        file = drawn(path, name)
        if not file.is_file() or not alike(file.read_text(encoding="utf-8"), figure):
            old.append(name)
    return page, old


def drawn(path: Path, name: str) -> Path:
    """Where a figure of a lesson lies."""
    return path.parents[1] / "figures" / name


def alike(one: str, other: str) -> bool:
    """Whether two drawings are the same, up to another machine's rounding."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) < (_SHADE if re.search(r"\.\d\d", a) else _PLACE) for a, b in pairs)


def lessons(folder: Path, number: str = "") -> list[Path]:
    """Every page of a folder, or the lesson of that number, in both languages."""
    names = f"{number}-*.md" if number else "*.md"
    return sorted(path for language in LANGUAGES for path in (folder / language).glob(names))


if __name__ == "__main__":
    for lesson in lessons(Path(sys.argv[1]), *sys.argv[2:3]):
        print(lesson, *(bring_up_to_date(lesson) or ["up to date"]))
