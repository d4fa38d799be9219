"""Read the named files of a request's body in memory: multipart, raw bytes, or base64 in JSON."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from reslab.pixels.decode import printable
from reslab.serve.form import Form
from reslab.serve.limits import Limits, Refused, too_large, too_many

RunInThread = Callable[[Callable[[], Any]], Awaitable[Any]]

CONTENT_TYPES = "multipart/form-data, image/*, application/octet-stream or application/json"
"""The content types that a body may have."""

_LONGEST_NAME = 200
_MARKS = 256  # structural or non-ASCII bytes of JSON for each picture of the limit
_ESCAPED = 16  # one byte in this many may be a backslash: base64 has line breaks (2 in 60) or `\/` (1 in 64)
_NO_MARKS = bytes(set(range(128)) - set(b'{[":,'))
_SHAPE = '{"images": [{"name": "a.jpg", "data": "<base64>"}]} or {"image": "<base64>"}'


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a request."""

    name: str
    data: bytes


async def read_uploads(
    request: Request, limits: Limits, count: Callable[[int], None], run_in_thread: RunInThread
) -> list[Upload]:
    """The files of a request.

    Args:
        count: is called with the size of each chunk that arrives, and refuses when there are too many bytes.
        run_in_thread: runs what would block the event loop.

    Raises:
        Refused: no body, an unsupported type, too large, too many files, too slow, or malformed.
    """
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/octet-stream", "application/json") and not _is_image(kind):
        raise Refused(
            415, "content-type", f"the content type {printable(kind)[:80]} is not supported", f"send {CONTENT_TYPES}"
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "content-encoding", "a Content-Encoding is not supported", "send the body without one")
    if int(request.headers.get("content-length", 0)) > limits.max_bytes:  # the HTTP parser has checked the number
        raise too_large(limits)
    body, document, files = _Body(request, count), b"", []
    try:
        async with asyncio.timeout(limits.timeout):
            if kind == "multipart/form-data":
                files = await _from_form(request, body, limits)
            elif kind == "application/json":
                document = await _read_json(body, limits, _MARKS * (limits.max_files + 1))
            else:
                files = [Upload(_default_name(0), b"".join([chunk async for chunk in body.chunks()]))]
    except TimeoutError:
        raise _slow(limits) from None
    if document:  # parsed outside the deadline, which is the client's
        files = await run_in_thread(lambda: _from_json(document, limits))
    if not body.size:
        raise Refused(400, "empty", "the body is empty", f"send {CONTENT_TYPES}")
    if not files:
        raise Refused(422, "no-file", "the form holds no file", "send each picture as a part with a filename")
    return files


async def read_document(
    request: Request, limits: Limits, count: Callable[[int], None], run_in_thread: RunInThread, marks: int
) -> Any:
    """The JSON document in a body, its numbers as None.

    Args:
        marks: how many structural or non-ASCII bytes it may have.

    Raises:
        Refused: it is too large, too slow, or not JSON.
    """
    try:
        async with asyncio.timeout(limits.timeout):
            data = await _read_json(_Body(request, count), limits, marks)
    except TimeoutError:
        raise _slow(limits) from None
    return await run_in_thread(lambda: _parsed(data))


def sanitize_name(name: str) -> str:
    """The last component of a file name that a client sent, printable and short: never a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(c if c.isprintable() else "_" for c in printable(last)).strip()[-_LONGEST_NAME:]
    return "picture" if plain in ("", ".", "..") else plain


class _Body:
    """The stream of a request; counts its bytes."""

    def __init__(self, request: Request, count: Callable[[int], None]) -> None:
        self._request, self._count = request, count
        self.size = 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self._request.stream():
            self._count(len(chunk))
            self.size += len(chunk)
            yield chunk


async def _from_form(request: Request, body: _Body, limits: Limits) -> list[Upload]:
    form = Form(request.headers["content-type"], limits)
    async for chunk in body.chunks():
        form.write(chunk)
    if body.size and not form.complete:
        raise Refused(400, "malformed", "the form is incomplete", "its last boundary is missing")
    return [Upload(sanitize_name(name), data) for name, data in form.files]


async def _read_json(body: _Body, limits: Limits, most: int) -> bytes:
    """A JSON body that is quick to parse, whatever its content: the parser cannot be interrupted."""
    chunks, marks, escapes = [], 0, 0
    async for chunk in body.chunks():
        chunks.append(chunk)
        marks += len(chunk.translate(None, _NO_MARKS))
        escapes += chunk.count(b"\\")
        if marks > most or escapes > most + body.size // _ESCAPED:
            raise Refused(
                413, "too-many-files", f"the JSON has more parts than {limits.max_files} pictures", f"send {_SHAPE}"
            )
    return b"".join(chunks)


def _from_json(data: bytes, limits: Limits) -> list[Upload]:
    """The files in a JSON body."""
    images = _images(_parsed(data))
    if len(images) > limits.max_files:
        raise too_many(limits)
    return [Upload(name, decode_base64(text, number)) for number, (name, text) in enumerate(images)]


def _parsed(data: bytes) -> Any:
    """A JSON document. Numbers, which valid bodies do not need, are not parsed."""
    try:
        return json.loads(data, parse_int=_ignore, parse_float=_ignore, parse_constant=_ignore)
    except (ValueError, RecursionError):
        raise Refused(400, "malformed", "the body is not JSON", f"send {_SHAPE}") from None


def _images(document: Any) -> list[tuple[str, str]]:
    """Name and base64 text of each picture."""
    if isinstance(document, dict):
        if document.keys() == {"image"} and isinstance(document["image"], str):
            return [(_default_name(0), document["image"])]
        if document.keys() == {"images"} and isinstance(document["images"], list) and document["images"]:
            return [_image(item, number) for number, item in enumerate(document["images"])]
    raise Refused(422, "malformed", "the JSON does not have the expected form", f"send {_SHAPE}")


def _image(item: Any, number: int) -> tuple[str, str]:
    if isinstance(item, dict) and item.keys() <= {"name", "data"} and isinstance(item.get("data"), str):
        name = item.get("name", _default_name(number))
        if isinstance(name, str):
            return sanitize_name(name), item["data"]
    raise Refused(422, "malformed", f"images[{number}] does not have the expected form", f"send {_SHAPE}")


def decode_base64(text: str, number: int) -> bytes:
    """The bytes of one picture, from base64 or a `data:` URL of it."""
    head, comma, rest = text.partition(",")
    try:
        if comma:
            if not head.startswith("data:") or not head.endswith(";base64"):
                raise ValueError
            text = rest
        return base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except ValueError:  # binascii.Error is one
        raise Refused(422, "malformed", f"picture {number} is not base64", "data: URLs must be base64 too") from None


def _slow(limits: Limits) -> Refused:
    return Refused(408, "slow", f"the body did not arrive within {limits.timeout:g} seconds")


def _ignore(number: str) -> None:
    return None


def _is_image(kind: str) -> bool:
    return kind.startswith("image/") and len(kind) > len("image/")


def _default_name(number: int) -> str:
    """The name that `predict` gives to bytes."""
    return f"<bytes {number}>"
