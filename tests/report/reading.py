"""Reads a page as a browser would, far enough for the tests."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input", "hr"}
UNSEEN = {"style", "script"}


class Page(HTMLParser):
    """Elements with attributes, the text that shows, tables as rows of cells, and whether every element is closed."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.tables, self.open, self.faults, self.scripts = [], {}, [], [], []
        self._texts = []
        self.feed(html)
        self.faults += self.open

    @property
    def text(self):
        """What shows in English, spaces of all kinds as one."""
        return " ".join("".join(self._texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = self.tables.setdefault(f"{dict(attrs).get('class', '').split(' ')[0]}{len(self.tables)}", [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        if UNSEEN & set(self.open):
            return
        self._texts.append(data)
        if {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data

    def table(self, kind):
        """The rows of the first table of that class, header included."""
        return next(rows for name, rows in self.tables.items() if name.rstrip("0123456789") == kind)
