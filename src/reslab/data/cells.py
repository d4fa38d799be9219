"""The rows of a CSV or TSV file: encoding, delimiter and quotation marks, none of them guessed silently."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import ResLabError
from reslab.pixels.decode import printable

Row = dict[str, str]

_UTF8 = "save the table as CSV UTF-8"
_SEP = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
"""A first line that tells Excel the delimiter."""
_PUNCTUATION, _COMMON, _RARE = range(0xA1, 0xA4), range(0xB0, 0xD8), range(0xD8, 0xF8)
"""Rows of GB 2312: punctuation and full-width letters; the 3,755 most frequent characters; the 3,008 others."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A table as it is written."""

    fields: tuple[str, ...]
    """The first line."""
    rows: list[tuple[int, Row]]
    """Line number and stripped cells of every row that is not blank; a cell over several lines is left as it is."""
    chinese: bool
    """The text is not UTF-8 and was read as GBK."""

    def over_lines(self, field: str) -> list[int]:
        """Line numbers of the rows whose cell of this column has a line break."""
        return [line for line, row in self.rows if _breaks(row[field])]


def read_cells(path: Path) -> Cells:
    """The rows of a table. UTF-8 (with or without BOM) or plain Chinese GBK; `,` `;` or tab, or what `sep=` says.

    Raises:
        ResLabError: another encoding, a quotation mark that does not close, a column named twice, a row that is longer
            than the first line; the message gives the line.
    """
    text, chinese = _text(path)
    declared = _SEP.match(text)
    text = text[declared.end() :] if declared else text
    heading = re.split("[\r\n]", text, maxsplit=1)[0]
    delimiter = declared[1] if declared else max(",;\t", key=heading.count)
    records = _records(text, delimiter, path, 1 if declared else 0)
    fields = next(records, (1, []))[1]
    _refuse_repeated(fields, path)
    return Cells(tuple(fields), list(_rows(records, fields, delimiter, path)), chinese)


def _records(text: str, delimiter: str, path: Path, before: int) -> Iterator[tuple[int, list[str]]]:
    """The line on which each record begins, and its cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = before + reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            if before + reader.line_num > start or "end of data" in str(error):
                raise _open_quote(path, start) from None
            raise ResLabError(f"{printable(path)}, after line {start - 1}: {error}", _UTF8) from None
        if record is None:
            return
        if record:
            yield start, record


def _breaks(cell: str) -> bool:
    return "\n" in cell or "\r" in cell


def _open_quote(path: Path, line: int, closes: str = "does not close") -> ResLabError:
    """An error, since the rows behind an open quotation mark would be lost."""
    return ResLabError(
        f"{printable(path)}, line {line}: a quotation mark opens here and {closes}",
        'remove it, or write it twice within a quoted cell: "a 5"" plate"',
    )


def refuse_line_breaks(cells: Cells, fields: list[str], path: Path) -> None:
    """Refuse a path or label with a line break: a quotation mark that closes too late has swallowed whole rows."""
    broken = [line for field in fields for line in cells.over_lines(field)]
    if broken:
        raise _open_quote(path, min(broken), "closes on a later line")


def _rows(
    records: Iterator[tuple[int, list[str]]], fields: list[str], delimiter: str, path: Path
) -> Iterator[tuple[int, Row]]:
    for line, record in records:
        if any(cell.strip() for cell in record[len(fields) :]):
            raise ResLabError(
                f"{printable(path)}, line {line}: it has more cells than the first line has names",
                f"quote what contains a {delimiter}",
            )
        record += [""] * (len(fields) - len(record))
        tidy = (cell if _breaks(cell) else cell.strip() for cell in record)
        cells = dict(zip(fields, tidy, strict=False))
        if any(cells.values()):
            yield line, cells


def _refuse_repeated(fields: list[str], path: Path) -> None:
    """Refuse two columns of one name, one of which would be ignored."""
    repeated = [name for name, n in Counter(field.strip() for field in fields).items() if name and n > 1]
    if repeated:
        raise ResLabError(f"{printable(path)}: the first line names {repeated[0]!r} twice", "rename or remove one")


def _text(path: Path) -> tuple[str, bool]:
    """The text, and whether it was read as GBK."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        pass
    text = data.decode("gb2312", "replace")
    if _is_chinese(text):
        return text, True
    raise ResLabError(f"{printable(path)} is neither UTF-8 nor GBK text of frequent Chinese characters", _UTF8)


def _is_chinese(text: str) -> bool:
    """Whether a decoded text is likely to be Chinese: most of its characters are frequent ones.

    Western text decoded as GB 2312 has characters that do not exist there; Russian and Greek text has rare ones.
    """
    if "\ufffd" in text:
        return False
    rows = Counter(c.encode("gb2312")[0] for c in text if not c.isascii())
    common, rare = sum(rows[row] for row in _COMMON), sum(rows[row] for row in _RARE)
    punctuation = sum(rows[row] for row in _PUNCTUATION)
    return common >= rare and common + rare + punctuation == rows.total()
