"""How strange a picture is to a model: the outlier score that `Calibration.rejection` judges."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from reslab.data.catalog import Picture
from reslab.engine.base import Outputs, stream_outputs
from reslab.errors import ResLabError
from reslab.metrics.outlier import boundary_distance, class_gaps
from reslab.system.sampling import evenly_spaced

MEAN_OF = 512
"""Training pictures whose mean features stand for all."""


class OutlierScorer:
    """The outlier scores of one model; none where its graph gives no features, or its file no mean of them."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._mean = engine, engine.header.feature_mean

    @property
    def needs_features(self) -> bool:
        return bool(self._mean) and self._engine.explains

    def scores(self, outputs: Outputs) -> np.ndarray | None:
        """float64 `[n]`, higher is stranger (`metrics.outlier.boundary_distance`)."""
        if outputs.features is None or not self._mean:
            return None
        if len(self._mean) != outputs.features.shape[1]:
            raise ResLabError(
                f"the model file is damaged: it holds the mean of {len(self._mean)} features, and its network gives "
                f"{outputs.features.shape[1]}"
            )
        return boundary_distance(outputs.logits, outputs.features, self._gaps, np.array(self._mean))

    @cached_property
    def _gaps(self) -> np.ndarray:
        return class_gaps(self._engine.head[0])


def mean_features(engine: Any, pictures: Sequence[Picture], read: Any) -> tuple[float, ...]:
    """Mean of the pooled features of at most `MEAN_OF` of the training pictures, evenly spaced; what `Header.feature_mean` holds.

    Args:
        read: gives the pixels of a picture.
    """
    chosen = evenly_spaced(len(pictures), MEAN_OF)
    parts = stream_outputs(engine, [pictures[i] for i in chosen], read=read, embed=True)
    features = np.concatenate([outputs.features for _, outputs in parts if outputs.features is not None])
    return tuple(float(f"{value:.7g}") for value in features.mean(0, dtype=np.float64))
