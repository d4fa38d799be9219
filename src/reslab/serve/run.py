"""Open a model for serving, bind the socket, and run the server until it is stopped."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI

from reslab.engine.base import CheckpointAssumptions, Engine
from reslab.engine.open import EngineName, find_model, open_engine
from reslab.errors import ResLabError
from reslab.export.certify import logit_tolerance
from reslab.serve.connection import BACKLOG, Connection
from reslab.serve.decoding import KEPT_BYTES
from reslab.serve.log import json_lines
from reslab.serve.service import Service
from reslab.system.machine import keep_freed_memory

_BACKLOG = 2048  # connections that the system keeps waiting


def run_server(app: FastAPI, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve on a bound socket until SIGTERM or Ctrl-C, then finish running requests; a second signal ends at once.

    Args:
        on_ready: called when requests are answered and signals handled.
    """
    keep_freed_memory(KEPT_BYTES)
    with json_lines():
        create_server(app, on_ready).run([listener])


def create_server(app: FastAPI, on_ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """uvicorn for an app of `create_app`."""
    return Server(app, on_ready)


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening socket on this address; port 0 takes a free one.

    Raises:
        ResLabError: the port is in use or forbidden, or the host is not this machine's.
    """
    if not 0 <= port <= 65535:  # the system would take it modulo 65536
        raise ResLabError(f"--port {port} is not a port", "ports run from 1 to 65535; 0 takes a free one")
    try:
        kinds = {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, **kinds)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ResLabError(f"cannot listen on {host}: {error.strerror or error}") from None
    if sys.platform != "win32":  # there it would share the port with another server
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason, other = error.strerror or error, port + 1 if 1023 < port < 65535 else 8000
        raise ResLabError(f"cannot listen on {host}:{port}: {reason}", f"try --port {other}") from None
    return listener


def open_for_serving(
    model: str | Path,
    assumed: CheckpointAssumptions | None,
    on_message: Callable[[str], None],
    kind: EngineName = "auto",
    forked: bool = False,
) -> Engine:
    """The engine to serve. A model that only PyTorch opens is exported on the fly: the graph is faster on a processor.

    Its sha256 stays that of the given file. Where there is a GPU, or the graph cannot be made or differs from the network
    on noise, PyTorch serves the network itself.

    Args:
        forked: the process will be forked, which only onnxruntime on one core survives.

    Raises:
        ResLabError: there is no such model, it cannot be read, or with `forked`, onnxruntime cannot run it.
    """
    if not forked:
        return _open_fastest(model, assumed, on_message, kind)
    exported = find_model(model).suffix == ".onnx"
    engine = _open_fastest(
        model, assumed, on_message, "onnxruntime" if exported and kind in ("auto", "fastest") else kind
    )
    if not hasattr(engine, "keep_to_one_core"):
        raise ResLabError(
            f"{engine.name} cannot serve {model} with several processes", "export it as .onnx, or leave out --processes"
        )
    engine.keep_to_one_core()
    return engine


def _open_fastest(
    model: str | Path, assumed: CheckpointAssumptions | None, on_message: Callable[[str], None], kind: EngineName
) -> Any:
    engine = open_engine(model, assumed, kind)
    if kind == "torch" or engine.name != "torch" or engine.device.type != "cpu":
        return engine
    try:
        exported = _export(engine)
    except (ImportError, ResLabError) as error:
        on_message(f"served by PyTorch, since the model cannot be exported here: {error}")
        return engine
    size = engine.header.preprocess.size
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    expected = engine.logits(noise)
    if not np.abs(exported.logits(noise) - expected).max() <= logit_tolerance(expected):  # nor where it is NaN
        on_message("served by PyTorch, since the exported graph differs from the network")
        return engine
    return exported


def _export(engine: Any) -> Any:
    from reslab.engine.onnx import open_exported
    from reslab.export.graph import write_onnx

    with tempfile.TemporaryDirectory(prefix="reslab-serve-") as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(path, engine.network, engine.header, engine.seen)
        exported = open_exported(path)
    exported.sha256 = engine.sha256
    return exported


class Server(uvicorn.Server):
    """uvicorn, but on a signal it keeps listening until the last request is answered, so that /readyz can report it."""

    def __init__(self, app: FastAPI, on_ready: Callable[[], object], accepted_at_once: int = BACKLOG) -> None:
        self.service: Service = app.state.service
        super().__init__(
            uvicorn.Config(
                app, http=Connection, log_config=None, access_log=False, proxy_headers=False, server_header=False, ws="none",
                backlog=accepted_at_once, timeout_graceful_shutdown=max(1, int(self.service.limits.timeout / 2)),
            )
        )  # fmt: skip
        self._on_ready = on_ready
        self.deadline = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # asyncio sets a smaller backlog
        if threading.current_thread() is threading.main_thread() and handles_hangup():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.service.reload_asked.set)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.service.draining:
            self._end_at_once()
        timeout = self.service.limits.timeout
        self.service.draining, self.deadline = True, time.monotonic() + timeout
        timer = threading.Timer(1.9 * timeout, self._end_at_once)  # where a library blocks the shutdown
        timer.daemon = True
        timer.start()

    async def on_tick(self, counter: int) -> bool:
        over = self.service.running == 0 or time.monotonic() > self.deadline
        if self.service.draining and over:
            self.should_exit = True
        return await super().on_tick(counter)

    def _end_at_once(self) -> None:
        try:
            self.service.stop()
        finally:
            os._exit(0)


def handles_hangup() -> bool:
    """Whether SIGHUP asks for a reload: not on Windows, nor at a terminal, which sends it when its window is closed."""
    return sys.platform != "win32" and not os.isatty(0)
