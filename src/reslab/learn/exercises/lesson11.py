"""Lesson 11, more pictures from few: the padded crop, what keeps a label; mixing and a bug hunt are in `lesson11_more`."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson11_more import CUTMIX, MIRROR


def _crop_cases() -> list[tuple[np.ndarray, int, int, int]]:
    """Pictures that are not square, and every kind of corner."""
    dice = np.random.default_rng(11)
    places = [(2, 0, 3), (2, 4, 1), (1, 1, 1), (3, 6, 0)]
    return [(dice.integers(1, 256, (5, 8, 3)).astype(np.uint8), pad, y, x) for pad, y, x in places]


def _crop(picture: np.ndarray, pad: int, y: int, x: int) -> np.ndarray:
    return _crop_with("constant")(picture, pad, y, x)


def _crop_with(mode: Any) -> Callable[[np.ndarray, int, int, int], np.ndarray]:
    def crop(picture: np.ndarray, pad: int, y: int, x: int) -> np.ndarray:
        height, width = picture.shape[:2]
        padded = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode)
        return padded[y : y + height, x : x + width]

    return crop


def _padded(picture: np.ndarray, pad: int) -> np.ndarray:
    return np.pad(picture, ((pad, pad), (pad, pad), (0, 0)))


def _one_side(picture: np.ndarray, pad: int, y: int, x: int) -> np.ndarray:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, 2 * pad), (0, 2 * pad), (0, 0)))[y : y + height, x : x + width]


def _sides_exchanged(picture: np.ndarray, pad: int, y: int, x: int) -> np.ndarray:
    width, height = picture.shape[:2]
    return _padded(picture, pad)[y : y + height, x : x + width]


CROP = Exercise(
    number="11.1",
    name="crop",
    stub='''import numpy as np


def crop(picture, pad, y, x):
    """picture [height, width, 3] -> the window of the same size whose corner is (y, x) in the picture padded with zeros"""
    raise NotImplementedError
''',
    expected=_crop,
    cases=_crop_cases,
    mistakes=(
        Mistake(
            lambda picture, pad, y, x: _crop(picture, pad, x, y),
            "y and x are exchanged: rows come first",
            "y 和 x 弄反了：行在前",
        ),
        Mistake(
            lambda picture, pad, y, x: np.roll(picture, (pad - y, pad - x), (0, 1)),
            "what leaves on one side comes in on the other: zeros belong there",
            "从一侧移出去的内容又从另一侧绕回来了：那里应当是零",
        ),
        Mistake(
            _crop_with("edge"),
            "the border is repeated outwards: the padding is to be zeros",
            "把边缘像素向外重复了：填充应当全是零",
        ),
        Mistake(
            _crop_with("reflect"),
            "the border is mirrored outwards: the padding is to be zeros",
            "把边缘向外镜像了：填充应当全是零",
        ),
        Mistake(
            _one_side,
            "the padding is on the right and below only: put `pad` zeros on all four sides",
            "只在右侧和下侧做了填充：四边都要各补 pad 圈零",
        ),
        Mistake(
            lambda picture, pad, y, x: _padded(picture, pad)[y : picture.shape[0], x : picture.shape[1]],
            "a slice ends where its second number says, counted from the start: [y : y + height, x : x + width]",
            "切片到第二个数为止，从头数起：[y : y + height, x : x + width]",
        ),
        Mistake(
            lambda picture, pad, y, x: _crop(picture, pad, y + pad, x + pad),
            "the corner counts in the padded picture: do not add `pad` again",
            "左上角的坐标是在填充之后的图片上数的：不要再加 pad",
        ),
        Mistake(
            lambda picture, pad, y, x: _padded(picture, pad)[y:, x:],
            "the window runs to the end of the padded picture: it has the height and width that came in",
            "窗口一直延伸到了填充图的末尾：它的高和宽应与输入相同",
        ),
        Mistake(
            lambda picture, pad, y, x: _crop(picture, pad, 2 * pad - y, 2 * pad - x),
            "the window moves the other way: y = 0 is the top of the padded picture, so the content moves down",
            "窗口移动的方向反了：y = 0 是填充图的最上方，画面内容因此下移",
        ),
        Mistake(
            lambda picture, pad, y, x: np.pad(picture, pad)[y : y + picture.shape[0], x : x + picture.shape[1]],
            "np.pad has padded the channels, too: give it ((pad, pad), (pad, pad), (0, 0))",
            "np.pad 把通道也填充了：应写 ((pad, pad), (pad, pad), (0, 0))",
        ),
        Mistake(
            _sides_exchanged,
            "height and width of the window are exchanged",
            "窗口的高和宽弄反了",
        ),
    ),
    hints=(
        Text("How large is the padded picture?", "填充之后的图有多大？"),
        Text(
            "np.pad takes a pair for each dimension; channels get (0, 0).",
            "np.pad 每一维给一对数；通道那一维给 (0, 0)。",
        ),
        Text("padded[y : y + height, x : x + width]", "最后取 padded[y : y + height, x : x + width]。"),
    ),
)

_RIGHT = {"digits": "", "cats": "hflip", "cells": "hflip vflip rot90", "signs": "", "x-rays": ""}


def _observe_allowed(answer: Any, case: tuple[Any, ...]) -> list[list[str]]:
    """The words of each set, sorted."""
    return [sorted(answer[name].split()) for name in _RIGHT]


def _with(**words: str) -> Mapping[str, str]:
    return _RIGHT | {name.replace("_", "-"): value for name, value in words.items()}


def _says(name: str, *words: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer that allows one of these for a set."""
    at = list(_RIGHT).index(name)
    return lambda given, expected: isinstance(given[0], list) and bool(set(given[0][at]) & set(words))


