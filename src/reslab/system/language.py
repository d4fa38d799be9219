"""The reader's language: what --lang asks for, else RESLAB_LANG, else English."""

import os
from contextvars import ContextVar
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

ASKED: ContextVar[str | None] = ContextVar("ASKED", default=None)
"""What --lang of this command asks for."""


def reader_language() -> Language:
    """What --lang or RESLAB_LANG names: `zh`, `zh-CN` and `zh_CN.UTF-8` are Chinese, anything else is English."""
    asked = ASKED.get() or os.environ.get("RESLAB_LANG", "")
    return "zh" if asked.strip().lower().startswith("zh") else "en"
