"""Several processes that answer on one socket, forked from this one when it has opened the models: they share their memory.

This process answers nothing. It starts a process again that has ended by itself, and when a model file changes, it opens
the model, forks processes that answer with it, and retires those before them, which finish what is under way.

One process more is kept in reserve: it has started its decoder and waits for its turn, so that a process that ends is replaced
at once. To start one takes a third of a second of a core, and several seconds where all of them are busy.

The socket is inherited, not one per process (SO_REUSEPORT): connections that no process has accepted yet wait in one queue,
so they are not lost with a process. Threads do not survive a fork, so the models compute on one core in each process.
"""

import asyncio
import gc
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from reslab.engine.base import Engine
from reslab.errors import ResLabError
from reslab.serve.decoding import KEPT_BYTES
from reslab.serve.log import LOG, json_lines
from reslab.serve.metrics import forget_process, share_metrics
from reslab.serve.reload import log_event, open_again
from reslab.serve.run import Server, handles_hangup
from reslab.serve.sources import POLL_SECONDS, Watch
from reslab.serve.status import Status, read_status
from reslab.system.machine import keep_freed_memory

_SHORT_LIFE = 1.0  # seconds; a process that ends sooner is started again only after as many
_KILL_AFTER = 2.5  # times `Limits.timeout`: a process that has not ended by then is killed
_RESERVE_AFTER = 5.0  # seconds from one process in reserve to the next: at first the answers need the processors
_NOBODY = -1  # the supervisor's own number in the metrics

_slot = _NOBODY  # this process's number, from 0; free again when it has ended

CreateApp = Callable[[Mapping[str, Engine]], FastAPI]


def run_processes(
    count: int, watch: Watch, create: CreateApp, listener: socket.socket, on_ready: Callable[[], None]
) -> None:
    """Serve with so many processes until SIGTERM or Ctrl-C, then let them finish; a second signal ends them at once.

    Args:
        watch: the models.
        create: makes the app from engines by name.
        on_ready: called when all of the processes answer.
    """
    keep_freed_memory(KEPT_BYTES)
    with tempfile.TemporaryDirectory(prefix="reslab-serve-") as folder, share_metrics(Path(folder), lambda: _slot):
        supervisor = _Supervisor(count, watch, create, listener, Path(folder) / "status.json")
        with json_lines():
            supervisor.run(on_ready)


@dataclass(slots=True)
class _Process:
    app: FastAPI
    slot: int
    started: float
    ready: int
    """A descriptor: a byte arrives when the process answers; -1 afterwards."""
    go: int = -1
    """Of one in reserve, a descriptor: it answers from the byte on that is written there; then -1."""
    answers: bool = False
    retired: bool = False


