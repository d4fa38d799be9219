"""Options of exports and adoptions as plain values: formats, layouts, ranges of the input."""

from dataclasses import dataclass
from typing import Literal, get_args

from reslab.pixels.preprocess import IMAGENET_MEAN, STATISTICS, Interpolation, Resize

Form = Literal["onnx", "openvino", "pt2"]
FORMS: tuple[Form, ...] = get_args(Form)
SUFFIXES: dict[Form, str] = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}

Layout = Literal["nhwc-uint8", "nchw-float32"]
"""The input of the graph: pixels as decoders give them, or planes in [0, 1] as other pipelines do. Either is normalised
inside."""

Numbers = tuple[tuple[float, ...], tuple[float, ...]]

NUMBERS: dict[str, Numbers] = {
    **STATISTICS,
    "0-255": ((0.0,) * 3, (1 / 255,) * 3),
    "0-255 less ImageNet's mean": (IMAGENET_MEAN, (1 / 255,) * 3),
}
"""Usual ranges of a network's input, as mean and std of a picture in [0, 1]. The last is that of Caffe, which uses BGR."""


@dataclass(frozen=True, slots=True)
class RuleChoices:
    """The candidates for an input rule. What a person fixes is the only candidate."""

    numbers: dict[str, Numbers]
    resizes: tuple[Resize, ...] = get_args(Resize)
    interpolations: tuple[Interpolation, ...] = get_args(Interpolation)
