"""SVG as data: elements, and drawings that are written into a page in both languages or to a file in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from reslab.system.language import reader_language
from reslab.words.phrases import ENGLISH, Phrase, other_languages

Words = str | Phrase
Point = tuple[float, float]

_STYLE = Markup("""
svg { --card: #ffffff; --ink: #1d2329; --quiet: #5c6670; --rule: #e2e0da; --blue: #2a5f9e; --amber: #b4540f; --green: #2f7a4d;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
@media (prefers-color-scheme: dark) { svg { --card: #1b1f23; --ink: #e4e6e8; --quiet: #9aa4ae; --rule: #2d3238;
  --blue: #7fb0e6; --amber: #eda05a; --green: #7cc79a; } }
.card { fill: var(--card); stroke: var(--rule); }
text { fill: var(--ink); font-size: 10px; }
.number { font-size: 9.5px; } .number.over { fill: var(--card); }
.tick, .unit, .mark { fill: var(--quiet); font-size: 9.5px; }
.rule { stroke: var(--rule); } .axis { stroke: var(--quiet); } .rule.dashed { stroke: var(--quiet); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.ink { stroke: var(--ink); } .line.green { stroke: var(--green); }
.line.blue, .line.training { stroke: var(--blue); } .line.amber, .line.validation { stroke: var(--amber); }
.line.validation { stroke-dasharray: 6 3; } .line.third { stroke: var(--green); stroke-dasharray: 2 3; }
.line.steps { stroke: var(--blue); stroke-width: 1; opacity: 0.4; }
.dashed { stroke-dasharray: 3 3; } .line.dashed { stroke-width: 1.2; }
.dot.ink { fill: var(--ink); } .dot.green { fill: var(--green); } .dot.seed { fill-opacity: 0.45; }
.dot.blue, .dot.training { fill: var(--blue); } .dot.amber, .dot.validation { fill: var(--amber); }
.trial.blue { stroke: var(--blue); } .trial.amber { stroke: var(--amber); }
.dot.hollow { fill: var(--card); } .dot.ringed { fill: none; }
.frame { fill: none; stroke: var(--rule); } .plus { fill: var(--ink); } .minus { fill: var(--amber); }
""")
"""The colours of a run's page (`report/palette.css`), as far as files need them."""

_MARGIN, _SCALE = 16, 1.5


@dataclass(frozen=True, slots=True)
class Element:
    """One element of SVG. A phrase must be the only child of its element."""

    tag: str
    children: tuple["Element | Words", ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)

    def markup(self, language: str | None) -> Markup:
        """The element in that language; without one in English, with the other languages as attributes of the page."""
        attributes: dict[str, object] = {}
        for name, value in self.attributes.items():
            attributes[name] = value.text(language or ENGLISH) if isinstance(value, Phrase) else value
            if isinstance(value, Phrase) and language is None:
                attributes |= other_languages(value, name)
        inner = []
        for child in self.children:
            if isinstance(child, Element):
                inner.append(child.markup(language))
                continue
            if isinstance(child, Phrase) and language is None:
                attributes |= other_languages(child)
            inner.append(escape(child.text(language or ENGLISH) if isinstance(child, Phrase) else child))
        given = Markup("").join(Markup(' {}="{}"').format(name, _written(value)) for name, value in attributes.items())
        form = Markup("<{0}{1}>{2}</{0}>") if inner else Markup("<{0}{1}/>")
        return form.format(Markup(self.tag), given, Markup("").join(inner))

    def __html__(self) -> Markup:
        return self.markup(None)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with a title for readers who do not see it."""

    title: Words
    width: float
    height: float
    parts: Sequence[Element]
    desc: Words = ""
    key: str = ""
    """Begins the ids of title and description in a page."""

    def __html__(self) -> Markup:
        """For a page with its own style sheet: both languages."""
        names = [
            element("title", self.title, id=f"{self.key}-title"),
            element("desc", self.desc, id=f"{self.key}-desc"),
        ]
        return element(
            "svg", *names, *self.parts, class_="chart", role="img", viewBox=f"0 0 {self.width:g} {self.height:g}",
            aria_labelledby=f"{self.key}-title {self.key}-desc",
        ).markup(None)  # fmt: skip

    def _repr_svg_(self) -> str:
        """What a notebook shows."""
        return self.file(reader_language())

    def file(self, language: str) -> str:
        """An SVG file in that language, with its own colours, on a card that is legible on any page."""
        width, height = self.width + 2 * _MARGIN, self.height + 2 * _MARGIN
        names = [element("title", self.title), *([element("desc", self.desc)] if self.desc else [])]
        card = element(
            "rect", class_="card", x=1 - _MARGIN, y=1 - _MARGIN, width=width - 2, height=height - 2, rx=8
        )  # fmt: skip
        drawing = element(
            "svg", element("style", _STYLE), *names, card, *self.parts, xmlns="http://www.w3.org/2000/svg", role="img",
            viewBox=f"{-_MARGIN} {-_MARGIN} {width:g} {height:g}", width=round(_SCALE * width),
        )  # fmt: skip
        return str(drawing.markup(language)).replace("><", ">\n<") + "\n"


def element(tag: str, *children: Element | Words, **attributes: object) -> Element:
    """An element; in names of attributes a last underscore is dropped, others are hyphens. Empty values are left out."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items() if value != ""}
    return Element(tag, children, names)


def text(x: float | str, y: float, words: Words, style: str = "", anchor: str = "", **attributes: object) -> Element:
    """Words at a place."""
    return element("text", words, class_=style, x=x, y=y, text_anchor=anchor, **attributes)


def path(style: str, points: Sequence[Point]) -> Element:
    """Straight lines from point to point."""
    return element("path", class_=style, d="M" + "L".join(f"{_written(x)} {_written(y)}" for x, y in points))


def segment(style: str, start: Point, end: Point) -> Element:
    """One straight line."""
    return element("line", class_=style, x1=start[0], y1=start[1], x2=end[0], y2=end[1])


def rect(style: str, x: float, y: float, width: float, height: float, **attributes: object) -> Element:
    """A rectangle."""
    return element("rect", class_=style, x=x, y=y, width=width, height=height, **attributes)


def circle(style: str, centre: Point, radius: float, title: Words = "") -> Element:
    """A circle, with a title that a pointer on it shows."""
    return element(
        "circle", *([element("title", title)] if title else []), class_=style, cx=centre[0], cy=centre[1], r=radius
    )


def _written(value: object) -> str:
    """A coordinate to a tenth of a pixel; anything else as it is."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