def _lacks(name: str, *words: str) -> Callable[[list[Any], list[Any]], bool]:
    at = list(_RIGHT).index(name)
    return lambda given, expected: isinstance(given[0], list) and not set(words) <= set(given[0][at])


ALLOWED = Exercise(
    number="11.2",
    name="allowed",
    stub="""allowed = {
    "digits": "?",  # handwritten, sorted by value
    "cats": "?",  # photographs of cats and dogs
    "cells": "?",  # blood cells under a microscope
    "signs": "?",  # road signs, turn left and turn right among them
    "x-rays": "?",  # chests; heart on the usual side, or on the other
}
""",
    expected=_RIGHT,
    observe=_observe_allowed,
    mistakes=(
        Mistake(
            _with(digits="hflip"),
            "a mirrored 2 or 5 is no digit at all, and nobody will ever show the network one",
            "镜像之后的 2 或 5 根本不是数字，也不会有人拿它来考网络",
            when=_says("digits", "hflip"),
        ),
        Mistake(
            _with(digits="rot90"),
            "turned upside down, a 6 is a 9",
            "倒过来的 6 就是 9",
            when=_says("digits", "rot90", "vflip"),
        ),
        Mistake(
            _with(cats=""),
            "a mirrored cat is a cat that might have sat the other way round: here hflip doubles the pictures for "
            "nothing",
            "镜像的猫仍是猫，只是朝另一边坐：hflip 在这里等于白得一倍图片",
            when=_lacks("cats", "hflip"),
        ),
        Mistake(
            _with(cats="hflip vflip"),
            "a cat upside down keeps its label, but cameras are held upright: the network would learn for "
            "pictures that never come",
            "倒着的猫标签没变，但相机总是正着拿：网络等于为永远不会出现的图片白费力气",
            when=_says("cats", "vflip", "rot90"),
        ),
        Mistake(
            _with(cells="hflip"),
            "under a microscope no direction is up: all three keep the label, and all such pictures occur",
            "显微镜下没有上下之分：三种都不改变标签，这样的图片也都会出现",
            when=_lacks("cells", "hflip", "vflip", "rot90"),
        ),
        Mistake(
            _with(signs="hflip"),
            "the mirror turns “turn left” into “turn right”",
            "镜像会把“左转”变成“右转”",
            when=_says("signs", "hflip", "vflip", "rot90"),
        ),
        Mistake(
            _with(x_rays="hflip"),
            "the side of the heart is the label here, and the mirror changes it",
            "这里的标签正是心脏在哪一侧，镜像恰好改变了它",
            when=_says("x-rays", "hflip", "rot90"),
        ),
        Mistake(
            _with(x_rays="vflip"),
            "nobody takes an X-ray upside down, and the network would have to learn it beside its task",
            "没有人会倒着拍 X 光片，网络却得额外去学",
            when=_says("x-rays", "vflip"),
        ),
    ),
    hints=(
        Text(
            "Ask twice: is the label still true? Could such a picture come?",
            "要问两遍：标签还对吗？这样的图片会出现吗？",
        ),
        Text("Two of the five have a label that is a side.", "五个数据集里有两个，标签本身就是左右之分。"),
        Text(
            "One set allows all three, one allows one, three allow none.",
            "有一个数据集三种都可以，有一个只可以用一种，另外三个都不可以。",
        ),
    ),
)

EXERCISES = (CROP, ALLOWED, CUTMIX, MIRROR)
