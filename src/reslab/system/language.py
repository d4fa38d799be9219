"""The reader's language: what is asked for, else RESLAB_LANG, else English."""

import os
from typing import Literal, get_args

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


def reader_language(asked: Language | None = None) -> Language:
    """`asked` itself, or what RESLAB_LANG names: `zh`, `zh-CN` and `zh_CN.UTF-8` are Chinese, anything else is English."""
    if asked:
        return asked
    return "zh" if os.environ.get("RESLAB_LANG", "").strip().lower().startswith("zh") else "en"
