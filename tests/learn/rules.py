"""What a page of the course must keep, as functions that return what is wrong. Each is seen failing in `test_rules.py`."""

import re
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from reslab.learn.check import exercises_of
from reslab.learn.course import STATEMENT
from reslab.learn.lesson import lessons

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "lessons"
PAGES = lessons(FOLDER)
LESSONS = [page for page in PAGES if page.name[0].isdigit()]
WORDS, SMALL = 1200, 12

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
SOURCE = re.compile(r"^\*(?:Source: |源码：).*$", re.M)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$]+\$", re.S)
INLINE_CODE = re.compile(r"`([^`\n]*)`")
EXERCISES = re.compile(r"^## (?:Exercises|练习)$", re.M)
DETAILS = re.compile(r"^<details>.*?^</details>", re.M | re.S)
HAN = "[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef“”‘’…—]"

QUOTATION = re.compile(r"“[^”]*”")
YEAR = r"(?:19|20)\d\d"
AUTHOR = re.compile(
    rf"et al\b|等|[A-Z][\w’'-]+ (?:and|&|和|与) [A-Z]\w|\b(?!In|Since|From|Until)[A-Z][\w’'-]+,? ?[(（]?{YEAR}"
)
NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
SAID = re.compile(rf"(?<![A-Za-z\d_.,])(?<![A-Za-z]-)(?:{NUMBER})")
SHOWN = re.compile(rf"\d+(?:\.\d*)?e[+-]?\d+|\d+(?:_\d{{3}})+|{NUMBER}")
PLACE = re.compile(
    r"\*\*\d+\.\d+\*\*|\b(?:lesson|exercise)s? \d+(?:\.\d+)?(?:(?:,| and| to) \d+(?:\.\d+)?)*|第 ?\d+ ?课|练习 ?\d+(?:\.\d+)?",
    re.I,
)
"""A lesson or an exercise, by its number."""


class Term(NamedTuple):
    """A row of TERMS.md."""

    en: str
    zh: str
    lesson: int | None


class Part(NamedTuple):
    """A paragraph, or a fence with what is in it."""

    fence: str | None
    text: str


def read(page):
    return page.read_text(encoding="utf-8")


def number_of(page):
    return int(page.stem.split("-")[0])


def parts(text):
    """A page in paragraphs and fences, without the lines that the runner writes."""
    at, found = 0, []
    text = SOURCE.sub("", text)
    for fence in FENCE.finditer(text):
        found += [Part(None, each) for each in re.split(r"\n{2,}", text[at : fence.start()].strip()) if each]
        found.append(Part(fence[1], fence[2]))
        at = fence.end()
    return found + [Part(None, each) for each in re.split(r"\n{2,}", text[at:].strip()) if each]


def plain(text):
    """Prose without formulas, inline code, tags, addresses and numbers of lessons and exercises."""
    text = FORMULA.sub(" ", re.sub(r"\]\([^)]*\)", "]", text))
    return PLACE.sub(" ", INLINE_CODE.sub(" ", re.sub(r"<[^>]+>", " ", text)))


def prose(text):
    return "\n\n".join(plain(part.text) for part in parts(text) if part.fence is None)


def too_long(text):
    words = [word for word in prose(text).split() if re.search(r"\w", word)]
    return [f"{len(words)} words"] if len(words) > WORDS else []


def wrapped(text):
    """Lines of Chinese that go on in the next line of the source."""
    faults = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        lines = token.content.split("\n") if token.type == "inline" else []
        pairs = [(a, b) for a, b in zip(lines, lines[1:], strict=False) if re.search(HAN, a[-1:] + b[:1])]
        faults += [f"{before[-10:]} / {after[:10]}" for before, after in pairs]
    return faults


def impolite(text):
    return re.findall(r".{0,6}你.{0,6}", text)


def strange_names(text):
    """Names in backticks beside a quote that do not occur in it."""
    found, faults = parts(text), []
    for n, part in enumerate(found):
        beside = [each for each in (*found[max(0, n - 1) : n], *found[n + 1 : n + 2]) if each.fence is not None]
        if part.fence is None and any("quote=" in each.fence for each in beside):
            shown = set(re.findall(r"\w+", " ".join(f"{each.fence} {each.text}" for each in beside)))
            names = [name for code in INLINE_CODE.findall(part.text) for name in re.findall(r"[A-Za-z_]\w*", code)]
            faults += [name for name in names if name not in shown]
    return faults


def values(text):
    return {Decimal(number.replace(",", "").replace("_", "")) for number in SHOWN.findall(text)}


