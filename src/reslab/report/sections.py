"""What differs on the page from task to task: the protocol of a section, and the table of them."""

from typing import Any, Protocol

from reslab.report.folder import Judged, RunFolder
from reslab.report.multi import MultiSection
from reslab.report.single import SingleSection


class Section(Protocol):
    """The part of the page about a task's answers. Words are keys of `reslab.words`."""

    name: str
    curve: str
    """The curve of the score: `curves.{curve}` and `curves.axis.{curve}` are its words."""
    lines: tuple[tuple[str, str], ...]
    """The lines of that curve: style, and field of an epoch's event."""
    noun: str
    """What classes are called where they are counted."""
    remarks: tuple[str, ...]
    """What is said under the heading of the curves."""
    parts: tuple[str, ...]
    """The anchors that the template makes."""
    template: str

    def shown(self, score: float) -> str:
        """The score that counts, or an end of its interval."""

    def heading(self, judged: Judged) -> dict[str, Any]:
        """What stands around the score: its `label`, the `hits`, sentences `against` the baseline, and `tiles`."""

    def view(self, judged: Judged, run: RunFolder) -> dict[str, Any]:
        """What the template shows."""


SECTIONS: dict[str, Section] = {section.name: section for section in (SingleSection(), MultiSection())}
"""Task -> its part of the page."""