class _Supervisor:
    def __init__(self, count: int, watch: Watch, create: CreateApp, listener: socket.socket, status: Path) -> None:
        self._count, self._watch, self._create, self._listener, self._path = count, watch, create, listener, status
        self._engines = {source.name: source.open() for source in watch.sources}
        self._status = Status([])
        self._app = self._made(self._engines)
        self._processes: dict[int, _Process] = {}
        self._reload_asked, self._deadline, self._not_before, self._reserve_at = False, 0.0, 0.0, 0.0
        self._woken, self._wake = os.pipe()
        self._orphaned, self._alive = os.pipe()  # end of file tells the processes that this one is gone
        self._signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, *([signal.SIGHUP] if handles_hangup() else [])}

    def run(self, on_ready: Callable[[], None]) -> None:
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        for each in self._signals:
            signal.signal(each, lambda number, frame: None)  # its number is read from the pipe
        told = False
        while True:
            self._reap()
            if self._deadline and not self._processes:
                return
            if not self._deadline:
                self._reload()
                self._fill()
            elif time.monotonic() > self._deadline:
                self._send(signal.SIGKILL)
            self._wait()
            if self._all_answer() and not self._deadline:
                self._retire()
                if not told:
                    told = True
                    on_ready()

    def _wait(self) -> None:
        """Until a signal, a process that is ready, or the next look at the files."""
        waiting = {process.ready: process for process in self._processes.values() if process.ready >= 0}
        for found in select.select([self._woken, *waiting], [], [], POLL_SECONDS)[0]:
            if found == self._woken:
                for number in os.read(self._woken, 4096):
                    self._handle(number)
            else:
                waiting[found].answers = os.read(found, 1) != b""  # which is its end
                os.close(found)
                waiting[found].ready = -1

    def _handle(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload_asked = True
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._send(signal.SIGKILL if self._deadline else signal.SIGTERM)
            self._deadline = time.monotonic() + _KILL_AFTER * self._app.state.service.limits.timeout

    def _send(self, number: int) -> None:
        for pid, process in self._processes.items():
            os.kill(pid, number if process.go < 0 else signal.SIGKILL)

    def _reap(self) -> None:
        """Note which processes have ended."""
        while self._processes:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            process = self._processes.pop(pid, None)
            if process is None:
                continue
            for descriptor in (process.ready, process.go):
                if descriptor >= 0:
                    os.close(descriptor)
            forget_process(process.slot)
            if process.retired:
                gc.unfreeze()  # so that the model which it served is collected
                gc.collect()
            if not process.retired and not self._deadline:
                self._status.restarts += process.go < 0
                if time.monotonic() - process.started < _SHORT_LIFE:
                    self._not_before = time.monotonic() + _SHORT_LIFE
                log_event("process ended", process=pid, code=os.waitstatus_to_exitcode(code))

    def _reload(self) -> None:
        """Open the models again whose files have changed."""
        asked, self._reload_asked = self._reload_asked, False
        before = dict(self._status.errors)
        for source in self._watch.changed(asked):
            name, served = source.name, self._engines[source.name].sha256
            made = open_again(source, served, self._status.errors, lambda engine, name=name: self._remade(name, engine))
            if made is not None:
                self._app.state.service.models.clear()  # or this process would keep the weights; its children have theirs
                self._engines, self._app = made
        if before != self._status.errors:
            self._publish()

    def _remade(self, name: str, engine: Engine) -> tuple[dict[str, Engine], FastAPI]:
        engines = self._engines | {name: engine}
        return engines, self._made(engines)

    def _made(self, engines: dict[str, Engine]) -> FastAPI:
        app = self._create(engines)
        app.state.service.status = lambda: read_status(self._path)
        return app

    def _fill(self) -> None:
        """Let the reserve answer in the place of a process that is missing, or start one; and see to the next reserve."""
        missing = self._count - len(self._present())
        if missing > 0 and time.monotonic() >= self._not_before:
            for _ in range(missing):
                self._replace()
            self._publish()
        elif self._all_answer() and self._reserve() is None and time.monotonic() >= self._reserve_at:
            self._reserve_at = time.monotonic() + _RESERVE_AFTER
            self._start(in_reserve=True)

    def _replace(self) -> None:
        reserve = self._reserve()
        if reserve is None:
            self._start()
            return
        with suppress(BrokenPipeError):  # it has just ended
            os.write(reserve.go, b"1")
        os.close(reserve.go)
        reserve.go, self._reserve_at = -1, time.monotonic() + _RESERVE_AFTER

    def _reserve(self) -> _Process | None:
        """The process that waits for its turn."""
        return next((one for one in self._processes.values() if one.app is self._app and one.go >= 0), None)

    def _present(self) -> dict[int, _Process]:
        return {pid: process for pid, process in self._processes.items() if process.app is self._app and process.go < 0}

    def _all_answer(self) -> bool:
        present = self._present().values()
        return len(present) == self._count and all(process.answers for process in present)

    def _retire(self) -> None:
        for pid, process in self._processes.items():
            if process.app is not self._app and not process.retired:
                process.retired = True
                os.kill(pid, signal.SIGQUIT if process.go < 0 else signal.SIGKILL)

    def _publish(self) -> None:
        self._status.processes = sorted(self._present())
        with suppress(ResLabError):  # a full disk costs what /health says, not the server
            self._status.write(self._path)

    def _start(self, in_reserve: bool = False) -> None:
        gc.freeze()  # the collector would write to pages that are shared
        used = {process.slot for process in self._processes.values()}
        slot = next(number for number in range(len(used) + 1) if number not in used)
        ready, told = os.pipe()
        turn, go = os.pipe() if in_reserve else (-1, -1)
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)  # or the new process would write to this one's pipe
        pid = os.fork()
        if not pid:
            self._work(slot, told, turn)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
        os.close(told)
        if in_reserve:
            os.close(turn)
        self._processes[pid] = _Process(self._app, slot, time.monotonic(), ready, go)

    def _work(self, slot: int, told: int, turn: int) -> None:
        """The new process's whole life."""
        global _slot
        try:
            signal.set_wakeup_fd(-1)
            for each in self._signals:
                signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)
            os.setpgid(0, 0)  # Ctrl-C is for the supervisor alone
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
            for descriptor in (self._woken, self._wake, self._alive):
                os.close(descriptor)
            _slot = slot
            _WorkerServer(self._app, lambda: os.write(told, b"1"), self._orphaned, turn).run([self._listener])
            os._exit(0)
        except BaseException:
            LOG.exception("unexpected")
        finally:
            sys.stdout.flush()
            os._exit(1)


class _WorkerServer(Server):
    """A server that can be retired, and ends when its supervisor is gone."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], object], orphaned: int, turn: int = -1) -> None:
        """`turn`: a descriptor; where it is given, the server accepts connections once there is something to read."""
        super().__init__(app, on_ready, accepted_at_once=1)  # the others should get their share
        self._orphaned = orphaned
        if turn >= 0:
            self.service.turn = lambda: self._wait_for(turn)

    async def _wait_for(self, turn: int) -> None:
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(turn, come.set)
        loop.add_reader(self._orphaned, os._exit, 0)
        await come.wait()
        loop.remove_reader(turn)
        loop.remove_reader(self._orphaned)
        os.close(turn)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = self.servers[0].get_loop()
        loop.add_signal_handler(signal.SIGQUIT, self._retire)
        loop.add_reader(self._orphaned, self._end_alone)

    async def on_tick(self, counter: int) -> bool:
        self.service.metrics.refresh()
        if self.service.retiring and (not self.server_state.connections or time.monotonic() > self.deadline):
            self.should_exit = True
        return await super().on_tick(counter)

    def _retire(self) -> None:
        """Accept no more connections; each that is open gets one more answer at most."""
        self.service.retiring, self.deadline = True, time.monotonic() + self.service.limits.timeout
        for server in self.servers:
            server.close()

    def _end_alone(self) -> None:
        self.servers[0].get_loop().remove_reader(self._orphaned)
        self.handle_exit(signal.SIGTERM, None)
