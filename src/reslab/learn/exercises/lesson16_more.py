"""Lesson 16, continued: a client with bugs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reslab.learn.exercise import Exercise, Mistake, Text, same

_CLASSES = ("ant", "bee", "cat")
_COLOUR, _GREY, _ALPHA = 0, 1, 2  # the cases, by what their pictures are
_TOLERANCE = 1e-5


def _run(images: np.ndarray) -> np.ndarray:
    """An exported graph in small: bytes `[n, 4, 4, 3]` in, logits out; it normalises them itself."""
    dice = np.random.default_rng(7)
    first, second = dice.normal(size=(48, 6)), dice.normal(size=(6, 3))
    scaled = (np.asarray(images, float).reshape(len(images), -1) / 255 - 0.5) / 0.25
    return np.tanh(scaled @ first / 4) @ second * 2


def _albums() -> list[tuple[Any, ...]]:
    dice = np.random.default_rng(3)
    shapes = ((4, 4, 3), (4, 4), (4, 4, 4))
    return [
        (_run, [dice.integers(0, 256, shape).astype(np.uint8) for _ in range(4)], _CLASSES, 1.7) for shape in shapes
    ]


def _answer(
    run: Callable[..., Any],
    pictures: list[np.ndarray],
    classes: tuple[str, ...],
    temperature: float,
    bugs: Sequence[str] = (),
) -> list[tuple[str, float]]:
    """Label and probability of each picture, with those of the bugs that are named."""
    rows = []
    for picture in pictures:
        if picture.ndim == 2:
            nothing = np.zeros_like(picture)
            picture = np.stack([picture, nothing, nothing] if "grey" in bugs else [picture] * 3, axis=2)
        picture = picture[..., -3:] if "alpha" in bugs else picture[..., :3]
        picture = picture[..., ::-1] if "bgr" in bugs else picture
        logits = run(picture[None] / 255 if "divide" in bugs else picture[None])[0]
        if "cold" not in bugs:
            logits = logits * temperature if "hot" in bugs else logits / temperature
        shares = np.exp(logits - logits.max())
        shares = shares if "sum" in bugs else shares / shares.sum()
        rows.append((classes[int(shares.argmax())], float(shares.max())))
    return rows


def _broken(*bugs: str) -> Callable[..., Any]:
    return lambda *given: _answer(*given, bugs=bugs)


def _like(case: int, *choices: tuple[str, ...]) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises bugs by what they make of the pictures of one case."""

    def found(given: list[Any], expected: list[Any]) -> bool:
        return any(same(given[case], _answer(*_albums()[case], bugs=bugs), _TOLERANCE) for bugs in choices)

    return found


def _first_wrong(case: int) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises a bug by the first case that is wrong."""

    def found(given: list[Any], expected: list[Any]) -> bool:
        right = [same(g, e, _TOLERANCE) for g, e in zip(given, expected, strict=True)]
        return all(right[:case]) and not right[case]

    return found


HUNT = Exercise(
    number="16.4",
    name="answer",
    stub='''import numpy as np


def answer(run, pictures, classes, temperature):
    """run: the exported graph, uint8 RGB [n, size, size, 3] -> logits (it normalises them itself); pictures: uint8, RGB, grey
    [size, size] or RGBA -> (label, calibrated probability) of each."""
    rows = []
    for picture in pictures:
        if picture.ndim == 2:
            nothing = np.zeros_like(picture)
            picture = np.stack([picture, nothing, nothing], axis=2)
        picture = picture[..., -3:]
        picture = picture[..., ::-1]
        logits = run(picture[None])[0] * temperature
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        rows.append((classes[int(shares.argmax())], float(shares.max())))
    return rows
''',
    expected=_answer,
    cases=_albums,
    mistakes=(
        Mistake(
            _broken("bgr"),
            "red and blue are exchanged: that is OpenCV's order, and the graph takes RGB",
            "红蓝通道颠倒了：那是 OpenCV 的顺序，而计算图要的是 RGB",
            when=_like(_COLOUR, ("bgr",), ("bgr", "hot"), ("bgr", "cold")),
        ),
        Mistake(
            _broken("hot"),
            "logits are divided by the temperature, not multiplied by it",
            "logits 要除以温度，而不是乘以温度",
            when=_like(_COLOUR, ("hot",)),
        ),
        Mistake(
            _broken("cold"),
            "the temperature is not used: the labels are right, the probabilities are not calibrated",
            "没有使用温度：标签是对的，但概率没有校准",
            when=_like(_COLOUR, ("cold",)),
        ),
        Mistake(
            _broken("divide"),
            "the pixels are divided by 255 twice: the graph takes bytes and normalises them itself",
            "像素除了两次 255：计算图接收的是字节，归一化自己会做",
            when=_like(_COLOUR, ("divide",), ("divide", "hot"), ("divide", "bgr")),
        ),
        Mistake(
            _broken("sum"),
            "these are no probabilities: divide the exponentials by their sum",
            "这还不是概率：指数要除以它们的和",
            when=_like(_COLOUR, ("sum",)),
        ),
        Mistake(
            _broken("grey"),
            "a grey picture became a red one: its value belongs into all three channels",
            "灰度图变成了红色图：同一个值要放进全部三个通道",
            when=_first_wrong(_GREY),
        ),
        Mistake(
            _broken("alpha"),
            "of RGBA you keep green, blue and alpha: the colours are the first three channels",
            "RGBA 四个通道里，您留下的是绿、蓝和透明度：颜色是前三个通道",
            when=_first_wrong(_ALPHA),
        ),
    ),
    hints=(
        Text(
            "Four bugs; three kinds of pictures. Which step changes which of them?",
            "共有四处错误，图片有三种。每一步各影响哪一种？",
        ),
        Text(
            "Grey belongs into three channels. RGBA begins with RGB. Who wants BGR?",
            "灰度值要放进三个通道。RGBA 以 RGB 开头。谁需要 BGR 呢？",
        ),
        Text(
            "picture[..., :3], no [::-1], [picture] * 3 for grey, logits / temperature.",
            "picture[..., :3]，去掉 [::-1]，灰度用 [picture] * 3，logits / temperature。",
        ),
    ),
)
