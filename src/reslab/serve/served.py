"""One served model: decode uploads, predict them in batches, explain single ones."""

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image

from reslab.engine.base import Engine
from reslab.errors import BadPicture, NoAnswer
from reslab.evaluate.predict import Model, Prediction, SetOptions, failed
from reslab.explain import cam
from reslab.explain.draw import draw_explanation, overlay
from reslab.pixels.encode import encode_picture
from reslab.serve.batcher import Batcher
from reslab.serve.body import RunInThread, Upload
from reslab.serve.decoding import DecodingBudget, create_decoders
from reslab.serve.documents import ExplanationDocument, ModelDocument, model_document
from reslab.serve.limits import Limits
from reslab.serve.metrics import Metrics

_SIDE = 384  # of a drawn picture, in pixels, whatever the network's input is


class ServedModel:
    """A model with its computing thread and its decoders."""

    def __init__(
        self, name: str, engine: Engine, limits: Limits, sets: SetOptions | None, metrics: Metrics,
        run_in_thread: RunInThread, cores: int,
    ) -> None:  # fmt: skip
        """Start nothing yet: threads and decoders start with the first picture.

        Args:
            run_in_thread: runs what would block the event loop.
            cores: processors that this process may count on: its decoders.

        Raises:
            ResLabError: the model file holds no quantiles for `sets`.
        """
        self.name, self.sha256, self.header = name, engine.sha256, engine.header
        self.since = datetime.now(UTC).isoformat(timespec="seconds")
        self._limits, self._metrics, self._cores, self._run_in_thread = limits, metrics, cores, run_in_thread
        self._engine: Any = engine
        self._model = Model(engine, sets)
        self._batcher = Batcher(
            engine, limits.batch, self._model.needs_features, lambda count: metrics.batch(count, name)
        )
        self.decoders = create_decoders(engine.header.preprocess, limits, cores)
        self.explains = _can_explain(engine)
        """Whether the model has the parts that an explanation needs."""

    def document(self, version: str) -> ModelDocument:
        """Describe the model; `version` is ResLab's."""
        return model_document(self._engine, self._model.sets, self._limits, self.explains, version)

    async def predict(self, files: Sequence[Upload]) -> list[Prediction]:
        """One row per file, in order."""
        budget = DecodingBudget(self._limits, self._cores)
        rows = await asyncio.gather(*(self._predict(file, budget) for file in files))
        for row in rows:
            self._metrics.row(row, self.name)
        return rows

    async def explain(self, file: Upload, label: str | None) -> tuple[np.ndarray, cam.Explanation]:
        """The picture as the network sees it, at the size of drawings, and its explanation.

        Raises:
            BadPicture: the file cannot be read, or the network gave no finite number.
            ResLabError: the label is not one of the model's classes.
        """
        pixels, picture = await self._read(file, DecodingBudget(self._limits, self._cores), _SIDE)
        found = await self._batcher.run(cam.explain, self._engine, pixels, label)
        if not np.isfinite([*found.heat.flat, found.probability]).all():
            raise NoAnswer(file.name)
        return picture, found

    async def draw(self, picture: np.ndarray, found: cam.Explanation) -> bytes:
        """PNG of the picture, the same under its map, and the scale."""
        return await self._run_in_thread(lambda: _png(draw_explanation(picture, found.heat)))

    async def explanation_document(
        self, picture: np.ndarray, found: cam.Explanation, request_id: str
    ) -> ExplanationDocument:
        """The same as a document."""
        side = self._engine.header.preprocess.size
        plain, mapped = await self._run_in_thread(lambda: (_url(picture), _url(overlay(picture, found.heat))))
        return ExplanationDocument(
            schema=1,
            model=self.sha256,
            request_id=request_id,
            label=found.label,
            probability=found.probability,
            logit=found.logit,
            bias=found.bias,
            map=np.round(found.heat, 5).tolist(),
            peak=found.peak(side),
            size=side,
            overlay=mapped,
            picture=plain,
        )

    def close(self) -> None:
        """End the decoders, and wait for the computing thread to end."""
        self.decoders.stop()
        self._batcher.close()

    async def _predict(self, file: Upload, budget: DecodingBudget) -> Prediction:
        try:
            (pixels,) = await self._read(file, budget)
        except BadPicture as error:
            return failed(file.name, error)
        (row,) = self._model.rows([file.name], await self._batcher.outputs(pixels))
        return row

    async def _read(self, file: Upload, budget: DecodingBudget, side: int = 0) -> list[np.ndarray]:
        try:
            return await self.decoders.read(file.data, budget, side)
        except BadPicture as error:
            raise BadPicture(file.name, error.reason) from None


def _can_explain(engine: Any) -> bool:
    size = engine.header.preprocess.size
    try:
        engine.features(np.zeros((1, size, size, 3), np.uint8))
        engine.head  # noqa: B018  a graph without these outputs raises here
    except Exception:  # onnxruntime's errors have no common class
        return False
    return True


def _png(picture: np.ndarray | Image.Image) -> bytes:
    return encode_picture(picture, compress_level=1)  # more takes twice the time, and a photograph gains nothing


def _url(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(_png(pixels)).decode()