def sentences(text):
    text = " ".join(text.replace("et al.", "et al").split())
    return re.split(r"(?<=[.!?]) (?=\W*[A-Z])|(?<=[。！？])", text)


def unproven_numbers(text, given=""):
    """Numbers in prose that no block shows, that come from no paper, and that are neither small nor a year.

    A block proves the numbers of the paragraphs below it and of the one directly above it; in the opening, where the question
    is asked, and in the exercises any block of the page does. Headings and quotations (“…”) are not looked at.

    Args:
        given: what exercises may also name: their stubs.
    """
    seen, faults, found = set(), [], parts(text)
    everywhere = set().union(*(values(part.text) for part in found if part.fence is not None))
    opening, exercises = True, False
    for part, after in zip(found, [*found[1:], Part(None, "")], strict=True):
        if part.fence is not None:
            seen |= values(part.text)
        elif part.text.startswith("## "):
            opening, exercises = False, exercises or EXERCISES.match(part.text)
        if part.fence is not None or part.text.startswith("#"):
            continue
        proven = (
            everywhere if opening or exercises else seen | (values(after.text) if after.fence is not None else set())
        )
        for sentence in sentences(QUOTATION.sub(" ", plain(part.text))):
            if re.search(YEAR, sentence) and AUTHOR.search(sentence):
                continue
            said = [number.replace(",", "") for number in SAID.findall(sentence) if not re.fullmatch(YEAR, number)]
            known = proven | values(given) if exercises else proven
            faults += [n for n in said if Decimal(n) not in known and not (n.isdigit() and int(n) <= SMALL)]
    return faults


def terms(table):
    """The rows of TERMS.md: English, Chinese, also called, the lesson that defines it, a note."""
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\|.*\|$", table, re.M)]
    assert all(len(row) == 5 for row in rows), [row for row in rows if len(row) != 5]
    return [Term(row[0], row[1], int(row[3]) if row[3] else None) for row in rows[2:]]


def spelling(word):
    """English words may be in the plural."""
    return rf"\b{re.escape(word)}(?:s|es)?\b" if word.isascii() else re.escape(word)


def undefined(course, number, language, table):
    """Terms of a lesson that it does not define in italics, or that were used twice before.

    Args:
        course: number of a lesson -> its text, in one language.
        table: all terms; of several that fit a place the longest is meant.
    """
    words = {(row.en if language == "en" else row.zh): row.lesson for row in table}
    anyone = re.compile("|".join(spelling(word) for word in sorted(words, key=len, reverse=True)), re.I)
    before = {
        at: re.sub(r"^#.*$|!?\[[^\]]*\]", " ", prose(text), flags=re.M)
        for at, text in sorted(course.items())
        if at <= number
    }
    faults = []
    for word in [word for word, lesson in words.items() if lesson == number]:
        wanted = spelling(word)
        if not re.search(rf"(?<!\*)\*{wanted}\*(?!\*)", before[number], re.I):
            faults.append(f"{word} is not defined")
            continue
        uses = [
            (at, text[m.start() - 1 : m.start()] == text[m.end() : m.end() + 1] == "*")
            for at, text in before.items()
            for m in anyone.finditer(text)
            if re.fullmatch(wanted, m[0], re.I)
        ]
        early = [at for at, _ in uses[: next(n for n, (_, italic) in enumerate(uses) if italic)]]
        if len(early) > 1 and len(word) > 1:  # a single 字 is part of many words
            faults.append(f"{word} is used before it is defined, in lessons {sorted(set(early))}")
    return faults


def unmatched_exercises(text, number):
    """Every finished lesson has four exercises, three and a bug hunt, and each is judged by a program."""
    asked = [found[1] for found in STATEMENT.finditer(text)]
    wanted = [f"{number}.{k}" for k in range(1, 5)]
    judged = [each.number for each in exercises_of(number)]
    return [f"the page has {asked}, the bank {judged}"] if not asked == judged == wanted else []


def unchecked_answers(text):
    """Each exercise is followed by an answer that ends with its check, and passes."""
    faults = []
    for asked in STATEMENT.finditer(text):
        answer = DETAILS.match(text, asked.end())
        blocks = FENCE.findall(answer[0]) if answer else []
        checked = any(f'check("{asked[1]}"' in code for kind, code in blocks if kind == "python")
        if not (checked and any(re.search(rf"^{asked[1]} ✔", code, re.M) for kind, code in blocks if kind == "text")):
            faults.append(asked[1])
    return faults
