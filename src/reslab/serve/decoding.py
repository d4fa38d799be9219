"""Pictures are decoded in processes of their own: one that takes too much time or memory is stopped, and harms no other.

Small pictures have a lane with a short time. What is larger, or took longer, goes to a second lane, with the time that
`Limits.decode_seconds` gives and a fixed amount of memory, shared out by the pictures' pixels. Answers are plain bytes:
a process that a hostile file has taken over can give wrong pixels, and nothing else.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from reslab.errors import BadPicture
from reslab.pixels.decode import decode, facts
from reslab.pixels.preprocess import Preprocess
from reslab.serve.limits import Limits, Refused
from reslab.system.machine import default_workers

_SMALL_PIXELS, _SMALL_SECONDS, _SMALL_MEMORY = 2_000_000, 1.0, 64 * 2**20
_QUICK_SECONDS = 0.25
_LARGE_MEMORY = 448 * 2**20  # for all large pictures that are being decoded
_USUAL_PIXEL_BYTES = 8  # of memory for a pixel: four in Pillow, three in the array, parts of copies
_PIXEL_BYTES = {"WEBP": 25, "AVIF": 21, "HEIF": 21}  # libraries with buffers of their own
_SPARE = 24 * 2**20  # beside them, for a decoder's tables
_START_SECONDS, _GRACE = 60.0, 2.0  # a process may take to start; and to go on without its server
_ONE_WRITE = 2**16  # bytes that are sooner copied than sent apart
_LONGEST_REASON, _LONGEST_ANSWER = 10_000, 2**26
_ASK, _ANSWER = struct.Struct("<QIQd"), struct.Struct("<BQ")
_PIXELS, _REASON, _LARGE = range(3)  # what an answer holds
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from reslab.serve.decoding import work; work()"


class Allowance:
    """What the pictures of one request share: turns in the small lane, and the seconds for those that are not quick."""

    def __init__(self, limits: Limits) -> None:
        self.turn = asyncio.Semaphore(default_workers())
        self.seconds = limits.decode_seconds


class Decoders:
    """From files to pixels of the network's input size, in two lanes of processes."""

    def __init__(self, prepare: Preprocess, limits: Limits) -> None:
        self._side, self._seconds = prepare.size, limits.decode_seconds
        self._memory = _Memory(max(_LARGE_MEMORY, limits.max_pixels * _USUAL_PIXEL_BYTES + _SPARE))
        given = json.dumps(sys.path), json.dumps(dataclasses.asdict(prepare)), str(limits.max_pixels)
        self._small = _Lane(
            default_workers() + 1, [*given, str(min(_SMALL_PIXELS, limits.max_pixels))]
        )  # one more than a request's turns
        self._large = _Lane(default_workers(), [*given, str(limits.max_pixels)])

    async def able(self) -> bool:
        """Whether there is a process that takes pictures; tries to start one where the last could not be."""
        return await self._small.able()

    async def read(self, data: bytes, allowance: Allowance, side: int = 0) -> list[np.ndarray]:
        """The picture as the network sees it, uint8 `[size, size, 3]`, and with `side` also at that size.

        Raises:
            BadPicture: it cannot be decoded, or not within its time and memory. Its name is left empty.
            Refused: no process can be started.
        """
        async with allowance.turn:
            try:
                kind, answer = await self._small.ask(data, side, _SMALL_MEMORY, allowance, _SMALL_SECONDS)
            except TimeoutError:
                kind, answer = _LARGE, b""
        if kind == _LARGE:
            async with self._memory.of(max(_SMALL_MEMORY, int.from_bytes(answer, "little"))) as memory:
                try:
                    kind, answer = await self._large.ask(data, side, memory, allowance, self._seconds)
                except TimeoutError:
                    raise BadPicture("", f"it takes longer than {self._seconds:g} seconds to decode") from None
        if kind != _PIXELS:
            raise BadPicture("", answer.decode(errors="replace"))
        squares = np.split(np.frombuffer(answer, np.uint8), [3 * self._side**2])
        return [s.reshape(n, n, 3) for s, n in zip(squares, (self._side, side), strict=True) if n]

    def stop(self) -> None:
        """End the processes."""
        self._small.stop()
        self._large.stop()


class ThreadDecoders:
    """The same in threads, where processes cannot be had (Windows): only the decoder's own deadline holds."""

    def __init__(self, prepare: Preprocess, limits: Limits) -> None:
        self._prepare, self._limits = prepare, limits
        self._threads = ThreadPoolExecutor(default_workers(), thread_name_prefix="reslab-reader")

    async def able(self) -> bool:
        return True

    async def read(self, data: bytes, allowance: Allowance, side: int = 0) -> list[np.ndarray]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, data, side)

    def _read(self, data: bytes, side: int) -> list[np.ndarray]:
        return _prepared(decode(data, "", self._limits.max_pixels, self._limits.decode_seconds), self._prepare, side)

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def decoders(prepare: Preprocess, limits: Limits) -> Decoders | ThreadDecoders:
    """The decoders of this system."""
    return ThreadDecoders(prepare, limits) if sys.platform == "win32" else Decoders(prepare, limits)


