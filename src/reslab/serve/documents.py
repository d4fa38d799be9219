"""The JSON documents of the server. FastAPI describes these classes in `/openapi.json`."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from reslab.engine.base import Engine
from reslab.evaluate.predict import Prediction, SetOptions
from reslab.serve.limits import Limits


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """Why a request failed."""

    schema: int
    error: str
    hint: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class PredictionsDocument:
    """The answers in the order of the pictures: the rows of `reslab predict --json`."""

    schema: int
    model: str
    """sha256 of the model file."""
    request_id: str
    predictions: list[Prediction]


@dataclass(frozen=True, slots=True)
class ExplanationDocument:
    """The class activation map of one picture."""

    schema: int
    model: str
    request_id: str
    label: str
    probability: float
    logit: float
    bias: float
    map: list[list[float]]
    """In logits: its mean plus `bias` is `logit`."""
    peak: tuple[float, float]
    """Centre (x, y) of the map's strongest cell, in pixels of an input of side `size`."""
    size: int
    overlay: str
    """PNG as a data: URL: the network's view of the picture under the map."""
    picture: str
    """The same without the map."""


@dataclass(frozen=True, slots=True)
class LimitsDocument:
    """Limits of one request."""

    bytes: int
    pixels: int
    files: int


@dataclass(frozen=True, slots=True)
class ModelDocument:
    """The model that is served."""

    schema: int
    sha256: str
    name: str
    classes: list[str]
    task: str
    thresholds: list[float]
    preprocess: dict[str, Any]
    calibration: dict[str, Any]
    prediction_sets: SetOptions | None
    """Which prediction sets are answered; None where the model file holds no quantiles for them."""
    scores: dict[str, Any]
    training: dict[str, Any]
    engine: str
    certificate: dict[str, Any] | None
    explains: bool
    limits: LimitsDocument
    version: str


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One of the models that are served."""

    name: str
    sha256: str
    task: str
    classes: int
    since: str
    """When it was loaded, ISO 8601."""
    error: str | None
    """Why its file, which has changed since, is not served."""


@dataclass(frozen=True, slots=True)
class ModelsDocument:
    """The models that are served; the first answers at the addresses without a name."""

    schema: int
    models: list[ModelRow]


@dataclass(frozen=True, slots=True)
class HealthDocument:
    """The server and its processes."""

    schema: int
    ok: bool
    """Whether it accepts requests."""
    process: int
    """The process that gives this answer."""
    processes: list[int]
    restarts: int
    """Processes that ended by themselves and were started again."""
    models: list[ModelRow]


@dataclass(frozen=True, slots=True)
class StateDocument:
    """Whether the server is alive or accepts requests."""

    schema: int
    ok: bool


def model_document(engine: Engine, sets: SetOptions, limits: Limits, explains: bool, version: str) -> ModelDocument:
    """Describe the model that is served."""
    header = engine.header
    return ModelDocument(
        schema=1,
        sha256=engine.sha256,
        name=str(header.network.get("name", "")),
        classes=list(header.classes),
        task=header.task,
        thresholds=list(header.thresholds),
        preprocess=dataclasses.asdict(header.preprocess),
        calibration=dataclasses.asdict(header.calibration),
        prediction_sets=sets if header.calibration.conformal else None,
        scores=header.scores,
        training=header.training,
        engine=engine.name,
        certificate=getattr(engine, "certificate", None),
        explains=explains,
        limits=LimitsDocument(limits.max_bytes, limits.max_pixels, limits.max_files),
        version=version,
    )


def to_json(document: Any) -> bytes:
    """A document as JSON, in the style of `reslab predict --json`."""
    return json.dumps(dataclasses.asdict(document), ensure_ascii=False, allow_nan=False).encode()
