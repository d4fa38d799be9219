"""Decode pictures in separate processes: one that takes too much time or memory is killed, and affects no other.

Small pictures go to a pool with a short time limit. Larger ones, and those that took longer, go to a second pool, with
the time `Limits.decode_seconds` and a fixed amount of memory, shared in proportion to their pixels. Responses are plain
bytes: a process that a hostile file has taken over can return wrong pixels, and nothing else.
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
from reslab.pixels.decode import decode, decode_image, facts
from reslab.pixels.preprocess import Decoded, Preprocess
from reslab.serve.limits import Limits, Refused
from reslab.system.machine import default_workers, keep_freed_memory

_SMALL_PIXELS, _SMALL_SECONDS, _SMALL_MEMORY = 2_000_000, 1.0, 64 * 2**20
_QUICK_SECONDS = 0.25  # a decoding up to this long is not charged to the budget
KEPT_BYTES = 2**20
"""Freed blocks that are larger go back to the system: a large request must not leave its memory to the next."""

_LARGE_MEMORY = 448 * 2**20  # for all large pictures that are being decoded
_USUAL_PIXEL_BYTES = 8  # of memory for a pixel: four in Pillow, three in the array, parts of copies
_PIXEL_BYTES = {"WEBP": 25, "AVIF": 21, "HEIF": 21}  # libraries with buffers of their own
_SPARE = 24 * 2**20  # in addition, for a decoder's tables
_START_SECONDS, _GRACE = 60.0, 2.0  # for a process to start, and to outlive its deadline without its server
_ONE_WRITE = 2**16  # bytes that are faster to copy than to send separately
_LONGEST_REASON, _LONGEST_RESPONSE = 10_000, 2**26
_REQUEST, _RESPONSE = struct.Struct("<QIQd"), struct.Struct("<BQ")
_PIXELS, _REASON, _LARGE = range(3)  # kinds of a response
_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from reslab.serve.decoding import run_worker; run_worker()"


class DecodingBudget:
    """Shared by the pictures of one request: slots in the small pool, and the seconds for pictures that are slow."""

    def __init__(self, limits: Limits, cores: int | None = None) -> None:
        self.slots = asyncio.Semaphore(cores or default_workers())
        self.seconds = limits.decode_seconds


class Decoders:
    """Decode files to pixels of the network's input size, in two pools of processes."""

    def __init__(self, prepare: Preprocess, limits: Limits, cores: int | None = None) -> None:
        """`cores`: processors to count on; by default all of them."""
        cores = cores or default_workers()
        self._side, self._seconds = prepare.size, limits.decode_seconds
        self._memory = _Memory(max(_LARGE_MEMORY, limits.max_pixels * _USUAL_PIXEL_BYTES + _SPARE))
        arguments = json.dumps(sys.path), json.dumps(dataclasses.asdict(prepare)), str(limits.max_pixels)
        small = str(min(_SMALL_PIXELS, limits.max_pixels))
        self._small = _Pool(cores + 1, [*arguments, small])  # one more than a request's slots
        self._large = _Pool(cores, [*arguments, str(limits.max_pixels)])

    async def is_ready(self) -> bool:
        """Whether a process can decode; tries to start one where the last attempt failed."""
        return await self._small.is_ready()

    async def read(self, data: bytes, budget: DecodingBudget, side: int = 0) -> list[np.ndarray]:
        """The picture at the network's input size, uint8 `[size, size, 3]`, and with `side` also at that size.

        Raises:
            BadPicture: it cannot be decoded, or not within its time and memory. Its name is left empty.
            Refused: no process can be started.
        """
        async with budget.slots:
            try:
                kind, content = await self._small.request(data, side, _SMALL_MEMORY, budget, _SMALL_SECONDS)
            except TimeoutError:
                kind, content = _LARGE, b""
        if kind == _LARGE:
            async with self._memory.reserve(max(_SMALL_MEMORY, int.from_bytes(content, "little"))) as memory:
                try:
                    kind, content = await self._large.request(data, side, memory, budget, self._seconds)
                except TimeoutError:
                    raise BadPicture("", f"it takes longer than {self._seconds:g} seconds to decode") from None
        if kind != _PIXELS:
            raise BadPicture("", content.decode(errors="replace"))
        squares = np.split(np.frombuffer(content, np.uint8), [3 * self._side**2])
        return [s.reshape(n, n, 3) for s, n in zip(squares, (self._side, side), strict=True) if n]

    def stop(self) -> None:
        """End the processes."""
        self._small.stop()
        self._large.stop()