class _Lane:
    """Some processes, each of which decodes one picture at a time; who waits is served in order."""

    def __init__(self, count: int, given: list[str]) -> None:
        self._all = [_Process(given) for _ in range(count)]
        self._free: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()  # the last one used is warm
        for process in self._all:
            self._free.put_nowait(process)
        self._starts = False

    async def able(self) -> bool:
        if not self._starts:
            with contextlib.suppress(Refused):
                async with self._process():
                    pass
        return self._starts

    async def ask(
        self, data: bytes, side: int, memory: int, allowance: Allowance, seconds: float
    ) -> tuple[int, bytearray]:
        """The kind and content of the answer.

        Raises:
            TimeoutError: it took longer than `seconds`, or than the request's allowance.
            Refused: no process can be started.
        """
        if allowance.seconds <= 0:
            raise TimeoutError
        async with self._process() as process:
            seconds, begin = min(seconds, max(allowance.seconds, 0.0)), time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    return await process.ask(data, side, memory, seconds)
            except (EOFError, ConnectionError):
                process.stop()
                return _REASON, bytearray(b"its decoder ended unexpectedly")
            except BaseException:
                process.stop()
                raise
            finally:
                spent = time.monotonic() - begin
                allowance.seconds -= spent if spent > _QUICK_SECONDS else 0

    def stop(self) -> None:
        for process in self._all:
            process.stop()

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator["_Process"]:
        process = await self._free.get()
        try:
            try:
                await process.start()
            except (OSError, EOFError, TimeoutError):
                process.stop()
                self._starts = False
                raise Refused(503, "decoders", "no decoder can be started", "try again later", 1) from None
            self._starts = True
            yield process
        finally:
            self._free.put_nowait(process)


class _Process:
    """One process that decodes, and the socket to it."""

    def __init__(self, given: list[str]) -> None:
        self._given = given
        self._child: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None

    async def start(self) -> None:
        """Have it run."""
        if self._child is not None and self._child.poll() is None:
            return
        self.stop()
        self._wire, theirs = socket.socketpair()
        self._wire.setblocking(False)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", _CHILD, *self._given],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libtiff writes there what it likes
                process_group=0,  # Ctrl-C is the server's business
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        async with asyncio.timeout(_START_SECONDS):
            await self._received(1)

    async def ask(self, data: bytes, side: int, memory: int, seconds: float) -> tuple[int, bytearray]:
        assert self._wire is not None
        loop = asyncio.get_running_loop()
        head = _ASK.pack(len(data), side, memory, seconds)
        for part in [head + data] if len(data) < _ONE_WRITE else [head, data]:
            await loop.sock_sendall(self._wire, part)
        kind, size = _ANSWER.unpack(await self._received(_ANSWER.size))
        if size > _LONGEST_ANSWER:
            raise EOFError
        return kind, await self._received(size)

    def stop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._child = self._wire = None

    async def _received(self, size: int) -> bytearray:
        assert self._wire is not None
        data, loop = bytearray(size), asyncio.get_running_loop()
        left = memoryview(data)
        while left:
            count = await loop.sock_recv_into(self._wire, left)
            if not count:
                raise EOFError
            left = left[count:]
        return data


class _Memory:
    """Bytes shared out in the order in which they are asked for."""

    def __init__(self, total: int) -> None:
        self._total = self._left = total
        self._turn, self._changed = asyncio.Lock(), asyncio.Condition()

    @contextlib.asynccontextmanager
    async def of(self, size: int) -> AsyncIterator[int]:
        """So many bytes, or all of them if there are not as many."""
        size = min(size, self._total)
        async with self._turn, self._changed:
            await self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield size
        finally:
            self._left += size
            async with self._changed:
                self._changed.notify_all()


def work() -> None:
    """What a process does until its server closes the socket, which is its standard input."""
    import resource
    import signal

    prepare, most, small = Preprocess(**json.loads(sys.argv[2])), *map(int, sys.argv[3:])
    wire = socket.socket(fileno=0)
    with contextlib.suppress(BadPicture):
        decode(b"", "")  # loads what decoders need
    used, hard = _private_bytes(), resource.getrlimit(resource.RLIMIT_DATA)[1]
    wire.sendall(b"\0")
    while len(head := wire.recv(_ASK.size, socket.MSG_WAITALL)) == _ASK.size:
        length, side, memory, seconds = _ASK.unpack(head)
        signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)  # ends the process where nobody stops it
        if used:
            resource.setrlimit(resource.RLIMIT_DATA, (used + memory + length, hard))
        kind, answer = _answer(wire.recv(length, socket.MSG_WAITALL), prepare, side, most, small)
        signal.setitimer(signal.ITIMER_REAL, 0)
        wire.sendall(_ANSWER.pack(kind, len(answer)) + answer)


def _answer(data: bytes, prepare: Preprocess, side: int, most: int, small: int) -> tuple[int, bytes]:
    try:
        squares = _prepared(decode(data, "", small), prepare, side)
    except BadPicture as error:
        pixels, memory = _needed(data) if small < most else (0, 0)
        if pixels > small:
            return _LARGE, (memory if pixels <= most else 0).to_bytes(8, "little")
        return _REASON, error.reason[:_LONGEST_REASON].encode("utf-8", "backslashreplace")
    return _PIXELS, b"".join(square.tobytes() for square in squares)


def _needed(data: bytes) -> tuple[int, int]:
    """The pixels that the header names, and the bytes to decode them; 0 where it cannot be read."""
    try:
        header = facts(data)
    except Exception:
        return 0, 0
    pixels = header.width * header.height
    return pixels, pixels * _PIXEL_BYTES.get(header.format, _USUAL_PIXEL_BYTES) + _SPARE


def _prepared(whole: np.ndarray, prepare: Preprocess, side: int) -> list[np.ndarray]:
    sides = [prepare.size, side] if side else [prepare.size]
    return [dataclasses.replace(prepare, size=size)(whole) for size in sides]


def _private_bytes() -> int:
    """Of this process; 0 where the system does not say, and memory is not limited."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
