"""The frame of every page: one file that loads nothing, its texts in every language, its style for light and dark."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reslab.figures import curves
from reslab.words import phrases
from reslab.words.phrases import percent, say

_HERE = Path(__file__).parent
_PALETTE, _STYLE, _SCRIPT = "palette.css", "style.css", "switch.js"


def render_template(
    name: str, view: Mapping[str, Any], styles: Sequence[str] = (_STYLE,), scripts: Sequence[str] = (_SCRIPT,)
) -> str:
    """A page as HTML.

    Args:
        name: a template of this folder that extends `frame.html.j2`.
        view: what it shows; the `title` is a phrase.
        styles, scripts: files of this folder.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "thousands": "{:,}".format, "fixed": _fixed}
    script = _joined(scripts)
    frame = {
        "style": Markup(_joined([_PALETTE, *styles])),
        "script": Markup(script),
        "policy": policy(script),
        "languages": json.dumps(phrases.languages(), ensure_ascii=False),
        "version": version("reslab"),
    }
    tools = {"say": say, "element": phrases.element, "attribute": phrases.attribute, "whisker": curves.whisker}
    return environment.get_template(name).render(tools | frame | dict(view))


def palette() -> str:
    """The colours of every page, for light and dark, and its fonts, as CSS."""
    return _joined([_PALETTE])


def policy(script: str) -> str:
    """A content security policy under which the browser itself refuses whatever is not in this file."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _joined(names: Sequence[str]) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8").strip() for name in names)


def _fixed(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"
