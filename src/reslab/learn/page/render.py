"""A lesson as one HTML page that loads nothing: pictures and data inside, formulas as MathML, code coloured."""

import base64
import html
import json
import re
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, PythonLexer

from reslab.learn.course import LESSONS, Lesson
from reslab.learn.live import script
from reslab.learn.page.formula import mathml
from reslab.report.frame import palette, policy
from reslab.system.language import LANGUAGES
from reslab.words.phrases import text

REPOSITORY = "https://github.com/reslab/reslab/blob/main/"

_HERE = Path(__file__).parent
_PACKAGE = _HERE.parents[1]
KINDS = {".svg": "svg+xml", ".png": "png", ".jpg": "jpeg"}
_TAGS = {"en": "en", "zh": "zh-CN"}

_PAGE = """<!doctype html>
<html lang="{tag}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<header class="bar">{bar}</header>
<main>
{main}</main>
{turn}<footer><p>{foot}</p></footer>
{script}</body>
</html>
"""


def render_page(path: Path, language: str, course: Sequence[Lesson] = ()) -> str:
    """A Markdown page of the course as HTML.

    Args:
        path: A lesson, or another page of the folder `lessons/`.
        language: That of the page, and of what is written around it.
        course: Every lesson of that language, for the way to the one before and the one after.
    """
    body = _markdown().render(path.read_text(encoding="utf-8"), {"path": path, "language": language})
    code = script(kinds_of(body))
    at = next((n for n, each in enumerate(course) if each.path == path), None)
    heading = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.M)
    return _PAGE.format(
        tag=_TAGS[language],
        policy=policy(code),
        title=html.escape(heading[1].replace("`", "") if heading else path.stem),
        style=palette() + "\n" + (_HERE / "style.css").read_text(encoding="utf-8").strip(),
        bar=_bar(path, language, None if at is None else course[at].number),
        main=body,
        turn="" if at is None else _turn(course, at, language),
        foot=text("page.foot", language, version=version("reslab")),
        script=f"<script>{code}</script>\n" if code else "",
    )


def _bar(path: Path, language: str, number: int | None) -> str:
    """The course, which lesson of it this is, and the same page in the other language."""
    home = "../README.html" if path.parent.name in LANGUAGES else "README.html"
    parts = [
        f'<a class="home" href="{home}">{text("page.laboratory", language)} · {text("learn.course", language)}</a>'
    ]
    if number is not None:
        parts.append(f'<span class="quiet">{text("learn.lesson_of", language, number=number, of=LESSONS)}</span>')
    for other in LANGUAGES:
        if path.parent.name in LANGUAGES and other != language and (path.parents[1] / other / path.name).is_file():
            named = f'lang="{_TAGS[other]}" hreflang="{_TAGS[other]}"'
            parts.append(f'<a {named} href="../{other}/{path.stem}.html">{text("language.name", other)}</a>')
    return "".join(parts)


def _turn(course: Sequence[Lesson], at: int, language: str) -> str:
    """The way to the lesson before and the one after."""
    ways = []
    before, after = (text("learn.previous", language), at - 1), (text("learn.next", language), at + 1)
    for side, (words, place) in (("before", before), ("after", after)):
        if 0 <= place < len(course):
            other = course[place]
            title = f"{other.number} {html.escape(other.title)}"
            ways.append(f'<a class="{side}" href="{other.slug}.html"><small>{words}</small>{title}</a>')
    return f'<nav class="turn">{"".join(ways)}</nav>\n'


