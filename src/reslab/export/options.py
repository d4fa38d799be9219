"""What can be asked of an export or an adoption, in plain values: forms, layouts, ranges of the input."""

from dataclasses import dataclass
from typing import Literal, get_args

from reslab.pixels.preprocess import IMAGENET_MEAN, STATISTICS, Interpolation, Resize

Form = Literal["onnx", "openvino", "pt2"]
FORMS: tuple[Form, ...] = get_args(Form)
SUFFIXES: dict[Form, str] = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}

Layout = Literal["nhwc-uint8", "nchw-float32"]
"""What goes in: pixels as any decoder gives them, or planes in [0, 1], as other programs' pipelines end. Either is
normalised inside."""

Numbers = tuple[tuple[float, ...], tuple[float, ...]]

NUMBERS: dict[str, Numbers] = {
    **STATISTICS,
    "0-255": ((0.0,) * 3, (1 / 255,) * 3),
    "0-255 less ImageNet's mean": (IMAGENET_MEAN, (1 / 255,) * 3),
}
"""What networks are trained on: mean and std of a picture in [0, 1]. The last one came with Caffe, whose colours are BGR."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What is tried. What a person gives is the only one of its kind."""

    numbers: dict[str, Numbers]
    resizes: tuple[Resize, ...] = get_args(Resize)
    interpolations: tuple[Interpolation, ...] = get_args(Interpolation)
