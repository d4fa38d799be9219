"""The HTTP interface of a model: its routes and their OpenAPI description."""

import hmac
import importlib.metadata
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from reslab.engine.base import Engine
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.predict import SetOptions
from reslab.serve.body import read_uploads
from reslab.serve.documents import (
    ErrorDocument,
    ExplanationDocument,
    ModelDocument,
    PredictionsDocument,
    StateDocument,
    to_json,
)
from reslab.serve.front import MONITORING_ENDPOINTS, RequestMiddleware
from reslab.serve.limits import Limits, Refused
from reslab.serve.service import Service
from reslab.serve.web import add_page

_DESCRIPTIONS = {
    400: "No body, or one that does not match its content type",
    401: "A missing or wrong token",
    404: "No class of that name",
    408: "The body arrived too slowly",
    409: "The model cannot be explained",
    413: "Too many bytes or files",
    415: "An unsupported content type",
    422: "No picture that can be read",
    429: "Too many requests per second",
    503: "Too many pictures are waiting, or the server is shutting down",
}
_FILE = {"type": "string", "format": "binary"}
_BASE64 = {"type": "string", "format": "byte", "description": "base64 of a file, or a data: URL"}
_ONE_IMAGE = {
    "type": "object",
    "properties": {"image": _BASE64},
    "required": ["image"],
    "additionalProperties": False,
}
_IMAGES = {
    "type": "object",
    "properties": {
        "images": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "data": _BASE64},
                "required": ["data"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["images"],
    "additionalProperties": False,
}


def create_app(
    engine: Engine,
    limits: Limits | None = None,
    token: str | None = None,
    local: bool = False,
    sets: SetOptions | None = None,
) -> FastAPI:
    """The server of one model, as an ASGI app.

    Args:
        token: required in `Authorization: Bearer`; by default none is.
        local: refuse requests for hosts other than this machine's own names, and those of other servers' pages.
        sets: which prediction sets are answered; by default those of 95 %, where the model file holds them.

    Raises:
        ResLabError: the model file holds no quantiles for `sets`.
    """
    version = importlib.metadata.version("reslab")
    service = Service(engine, limits or Limits(), version, sets)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.decoders.is_ready()
        yield
        service.close()

    app = FastAPI(title="ResLab", version=version, lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.service = service
    app.add_middleware(RequestMiddleware, service=service, local=local)
    app.add_exception_handler(ResLabError, _handle_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_query)
    guards = _guards(service, token)
    _add_prediction_routes(app, service, guards)
    _add_status_routes(app, service, guards)
    add_page(app)
    return app


def _add_prediction_routes(app: FastAPI, service: Service, guards: list[Any]) -> None:
    """`/predict` and `/explain`."""

    @app.post("/predict", dependencies=guards, **_describe(PredictionsDocument, _several(service.limits)))
    async def predict(request: Request) -> Response:
        """Classify one or several pictures. The rows of unreadable ones give the reason."""
        with service.admission.reading() as count:
            files = await read_uploads(request, service.limits, count, service.run_in_thread)
            request.state.pictures = len(files)
            with service.admission.answering(len(files)):
                rows = await service.predict(files)
        if all(row.error is not None for row in rows):
            first = f"cannot read {rows[0].path}: {rows[0].error}"
            several = f"none of the {len(rows)} pictures can be read, the first because: {rows[0].error}"
            raise Refused(422, "unreadable", first if len(rows) == 1 else several)
        return _json(PredictionsDocument(1, service.sha256, request.state.request_id, rows))

    png: dict[str, Any] = {"image/png": {"schema": _FILE}}

    @app.post("/explain", dependencies=guards, **_describe(ExplanationDocument, _one(), png, also=(404, 409)))
    async def explain(
        request: Request, label: Annotated[str | None, Query(description="The class to explain.")] = None
    ) -> Response:
        """The class activation map of one picture: a PNG, or JSON where `Accept` asks for it."""
        if not service.explains:
            raise Refused(409, "no-features", "this model cannot be explained: it has no features and linear head")
        with service.admission.reading() as count:
            files = await read_uploads(request, service.limits, count, service.run_in_thread)
            request.state.pictures = len(files)
            if len(files) != 1:
                raise Refused(422, "one-picture", f"explain takes one picture, and {len(files)} were sent")
            with service.admission.answering(1):
                picture, found = await service.explain(files[0], label)
                if _wants_json(request):
                    return _json(await service.explanation_document(picture, found, request.state.request_id))
                return Response(await service.draw(picture, found), media_type="image/png")


def _add_status_routes(app: FastAPI, service: Service, guards: list[Any]) -> None:
    """The read-only routes: the model, the monitoring endpoints, the OpenAPI description."""

    @app.get("/model", dependencies=guards, responses=_errors(401, 429, 503) | {200: {"model": ModelDocument}})
    async def model() -> Response:
        """Classes, preprocessing, calibration, scores and limits."""
        return _json(service.model_document())

    @app.get("/livez", responses={200: {"model": StateDocument}})
    async def livez() -> Response:
        """The process is alive."""
        return _json(StateDocument(1, True))

    @app.get("/readyz", responses={200: {"model": StateDocument}} | _errors(503))
    async def readyz() -> Response:
        """The server accepts requests."""
        if service.draining:
            raise _shutting_down()
        if not await service.decoders.is_ready():
            raise Refused(503, "decoders", "no picture can be decoded", "try again later", 1)
        return _json(StateDocument(1, True))

    @app.get("/openapi.json", dependencies=guards, include_in_schema=False)
    async def openapi() -> Response:
        return Response(json.dumps(app.openapi(), ensure_ascii=False), media_type="application/json")

    metrics_text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @app.get("/metrics", dependencies=guards, response_class=Response, responses=_errors(401) | {200: metrics_text})
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _guards(service: Service, token: str | None) -> list[Any]:
    """The checks before a byte of the body is read: token, shutdown, rate."""

    async def authorize(request: Request) -> None:
        if token is not None:
            scheme, _, sent = request.headers.get("authorization", "").partition(" ")
            right = hmac.compare_digest(sent.strip().encode("latin-1"), token.strip().encode())
            if scheme.lower() != "bearer" or not right:
                raise Refused(401, "token", "this server requires a token", "send Authorization: Bearer TOKEN")
        if request.url.path in MONITORING_ENDPOINTS:
            return
        if service.draining:
            raise _shutting_down()
        if service.rate is not None:
            service.rate.take(request.client.host if request.client else "")

    described = [] if token is None else [Depends(HTTPBearer(auto_error=False))]  # for OpenAPI only
    return [Depends(authorize), *described]


def _describe(
    answer: type, body: dict[str, Any], content: dict[str, Any] | None = None, also: tuple[int, ...] = ()
) -> dict[str, Any]:
    """The OpenAPI description of a route that takes pictures."""
    good = {200: {"model": answer, "content": content or {}}}
    kinds = {
        "multipart/form-data": {"schema": body["form"]},
        "application/json": {"schema": body["json"]},
        "application/octet-stream": {"schema": _FILE},
        "image/*": {"schema": _FILE},
    }
    errors = _errors(400, 401, 408, 413, 415, 422, 429, 503, *also)
    return {"responses": good | errors, "openapi_extra": {"requestBody": {"required": True, "content": kinds}}}


def _several(limits: Limits) -> dict[str, Any]:
    files = {"type": "array", "minItems": 1, "maxItems": limits.max_files, "items": _FILE}
    form = {"type": "object", "properties": {"file": files}, "required": ["file"]}
    return {"form": form, "json": {"oneOf": [_IMAGES, _ONE_IMAGE]}}


def _one() -> dict[str, Any]:
    form = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
    return {"form": form, "json": _ONE_IMAGE}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorDocument, "description": _DESCRIPTIONS[status]} for status in statuses}


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "image/" not in accept


def _shutting_down() -> Refused:
    return Refused(503, "draining", "the server is shutting down", "try another server", 1)


def _json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(document), status, headers, "application/json")


async def _handle_error(request: Request, error: Exception) -> Response:
    """Turn any ResLabError into the documented JSON error: one that is not `Refused` is about a picture or a label."""
    assert isinstance(error, ResLabError)
    hint = None if isinstance(error, BadPicture) else error.hint
    if not isinstance(error, Refused):
        status, reason = (422, "unreadable") if isinstance(error, BadPicture) else (404, "label")
        error = Refused(status, reason, error.message, hint)
    request.state.reason = error.reason
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _json(ErrorDocument(1, error.message, hint, request.state.request_id), error.status, headers)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    """No such path, or a method that it does not allow."""
    assert isinstance(error, HTTPException)
    request.state.reason = "path" if error.status_code == 404 else "method"
    sentence = str(error.detail).lower()
    document = ErrorDocument(1, sentence, "GET /openapi.json lists the paths", request.state.request_id)
    return _json(document, error.status_code, dict(error.headers or {}))


async def _handle_invalid_query(request: Request, error: Exception) -> Response:
    return await _handle_error(request, Refused(422, "malformed", "the query cannot be read"))
