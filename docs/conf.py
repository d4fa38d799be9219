"""Sphinx's configuration for both languages; `docs/build.py` calls it with `-D language=en` or `zh_CN`."""

import re
from pathlib import Path
from typing import Any

from docutils.nodes import Element, SkipNode
from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese

from reslab.learn.live import script
from reslab.learn.page.formula import mathml
from reslab.learn.page.render import kinds_of

project = "ResLab"
author = "The ResLab authors"
copyright = "the ResLab authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
highlight_language = "none"

html_theme = "furo"
html_title = "ResLab"
html_copy_source = False
html_show_sphinx = False
html_show_sourcelink = False
html_math_renderer = "mathml"
templates_path = [str(Path(__file__).parent / "templates")]
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["site.css"]
html_favicon = str(Path(__file__).parent / "static" / "icon.svg")

SearchChinese.language_name = "English"  # whose stemmer its script names (Sphinx issue 14229)

autodoc_typehints = "signature"
autodoc_member_order = "bysource"


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
    app.connect("config-inited", add_terms)
    app.connect("html-page-context", add_moving_figures)


def add_moving_figures(app: Sphinx, page: str, template: str, context: dict[str, Any], document: Any) -> None:
    """The module that makes figures move, on the pages that have such figures."""
    if code := script(kinds_of(context.get("body", ""))):
        context["body"] += f"<script>{code}</script>"


def inline_math(translator: Any, node: Element) -> None:
    """A formula as MathML, which browsers draw themselves."""
    translator.body.append(mathml(node.astext(), block=False))
    raise SkipNode


def display_math(translator: Any, node: Element) -> None:
    translator.body.append(mathml(node.astext(), block=True))
    raise SkipNode


def add_terms(app: Sphinx, config: object) -> None:
    """Teach the Chinese word splitter the terms of the course, so that each of them is one word of the search index."""
    if not app.config.language.startswith("zh"):
        return
    import jieba

    table = (Path(__file__).parents[1] / "lessons" / "TERMS.md").read_text(encoding="utf-8")
    for term in re.findall(r"[一-鿿]{2,}", table):
        jieba.add_word(term)
