"""Dynamic batching: pictures that arrive while the network computes share its next forward pass."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np

from reslab.engine.base import Engine, Outputs, batch_size, forward_of, join_outputs, padded_outputs

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_MOST_PADDING = 1 / 8  # of a forward pass; beyond it two smaller passes cost less


class Batcher:
    """One computing thread and its queue of pictures. A batch never waits to be filled."""

    def __init__(
        self, engine: Engine, most: int, embed: bool = False, on_batch: Callable[[int], None] = lambda count: None
    ) -> None:
        """Start the thread.

        Args:
            most: pictures per forward pass, rounded down to a power of two.
            embed: compute pooled features too.
            on_batch: is called with each batch's size.
        """
        self._forward, self._on_batch = forward_of(engine, embed), on_batch
        most = min(most, batch_size(engine.header.preprocess.size))
        self._most = 1 << (most.bit_length() - 1)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reslab-inference")
        self._waiting: deque[tuple[np.ndarray, asyncio.Future[Outputs]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def outputs(self, pixels: np.ndarray) -> Outputs:
        """The outputs, of one row, for one picture, uint8 `[size, size, 3]`."""
        answer: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._compute())
        return await answer

    async def run(
        self, function: Callable[Arguments, Result], *given: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        """Run another function in the computing thread, in its turn."""
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
            self._on_batch(len(batch))
            try:
                rows = await self.run(fixed_outputs, self._forward, np.stack([pixels for pixels, _ in batch]))
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for i, (_, answer) in enumerate(batch):
                if not answer.done():
                    answer.set_result(rows.rows(slice(i, i + 1)))


def fixed_outputs(forward: Callable[[np.ndarray], Outputs], pixels: np.ndarray) -> Outputs:
    """Outputs of uint8 `[n, size, size, 3]`, computed in few fixed batch shapes: powers of two.

    A library may sum in another order for another shape, so the last digits may depend on the size of the batch. Padding
    to one shape, as `predict` does, would make a single request pay for a whole batch. `benchmarks/serve.py` measures
    how far the answers differ.
    """
    rows, start = [], 0
    for size in _sizes(len(pixels)):
        rows.append(padded_outputs(forward, pixels[start : start + size], size))
        start += size
    return join_outputs(rows)


def _sizes(count: int) -> Iterator[int]:
    """Powers of two that hold `count` pictures; the last may need some padding."""
    while count > 0:
        above = 1 << (count - 1).bit_length()
        size = above if above - count <= _MOST_PADDING * above else above // 2
        yield size
        count -= size
