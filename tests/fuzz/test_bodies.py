"""Bodies of every kind, damaged in every way: a refusal or pictures, never another error, never slow."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Iterator

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from reslab.serve.body import Upload, read_uploads
from reslab.serve.limits import Limits, Refused

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it has something to say of every case
SECONDS = 2.0  # of a processor
LIMITS = Limits(max_bytes=200_000, max_files=8)
KINDS = (
    "multipart/form-data; boundary=b0", "multipart/form-data", "application/json", "application/octet-stream", "image/png",
)  # fmt: skip
_PICTURE = bytes(range(256)) * 3
_TEXT = base64.b64encode(_PICTURE).decode()
_PART = b'--b0\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
GOOD = (
    _PART + _PICTURE + b"\r\n--b0--\r\n",
    _PART.replace(b'"a.png"', b"\"=?utf-8?B?54yrLnBuZw==?=\"; filename*=utf-8''%E7%8C%AB.png") + b"x\r\n--b0--\r\n",
    (_PART + b"y\r\n") * 8 + b"--b0--\r\n",
    json.dumps({"image": _TEXT}).encode(),
    json.dumps({"images": [{"name": "a\\b/猫.png", "data": f"data:image/png;base64,{_TEXT}"}, {"data": _TEXT}]}).encode(),
    _PICTURE,
)  # fmt: skip
PIECES = (
    b"\r\n", b"\r\n--b0", b"--b0--", b"--", b"filename", b"filename*0*=", b"filename*=", b"utf-8''", b"%", b"%E7", b"'", b'"',
    b"\\", b"\\ud800", b"\\u0000", b"[", b"]", b"{", b"}", b",", b":", b"null", b"NaN", b"1e999", b"-", b"9" * 5000, b"\xff\xfe",
    b"\0", b"\xed\xa0\x80", "猫".encode(), b"=?utf-8?B?", b"=?x?q?=80?=", b"?=", b";", b"data:;base64,", b"=",
    b"[" * 3000, b'{"a":' * 2000,
)  # fmt: skip


def check_one(case: tuple[bytes, str, int]) -> None:
    """One body, its kind, and the bytes that come at a time: uploads or `Refused`, soon.

    Raises:
        Exception: any other, or too much time.
    """
    data, kind, cut = case
    begin = time.process_time()
    try:
        files = asyncio.run(_read(data, kind, cut))
    except Refused as refused:
        assert 400 <= refused.status < 500 and refused.message
    else:
        assert 1 <= len(files) <= LIMITS.max_files
        assert all(isinstance(f, Upload) and f.name and f.name.isprintable() and "/" not in f.name for f in files)
        assert sum(len(f.data) for f in files) <= len(data)
    assert time.process_time() - begin < SECONDS


def cases(seed: int) -> Iterator[tuple[bytes, str, int]]:
    """Damaged bodies without end, with their content type and the size of their pieces."""
    draw = np.random.default_rng(seed)
    while True:
        data = bytearray(GOOD[draw.integers(len(GOOD))])
        for _ in range(draw.integers(1, 8)):
            at, end = sorted(draw.integers(0, len(data) + 1, 2).tolist())
            match draw.integers(5):
                case 0:
                    data[at:at] = PIECES[draw.integers(len(PIECES))]
                case 1:
                    del data[at : min(end, at + 40)]
                case 2:
                    data[at : at + 1] = draw.bytes(1)
                case 3:
                    data[at:at] = data[at : min(end, at + 200)] * int(draw.integers(1, 20))
                case _:
                    del data[end:]
        yield bytes(data), str(draw.choice(KINDS)), int(draw.choice([1, 7, 64, 100_000]))


@given(st.integers(0, 2**32))
@settings(max_examples=400, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_no_body_is_more_than_a_refusal(seed):
    check_one(next(cases(seed)))


def test_whole_bodies_are_read():
    """The mutations begin with something that is right."""
    read = [
        len(asyncio.run(_read(data, kind, 50)))
        for data, kind in zip(GOOD, [*KINDS[:1] * 3, *KINDS[2:3] * 2, KINDS[3]], strict=True)
    ]
    assert read == [1, 1, 8, 1, 2, 1]


async def _read(data: bytes, kind: str, cut: int) -> list[Upload]:
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)] or [b""]
    messages = iter(
        [{"type": "http.request", "body": p, "more_body": n < len(pieces)} for n, p in enumerate(pieces, 1)]
    )

    async def receive():
        return next(messages)

    async def aside(work):
        return work()

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", kind.encode())]}
    return await read_uploads(Request(scope, receive), LIMITS, lambda arrived: None, aside)
