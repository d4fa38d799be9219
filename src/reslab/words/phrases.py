"""From a key of the catalogue to words on the page: English as the text, Chinese in waiting beside it."""

import re
from dataclasses import dataclass

from markupsafe import Markup, escape

from reslab.words.page import WORDS
from reslab.words.reasons import REASONS


@dataclass(frozen=True, slots=True)
class Phrase:
    """One text in both languages."""

    en: str
    zh: str

    def __html__(self) -> str:
        """English as it stands, Chinese in waiting: what a template shows for a phrase."""
        return Markup('<span data-zh="{}">{}</span>').format(self.zh, self.en)


def say(key: str, /, **values: object) -> Phrase:
    """The phrase of that key, its `{blanks}` filled; a value that is a phrase itself fills in each language its own."""
    english, chinese = WORDS[key]
    first = {k: v.en if isinstance(v, Phrase) else v for k, v in values.items()}
    second = {k: v.zh if isinstance(v, Phrase) else v for k, v in values.items()}
    return Phrase(english.format(**first), chinese.format(**second))


def setting(name: str) -> Phrase:
    """What a field of the config means; a field that this catalogue does not know yet is shown by its name."""
    return say(f"setting.{name}") if f"setting.{name}" in WORDS else Phrase(name, name)


def reason(text: str) -> Phrase:
    """A reason as the plan gives it; one that is not listed here stays English."""
    for pattern, chinese in REASONS:
        if match := re.fullmatch(pattern, text):
            return Phrase(text, chinese.format(*match.groups()))
    return Phrase(text, text)


def element(tag: str, phrase: Phrase, **attributes: object) -> Markup:
    """`<tag attributes>phrase</tag>`; underscores at the end of a name are dropped, others become hyphens."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    given = Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in names.items())
    return Markup('<{0}{1} data-zh="{2}">{3}</{0}>').format(Markup(escape(tag)), given, phrase.zh, phrase.en)


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
