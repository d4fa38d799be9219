"""From a request's body to named files, in memory only: multipart, raw bytes, or base64 in JSON."""

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

Aside = Callable[[Callable[[], Any]], Awaitable[Any]]

KINDS = "multipart/form-data, image/*, application/octet-stream or application/json"
"""The content types that a body may have."""

_LONGEST_NAME = 200
_MARKS = 256  # of JSON's structure, or bytes that are not ASCII, for every picture that may come
_ESCAPED = 16  # one byte in so many may be a backslash: base64 has line breaks (2 in 60) or `\/` (1 in 64)
_NO_MARKS = bytes(set(range(128)) - set(b'{[":,'))
_SHAPE = '{"images": [{"name": "a.jpg", "data": "<base64>"}]} or {"image": "<base64>"}'


@dataclass(frozen=True, slots=True)
class Upload:
    """One file as it was sent."""

    name: str
    data: bytes


async def read_uploads(request: Request, limits: Limits, count: Callable[[int], None], aside: Aside) -> list[Upload]:
    """The files that a request brings.

    Args:
        count: hears of every byte that arrives, and refuses when there are too many.
        aside: does what takes a while in a thread.

    Raises:
        Refused: no body, another content type, too large, too many files, too slow, or not what it says it is.
    """
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/octet-stream", "application/json") and not _is_image(kind):
        raise Refused(415, "content-type", f"the content type {printable(kind)[:80]} is not read here", f"send {KINDS}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "content-encoding", "a body with a Content-Encoding is not read here", "send it as it is")
    if _declared(request) > limits.max_bytes:
        raise too_large(limits)
    body = _Body(request, count)
    try:
        async with asyncio.timeout(limits.timeout):
            if kind == "multipart/form-data":
                files = await _from_form(request, body, limits)
            elif kind == "application/json":
                document = await _measured(body, limits)
                files = await aside(lambda: _from_json(document, limits)) if document else []
            else:
                files = [Upload(_unnamed(0), b"".join([chunk async for chunk in body.chunks()]))]
    except TimeoutError:
        raise Refused(408, "slow", f"the body did not arrive within {limits.timeout:g} seconds") from None
    if not body.size:
        raise Refused(400, "empty", "the body is empty", f"send {KINDS}")
    if not files:
        raise Refused(422, "no-file", "the form holds no file", "give each picture as a part with a filename")
    return files


def harmless(name: str) -> str:
    """The last part of a file name as someone sent it, printable and short: never a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(c if c.isprintable() else "_" for c in printable(last)).strip()[-_LONGEST_NAME:]
    return "picture" if plain in ("", ".", "..") else plain


class _Body:
    """The stream of a request, counted."""

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
    if body.size and not form.whole:
        raise Refused(400, "malformed", "the form is cut short", "its last boundary is missing")
    return [Upload(harmless(name), data) for name, data in form.files]


async def _measured(body: _Body, limits: Limits) -> bytes:
    """A JSON body that is quick to parse, whatever it holds: the parser cannot be stopped."""
    chunks, marks, escapes = [], 0, 0
    async for chunk in body.chunks():
        chunks.append(chunk)
        marks += len(chunk.translate(None, _NO_MARKS))
        escapes += chunk.count(b"\\")
        most = _MARKS * (limits.max_files + 1)
        if marks > most or escapes > most + body.size // _ESCAPED:
            raise Refused(
                413, "too-many-files", f"the JSON has more parts than {limits.max_files} pictures", f"send {_SHAPE}"
            )
    return b"".join(chunks)


def _from_json(data: bytes, limits: Limits) -> list[Upload]:
    """Numbers, which the form does not have, are not computed."""
    try:
        document = json.loads(data, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing)
    except (ValueError, RecursionError):
        raise Refused(400, "malformed", "the body is not JSON", f"send {_SHAPE}") from None
    images = _images(document)
    if len(images) > limits.max_files:
        raise too_many(limits)
    return [Upload(name, _from_base64(text, number)) for number, (name, text) in enumerate(images)]


def _images(document: Any) -> list[tuple[str, str]]:
    """Name and text of each picture."""
    if isinstance(document, dict):
        if document.keys() == {"image"} and isinstance(document["image"], str):
            return [(_unnamed(0), document["image"])]
        if document.keys() == {"images"} and isinstance(document["images"], list) and document["images"]:
            return [_image(item, number) for number, item in enumerate(document["images"])]
    raise Refused(422, "malformed", "the JSON is not of the form that is read here", f"send {_SHAPE}")


def _image(item: Any, number: int) -> tuple[str, str]:
    if isinstance(item, dict) and item.keys() <= {"name", "data"} and isinstance(item.get("data"), str):
        name = item.get("name", _unnamed(number))
        if isinstance(name, str):
            return harmless(name), item["data"]
    raise Refused(422, "malformed", f"images[{number}] is not of the form that is read here", f"send {_SHAPE}")


def _from_base64(text: str, number: int) -> bytes:
    """The bytes of one picture; a `data:` URL counts by what follows its comma."""
    head, comma, rest = text.partition(",")
    try:
        if comma:
            if not head.startswith("data:") or not head.endswith(";base64"):
                raise ValueError
            text = rest
        return base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except ValueError:  # binascii.Error is one
        raise Refused(422, "malformed", f"picture {number} is not base64", "data: URLs must be base64 too") from None


def _nothing(number: str) -> None:
    return None


def _is_image(kind: str) -> bool:
    return kind.startswith("image/") and len(kind) > len("image/")


def _declared(request: Request) -> int:
    """The length that the request promises; the server has checked that it is a number."""
    return int(request.headers.get("content-length", 0))


def _unnamed(number: int) -> str:
    """What `predict` calls the contents of a file."""
    return f"<bytes {number}>"
