"""Lesson 1: the bug hunt (1.4), from the bytes of a file to the numbers of a network."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, as_numpy, same
from reslab.pixels.decode import decode

_ORIENTATION = 0x0112  # the EXIF tag
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_UPRIGHT, _SIDEWAYS, _GREY = 0, 1, 3


def _file(height: int, width: int, orientation: int = 1, grey: bool = False) -> bytes:
    """A PNG file with an EXIF orientation."""
    dice = np.random.default_rng(height * width + orientation)
    pixels = dice.integers(0, 256, (height, width) if grey else (height, width, 3), dtype=np.uint8)
    exif, file = Image.Exif(), io.BytesIO()
    exif[_ORIENTATION] = orientation
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    return file.getvalue()


def _cases() -> list[tuple[Any, ...]]:
    files = [_file(4, 7), _file(5, 8, orientation=6), _file(6, 5, orientation=3), _file(5, 4, grey=True)]
    return [(file, _MEAN, _STD) for file in files]


def _scaled(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    images = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def _prepared(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """With the package's own decoder."""
    return _scaled(decode(data), mean, std)


def _opened(data: bytes, upright: bool = True, mode: str = "RGB") -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    return np.array((ImageOps.exif_transpose(image) if upright else image).convert(mode))


def _sideways(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return _scaled(_opened(data, upright=False), mean, std)


def _bgr(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return _scaled(_opened(data)[:, :, ::-1], mean, std)


def _reshaped(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    pixels = _opened(data)
    images = torch.from_numpy(pixels).reshape(3, *pixels.shape[:2]).float() / 255
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def _late_division(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    images = torch.from_numpy(_opened(data)).permute(2, 0, 1).float()
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1) / 255


def _no_division(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return _late_division(data, mean, std) * 255


def _transposed(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return _prepared(data, mean, std).transpose(1, 2)


def _channels_last(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return _prepared(data, mean, std).permute(1, 2, 0)


def _not_normalised(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return _prepared(data, (0.0,) * 3, (1.0,) * 3)


def _no_grey(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    pixels = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    return _scaled(pixels, mean, std)


def _stub(data: bytes, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    pixels = _opened(data, upright=False)
    images = torch.from_numpy(pixels).reshape(3, *pixels.shape[:2]).float()
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1) / 255


def _upright(given: list[Any], *answers: Any) -> bool:
    """The upright colour picture comes out as with one of these answers, whatever happens to the others."""
    return any(same(given[_UPRIGHT], answer(*_cases()[_UPRIGHT]), 1e-4) for answer in answers)


def _scrambled(given: list[Any], expected: list[Any]) -> bool:
    """Numbers in reading order: normalised before or after that."""
    if _upright(given, _reshaped, _stub):
        return True
    rights = (expected[_UPRIGHT], _late_division(*_cases()[_UPRIGHT]))
    orders = [right.permute(1, 2, 0).reshape(right.shape) for right in rights]
    return any(same(given[_UPRIGHT], order, 1e-4) for order in orders)


def _greys_fail(given: list[Any], expected: list[Any]) -> bool:
    """Every colour picture has a result, the grey one none, or one of another shape."""
    colour = [number for number in range(len(given)) if number != _GREY]
    wrong = isinstance(given[_GREY], Raised) or np.shape(as_numpy(given[_GREY])) != tuple(expected[_GREY].shape)
    return wrong and not any(isinstance(given[number], Raised) for number in colour)


def _lies(given: list[Any], expected: list[Any]) -> bool:
    """Right for the upright file, and with height and width exchanged for the one that lies on its side."""
    shapes = [tuple(np.shape(as_numpy(one))) for one in given]
    upright = shapes[_UPRIGHT] == tuple(expected[_UPRIGHT].shape)
    channels, height, width = expected[_SIDEWAYS].shape
    close = upright and np.allclose(as_numpy(given[_UPRIGHT]), as_numpy(expected[_UPRIGHT]), atol=1e-4)
    return bool(close) and shapes[_SIDEWAYS] == (channels, width, height)


PREPARE = Exercise(
    number="1.4",
    name="prepare",
    stub='''import io

import numpy as np
import torch
from PIL import Image


def prepare(data, mean, std):
    """The bytes of a picture file, lists mean, std of three floats -> float32 [3, height, width], (x / 255 - mean) / std

    The picture is upright and RGB, whatever the file holds. Three bugs are in it.
    """
    pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    images = torch.from_numpy(pixels).reshape(3, *pixels.shape[:2]).float()
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1) / 255
''',
    expected=_prepared,
    cases=_cases,
    tolerance=1e-4,
    mistakes=(
        Mistake(
            _stub,
            "all three bugs are still in it; begin with a picture of three pixels, whose numbers you can work out by hand",
                 "三个错误都还在；先用一张只有三个像素、能手算的图片试一试",
            when=lambda given, expected: _upright(given, _stub) and np.shape(as_numpy(given[_SIDEWAYS])) == (3, 5, 8),
        ),
        Mistake(
            _sideways,
            "photos that a camera stored on their side stay there: read the EXIF orientation (ImageOps.exif_transpose)",
                 "相机横着存的照片仍然是横的：要按 EXIF 方向转正（ImageOps.exif_transpose）",
            when=_lies,
        ),
        Mistake(
            _reshaped,
            "reshape scrambles the numbers: it keeps their order and only counts them off anew; use permute(2, 0, 1)",
                 "reshape 打乱了数据：它不改变数的先后，只是重新分组；应当用 permute(2, 0, 1)",
            when=_scrambled,
        ),
        Mistake(
            _late_division,
            "mean and std are in [0, 1], so divide by 255 before subtracting the mean",
                 "均值和标准差是按 [0, 1] 算的，所以要先除以 255，再减均值",
            when=lambda given, expected: _upright(given, _late_division),
        ),
        Mistake(
            _no_division,
            "the division by 255 has gone: bytes are 255 times too large for this mean and std",
                 "少了除以 255 这一步：这组均值和标准差是按 [0, 1] 给出的，字节值要大 255 倍",
            when=lambda given, expected: _upright(given, _no_division),
        ),
        Mistake(
            _bgr,
            "red and blue are exchanged: Pillow gives RGB already, only OpenCV's imread gives BGR",
                 "红色与蓝色弄反了：Pillow 给出的已经是 RGB，只有 OpenCV 的 imread 给出 BGR",
            when=lambda given, expected: _upright(given, _bgr),
        ),
        Mistake(
            _transposed,
            "height and width are exchanged: permute(2, 0, 1), not (2, 1, 0)",
                 "高和宽弄反了：应为 permute(2, 0, 1)，而不是 (2, 1, 0)",
        ),
        Mistake(
            _channels_last,
            "the channels are still last; the result is [3, height, width]", "通道仍在最后；结果应为 [3, 高, 宽]",
        ),
        Mistake(
            _not_normalised,
            "mean and std are not used any more", "均值和标准差没有用上",
        ),
        Mistake(
            _no_grey,
            "colour pictures work; a grey file has one channel only: convert(\"RGB\") was there for it",
                 "彩色图片没问题；灰度文件只有一个通道：convert(\"RGB\") 正是为它准备的",
            when=_greys_fail,
        ),
    ),
    hints=(
        Text("Try a picture with three pixels whose result you can compute by hand, and a file with an EXIF orientation of 6.",
             "先试一张只有三个像素、能手算结果的图片，再试一个 EXIF 方向为 6 的文件。"),
        Text("What does reshape do with a row of red pixels? In which range are mean and std given?",
             "一行红色像素经过 reshape 会怎样？均值和标准差是按哪个范围给出的？"),
        Text("ImageOps.exif_transpose(image).convert(\"RGB\"); permute(2, 0, 1).float() / 255; then subtract and divide.",
             "ImageOps.exif_transpose(image).convert(\"RGB\")；permute(2, 0, 1).float() / 255；然后再减再除。"),
    ),
)  # fmt: skip
