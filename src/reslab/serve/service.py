"""The model behind the door: pictures decoded aside, answered in batches, explained one by one."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from reslab.engine.base import Engine, probabilities
from reslab.errors import BadPicture
from reslab.evaluate.predict import Model, Prediction, failed
from reslab.explain.cam import Explanation
from reslab.explain.cam import explain as explained
from reslab.explain.draw import figure, overlay
from reslab.pixels.encode import encode_picture
from reslab.serve.batcher import Batcher
from reslab.serve.body import Upload
from reslab.serve.decoding import Allowance, decoders
from reslab.serve.documents import ExplanationDocument, ModelDocument, model_document
from reslab.serve.limits import Admission, Limits, Rate
from reslab.serve.metrics import Metrics

_NO_NUMBER = "the network gives no number for it"
_SIDE = 384  # of a drawn picture, in pixels, whatever the network's input is

Result = TypeVar("Result")


class Service:
    """One model that answers, with its limits and counts."""

    def __init__(self, engine: Engine, limits: Limits, version: str) -> None:
        self.limits, self.version = limits, version
        self.admission = Admission(limits)
        self.metrics = Metrics(lambda: self.admission.waiting, lambda: self.running)
        self.rate = None if limits.rate is None else Rate(limits.rate)
        self.running = 0
        """Requests that are under way, other than the probes'."""
        self.draining = False
        """No new request is taken; the server ends with the last that is under way."""
        self._engine: Any = engine
        self._model = Model(engine)
        self._batcher = Batcher(engine, limits.batch, self.metrics.batch)
        self.decoders = decoders(engine.header.preprocess, limits)
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="reslab-aside")  # one, so that memory is bounded
        self._explains = _explains(engine)

    @property
    def sha256(self) -> str:
        return self._engine.sha256

    @property
    def explains(self) -> bool:
        """Whether the model has the parts that an explanation needs."""
        return self._explains

    def card(self) -> ModelDocument:
        """What the model says about itself."""
        return model_document(self._engine, self.limits, self._explains, self.version)

    async def predict(self, files: Sequence[Upload]) -> list[Prediction]:
        """One row per file, in order."""
        allowance = Allowance(self.limits)
        rows = await asyncio.gather(*(self._answer(file, allowance) for file in files))
        for row in rows:
            self.metrics.row(row)
        return rows

    async def explain(self, file: Upload, label: str | None) -> tuple[np.ndarray, Explanation]:
        """The square that the network sees at the size of drawings, and its evidence.

        Raises:
            BadPicture: the file cannot be read.
            ResLabError: the model does not know the label.
        """
        pixels, picture = await self._read(file, Allowance(self.limits), _SIDE)
        found = await self._batcher.run(explained, self._engine, pixels, label)
        if not np.isfinite([*found.heat.flat, found.probability]).all():
            raise BadPicture(file.name, _NO_NUMBER)
        return picture, found

    async def drawn(self, picture: np.ndarray, found: Explanation) -> bytes:
        """PNG of the picture, the same under its evidence, and the scale."""
        return await self.aside(lambda: _png(figure(picture, found.heat)))

    async def explanation(self, picture: np.ndarray, found: Explanation, request_id: str) -> ExplanationDocument:
        """The same as a document."""
        side = self._engine.header.preprocess.size
        seen, laid = await self.aside(lambda: (_url(picture), _url(overlay(picture, found.heat))))
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
            overlay=laid,
            picture=seen,
        )

    def close(self) -> None:
        """Wait for the threads and end them; end the processes."""
        self.decoders.stop()
        self._batcher.close()
        self._aside.shutdown()

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Something that takes a while, in its turn, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._aside, work)

    async def _answer(self, file: Upload, allowance: Allowance) -> Prediction:
        try:
            (pixels,) = await self._read(file, allowance)
        except BadPicture as error:
            return failed(file.name, error)
        logits = await self._batcher.logits(pixels)
        if not np.isfinite(logits).all():
            return failed(file.name, BadPicture(file.name, _NO_NUMBER))
        return self._model.row(file.name, logits, probabilities(self._engine, logits[None])[0])

    async def _read(self, file: Upload, allowance: Allowance, side: int = 0) -> list[np.ndarray]:
        try:
            return await self.decoders.read(file.data, allowance, side)
        except BadPicture as error:
            raise BadPicture(file.name, error.reason) from None


def _explains(engine: Any) -> bool:
    size = engine.header.preprocess.size
    try:
        engine.features(np.zeros((1, size, size, 3), np.uint8))
        engine.head  # noqa: B018  a graph without these outputs says so when it is asked
    except Exception:  # onnxruntime's errors have no common class
        return False
    return True


def _png(picture: np.ndarray | Image.Image) -> bytes:
    return encode_picture(picture, compress_level=1)  # more takes twice the time, and a photograph gains nothing


def _url(pixels: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(_png(pixels)).decode()
