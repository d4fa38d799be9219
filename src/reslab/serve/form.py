"""A multipart form, read as it arrives, its files kept in memory: Starlette's own would put large ones on disk."""

import email.errors
import email.header
import re
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from reslab.serve.limits import Limits, Refused, too_many

_PARAMETER = re.compile(rb';\s*([^=;\s]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_FIELDS = 100  # that are no files, and are not looked at


class Form:
    """Feed it with `write`; then `files` holds a name and content for every part that has a filename."""

    def __init__(self, content_type: str, limits: Limits) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.whole = False
        """Whether its last boundary has come."""
        self._limits = limits
        self._begun = self._fields = 0
        _, options = parse_options_header(content_type)
        if not options.get(b"boundary"):
            raise Refused(400, "malformed", "the form's content type names no boundary")
        self._parser = _parser(options[b"boundary"], self)
        self._forget()

    def write(self, chunk: bytes) -> None:
        """The next bytes of the body.

        Raises:
            Refused: they are no form, or bring too many files.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(error) from None

    def part_begins(self) -> None:
        self._forget()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_ends(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._filename = filename(bytes(self._value))
        self._name, self._value = bytearray(), bytearray()

    def headers_end(self) -> None:
        self._begun += self._filename is not None
        self._fields += self._filename is None
        if self._begun > self._limits.max_files:
            raise too_many(self._limits)
        if self._fields > _FIELDS:
            raise Refused(400, "malformed", f"the form has more than {_FIELDS} parts that are no files")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is not None:
            self._content += data[start:end]

    def part_ends(self) -> None:
        if self._filename or self._content:  # a field of files that was left empty has neither
            self.files.append((self._filename or "", bytes(self._content)))
        self._forget()

    def ends(self) -> None:
        self.whole = True

    def _forget(self) -> None:
        self._name, self._value, self._content = bytearray(), bytearray(), bytearray()
        self._filename: str | None = None


def filename(disposition: bytes) -> str | None:
    """The name of a part's file as its header gives it; None where the part is no file.

    `filename*` (RFC 5987; in pieces, RFC 2231) comes before `filename`, in which encoded words (RFC 2047) are decoded:
    RFC 7578 forbids all of them in forms, and clients send them.
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
    except (LookupError, ValueError):  # no such charset, or one that is none
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
