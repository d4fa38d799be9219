"""Read pictures in other processes: for small ones most of the work is in Python, where the GIL lets threads only take turns.

They are started by `subprocess`: `multiprocessing` would import the caller's `__main__` again, without a guard even run it.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from typing import Any, Self

from reslab.data.reader import ChunkResults, Item, Result, map_chunk, map_in_order, parts
from reslab.errors import ResLabError
from reslab.pixels.decode import kept_memory

_CHUNKSIZE = 16  # items that a process is given at a time
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from reslab.data.processes import run_child; run_child()"
)


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """`map(function, items)` in so many processes, in order, a few chunks ahead; function, items and results are pickled.

    Raises:
        ResLabError: a process has ended before its time.
    """
    with ExitStack() as begun:
        free: SimpleQueue[_Child] = SimpleQueue()
        for _ in range(processes):
            free.put(begun.enter_context(_Child(function)))

        def ask(chunk: tuple[int, list[Item]]) -> ChunkResults[Any]:
            child = free.get()
            try:
                return child.ask(chunk[1])
            finally:
                free.put(child)

        for results in map_in_order(ask, parts(items, _CHUNKSIZE), processes, ahead=2 * processes):
            yield from results


class _Child:
    """A process that applies one function to what it is sent."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CHILD, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libtiff writes there
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise ResLabError(
                f"cannot start a process: {error.strerror}", "close other programs and try again"
            ) from None
        self._send(function)

    def ask(self, items: list[Any]) -> ChunkResults[Any]:
        """What the function returns for these items."""
        assert self._process.stdout
        self._send(items)
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._ended() from None

    def _send(self, message: object) -> None:
        assert self._process.stdin
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def _ended(self) -> ResLabError:
        return ResLabError(
            "a process that reads pictures was ended",
            "it may have run out of memory: free some and try again",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        with suppress(OSError):  # what was not sent to a process that has ended
            self._process.communicate()


def run_child() -> None:
    """A process of `map_in_processes`, until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the caller, which ends this
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the results
    with suppress(EOFError, BrokenPipeError), kept_memory(1):
        function = pickle.load(source)
        while True:
            pickle.dump(map_chunk(function, pickle.load(source)), sink)
            sink.flush()
