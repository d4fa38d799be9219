"""The HTTP interface of a model: its routes and their OpenAPI description."""

import asyncio
import base64
import hmac
import importlib.metadata
import json
import os
from collections.abc import AsyncIterator, Mapping
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
    HealthDocument,
    ModelDocument,
    ModelRow,
    ModelsDocument,
    PredictionsDocument,
    StateDocument,
    to_json,
)
from reslab.serve.fetching import Fetcher
from reslab.serve.front import MONITORING_ENDPOINTS, RequestMiddleware
from reslab.serve.label_studio import PREFIX, add_label_studio
from reslab.serve.limits import Limits, Refused
from reslab.serve.reload import follow
from reslab.serve.service import Service
from reslab.serve.sources import Watch
from reslab.serve.web import add_page

_DESCRIPTIONS = {
    400: "No body, or one that does not match its content type",
    401: "A missing or wrong token",
    404: "No class or model of that name",
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
    engines: Engine | Mapping[str, Engine],
    limits: Limits | None = None,
    token: str | None = None,
    local: bool = False,
    sets: SetOptions | None = None,
    watch: Watch | None = None,
    processes: int = 1,
    fetcher: Fetcher | None = None,
) -> FastAPI:
    """The server of one or several models, as an ASGI app.

    Args:
        engines: a model, or several by name, of which the first answers at the addresses without a name.
        token: required in `Authorization: Bearer`; by default none is.
        local: refuse requests for hosts other than this machine's own names, and those of other servers' pages.
        sets: which prediction sets are answered; by default those of 95 %, where the model file holds them.
        watch: the models' files; one that changes is served instead.
        processes: how many servers share this machine's processors.
        fetcher: fetches pictures that Label Studio names by address; by default none are.

    Raises:
        ResLabError: the model file holds no quantiles for `sets`.
    """
    version = importlib.metadata.version("reslab")
    named = engines if isinstance(engines, Mapping) else {"model": engines}
    service = Service(named, limits or Limits(), version, sets, processes)
    fetcher = fetcher or Fetcher([], None, service.limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.is_ready()
        await service.turn()
        following = asyncio.create_task(follow(service, watch)) if watch else None
        yield
        if following:
            following.cancel()
        service.close()

    app = FastAPI(title="ResLab", version=version, lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.service = service
    app.add_middleware(RequestMiddleware, service=service, local=local)
    app.add_exception_handler(ResLabError, _handle_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(RequestValidationError, _handle_invalid_query)
    guards = _guards(service, token)
    _add_prediction_routes(app, service, guards)
    _add_model_routes(app, service, guards)
    _add_status_routes(app, service, guards)
    add_label_studio(app, service, guards, fetcher)
    add_page(app)
    return app


def _add_prediction_routes(app: FastAPI, service: Service, guards: list[Any]) -> None:
    """`/predict` and `/explain`, and the same below `/models/{name}`."""
    rows: dict[str, Any] = _describe(PredictionsDocument, _several(service.limits), also=(404,))
    drawn: dict[str, Any] = _describe(ExplanationDocument, _one(), {"image/png": {"schema": _FILE}}, also=(404, 409))
    label_query = Annotated[str | None, Query(description="The class to explain.")]

    @app.post("/predict", dependencies=guards, **rows)
    async def predict(request: Request) -> Response:
        """Classify one or several pictures. The rows of unreadable ones give the reason."""
        return await _predict(service, request, None)

    @app.post("/explain", dependencies=guards, **drawn)
    async def explain(request: Request, label: label_query = None) -> Response:
        """The class activation map of one picture: a PNG, or JSON where `Accept` asks for it."""
        return await _explain(service, request, None, label)

    @app.post("/models/{name}/predict", dependencies=guards, **rows)
    async def predict_by_name(request: Request, name: str) -> Response:
        """The same by the model of this name."""
        return await _predict(service, request, name)

    @app.post("/models/{name}/explain", dependencies=guards, **drawn)
    async def explain_by_name(request: Request, name: str, label: label_query = None) -> Response:
        """The same by the model of this name."""
        return await _explain(service, request, name, label)


async def _predict(service: Service, request: Request, name: str | None) -> Response:
    with service.using(name) as model, service.admission.reading() as count:
        files = await read_uploads(request, service.limits, count, service.run_in_thread)
        request.state.pictures = len(files)
        with service.admission.answering(len(files)):
            rows = await model.predict(files)
    if all(row.error is not None for row in rows):
        first = f"cannot read {rows[0].path}: {rows[0].error}"
        several = f"none of the {len(rows)} pictures can be read, the first because: {rows[0].error}"
        raise Refused(422, "unreadable", first if len(rows) == 1 else several)
    return _json(PredictionsDocument(1, model.sha256, request.state.request_id, rows))


async def _explain(service: Service, request: Request, name: str | None, label: str | None) -> Response:
    with service.using(name) as model, service.admission.reading() as count:
        if not model.explains:
            raise Refused(409, "no-features", "this model cannot be explained: it has no features and linear head")
        files = await read_uploads(request, service.limits, count, service.run_in_thread)
        request.state.pictures = len(files)
        if len(files) != 1:
            raise Refused(422, "one-picture", f"explain takes one picture, and {len(files)} were sent")
        with service.admission.answering(1):
            picture, found = await model.explain(files[0], label)
            if _wants_json(request):
                return _json(await model.explanation_document(picture, found, request.state.request_id))
            return Response(await model.draw(picture, found), media_type="image/png")


def _add_model_routes(app: FastAPI, service: Service, guards: list[Any]) -> None:
    """The read-only routes about models."""
    refused = _errors(401, 429, 503)

    @app.get("/model", dependencies=guards, responses=refused | {200: {"model": ModelDocument}})
    async def model() -> Response:
        """Classes, preprocessing, calibration, scores and limits."""
        with service.using(None) as model:
            return _json(model.document(service.version))

    @app.get("/models", dependencies=guards, responses=refused | {200: {"model": ModelsDocument}})
    async def models() -> Response:
        """The models that are served."""
        return _json(ModelsDocument(1, _rows(service)))

    @app.get("/models/{name}", dependencies=guards, responses=refused | _errors(404) | {200: {"model": ModelDocument}})
    async def model_by_name(name: str) -> Response:
        """The same as `/model` for the model of this name."""
        with service.using(name) as model:
            return _json(model.document(service.version))


def _rows(service: Service) -> list[ModelRow]:
    errors = service.status().errors
    return [
        ModelRow(name, model.sha256, model.header.task, len(model.header.classes), model.since, errors.get(name))
        for name, model in service.models.items()
    ]


def _add_status_routes(app: FastAPI, service: Service, guards: list[Any]) -> None:
    """The monitoring endpoints and the OpenAPI description."""

    @app.get("/livez", responses={200: {"model": StateDocument}})
    async def livez() -> Response:
        """The process is alive."""
        return _json(StateDocument(1, True))

    @app.get("/readyz", responses={200: {"model": StateDocument}} | _errors(503))
    async def readyz() -> Response:
        """The server accepts requests."""
        if service.draining:
            raise _shutting_down()
        if not await service.is_ready():
            raise Refused(503, "decoders", "no picture can be decoded", "try again later", 1)
        return _json(StateDocument(1, True))

    @app.get("/health", dependencies=guards, responses=_errors(401) | {200: {"model": HealthDocument}})
    async def health() -> Response:
        """The processes, the models, and whose file could not be read again."""
        status = service.status()
        return _json(
            HealthDocument(1, not service.draining, os.getpid(), status.processes, status.restarts, _rows(service))
        )

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
        if token is not None and not hmac.compare_digest(_sent(request), token.strip().encode()):
            raise Refused(401, "token", "this server requires a token", "send Authorization: Bearer TOKEN")
        if request.url.path in MONITORING_ENDPOINTS:
            return
        if service.draining:
            raise _shutting_down()
        if service.rate is not None:
            service.rate.take(request.client.host if request.client else "")

    described = [] if token is None else [Depends(HTTPBearer(auto_error=False))]  # for OpenAPI only
    return [Depends(authorize), *described]


def _sent(request: Request) -> bytes:
    """The token that a request sends; Label Studio, which knows user and password only, sends it as the password."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and f"{PREFIX}/" in request.url.path:
        try:
            return base64.b64decode(sent.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return sent.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


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
