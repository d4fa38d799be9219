"""From a model file to a server that listens, and to its end."""

import os
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
from reslab.engine.open import EngineName, open_engine
from reslab.errors import ResLabError
from reslab.serve.connection import BACKLOG, Connection
from reslab.serve.log import json_lines

_BACKLOG = 2048  # connections that the system keeps waiting
_AGREE = 1e-4  # times the largest logit: how near an exported graph must be to the network


def answer(app: FastAPI, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer on a bound socket until SIGTERM or Ctrl-C, then finish what is under way. A second signal does not wait.

    Args:
        ready: called when requests are answered and signals are heard.
    """
    with json_lines():
        server(app, ready).run([listener])


def server(app: FastAPI, ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """uvicorn for an app of `create_app`."""
    config = uvicorn.Config(
        app, http=Connection, log_config=None, access_log=False, proxy_headers=False, server_header=False, ws="none",
        backlog=BACKLOG, timeout_graceful_shutdown=max(1, int(app.state.service.limits.timeout / 2)),
    )  # fmt: skip
    return _Server(config, app, ready)


def bound(host: str, port: int) -> socket.socket:
    """A socket on that address; port 0 takes a free one.

    Raises:
        ResLabError: the port is in use or forbidden, or the host is not this machine's.
    """
    if not 0 <= port <= 65535:  # the system would take it modulo 65536
        raise ResLabError(f"--port {port} is no port", "ports run from 1 to 65535; 0 takes a free one")
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
        reason = error.strerror or error
        raise ResLabError(f"cannot listen on {host}:{port}: {reason}", f"try --port {_neighbour(port)}") from None
    return listener


def open_served(
    model: str | Path, assumed: CheckpointAssumptions | None, tell: Callable[[str], None], kind: EngineName = "auto"
) -> Engine:
    """The engine to serve. What only PyTorch opens is exported on the fly, for the graph answers faster on a processor.

    Its answers carry the hash of the file that was given. Where the graph does not agree with the network on noise, or
    cannot be made, or there is a GPU, the network itself answers.
    """
    engine = open_engine(model, assumed, kind)
    if kind == "torch" or engine.name != "torch" or engine.device.type != "cpu":
        return engine
    try:
        exported = _exported(engine)
    except (ImportError, ResLabError) as error:
        tell(f"PyTorch answers itself, for the model cannot be exported here: {error}")
        return engine
    size = engine.header.preprocess.size
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    expected, got = engine.logits(noise), exported.logits(noise)
    if not np.abs(got - expected).max() <= _AGREE * max(1, np.abs(expected).max()):  # nor where it is no number
        tell("PyTorch answers itself, for the exported graph differs from it")
        return engine
    return exported


def _exported(engine: Any) -> Any:
    from reslab.engine.onnx import open_exported
    from reslab.export.graph import write_onnx

    with tempfile.TemporaryDirectory(prefix="reslab-serve-") as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(path, engine.network, engine.header, engine.seen)
        exported = open_exported(path)
    exported.sha256 = engine.sha256
    return exported


class _Server(uvicorn.Server):
    """uvicorn, which on a signal goes on listening until the last request is answered, so that probes hear of it."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = app.state.service, ready
        self._until = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # asyncio takes fewer at a time
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:
            self._end_at_once()
        timeout = self._service.limits.timeout
        self._service.draining, self._until = True, time.monotonic() + timeout
        timer = threading.Timer(1.9 * timeout, self._end_at_once)  # where a library does not let go
        timer.daemon = True
        timer.start()

    async def on_tick(self, counter: int) -> bool:
        over = self._service.running == 0 or time.monotonic() > self._until
        if self._service.draining and over:
            self.should_exit = True
        return await super().on_tick(counter)

    def _end_at_once(self) -> None:
        try:
            self._service.decoders.stop()
        finally:
            os._exit(0)


def _neighbour(port: int) -> int:
    return port + 1 if 1023 < port < 65535 else 8000
