"""A client's connection: limits of its idle time, of the size of its chunks, and of the number of connections."""

import asyncio
import json
import sys
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

BACKLOG = 32
"""Connections that asyncio accepts before it handles one of them."""

_HEAD_SECONDS = 10.0  # for a request's head, from its first byte or the connection's beginning
_UNREAD_SECONDS = 30.0  # in which a client must read what fills the buffers
_RESERVE = 4 * BACKLOG  # descriptors for the decoders, files, and accepted connections
_MOST = 1024
_FREE_CHUNKS, _SMALLEST_CHUNK = 1000, 64  # bytes, on average, after so many: each takes the parser some 20 microseconds


class Connection(H11Protocol):
    """uvicorn's HTTP connection, with deadlines and limits."""

    def __init__(self, config: Config, server_state: ServerState, *given: Any, **named: Any) -> None:
        super().__init__(config, server_state, *given, **named)
        self.conn = _Parser(h11.SERVER)
        self._most = most_connections()
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waits_since = self.loop.time()
        self._watch_head()
        if len(self.connections) > self._most:
            waiting = [c for c in self.connections if isinstance(c, Connection) and c.waits]
            min(waiting, key=lambda c: c.waits_since, default=self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        self.waits_since = self.loop.time()
        super().on_response_complete()

    @property
    def waits(self) -> bool:
        """Whether it is idle, without a request under way: idle connections are closed first where there are too many."""
        return self.conn.their_state is h11.IDLE

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(_UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answer with a JSON error like every other, unless a response has begun."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        document = {"schema": 1, "error": "this is not valid HTTP", "hint": None, "request_id": ""}
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        headers |= {"X-Content-Type-Options": "nosniff"}
        for event in (h11.Response(status_code=400, headers=list(headers.items())), h11.Data(body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_head(self) -> None:
        """Start the deadline while a head is awaited, cancel it when the head has arrived."""
        if not self.waits and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif self.waits and self._deadline is None:
            self._deadline = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)


class _Parser(h11.Connection):
    """h11's parser, which refuses a body in many tiny chunks: they would block the event loop."""

    _chunks = _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > _FREE_CHUNKS and self._bytes < _SMALLEST_CHUNK * self._chunks:
                raise h11.RemoteProtocolError("too many tiny chunks")
        elif isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        return event


def most_connections() -> int:
    """As many as the descriptors allow, less a reserve."""
    if sys.platform == "win32":
        return _MOST // 2
    import resource

    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if descriptors == resource.RLIM_INFINITY else max(8, min(_MOST, descriptors - _RESERVE))
