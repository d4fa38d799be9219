"""Class activation maps in closed form, by any engine."""

from dataclasses import dataclass

import numpy as np

from reslab.engine.base import ExplainableEngine, probabilities
from reslab.errors import ResLabError, nearest


@dataclass(frozen=True, slots=True)
class Explanation:
    """The evidence for one class in one picture."""

    label: str
    probability: float
    """Calibrated."""
    logit: float
    bias: float
    heat: np.ndarray
    """float64 `[map_height, map_width]`, in logits: its mean plus `bias` is exactly `logit`."""

    def peak(self, size: int) -> tuple[float, float]:
        """Centre (x, y) of the map's largest value, in pixels of an input of this side."""
        row, column = np.unravel_index(self.heat.argmax(), self.heat.shape)
        height, width = self.heat.shape
        return (float(column) + 0.5) * size / width, (float(row) + 0.5) * size / height


def explain(engine: ExplainableEngine, pixels: np.ndarray, label: str | None = None) -> Explanation:
    """The class activation map of one picture (Zhou et al. 2016, arXiv:1512.04150).

    The logit of class k is `mean over positions of (w_k . f) + b_k`, because pooling and the linear layer commute: so
    `w_k . f` is exactly what each position contributes. For such networks this is Grad-CAM (Selvaraju et al. 2017,
    arXiv:1610.02391) without its ReLU, up to the size of the map.

    Args:
        pixels: uint8 `[size, size, 3]`, preprocessed by the model's rule.
        label: the class to explain; the likeliest by default.

    Raises:
        ResLabError: the label is not one of the model's classes.
    """
    classes = engine.header.classes
    if label is not None and label not in classes:
        raise ResLabError(f"the model has no class {label!r}", nearest(label, classes))
    features, (weight, bias) = engine.features(pixels[None])[0].astype(np.float64), engine.head
    logits = features.mean(axis=(1, 2)) @ weight.T + bias
    number = int(logits.argmax()) if label is None else classes.index(label)
    heat = np.einsum("c,chw->hw", weight[number], features)
    probability = float(probabilities(engine, logits[None])[0, number])
    return Explanation(classes[number], probability, float(logits[number]), float(bias[number]), heat)
