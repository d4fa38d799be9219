"""Label Studio's protocol for models ("ML backend"): `setup`, `predict`, `webhook` and `health` below `/label-studio`.

As Label Studio's server sends it (label_studio/ml/api_connector.py) and its Python package answers (label_studio_ml/api.py).
Pictures come as `data:` URLs, or by address from servers that the operator has named.
"""

import asyncio
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from reslab.errors import BadPicture
from reslab.evaluate.predict import Prediction, failed
from reslab.serve.body import Upload, decode_base64, read_document, sanitize_name
from reslab.serve.fetching import Fetcher
from reslab.serve.limits import Refused
from reslab.serve.served import ServedModel
from reslab.serve.service import Service

PREFIX = "/label-studio"

_MOST_TASKS = 1000  # of a request
_MARKS = 200  # structural bytes of JSON for each of them
_AT_ONCE = 4  # pictures of a request that are in memory
_LONGEST_CONFIG = 200_000


@dataclass(frozen=True)
class Controls:
    """What a labelling configuration calls things."""

    choices: str
    """The name of its `<Choices>`."""
    image: str
    """The name of the `<Image>` that they are about."""
    key: str
    """Where a task's data hold the picture."""


def read_config(text: Any, classes: tuple[str, ...]) -> Controls:
    """The choices about a picture in a labelling configuration.

    Raises:
        Refused: it cannot be read, has no such choices, or lacks one of the model's classes.
    """
    if not isinstance(text, str) or len(text) > _LONGEST_CONFIG or "<!DOCTYPE" in text:  # entities are declared there
        raise _refuse("the labelling configuration is not one")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise _refuse("the labelling configuration is not XML") from None
    images = {tag.get("name"): tag.get("value", "").removeprefix("$") for tag in root.iter("Image")}
    for tag in root.iter("Choices"):
        if tag.get("toName") in images and tag.get("name"):
            offered = {choice.get("alias") or choice.get("value") for choice in tag.iter("Choice")}
            missing = [name for name in classes if name not in offered] if offered else []
            if missing:
                more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
                raise _refuse(f"the labelling configuration has no Choice for {', '.join(missing[:5])}{more}")
            image = str(tag.get("toName"))
            return Controls(str(tag.get("name")), image, images[image])
    raise _refuse("the labelling configuration has no Choices about an Image")


def add_label_studio(app: FastAPI, service: Service, guards: list[Any], fetcher: Fetcher) -> None:
    """Add the routes, which OpenAPI does not describe: the protocol is Label Studio's."""

    async def document_of(request: Request) -> dict[str, Any]:
        with service.admission.reading() as count:
            found = await read_document(request, service.limits, count, service.run_in_thread, _MARKS * _MOST_TASKS)
        return found if isinstance(found, dict) else {}

    async def health(request: Request) -> JSONResponse:
        with service.using(request.path_params.get("name")) as model:
            return JSONResponse({"status": "UP", "model_class": _version(model)})

    async def setup(request: Request) -> JSONResponse:
        with service.using(request.path_params.get("name")) as model:
            read_config((await document_of(request)).get("schema"), model.header.classes)
            return JSONResponse({"model_version": _version(model)})

    async def webhook(request: Request) -> JSONResponse:
        if (await document_of(request)).get("action") == "START_TRAINING":
            raise Refused(
                409, "training", "this server does not train", "export the labels, and train with: reslab train"
            )
        return JSONResponse({"status": "ok"})

    async def predict(request: Request) -> JSONResponse:
        with service.using(request.path_params.get("name")) as model:
            document = await document_of(request)
            controls, tasks = read_config(document.get("label_config"), model.header.classes), document.get("tasks")
            if not isinstance(tasks, list) or not tasks or len(tasks) > _MOST_TASKS:
                raise Refused(422, "malformed", f"tasks must be a list of 1 to {_MOST_TASKS:,}")
            request.state.pictures = len(tasks)
            rows = await _answer(service, model, fetcher, [_picture(task, controls.key) for task in tasks])
            if all(row.error is not None for row in rows):
                raise Refused(422, "unreadable", f"no picture can be read, the first because: {rows[0].error}")
            return JSONResponse({"results": [_result(row, controls, _version(model)) for row in rows]})

    for prefix in (PREFIX, "/models/{name}" + PREFIX):
        for route in (setup, webhook, predict):
            app.add_api_route(
                f"{prefix}/{route.__name__}", route, methods=["POST"], dependencies=guards, include_in_schema=False
            )
        app.add_api_route(f"{prefix}/health", health, methods=["GET"], dependencies=guards, include_in_schema=False)


async def _answer(service: Service, model: ServedModel, fetcher: Fetcher, pictures: list[str]) -> list[Prediction]:
    """A row for each picture, a few of them in memory at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def answer(number: int, text: str) -> Prediction:
        name = f"task {number}" if text.startswith("data:") else sanitize_name(text)
        async with slots:
            with service.admission.reading() as count:
                try:
                    data = await _read(text, number, fetcher)
                except BadPicture as error:
                    return failed(name, BadPicture(name, error.reason))
                count(len(data))
                with service.admission.answering(1):
                    (row,) = await model.predict([Upload(name, data)])
                    return row

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(number, text)) for number, text in enumerate(pictures)]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _read(text: str, number: int, fetcher: Fetcher) -> bytes:
    if text.startswith("data:"):
        try:
            return decode_base64(text, number)
        except Refused as error:
            raise BadPicture("", error.message) from None
    return await asyncio.to_thread(fetcher.read, text)


def _picture(task: Any, key: str) -> str:
    found = task.get("data", {}) if isinstance(task, dict) else {}
    text = found.get(key) if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def _result(row: Prediction, controls: Controls, version: str) -> dict[str, Any]:
    """A prediction in Label Studio's form; its score is the probability of the least certain label."""
    labels = row.answered if row.error is None else ()
    choices = {
        "from_name": controls.choices,
        "to_name": controls.image,
        "type": "choices",
        "value": {"choices": [label for label, _ in labels]},
    }
    score = min((probability for _, probability in labels), default=0.0)
    return {"model_version": version, "score": score, "result": [choices] if labels else []}


def _version(model: ServedModel) -> str:
    """What Label Studio shows as the version."""
    return f"{model.name}-{model.sha256[:12]}"


def _refuse(sentence: str) -> Refused:
    return Refused(
        422, "label-config", sentence, 'it needs <Image name="a" value="$b"/> and <Choices name="c" toName="a">'
    )
