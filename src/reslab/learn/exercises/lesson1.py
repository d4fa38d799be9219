"""Lesson 1, a picture is numbers: the exercises 1.1 to 1.3; the bug hunt (1.4) is in `lesson1_more`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.learn.exercise import Exercise, Mistake, Text, as_numpy, same, value
from reslab.learn.exercises.lesson1_more import PREPARE
from reslab.nn import layers


def _described(answer: Any, case: tuple[Any, ...]) -> tuple[str, Any]:
    """The type of the numbers, and the numbers."""
    result = answer(*case)
    return str(getattr(result, "dtype", type(result).__name__)).removeprefix("torch."), result


def _pictures() -> list[tuple[Tensor]]:
    """Batches of bytes; no two sides are equal, and each picture has other extremes."""
    dice = torch.Generator().manual_seed(11)
    sizes = [(2, 4, 5), (3, 6, 2), (1, 7, 3), (2, 3, 8)]
    return [(torch.randint(20, 230, (*size, 3), generator=dice, dtype=torch.uint8),) for size in sizes]


def _reshaped(pixels: Tensor) -> Tensor:
    batch, height, width, _ = pixels.shape
    return pixels.reshape(batch, 3, height, width).float() / 255


def _only_type_differs(given: list[Any], expected: list[Any]) -> bool:
    """The right numbers, as another type."""
    return all(
        isinstance(one, tuple) and one[0] != right[0] and same(one[1], right[1], 1e-5)
        for one, right in zip(given, expected, strict=True)
    )


def _in_order(answer: Callable[[Tensor], Tensor]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises numbers in this answer's order, whatever their range: in each picture both rise and fall together."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        for (_, one), case in zip(given, _pictures(), strict=True):
            theirs, ours = as_numpy(one), as_numpy(answer(*case))
            if theirs.shape != ours.shape:
                return False
            pairs = zip(theirs, ours, strict=True)
            if not all(np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.999 for one, other in pairs):
                return False
        return True

    return when


def _in_range(answer: Callable[[Tensor], Tensor]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises this answer's numbers, whatever their order."""

    def when(given: list[Any], expected: list[Any]) -> bool:
        pairs = [(as_numpy(one), as_numpy(answer(*case))) for (_, one), case in zip(given, _pictures(), strict=True)]
        return all(same(np.sort(one, axis=None), np.sort(other, axis=None), 1e-5) for one, other in pairs)

    return when


def _ordered(answer: Callable[[Tensor], Tensor], en: str, zh: str) -> Mistake:
    return Mistake(answer, en, zh, _in_order(answer))


def _ranged(answer: Callable[[Tensor], Tensor], en: str, zh: str) -> Mistake:
    return Mistake(answer, en, zh, _in_range(answer))


def _each_stretched(pixels: Tensor) -> Tensor:
    images = layers.to_images(pixels)
    low, high = images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True)
    return (images - low) / (high - low)


