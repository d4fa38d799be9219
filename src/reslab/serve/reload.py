"""Replace a model whose file has changed, in a server of one process: running requests finish with the one before."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from reslab.engine.base import Engine
from reslab.errors import ResLabError
from reslab.serve.log import LOG
from reslab.serve.served import ServedModel
from reslab.serve.service import Service
from reslab.serve.sources import POLL_SECONDS, Source, Watch

Built = TypeVar("Built")


async def follow(service: Service, watch: Watch) -> None:
    """Serve what the files hold for as long as the server runs; `service.reload_asked` has all of them read again."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(service.reload_asked.wait(), POLL_SECONDS)
        asked = service.reload_asked.is_set()
        service.reload_asked.clear()
        for source in watch.changed(asked):
            model = await asyncio.to_thread(_open, source, service)
            if model is not None:
                await model.decoders.is_ready()
                service.replace(model)


def open_again(source: Source, served: str, errors: dict[str, str], build: Callable[[Engine], Built]) -> Built | None:
    """What is built from the model that a file holds now; None where it cannot be, or is the one that is served.

    Args:
        served: sha256 of the model that is served.
        errors: model -> why its file is not served; brought up to date.
    """
    try:
        engine = source.open()
        built = None if engine.sha256 == served else build(engine)
    except Exception as error:  # also what a library raises that was handed a damaged file
        reason = error.message if isinstance(error, ResLabError) else f"unexpected error: {error!r:.200}"
        errors[source.name] = reason
        log_event("reload", name=source.name, model=served, error=reason)
        return None
    errors.pop(source.name, None)
    log_event("reload", name=source.name, model=engine.sha256, before=served)
    return built


def log_event(event: str, **more: str | int) -> None:
    """A line of the log that is about no request."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    LOG.info(json.dumps({"time": time, "event": event, **more}))


def _open(source: Source, service: Service) -> ServedModel | None:
    served, errors = service.models[source.name].sha256, service.status().errors
    return open_again(source, served, errors, lambda engine: service.prepare(source.name, engine))
