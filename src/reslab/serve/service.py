"""The state of a server: its models by name, its limits and metrics, and what it says about its processes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from reslab.engine.base import Engine
from reslab.evaluate.predict import SetOptions
from reslab.serve.limits import Admission, Limits, Rate, Refused
from reslab.serve.metrics import Metrics
from reslab.serve.served import ServedModel
from reslab.serve.status import Status
from reslab.system.machine import default_workers

Result = TypeVar("Result")


class Service:
    """Models with the limits and metrics that they share."""

    def __init__(
        self, engines: Mapping[str, Engine], limits: Limits, version: str, sets: SetOptions | None = None,
        processes: int = 1,
    ) -> None:  # fmt: skip
        """`processes`: how many servers share this machine's processors.

        Raises:
            ResLabError: a model file holds no quantiles for `sets`.
        """
        self.limits, self.version, self.processes = limits, version, processes
        self.admission = Admission(limits)
        self.metrics = Metrics(lambda: self.admission.waiting, lambda: self.running, list(engines))
        self.rate = None if limits.rate is None else Rate(limits.rate)
        self.running = 0
        """Requests that are under way, monitoring excepted."""
        self.draining = False
        """New requests are refused; the server ends after the last running one."""
        self.retiring = False
        """Another process has taken over: each connection gets one more answer at most."""
        self.reload_asked = asyncio.Event()
        """All model files are to be read again."""
        self.turn: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        """What is waited for, once all is ready, before connections are accepted."""
        self.status: Callable[[], Status] = Status().itself
        self._sets = sets
        self._users: dict[ServedModel, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reslab-worker")  # one, so that memory is bounded
        self.models = {name: self.prepare(name, engine) for name, engine in engines.items()}
        """By name; the first answers at the addresses without a name."""

    def prepare(self, name: str, engine: Engine) -> ServedModel:
        """A model that is not served yet.

        Raises:
            ResLabError: the model file holds no quantiles for the prediction sets that were asked for.
        """
        cores = -(-default_workers() // self.processes)
        return ServedModel(name, engine, self.limits, self._sets, self.metrics, self.run_in_thread, cores)

    @contextmanager
    def using(self, name: str | None) -> Iterator[ServedModel]:
        """The model of this name, by default the first; it stays open for the block even where it is replaced meanwhile.

        Raises:
            Refused: there is none.
        """
        model = next(iter(self.models.values())) if name is None else self.models.get(name)
        if model is None:
            raise Refused(404, "model", "there is no model of that name", "GET /models lists them")
        self._users[model] = self._users.get(model, 0) + 1
        try:
            yield model
        finally:
            self._users[model] -= 1
            self._close_unused(model)

    def replace(self, model: ServedModel) -> None:
        """Answer with this model from now on; the one before it ends with its last running request."""
        before = self.models[model.name]
        self.models[model.name] = model
        self._close_unused(before)

    async def is_ready(self) -> bool:
        """Whether the decoders of every model can decode."""
        return all([await model.decoders.is_ready() for model in self.models.values()])

    def stop(self) -> None:
        """End the decoders at once."""
        for model in {*self.models.values(), *self._users}:
            model.decoders.stop()

    def close(self) -> None:
        """End the decoders, and wait for the threads to end."""
        for model in {*self.models.values(), *self._users}:
            model.close()
        self._thread.shutdown()

    async def run_in_thread(self, function: Callable[[], Result]) -> Result:
        """Run what would block the event loop, in turn, in one thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _close_unused(self, model: ServedModel) -> None:
        if not self._users.get(model) and self.models[model.name] is not model:
            self._users.pop(model, None)
            model.close()