class ThreadDecoders:
    """The same in threads, for Windows: only the decoder's own deadline holds."""

    def __init__(self, prepare: Preprocess, limits: Limits, cores: int | None = None) -> None:
        self._prepare, self._limits = prepare, limits
        self._threads = ThreadPoolExecutor(cores or default_workers(), thread_name_prefix="reslab-reader")

    async def is_ready(self) -> bool:
        return True

    async def read(self, data: bytes, budget: DecodingBudget, side: int = 0) -> list[np.ndarray]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, data, side)

    def _read(self, data: bytes, side: int) -> list[np.ndarray]:
        return _resize(
            decode_image(data, "", self._limits.max_pixels, self._limits.decode_seconds), self._prepare, side
        )

    def stop(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def create_decoders(prepare: Preprocess, limits: Limits, cores: int) -> Decoders | ThreadDecoders:
    """The decoders for this operating system."""
    return ThreadDecoders(prepare, limits, cores) if sys.platform == "win32" else Decoders(prepare, limits, cores)


class _Pool:
    """Processes that decode one picture at a time each, in the order of the requests."""

    def __init__(self, count: int, arguments: list[str]) -> None:
        self._all = [_Process(arguments) for _ in range(count)]
        self._free: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()  # the last one used is warm
        for process in self._all:
            self._free.put_nowait(process)
        self._ready = False

    async def is_ready(self) -> bool:
        if not self._ready:
            with contextlib.suppress(Refused):
                async with self._process():
                    pass
        return self._ready

    async def request(
        self, data: bytes, side: int, memory: int, budget: DecodingBudget, seconds: float
    ) -> tuple[int, bytearray]:
        """Kind and content of the response.

        Raises:
            TimeoutError: it took longer than `seconds`, or than the request's budget.
            Refused: no process can be started.
        """
        if budget.seconds <= 0:
            raise TimeoutError
        async with self._process() as (process, begin):
            seconds = min(seconds, max(budget.seconds, 0.0))
            try:
                async with asyncio.timeout(seconds):
                    return await process.request(data, side, memory, seconds)
            except (EOFError, ConnectionError):
                process.stop()
                return _REASON, bytearray(b"its decoder ended unexpectedly")
            except BaseException:
                process.stop()
                raise
            finally:
                spent = time.monotonic() - begin
                budget.seconds -= spent if spent > _QUICK_SECONDS else 0

    def stop(self) -> None:
        for process in self._all:
            process.stop()

    @contextlib.asynccontextmanager
    async def _process(self) -> AsyncIterator[tuple["_Process", float]]:
        """A process that is running, and when it was this request's: a process that must be started costs its budget."""
        process = await self._free.get()
        begin = time.monotonic()
        try:
            try:
                await process.start()
            except (OSError, EOFError, TimeoutError):
                process.stop()
                self._ready = False
                raise Refused(503, "decoders", "no decoder can be started", "try again later", 1) from None
            self._ready = True
            yield process, begin
        finally:
            self._free.put_nowait(process)


class _Process:
    """One decoding process and the socket to it."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments
        self._child: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None

    async def start(self) -> None:
        """Start the process unless it is running."""
        if self._child is not None and self._child.poll() is None:
            return
        self.stop()
        self._wire, theirs = socket.socketpair()
        self._wire.setblocking(False)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", _CHILD, *self._arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # libtiff writes there
                process_group=0,  # Ctrl-C is for the server alone
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        async with asyncio.timeout(_START_SECONDS):
            await self._receive(1)

    async def request(self, data: bytes, side: int, memory: int, seconds: float) -> tuple[int, bytearray]:
        assert self._wire is not None
        loop = asyncio.get_running_loop()
        head = _REQUEST.pack(len(data), side, memory, seconds)
        for part in [head + data] if len(data) < _ONE_WRITE else [head, data]:
            await loop.sock_sendall(self._wire, part)
        kind, size = _RESPONSE.unpack(await self._receive(_RESPONSE.size))
        if size > _LONGEST_RESPONSE:
            raise EOFError
        return kind, await self._receive(size)

    def stop(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._child = self._wire = None

    async def _receive(self, size: int) -> bytearray:
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
    """A budget of bytes, granted in the order of the requests."""

    def __init__(self, total: int) -> None:
        self._total = self._left = total
        self._turn, self._changed = asyncio.Lock(), asyncio.Condition()

    @contextlib.asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[int]:
        """Reserve this many bytes, at most the total."""
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


def run_worker() -> None:
    """The main loop of a decoding process, until the server closes the socket, which is its standard input."""
    import resource
    import signal

    keep_freed_memory(KEPT_BYTES)
    prepare, max_pixels, small = Preprocess(**json.loads(sys.argv[2])), *map(int, sys.argv[3:])
    wire = socket.socket(fileno=0)
    with contextlib.suppress(BadPicture):
        decode(b"", "")  # imports the decoders
    used, hard = _private_bytes(), resource.getrlimit(resource.RLIMIT_DATA)[1]
    wire.sendall(b"\0")
    while len(head := wire.recv(_REQUEST.size, socket.MSG_WAITALL)) == _REQUEST.size:
        length, side, memory, seconds = _REQUEST.unpack(head)
        signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)  # ends the process where the server does not
        if used:
            resource.setrlimit(resource.RLIMIT_DATA, (used + memory + length, hard))
        kind, content = _respond(wire.recv(length, socket.MSG_WAITALL), prepare, side, max_pixels, small)
        signal.setitimer(signal.ITIMER_REAL, 0)
        wire.sendall(_RESPONSE.pack(kind, len(content)) + content)


def _respond(data: bytes, prepare: Preprocess, side: int, max_pixels: int, small: int) -> tuple[int, bytes]:
    try:
        squares = _resize(decode_image(data, "", small), prepare, side)
    except BadPicture as error:
        pixels, memory = _estimate_cost(data) if small < max_pixels else (0, 0)
        if pixels > small:
            return _LARGE, (memory if pixels <= max_pixels else 0).to_bytes(8, "little")
        return _REASON, error.reason[:_LONGEST_REASON].encode("utf-8", "backslashreplace")
    return _PIXELS, b"".join(square.tobytes() for square in squares)


def _estimate_cost(data: bytes) -> tuple[int, int]:
    """The number of pixels by the header, and of bytes to decode them; 0 where it cannot be read."""
    try:
        header = facts(data)
    except Exception:
        return 0, 0
    pixels = header.width * header.height
    return pixels, pixels * _PIXEL_BYTES.get(header.format, _USUAL_PIXEL_BYTES) + _SPARE


def _resize(whole: Decoded, prepare: Preprocess, side: int) -> list[np.ndarray]:
    sides = [prepare.size, side] if side else [prepare.size]
    return [dataclasses.replace(prepare, size=size)(whole) for size in sides]


def _private_bytes() -> int:
    """The private memory of this process; 0 where the system does not report it, and memory is not limited."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
