"""Parse a multipart form as it arrives and keep its files in memory: Starlette's parser would put large ones on disk."""

import email.errors
import email.header
import re
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from reslab.serve.limits import Limits, Refused, too_many

_PARAMETER = re.compile(rb';\s*([^=;\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_MOST_FIELDS = 100  # parts that are not files, which are ignored


class Form:
    """Fed by `write`; `files` then holds name and content of every part with a filename."""

    def __init__(self, content_type: str, limits: Limits) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.complete = False
        """Whether the last boundary has arrived."""
        self._limits = limits
        self._file_count = self._field_count = 0
        _, options = parse_options_header(content_type)
        if not options.get(b"boundary"):
            raise Refused(400, "malformed", "the form's content type names no boundary")
        self._parser = _parser(options[b"boundary"], self)
        self._reset()

    def write(self, chunk: bytes) -> None:
        """Parse the next bytes of the body.

        Raises:
            Refused: they are not a form, or there are too many files.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(error) from None

    def part_begins(self) -> None:
        self._reset()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_ends(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._filename = filename(bytes(self._value))
        self._name, self._value = bytearray(), bytearray()

    def headers_end(self) -> None:
        self._file_count += self._filename is not None
        self._field_count += self._filename is None
        if self._file_count > self._limits.max_files:
            raise too_many(self._limits)
        if self._field_count > _MOST_FIELDS:
            raise Refused(400, "malformed", f"the form has more than {_MOST_FIELDS} parts that are not files")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is not None:
            self._content += data[start:end]

    def part_ends(self) -> None:
        if self._filename or self._content:  # an empty file field has neither
            self.files.append((self._filename or "", bytes(self._content)))
        self._reset()

    def ends(self) -> None:
        self.complete = True

    def _reset(self) -> None:
        self._name, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._filename: str | None = None


def filename(disposition: bytes) -> str | None:
    """The file name in a part's header; None where the part is not a file.

    `filename*` (RFC 5987; in pieces, RFC 2231) takes precedence over `filename`, in which encoded words (RFC 2047) are
    decoded: RFC 7578 forbids all of these in forms, but clients send them.
    """
    given = [(key.lower(), value.strip(b'"')) for key, value in _PARAMETER.findall(disposition)]
    pieces = [value for key, value in given if key.startswith(b"filename*")]
    if pieces:
        *charset, text = b"".join(pieces).split(b"'", 2)  # charset'language'text
        return _decoded(unquote_to_bytes(text), b"".join(charset[:1]).decode("latin-1"))
    _, options = parse_options_header(disposition)
    if b"filename" not in options:
        return None
    plain = options[b"filename"].decode("utf-8", "replace")
    try:
        return str(email.header.make_header(email.header.decode_header(plain))) if "=?" in plain else plain
    except (email.errors.MessageError, LookupError, ValueError):
        return plain


def _decoded(text: bytes, charset: str) -> str:
    try:
        return text.decode(charset, "replace")
    except (LookupError, ValueError):  # an unknown charset, or one that is not text
        return text.decode("utf-8", "replace")


def _parser(boundary: bytes, form: Form) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": form.part_begins,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.header_ends,
                "on_headers_finished": form.headers_end,
                "on_part_data": form.data,
                "on_part_end": form.part_ends,
                "on_end": form.ends,
            },
        )
    except FormParserError as error:
        raise _unreadable(error) from None


def _unreadable(error: FormParserError) -> Refused:
    return Refused(400, "malformed", f"the form cannot be read: {str(error).rstrip('.')}")