def _markdown() -> MarkdownIt:
    """CommonMark with tables and formulas. Raw HTML is kept: the pages are our own."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    dollarmath_plugin(parser, allow_labels=False, allow_blank_lines=False, double_inline=True, renderer=_formula)
    anchors_plugin(parser, max_level=3)
    parser.core.ruler.push("lone_pictures", _free_lone_pictures)
    parser.core.ruler.push("captions", _mark_captions)
    rules: dict[str, Callable[..., str]] = {"fence": _fence, "image": _picture, "link_open": _link}
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _free_lone_pictures(state: Any) -> None:
    """A paragraph that is one picture becomes a figure."""
    for before, inline, after in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        lone = inline.type == "inline" and [child.type for child in inline.children] == ["image"]
        if lone and before.type == "paragraph_open":
            before.hidden = after.hidden = True
            inline.children[0].meta["lone"] = True


def _mark_captions(state: Any) -> None:
    """A paragraph that is nothing but stressed may be a caption; one that only begins or ends so is text."""
    for before, inline in zip(state.tokens, state.tokens[1:], strict=False):
        kinds = [child.type for child in inline.children or ()]
        ends = [n for n, kind in enumerate(kinds) if kind == "em_close"]
        if before.type == "paragraph_open" and kinds[:1] == ["em_open"] and ends == [len(kinds) - 1]:
            before.attrSet("class", "caption")


def _formula(content: str, options: dict[str, Any]) -> str:
    block = options["display_mode"]
    made = mathml(content, block)
    return f'<div class="scroll formula">{made}</div>\n' if block else made


def _fence(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """Python and commands coloured; what a block printed as it is."""
    token = tokens[at]
    kind = token.info.split(" ")[0]
    if kind not in ("", "python"):
        return f'<pre class="output"><code>{html.escape(token.content)}</code></pre>\n'
    lexer = PythonLexer() if kind else BashLexer()
    code = highlight(token.content, lexer, HtmlFormatter(nowrap=True))
    return f'<pre class="code {kind or "shell"}"><code>{code}</code></pre>\n'


def _picture(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: dict[str, Any]) -> str:
    """A picture inside the page; beside data of the same name, one that moves."""
    token = tokens[at]
    file = env["path"].parent / str(token.attrs["src"])
    words = html.escape(renderer.renderInlineAsText(token.children, options, env))
    if not file.is_file():  # of a lesson that is being written: not drawn yet
        return f"[{words}]"
    coded = base64.b64encode(file.read_bytes()).decode()
    shown = f'<img src="data:image/{KINDS[file.suffix]};base64,{coded}" alt="{words}">'
    if not token.meta.get("lone"):
        return shown
    return moving(file, shown) or f"<figure>{shown}</figure>\n"


def kinds_of(body: str) -> list[str]:
    """The kinds of the figures of a page that move."""
    return re.findall(r'<figure class="live" data-figure="([^"]+)"', body)


def moving(file: Path, shown: str) -> str | None:
    """A picture, as HTML `shown`, with the data beside its file that make it move; None where there are none."""
    data = file.with_name(file.name.split(".")[0] + ".json")
    if not data.is_file():
        return None
    numbers = json.loads(data.read_text(encoding="utf-8"))
    inside = json.dumps(numbers, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    kind = html.escape(numbers["figure"])
    return (
        f'<figure class="live" data-figure="{kind}">{shown}<script type="application/json">{inside}</script></figure>\n'
    )


def _link(renderer: Any, tokens: Sequence[Token], at: int, options: Any, env: dict[str, Any]) -> str:
    """To a page of the course, beside this one; to a file of ours, where it lies on this machine; else as it is."""
    token = tokens[at]
    href, mark, anchor = str(token.attrs["href"]).partition("#")
    if href and "://" not in href:
        file, lessons = (env["path"].parent / href).resolve(), _lessons(env["path"])
        token.attrs["href"] = (
            re.sub(r"\.md$", ".html", href) if file.is_relative_to(lessons) else _elsewhere(file, lessons)
        ) + mark + anchor  # fmt: skip
    return renderer.renderToken(tokens, at, options, env)


def _lessons(path: Path) -> Path:
    """The folder `lessons/` that a page is in."""
    return (path.parents[1] if path.parent.name in LANGUAGES else path.parent).resolve()


def _elsewhere(file: Path, lessons: Path) -> str:
    """The address of a file outside the lessons, as a page in the checkout names it."""
    name = file.relative_to(lessons.parent).as_posix() if file.is_relative_to(lessons.parent) else file.name
    installed = _PACKAGE / name.removeprefix("src/reslab/")
    if name.startswith("src/reslab/") and installed.is_file():
        return installed.as_uri()
    return file.as_uri() if file.is_file() else REPOSITORY + name
