"""A LaTeX formula as MathML that browsers draw as it is meant (MathML Core)."""

import unicodedata
from contextlib import suppress
from xml.etree import ElementTree

from latex2mathml.converter import convert

_SPACE = "http://www.w3.org/1998/Math/MathML"
_BIG = {"∑", "∏", "⋃", "⋂", "⨁"}
_ABOVE_AND_BELOW = {"msubsup": "munderover", "msub": "munder", "msup": "mover"}
_STYLES = {"script": "SCRIPT", "double-struck": "DOUBLE-STRUCK", "bold": "BOLD", "fraktur": "FRAKTUR"}

ElementTree.register_namespace("", _SPACE)


def mathml(latex: str, block: bool) -> str:
    """The formula; as a block, sums have their limits above and below."""
    root = ElementTree.fromstring(convert(latex, display="block" if block else "inline"))
    for element in root.iter():
        tag = element.tag.removeprefix(f"{{{_SPACE}}}")
        if block and tag in _ABOVE_AND_BELOW and element[0].text in _BIG:
            element.tag = f"{{{_SPACE}}}{_ABOVE_AND_BELOW[tag]}"
        style = _STYLES.get(element.get("mathvariant", ""))
        if style and element.text:
            element.text = "".join(_styled(letter, style) for letter in element.text)
            del element.attrib["mathvariant"]
    return ElementTree.tostring(root, encoding="unicode")


def _styled(letter: str, style: str) -> str:
    """The letter of that style in Unicode: browsers know no other mathvariant than `normal`."""
    name = unicodedata.name(letter, "").replace("LATIN ", "").replace(" LETTER", "")
    for each in (f"MATHEMATICAL {style} {name}", f"{style} {name}"):
        with suppress(KeyError):
            return unicodedata.lookup(each)
    return letter
