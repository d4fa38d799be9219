"""From a model file to a server that listens, and to its end."""

import logging
import math
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI

from reslab.engine.choose import EngineName, open_engine
from reslab.engine.face import Assumed, Engine
from reslab.errors import ResLabError
from reslab.serve.front import LOG

_AGREE = 1e-4  # times the largest logit: how near an exported graph must be to the network


def answer(app: FastAPI, listener: socket.socket) -> None:
    """Answer on a bound socket until SIGTERM or Ctrl-C, then finish what is under way. A second signal does not wait."""
    _log_to_stderr()
    server(app).run([listener])


def server(app: FastAPI) -> uvicorn.Server:
    """uvicorn for an app of `create_app`."""
    patience = math.ceil(app.state.service.limits.timeout)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, proxy_headers=False, server_header=False, ws="none",
        timeout_graceful_shutdown=patience,
    )  # fmt: skip
    return _Server(config, app)


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
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise ResLabError(f"cannot listen on {host}:{port}: {reason}", f"try --port {_neighbour(port)}") from None
    return listener


def open_served(
    model: str | Path, assumed: Assumed | None, tell: Callable[[str], None], kind: EngineName = "auto"
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
    if not np.abs(got - expected).max() <= _AGREE * max(
        1, np.abs(expected).max()
    ):  # what is no number agrees with none
        tell("PyTorch answers itself, for the exported graph differs from it")
        return engine
    return exported


def _exported(engine: Any) -> Any:
    from reslab.engine.exported import open_exported
    from reslab.export.graph import write_onnx

    with tempfile.TemporaryDirectory(prefix="reslab-serve-") as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(path, engine.network, engine.header, engine.seen)
        exported = open_exported(path)
    exported.sha256 = engine.sha256
    return exported


class _Server(uvicorn.Server):
    """uvicorn, which on a signal goes on listening until the last request is answered, so that probes hear of it."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._service = app.state.service
        self._until = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:
            self.should_exit = self.force_exit = True
        self._service.draining = True
        self._until = time.monotonic() + 2 * self._service.limits.timeout

    async def on_tick(self, counter: int) -> bool:
        over = self._service.running == 0 or time.monotonic() > self._until
        if self._service.draining and over:
            self.should_exit = True
        return await super().on_tick(counter)


def _log_to_stderr() -> None:
    """JSON lines of requests as they are; of uvicorn, warnings only."""
    handler = logging.StreamHandler(sys.stderr)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    theirs = logging.getLogger("uvicorn")
    theirs.addHandler(handler)
    theirs.setLevel(logging.WARNING)


def _neighbour(port: int) -> int:
    return port + 1 if 1023 < port < 65535 else 8000
