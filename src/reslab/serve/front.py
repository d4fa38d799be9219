"""Around every request: an id, a line in the log, a measured time, and a body that is never left half read."""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reslab.serve.documents import ErrorDocument, encoded
from reslab.serve.service import Service

PROBES = ("/livez", "/readyz", "/metrics")
"""Paths that are answered while the server drains, and never counted as work."""

LOG = logging.getLogger("reslab.serve")
"""One JSON line per request; never what a picture holds."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_GONE = 499  # nginx's number for a client that hung up: only the log sees it


class Front:
    """ASGI middleware; `scope["state"]` carries `request_id` in, and `pictures` and `reason` out."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, asked = time.perf_counter(), scope["path"]
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = _request_id(Headers(scope=scope))
        exchange = _Exchange(scope, receive, send, self._service)
        counted = asked not in PROBES
        self._service.running += counted
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status, state["reason"] = _GONE, "disconnected"
        except Exception:
            state["reason"] = "fault"
            LOG.exception(json.dumps({"id": state["request_id"], "error": "unexpected"}))
            if not exchange.status:
                sentence = ErrorDocument(1, "unexpected: this is a fault of ResLab", None, state["request_id"])
                await Response(encoded(sentence), 500, media_type="application/json")(
                    scope, exchange.receive, exchange.send
                )
        finally:
            self._service.running -= counted
            self._note(scope, asked, exchange.status, time.perf_counter() - begin)

    def _note(self, scope: Scope, asked: str, status: int, seconds: float) -> None:
        state = scope["state"]
        path = getattr(scope.get("route"), "path", None) or "other"  # few values, whatever is asked for
        self._service.metrics.request(path, status, seconds)
        if "reason" in state:
            self._service.metrics.error(state["reason"])
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": state["request_id"],
            "method": scope["method"],
            "path": asked,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "pictures": state.get("pictures", 0),
        }
        LOG.info(json.dumps(line | ({"reason": state["reason"]} if "reason" in state else {})))


class _Exchange:
    """One request's two channels: what was read of its body, and what is added to its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        headers = Headers(scope=scope)
        self._request_id, self._receive, self._send, self._service = (
            scope["state"]["request_id"],
            receive,
            send,
            service,
        )
        self._deadline = asyncio.get_running_loop().time() + service.limits.timeout
        self._ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._hesitates = headers.get("expect", "").lower() == "100-continue"
        self.status = 0

    async def receive(self) -> Message:
        self._hesitates = False  # the server tells the client to go on when it is asked for the body
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            if not await self._read_up() or self._service.draining:
                headers["Connection"] = "close"
        await self._send(message)

    async def _read_up(self) -> bool:
        """Drop what is left of the body, for a client that still sends would not see its answer. False: not all of it."""
        if self._hesitates:
            return self._ended
        try:
            async with asyncio.timeout_at(self._deadline):
                while not self._ended:
                    await self.receive()
        except TimeoutError:
            return False
        return True


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
