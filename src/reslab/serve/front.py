"""Middleware around every request: access check, request id, log line, metrics, and a body that is always read to its end."""

import asyncio
import ipaddress
import json
import os
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

from reslab.serve.documents import ErrorDocument, to_json
from reslab.serve.limits import Refused
from reslab.serve.log import LOG
from reslab.serve.service import Service

MONITORING_ENDPOINTS = ("/livez", "/readyz", "/health", "/metrics")
"""Paths that are answered while the server drains, and not counted as running requests."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_DISCONNECTED = 499  # nginx's status for a client that disconnected, for the log only


class RequestMiddleware:
    """ASGI middleware. It sets `request_id` in `scope["state"]`, and reads `pictures` and `reason` from it."""

    def __init__(self, app: ASGIApp, service: Service, local: bool) -> None:
        """`local`: accept only requests from this machine, and from no web page but the server's own."""
        self._app, self._service, self._local = app, service, local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, method, headers = time.perf_counter(), scope["method"], Headers(scope=scope)
        scope = _normalise(scope)
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["request_id"] = _request_id(headers)
        exchange = _Exchange(scope, receive, send, self._service)
        counted = scope["path"] not in MONITORING_ENDPOINTS
        self._service.running += counted
        try:
            _check_head(scope, headers, self._local)
            await self._app(scope, exchange.receive, exchange.send)
        except Refused as error:
            state["reason"] = error.reason
            await exchange.refuse(error)
        except ClientDisconnect:
            exchange.status, state["reason"] = _DISCONNECTED, "disconnected"
        except Exception:
            state["reason"] = "fault"
            LOG.exception(json.dumps({"id": state["request_id"], "error": "unexpected"}))
            if not exchange.status:
                await exchange.refuse(Refused(500, "fault", "unexpected error: this is a bug in ResLab"))
        finally:
            self._service.running -= counted
            self._record(scope, method, exchange.status, time.perf_counter() - begin)

    def _record(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        state = scope["state"]
        path = getattr(scope.get("route"), "path", None) or "other"  # few values, whatever clients request
        self._service.metrics.request(path, status, seconds)
        if "reason" in state:
            self._service.metrics.error(state["reason"])
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": state["request_id"],
            "method": method,
            "path": scope["path"],
            "status": status,
            "ms": round(1000 * seconds, 1),
            "pictures": state.get("pictures", 0),
        }
        if self._service.processes > 1:
            line["process"] = os.getpid()
        LOG.info(json.dumps(line | ({"reason": state["reason"]} if "reason" in state else {})))


class _Exchange:
    """The two channels of one request: how much of its body was read, and the headers added to its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        headers = Headers(scope=scope)
        self._scope, self._receive, self._send, self._service = scope, receive, send, service
        self._deadline = asyncio.get_running_loop().time() + service.limits.timeout
        self._ended = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._expects_continue = headers.get("expect", "").lower() == "100-continue"
        self._trusted = not ("content-length" in headers and "transfer-encoding" in headers)
        self.status = 0

    async def refuse(self, error: Refused) -> None:
        document = ErrorDocument(1, error.message, error.hint, self._scope["state"]["request_id"])
        await Response(to_json(document), error.status, media_type="application/json")(
            self._scope, self.receive, self.send
        )

    async def receive(self) -> Message:
        self._expects_continue = False  # uvicorn sends "100 Continue" when the body is first read
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._scope["state"]["request_id"]
            headers["X-Content-Type-Options"] = "nosniff"
            if not self._trusted or not await self._drain() or self._service.draining or self._service.retiring:
                headers["Connection"] = "close"
        await self._send(message)

    async def _drain(self) -> bool:
        """Discard the rest of the body, since a client that is still sending would miss the response; whether all came."""
        if self._expects_continue:
            return self._ended
        try:
            async with asyncio.timeout_at(self._deadline):
                while not self._ended:
                    await self.receive()
        except TimeoutError:
            return False
        return True


def _normalise(scope: Scope) -> Scope:
    """The request as it is routed: HEAD as GET, whose body uvicorn omits; a full URL as its path."""
    routed = {**scope, "method": "GET"} if scope["method"] == "HEAD" else {**scope}
    if scope["path"].startswith(("http://", "https://")):
        routed["path"] = "/" + scope["path"].partition("://")[2].partition("/")[2]
        routed["raw_path"] = b"/" + scope["raw_path"].partition(b"://")[2].partition(b"/")[2]
    return routed


def _check_head(scope: Scope, headers: Headers, local: bool) -> None:
    """Refuse ambiguous requests and, on a local server, those of other servers' web pages.

    A page can make its reader's browser request 127.0.0.1, or give that address to a name of its own ("DNS rebinding").
    """
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Refused(400, "malformed", "Content-Length and Transfer-Encoding exclude each other")
    if not local:
        return
    hosts = headers.getlist("host")
    if not all(_is_loopback(host) for host in hosts):
        raise Refused(421, "host", "this server answers to localhost only", "use --host and a token to serve others")
    opened = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"  # a link to the page
    foreign = headers.get("sec-fetch-site") == "cross-site" and not opened
    own = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    if foreign or headers.get("origin", own[0] if own else None) not in [*own, None]:
        raise Refused(403, "cross-site", "pages of other servers may not use this one", "set a token to allow them")


def _is_loopback(host: str) -> bool:
    name = re.sub(r":\d*$", "", host).lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