def _divided_as_bytes(pixels: Tensor) -> Tensor:
    return (pixels.permute(0, 3, 1, 2) // 255).float()


TO_IMAGES = Exercise(
    number="1.1",
    name="to_images",
    stub='''import torch


def to_images(pixels):
    """uint8 [batch, height, width, 3] -> float32 [batch, 3, height, width] in [0, 1]"""
    raise NotImplementedError
''',
    expected=layers.to_images,
    cases=_pictures,
    observe=_described,
    mistakes=(
        _ordered(
            lambda pixels: pixels.float() / 255,
            "the channels are still last; a network reads [batch, 3, height, width]",
            "通道仍在最后一个轴；网络要的是 [batch, 3, height, width]",
        ),
        _ordered(
            _reshaped,
            "the shape is right, but reshape leaves the numbers in their old order; permute moves the axis",
            "形状对了，但 reshape 不改变数的排列；要用 permute 移动轴",
        ),
        _ordered(
            lambda pixels: layers.to_images(pixels).transpose(2, 3),
            "height and width are exchanged: the order is batch, channels, height, width",
            "高和宽弄反了：顺序是批、通道、高、宽",
        ),
        _ordered(
            lambda pixels: layers.to_images(pixels).flip(1),
            "red and blue are exchanged",
            "红色与蓝色弄反了",
        ),
        _ranged(
            lambda pixels: pixels.permute(0, 3, 1, 2).float() / 256,
            "divide by 255, the greatest byte, not by 256: white must become exactly 1",
            "应当除以最大的字节 255，而不是 256：白色必须正好变成 1",
        ),
        _ranged(
            lambda pixels: pixels.permute(0, 3, 1, 2).float(),
            "the numbers still go up to 255; divide by 255",
            "数值最大仍是 255；要除以 255",
        ),
        Mistake(
            lambda pixels: pixels.permute(0, 3, 1, 2).double() / 255,
            "the numbers are float64; networks compute in float32: use .float(), and divide a tensor, not a NumPy array",
                 "数的类型是 float64，而网络用 float32 计算：请用 .float()，并对张量做除法，而不是对 NumPy 数组",
            when=_only_type_differs,
        ),
        _ranged(
            lambda pixels: layers.to_images(pixels) * 2 - 1,
            "this is [-1, 1]; the exercise asks for [0, 1]",
            "这是 [-1, 1]；题目要的是 [0, 1]",
        ),
        _ranged(
            lambda pixels: pixels.permute(0, 3, 1, 2).float() / pixels.max(),
            "divide by 255, not by the greatest number of these pictures: a dark batch would come out light",
            "应当除以 255，而不是这批图片里的最大值：否则暗的图片会变亮",
        ),
        _ranged(
            _each_stretched,
            "each picture is stretched to its own least and greatest number, so its brightness is lost; divide all by 255",
            "您按每张图片自己的最小值和最大值做了拉伸，亮度信息就丢了；应当一律除以 255",
        ),
        _ranged(
            _divided_as_bytes,
            "the division is done in whole numbers, so nearly everything is 0: make the bytes floats first",
            "做的是整数除法，结果几乎全是 0：应先把字节转换成浮点数",
        ),
    ),
    hints=(
        Text("Two things have to change: the order of the axes, and the kind and range of the numbers.",
             "要改两样：轴的顺序，以及数的类型和范围。"),
        Text("permute takes the old axes in their new order; axis 3 has to become axis 1.",
             "permute 的参数是旧轴按新顺序排列；轴 3 要变成轴 1。"),
        Text("In one line: pixels.permute(0, 3, 1, 2).float() / 255", "写成一行：pixels.permute(0, 3, 1, 2).float() / 255"),
    ),
)  # fmt: skip


def _normalised() -> list[tuple[Tensor, Tensor, Tensor]]:
    """Normalised pictures that were bytes, and one with noise that leaves the range."""
    dice = torch.Generator().manual_seed(12)
    cases = []
    for noise, (batch, height, width) in ((0.0, (2, 4, 5)), (0.0, (1, 3, 3)), (0.3, (2, 5, 4))):
        mean, std = torch.rand(3, generator=dice), torch.rand(3, generator=dice) + 0.2
        images = torch.randint(0, 256, (batch, 3, height, width), generator=dice) / 255
        images = images + noise * torch.randn(images.shape, generator=dice)
        cases.append(((images - mean.view(3, 1, 1)) / std.view(3, 1, 1), mean, std))
    return cases


def _as_pixels(images: Tensor) -> Tensor:
    """Floats `[batch, 3, height, width]` in 0..255 as bytes, channels last."""
    return images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _column(values: Tensor) -> Tensor:
    return values.view(3, 1, 1)


def _undone(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (images * _column(std) + _column(mean)) * 255


def _last(images: Tensor) -> tuple[int, int, int, int]:
    """The shape with the channels last."""
    batch, channels, height, width = images.shape
    return batch, height, width, channels


def _wrapped(images: Tensor) -> Tensor:
    """Without clamping, a byte keeps the remainder of 256."""
    return images.round().remainder(256).to(torch.uint8).permute(0, 2, 3, 1)


UNDO = Exercise(
    number="1.2",
    name="undo",
    stub='''import torch


def undo(images, mean, std):
    """Normalised float32 [batch, 3, height, width], tensors mean [3], std [3] -> pixels, uint8 [batch, height, width, 3]

    Where noise has pushed a number out of 0..255, the nearest byte is taken.
    """
    raise NotImplementedError
''',
    expected=lambda images, mean, std: _as_pixels(_undone(images, mean, std)),
    cases=_normalised,
    observe=_described,
    mistakes=(
        Mistake(
            lambda images, mean, std: _undone(images, mean, std).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1),
            "the conversion to bytes cuts off the fraction, 126.9999 becomes 126: round first",
                 "转换成字节时小数部分被截掉了，126.9999 会变成 126：先四舍五入",
        ),
        Mistake(
            lambda images, mean, std: _wrapped(_undone(images, mean, std).trunc()),
            "neither rounded nor clamped: fractions are cut off, and numbers out of 0..255 wrap around",
                 "既没有四舍五入，也没有限制范围：小数被截掉，超出 0 到 255 的数会绕回去",
        ),
        Mistake(
            lambda images, mean, std: _as_pixels((images / _column(std) + _column(mean)) * 255),
            "multiply by std: normalisation divided by it", "应当乘以标准差：归一化时除的就是它",
        ),
        Mistake(
            lambda images, mean, std: _as_pixels(_undone(images, mean, std)).permute(0, 3, 1, 2).reshape(_last(images)),
            "reshape leaves the numbers in their old order; permute moves the channels to the end",
                 "reshape 不改变数的排列；要用 permute 把通道移到最后",
        ),
        Mistake(
            lambda images, mean, std: _wrapped(_undone(images, mean, std)),
            "a number above 255 starts again at 0, and light spots become dark: clamp to 0..255 before the conversion",
                 "大于 255 的数会从 0 重新算起，亮点变成暗点：转换之前先用 clamp 限制在 0 到 255",
        ),
        Mistake(
            lambda images, mean, std: _as_pixels((images + _column(mean)) * _column(std) * 255),
            "the order is wrong: normalisation subtracts, then divides; undoing it multiplies first, then adds",
                 "顺序不对：归一化是先减后除，还原时要先乘后加",
        ),
        Mistake(
            lambda images, mean, std: _as_pixels((images - _column(mean)) / _column(std) * 255),
            "this normalises once more instead of undoing it", "这是又归一化了一次，而不是还原",
        ),
        Mistake(
            lambda images, mean, std: _undone(images, mean, std).round().clamp(0, 255).to(torch.uint8),
            "the channels are still first; pixels are [batch, height, width, 3]",
                 "通道仍在前面；像素的形状是 [batch, height, width, 3]",
        ),
        Mistake(
            lambda images, mean, std: _undone(images, mean, std).round().clamp(0, 255).permute(0, 2, 3, 1),
            "the values are right, but they are no bytes: convert to torch.uint8",
                 "数值对了，但类型不是字节：请转换成 torch.uint8",
            when=_only_type_differs,
        ),
        Mistake(
            lambda images, mean, std: _as_pixels(images * _column(std) + _column(mean)),
            "the factor 255 is missing: everything is 0 or 1", "少了系数 255：结果全是 0 或 1",
        ),
        Mistake(
            lambda images, mean, std: _as_pixels(_undone(images, mean, std) / 255 * 256),
            "the factor is 255, not 256", "系数是 255，不是 256",
        ),
        Mistake(
            lambda images, mean, std: _as_pixels(_undone(images, mean.flip(0), std.flip(0))),
            "mean and std of red and blue are exchanged", "红色与蓝色的均值和标准差弄反了",
        ),
    ),
    hints=(
        Text("Write down the forward direction, x → y, and solve it for x.", "先写出正向的式子 x → y，再解出 x。"),
        Text("mean and std must stretch over height and width: mean.view(3, 1, 1).",
             "均值和标准差要扩展到高和宽上：mean.view(3, 1, 1)。"),
        Text("(images * std + mean) * 255, then round, clamp(0, 255), to(torch.uint8), permute(0, 2, 3, 1).",
             "(images * std + mean) * 255，再依次 round、clamp(0, 255)、to(torch.uint8)、permute(0, 2, 3, 1)。"),
    ),
)  # fmt: skip

# ------------------------------------------------------------------ 1.3, six pictures

_COLOURS = {
    "b": (120, 180, 240), "w": (245, 245, 245), "y": (250, 220, 60), "g": (40, 150, 60), "r": (220, 40, 40),
    "o": (240, 150, 60), "p": (170, 70, 110), "d": (25, 30, 70), "k": (20, 40, 30), "s": (190, 190, 200),
}  # fmt: skip
_SCENES = (
    ("bbbbbb", "bbbyyb", "wbbyyb", "bbbbbb", "ggrggg", "gggggg"),  # a meadow at noon
    ("oooooo", "oyyooo", "pyypoo", "pppppp", "kkkkkk", "kkkkkk"),  # a sunset
    ("bbbbbb", "byybbb", "byybbw", "bbbbbb", "gggggg", "gggrgg"),  # another noon, BGR below
    ("dddddd", "ddddwd", "dddddd", "dwdddd", "kkkkkk", "kkkkkk"),  # night
    ("ssssss", "ssssss", "swwsss", "ssssss", "wwwwww", "wwgwww"),  # snow
    ("gggggg", "gggrgg", "bbbbbb", "bbbyyb", "bbbyyb", "bbbbbb"),  # upside down
)
_BGR = 2


def six_pictures() -> list[np.ndarray]:
    """Six drawn pictures, uint8 `[6, 6, 3]`; in one of them red and blue are exchanged."""
    drawn = [np.array([[_COLOURS[letter] for letter in row] for row in scene], dtype=np.uint8) for scene in _SCENES]
    drawn[_BGR] = np.ascontiguousarray(drawn[_BGR][:, :, ::-1])
    return drawn


def _not(number: int, en: str, zh: str) -> Mistake:
    return Mistake(number, en, zh)


BGR = Exercise(
    number="1.3",
    name="bgr",
    stub='''bgr = None  # the number, 0 to 5, of the picture whose red and blue are exchanged
''',
    expected=_BGR,
    observe=value,
    tolerance=1e-9,
    mistakes=(
        _not(0, "blue sky, yellow sun, green grass: all is as it should be", "蓝天、黄太阳、绿草地：一切正常"),
        _not(1, "an orange sky alone proves nothing: here the sun is yellow, so it is a sunset",
             "单凭橙色的天空说明不了问题：这里的太阳是黄的，所以是日落"),
        _not(3, "this one is dark, but its sky is blue: a night", "这一张很暗，但天空是蓝的：是夜晚"),
        _not(4, "grey and white are nearly equal in all channels, so an exchange would hardly show there; look for real colours",
             "灰色和白色的三个通道几乎相等，即使交换了也不容易看出来；要看真正有颜色的地方"),
        _not(5, "this one is upside down, but its colours are right: a forgotten EXIF orientation",
             "这一张上下颠倒了，但颜色是对的：忘了处理 EXIF 方向"),
    ),
    hints=(
        Text("Green stays green when red and blue are exchanged. What do the sky and the sun become?",
             "红蓝互换时，绿色不变。天空和太阳会变成什么颜色？"),
        Text("Yellow is much red, much green, little blue. With red and blue exchanged it is cyan.",
             "黄色是红多、绿多、蓝少。红蓝互换之后就成了青色。"),
        Text("Look for a cyan sun in an orange sky.", "找橙色天空里的青色太阳。"),
    ),
)  # fmt: skip

EXERCISES = (TO_IMAGES, UNDO, BGR, PREPARE)
