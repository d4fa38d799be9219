"""A text is a key with values: it is written in a language when it is shown, by that language's table.

A table is a file of this folder, named by the code of its language: a further language is one more file.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

ENGLISH, PLAIN = "en", "plain"
TABLES: dict[str, Mapping[str, str]] = {
    path.stem: import_module(f"{__package__}.{path.stem}").TEXTS
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "phrases")
}
"""Code of a language -> key -> text."""


def text(key: str, language: str = ENGLISH, /, **values: object) -> str:
    """The text of a key in one language, its blanks filled; a phrase among the values is written in the same language."""
    filled = {name: v.text(language) if isinstance(v, Phrase) else v for name, v in values.items()}
    return TABLES[language][key].format(**filled)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text in every language: `text` with the language still open."""

    key: str
    values: dict[str, Any] = field(default_factory=dict)

    def text(self, language: str = ENGLISH) -> str:
        return text(self.key, language, **self.values)

    def __str__(self) -> str:
        return self.text()

    def __html__(self) -> str:
        """What a template shows: English, with the other languages as attributes of a span."""
        return element("span", self)


def say(key: str, /, **values: object) -> Phrase:
    """The phrase of a key."""
    return Phrase(key, values)


def plain(words: str) -> Phrase:
    """A name, or a sentence that has no key: the same in every language."""
    return Phrase(PLAIN, {"text": words})


def languages() -> list[tuple[str, str, str]]:
    """(code of the table, tag for a browser, own name) of every language, English first."""
    codes = [ENGLISH, *(code for code in TABLES if code != ENGLISH)]
    return [(code, text("language.code", code), text("language.name", code)) for code in codes]


def other_languages(phrase: Phrase, attribute: str = "") -> dict[str, str]:
    """The phrase in all languages but English, by attributes: `data-zh`, or `data-zh-alt` for an attribute `alt`."""
    name = f"-{attribute.removeprefix('aria-')}" if attribute else ""
    return {f"data-{code}{name}": phrase.text(code) for code in TABLES if code != ENGLISH}


def translations(phrase: Phrase, attribute: str = "") -> Markup:
    """`other_languages` as they are written in a tag."""
    return Markup("").join(Markup(' {}="{}"').format(*item) for item in other_languages(phrase, attribute).items())


def attribute(name: str, phrase: Phrase) -> Markup:
    """An attribute that people read, `alt` or `aria-label`, in every language."""
    return Markup('{}="{}"{}').format(name, phrase.text(), translations(phrase, name))


def element(tag: str, phrase: Phrase, /, **attributes: object) -> Markup:
    """`<tag attributes>phrase</tag>`; underscores at the end of a name are dropped, others become hyphens."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    given = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in names.items())
    return Markup("<{0}{1}{2}>{3}</{0}>").format(Markup(escape(tag)), given, translations(phrase), phrase.text())


def setting(name: str) -> Phrase:
    """What a field of the config means; a field without a text, of another version, is shown by its name."""
    return say(f"setting.{name}") if f"setting.{name}" in TABLES[ENGLISH] else plain(name)


def read_reason(sentence: str, stored: Phrase | None) -> Phrase | None:
    """Why a plan chose a value, out of a run folder: by its key, else the English sentence that every version writes.

    Args:
        stored: None from a version without keys. Its key or its values may be those of a later version.
    """
    if stored:
        with suppress(KeyError, ValueError, TypeError):
            for language in TABLES:
                stored.text(language)
            return stored
    return plain(sentence) if sentence else None


def percent(share: float, digits: int = 2) -> str:
    """A share in [0, 1] for people, as `reslab eval` prints it; the space is a narrow one that does not break."""
    return f"{100 * share:.{digits}f}\N{NARROW NO-BREAK SPACE}%"


def duration(seconds: float) -> Phrase:
    """Seconds, minutes or hours, as one would say it."""
    if seconds < 90:
        return say("time.seconds", n=f"{seconds:.0f}")
    return (
        say("time.minutes", n=f"{seconds / 60:.0f}") if seconds < 5400 else say("time.hours", n=f"{seconds / 3600:.1f}")
    )
