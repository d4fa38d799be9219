"""The file that an exercise begins with: what it asks, as a comment, and its stub."""

import re

from rich.cells import cell_len

from reslab.learn.check import texts_of
from reslab.learn.course import lesson
from reslab.learn.stubs import stub_in
from reslab.system.language import Language
from reslab.words.phrases import text

_WIDTH = 88  # columns
_WORDS = re.compile(r"(?:[!-~]+ ?|.)[，。；：、！？”）》]*")
"""What is not divided at the end of a line: a word, or a Chinese character with the punctuation behind it."""

_LATEX = {
    r"\\(?:mathrm|text)\{([^}]*)\}": r"\1", r"\\sqrt\{([^}]*)\}": r"√(\1)", r"\\hat ?(\w)": "\\1\u0302", r"\\le\b": " ≤ ",
    r"\\,": " ", r"_(\w)": r"\1", r"\\": "",
}  # fmt: skip
"""What the formulas of exercises consist of -> the same in a comment."""


def file_of(exercise: str, language: Language) -> str:
    """The Python that `reslab learn start` writes.

    Raises:
        ResLabError: there is no such exercise.
    """
    stub = stub_in(language, exercise, texts_of(exercise).stub)
    page = lesson(int(exercise.split(".")[0]), language)
    lines = [
        text("learn.exercise", language, lesson=page.number, number=exercise, title=page.title),
        "",
        *folded(as_comment(page.statements[exercise], language)),
        "",
        *folded(text("learn.page", language, lesson=page.number)),
    ]
    comment = "\n".join(f"# {line}".rstrip() for line in lines)
    return f"{comment}\n\n{stub}"


def as_comment(asked: str, language: Language) -> str:
    """The Markdown of an exercise as plain text beside its stub: no code, which the stub has, no pictures and no LaTeX."""
    asked = re.sub(r"^```.*?^```$\n?|^!\[[^\n]*\)$\n?", "", asked, flags=re.M | re.S)
    asked = re.sub(r"`reslab learn start [\d.]+` (?:gives you|会给您)", text("learn.below", language), asked)
    asked = re.sub(r"(?<![A-Za-z0-9_])\*([^\s*](?:[^*\n]*[^\s*])?)\*(?![A-Za-z0-9_])", r"\1", asked)
    asked = re.sub(r"(?<=[，。；：！？”）]) +", "", asked)
    return re.sub(r"\$+([^$]+)\$+", lambda formula: _plain(formula[1]), asked)


def _plain(latex: str) -> str:
    """A short formula without LaTeX."""
    for pattern, instead in _LATEX.items():
        latex = re.sub(pattern, instead, latex)
    return latex


def folded(asked: str) -> list[str]:
    """Text as lines for a comment: each paragraph folded anew."""
    lines: list[str] = []
    for n, block in enumerate(re.split(r"\n\s*\n", asked.strip())):
        paragraph = " ".join(block.split())
        lines += [""] * (1 + (n > 0))
        for word in _WORDS.findall(paragraph):
            if cell_len(lines[-1] + word.rstrip()) > _WIDTH:
                lines.append("")
            lines[-1] += word
    return lines
