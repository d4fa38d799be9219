"""Requests become batches: what waits while the network computes is answered together in its next forward pass."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np

from reslab.engine.base import Engine, batch_size

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_WASTE = 1 / 8  # of a forward pass may be padding; beyond it two smaller passes cost less


class Batcher:
    """One thread that computes, and the pictures that wait for it. Nobody waits for a batch to fill."""

    def __init__(self, engine: Engine, most: int, heard: Callable[[int], None] = lambda count: None) -> None:
        """`most`: pictures per forward pass; `heard` is told how many each batch had."""
        self._engine, self._heard = engine, heard
        self._most = _power_below(min(most, batch_size(engine.header.preprocess.size)))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reslab-inference")
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def logits(self, pixels: np.ndarray) -> np.ndarray:
        """float32 `[classes]` for one picture, uint8 `[size, size, 3]`."""
        answer: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._compute())
        return await answer

    async def run(
        self, function: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """Something else for the thread that computes, in its turn."""
        return await asyncio.wrap_future(self._thread.submit(function, *given, **named))

    def close(self) -> None:
        """Wait for the thread and end it."""
        self._thread.shutdown()

    async def _compute(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            batch = [(pixels, answer) for pixels, answer in batch if not answer.cancelled()]
            if not batch:
                continue
            self._heard(len(batch))
            try:
                rows = await self.run(fixed_logits, self._engine, np.stack([pixels for pixels, _ in batch]))
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), row in zip(batch, rows, strict=True):
                if not answer.done():
                    answer.set_result(row)


def fixed_logits(engine: Engine, pixels: np.ndarray) -> np.ndarray:
    """Logits, float32 `[n, classes]`, of uint8 `[n, size, size, 3]`, computed in few fixed batch shapes: powers of two.

    A library may sum in another order for another shape, so a picture's last digits may depend on its company; padding
    to one shape as `predict` does would let a lone request wait for a whole batch. `benchmarks/serve.py` measures how
    far the answers differ.
    """
    rows, start = [], 0
    for size in _sizes(len(pixels)):
        part = pixels[start : start + size]
        missing = size - len(part)
        if missing:
            part = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)])
        rows.append(engine.logits(part)[: size - missing])
        start += size
    return np.concatenate(rows)


def _sizes(count: int) -> Iterator[int]:
    """Powers of two that hold `count` pictures, the last one perhaps not quite full."""
    while count > 0:
        above = 1 << (count - 1).bit_length()
        size = above if above - count <= _WASTE * above else above // 2
        yield size
        count -= size


def _power_below(number: int) -> int:
    return 1 << (number.bit_length() - 1)
