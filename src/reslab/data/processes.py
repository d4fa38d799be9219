"""Read pictures in processes of their own: what Python does for a small picture, threads of one process do in turns.

The processes are started by themselves, not by `multiprocessing`: that would import the caller's main program again.
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

from reslab.data.reader import Answers, Item, Result, apply, map_in_order, parts
from reslab.errors import ResLabError
from reslab.pixels.decode import kept_memory

_GROUP = 16  # items that a process is given at a time
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from reslab.data.processes import run_child; run_child()"
)


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[Result]:
    """`map(function, items)` in so many processes, in order, a few groups ahead; everything is pickled.

    Raises:
        ResLabError: a process has ended before its time.
    """
    with ExitStack() as begun:
        free: SimpleQueue[_Child] = SimpleQueue()
        for _ in range(processes):
            free.put(begun.enter_context(_Child(function)))

        def ask(group: tuple[int, list[Item]]) -> Answers[Any]:
            child = free.get()
            try:
                return child.ask(group[1])
            finally:
                free.put(child)

        for answers in map_in_order(ask, parts(items, _GROUP), processes, ahead=2 * processes):
            yield from answers


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
            raise ResLabError(f"cannot start a process: {error.strerror}", "end other programs") from None
        self._send(function)

    def ask(self, items: list[Any]) -> Answers[Any]:
        """The function's answers for these items."""
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
        return ResLabError("a process that reads pictures was ended", "is there enough memory? Then the same again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        with suppress(OSError):  # what was not sent to a process that has ended
            self._process.communicate()


def run_child() -> None:
    """A process of `map_in_processes`, until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the caller, which ends this
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing else is written among the answers
    with suppress(EOFError, BrokenPipeError), kept_memory(1):
        function = pickle.load(source)
        while True:
            pickle.dump(apply(function, pickle.load(source)), answers)
            answers.flush()
