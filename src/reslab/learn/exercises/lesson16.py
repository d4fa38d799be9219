"""Lesson 16, shipping: the certificate's rule, eight-bit weights, a client, and a bug hunt."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from reslab.export.certify import logit_tolerance
from reslab.learn.exercise import Exercise, Mistake, Raised, Text
from reslab.learn.exercises.lesson16_more import HUNT

# ---------------------------------------------------------------- 16.1


def _pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Logits of two engines: equal, slightly different, too different, with another label, with what is no number."""
    dice = np.random.default_rng(16)
    base = 3 * dice.normal(size=(12, 5))
    close, far, farther, broken = base.copy(), base.copy(), base.copy(), base.copy()
    limit = logit_tolerance(base)
    close += 0.9 * limit * np.sign(dice.normal(size=base.shape))
    far[4, 2] -= 1.5 * limit
    farther[7, 0] += 1.5 * limit
    tied = base.copy()
    first, second = np.argsort(base[3])[::-1][:2]
    tied[3, second] = tied[3, first] - 0.2 * limit
    swapped = tied.copy()
    swapped[3, second] += 0.4 * limit
    broken[5, 1] = np.nan
    tiny = 0.01 * base
    return [
        (base, base.copy()),
        (base, close),
        (base, far),
        (base, farther),
        (tied, swapped),
        (base, broken),
        (tiny, tiny + 0.9 * logit_tolerance(tiny)),
        (100 * base, 100 * base + 0.9 * logit_tolerance(100 * base)),
        (base, base + 100),
    ]


def _holds(expected: np.ndarray, found: np.ndarray) -> bool:
    labels = bool((expected.argmax(1) == found.argmax(1)).all())
    return labels and bool(np.abs(found - expected).max() <= logit_tolerance(expected))


def _same_labels(expected: np.ndarray, found: np.ndarray) -> bool:
    return bool((expected.argmax(1) == found.argmax(1)).all())


def _within(expected: np.ndarray, found: np.ndarray) -> bool:
    return bool(np.abs(found - expected).max() <= logit_tolerance(expected))


def _not_a_number(expected: np.ndarray, found: np.ndarray) -> bool:
    return _same_labels(expected, found) and not np.abs(found - expected).max() > logit_tolerance(expected)


def _signed(expected: np.ndarray, found: np.ndarray) -> bool:
    return _same_labels(expected, found) and bool((found - expected).max() <= logit_tolerance(expected))


def _mean(expected: np.ndarray, found: np.ndarray) -> bool:
    return _same_labels(expected, found) and bool(np.abs(found - expected).mean() <= logit_tolerance(expected))


def _absolute(expected: np.ndarray, found: np.ndarray) -> bool:
    return _same_labels(expected, found) and bool(np.abs(found - expected).max() <= 1e-4)


def _no_floor(expected: np.ndarray, found: np.ndarray) -> bool:
    limit = 1e-4 * np.abs(expected).max()
    return _same_labels(expected, found) and bool(np.abs(found - expected).max() <= limit)


HOLDS = Exercise(
    number="16.1",
    name="holds",
    stub='''import numpy as np


def holds(expected, found):
    """Logits [n, classes] of the original and of the exported model -> True if every likeliest label is the same and no logit
    differs by more than 1e-4 times the largest size of an expected logit, or times 1 where that is larger."""
    raise NotImplementedError
''',
    expected=_holds,
    cases=_pairs,
    mistakes=(
        Mistake(
            _same_labels,
            "labels alone: a network divided by 256 instead of 255 would pass; compare the logits, too",
            "只比较了标签：除以 256 而不是 255 的网络也能通过；logits 也要比较",
        ),
        Mistake(
            _within,
            "logits alone: two nearly equal logits can change places within the tolerance, and the label with them",
            "只比较了 logits：两个几乎相等的 logit 可以在容差之内互换位置，标签也就跟着变了",
        ),
        Mistake(
            _not_a_number,
            "NaN passes: no comparison with it is true, so ask for `difference <= limit`, not for `not difference > limit`",
            "NaN 通过了：与 NaN 的任何比较都不成立，所以要写 difference <= limit，而不是 not difference > limit",
        ),
        Mistake(
            _signed,
            "a logit that is too small passes: take the absolute difference",
            "偏小的 logit 通过了：差要取绝对值",
        ),
        Mistake(
            _mean,
            "the mean difference hides one bad logit among many: take the largest",
            "取平均会把个别坏的 logit 淹没掉：要取最大值",
        ),
        Mistake(
            _absolute,
            "the limit does not grow with the logits: float32 has seven digits, whatever the size",
            "容差没有随 logit 的大小而变：float32 无论数值大小都只有七位有效数字",
        ),
        Mistake(
            _no_floor,
            "where all logits are small, the limit must not fall below 1e-4",
            "logit 全都很小时，容差不应低于 1e-4",
        ),
        Mistake(
            lambda expected, found: True,
            "everything passes",
            "什么都通过了",
        ),
    ),
    hints=(
        Text("Two conditions, and both must hold.", "两个条件，必须同时成立。"),
        Text(
            "limit = 1e-4 * max(1, the largest absolute expected logit).",
            "limit = 1e-4 * max(1, 期望 logit 绝对值的最大值)。",
        ),
        Text(
            "bool((expected.argmax(1) == found.argmax(1)).all() and np.abs(found - expected).max() <= limit).",
            "bool((expected.argmax(1) == found.argmax(1)).all() and np.abs(found - expected).max() <= limit)。",
        ),
    ),
)

# ---------------------------------------------------------------- 16.2

_PER_CHANNEL = (1, 2, 3)
Quantised = tuple[np.ndarray, np.ndarray]


def _weights() -> list[tuple[np.ndarray]]:
    """Filters whose channels differ much in size; the largest weight of some is negative."""
    dice = np.random.default_rng(8)
    return [
        (dice.normal(size=(o, i, k, k)) * np.geomspace(0.05, 3, o)[:, None, None, None],)
        for o, i, k in ((4, 3, 3), (6, 2, 1))
    ]


def _quantise(
    weight: np.ndarray,
    *,
    axes: tuple[int, ...] = _PER_CHANNEL,
    levels: float = 127,
    form: Callable[[np.ndarray], np.ndarray] = np.round,
    largest: Callable[..., np.ndarray] = lambda weight, axis: np.abs(weight).max(axis=axis),
) -> Quantised:
    scale = np.asarray(largest(weight, axes)) / levels
    spread = np.expand_dims(scale, axes) if scale.ndim else scale
    return form(weight / spread).astype(np.int64).astype(np.int8), np.broadcast_to(scale, weight.shape[:1])


def _compared(answer: Callable[..., Any], case: tuple[Any, ...]) -> Any:
    numbers, scale = answer(case[0])
    return str(np.asarray(numbers).dtype), np.asarray(numbers).astype(int), np.asarray(scale, float)


def _floats(given: list[Any], expected: list[Any]) -> bool:
    return all(not isinstance(each, Raised) and each[0] != "int8" for each in given)


QUANTISE = Exercise(
    number="16.2",
    name="quantise",
    stub='''import numpy as np


def quantise(weight):
    """weight [out_channels, in_channels, k, k] -> int8 numbers of the same shape, from -127 to 127, and scale [out_channels],
    with numbers * scale as near to the weight as can be."""
    raise NotImplementedError
''',
    expected=_quantise,
    cases=_weights,
    observe=_compared,
    mistakes=(
        Mistake(
            lambda weight: (_quantise(weight)[0].astype(np.float64), _quantise(weight)[1]),
            "the numbers are not stored as int8: astype(np.int8)",
            "这些数没有存成 int8：请用 astype(np.int8)",
            when=_floats,
        ),
        Mistake(
            lambda weight: _quantise(weight, axes=(0, 1, 2, 3)),
            "one scale for the whole layer: channels with small weights keep only a few numbers; take one per output channel",
            "整层只用了一个比例：权重小的通道只剩几个数可用；每个输出通道各取一个",
        ),
        Mistake(
            lambda weight: _quantise(weight, form=np.trunc),
            "cut off instead of rounded: the error is twice as large",
            "截断了而没有四舍五入：误差会大一倍",
        ),
        Mistake(
            lambda weight: _quantise(weight, form=np.floor),
            "rounded down: all weights become a little smaller, and the errors add up instead of cancelling",
            "一律向下取整：所有权重都偏小，误差不会相互抵消，只会越积越大",
        ),
        Mistake(
            lambda weight: _quantise(weight, levels=128),
            "divided by 128: the largest weight would become 128, which int8 turns into -128",
            "除以了 128：最大的权重会变成 128，而 int8 会把它变成 -128",
        ),
        Mistake(
            lambda weight: _quantise(weight, levels=255),
            "255 steps reach from -127.5 to 127.5 only for half the range: divide by 127",
            "255 级只够覆盖一半的范围：应除以 127",
        ),
        Mistake(
            lambda weight: _quantise(weight, largest=lambda weight, axis: weight.max(axis=axis)),
            "the largest weight without its absolute value: where the largest one is negative, it overflows",
            "取最大值时没有取绝对值：绝对值最大的权重为负时就会溢出",
        ),
        Mistake(
            lambda weight: (_quantise(weight)[0], 1 / _quantise(weight)[1]),
            "the scale is upside down: number times scale must give the weight",
            "比例弄反了：整数乘以比例才是权重",
        ),
    ),
    hints=(
        Text("Which weight of a channel must become 127 or −127?", "一个通道里，哪个权重应当变成 127 或 −127？"),
        Text("scale = np.abs(weight).max(axis=(1, 2, 3)) / 127.", "scale = np.abs(weight).max(axis=(1, 2, 3)) / 127。"),
        Text(
            "np.round(weight / scale[:, None, None, None]).astype(np.int8).",
            "np.round(weight / scale[:, None, None, None]).astype(np.int8)。",
        ),
    ),
)

# ---------------------------------------------------------------- 16.3


def _prediction(label: str | None, accepted: bool | None = True, error: str | None = None) -> dict[str, Any]:
    return {"path": "a.png", "label": label, "accepted": accepted, "error": error, "probability": 0.9}


def _responses() -> list[tuple[int, str]]:
    rows = [
        [_prediction("bee"), _prediction(None, None, "not a picture"), _prediction("ant", False), _prediction("ant")],
        [_prediction("bee", None), _prediction("ant", None)],
        [_prediction(None, None, "too large")],
    ]
    whole = [(200, json.dumps({"schema": 1, "predictions": each})) for each in rows]
    return [*whole[:2], (422, whole[2][1]), (503, json.dumps({"schema": 1, "error": "busy", "hint": "try again"}))]


def _read(
    status: int, body: str, *, doubts: bool = True, strict: bool = False, drop: bool = False, ok: bool = False
) -> Any:
    if status == 503:
        return "later"
    if ok and status != 200:
        return "later"
    rows = json.loads(body)["predictions"]
    if drop:
        rows = [row for row in rows if row["error"] is None]
    answers = []
    for row in rows:
        doubted = doubts and (not row["accepted"] if strict else row["accepted"] is False)
        answers.append(None if row["error"] is not None or doubted else row["label"])
    return answers


def _never_later(status: int, body: str) -> Any:
    return _read(200, body)


def _all_later(status: int, body: str) -> Any:
    return "later"


def _no_later(given: list[Any], expected: list[Any]) -> bool:
    return isinstance(given[-1], Raised) and given[:-1] == expected[:-1]


CLIENT = Exercise(
    number="16.3",
    name="read",
    stub='''import json


def read(status, body):
    """The server's HTTP status and JSON text -> a list with the label of each picture, None where a row has an error or is not
    accepted (null: the model has no thresholds, and its answers stand); "later" for 503."""
    raise NotImplementedError
''',
    expected=_read,
    cases=_responses,
    mistakes=(
        Mistake(
            lambda status, body: _read(status, body, doubts=False),
            "a label that the model itself does not accept is passed on as an answer",
            "模型自己都不采纳的标签，您却当作回答传了下去",
        ),
        Mistake(
            lambda status, body: _read(status, body, strict=True),
            "accepted is null where a model has no thresholds: only false is a doubt",
            "模型没有阈值时 accepted 为 null：只有 false 才表示不采纳",
        ),
        Mistake(
            lambda status, body: _read(status, body, drop=True),
            "rows with an error are left out, so all later answers belong to the wrong picture: keep the place with None",
            "出错的行被去掉了，后面的回答就会对错图片：请用 None 占住位置",
        ),
        Mistake(
            lambda status, body: _read(status, body, ok=True),
            "422 is an answer, too: none of the pictures could be read, and trying again will not help",
            "422 也是答复：所有图片都读不了，再试也没有用",
        ),
        Mistake(
            _never_later,
            "503 is not handled: its document has no predictions; the queue is full, come back later",
            "没有处理 503：这时的 JSON 里没有 predictions；队列满了，要稍后再来",
            when=_no_later,
        ),
        Mistake(
            _all_later,
            "everything is put off: only 503 means later",
            "什么都推迟了：只有 503 才表示稍后再来",
        ),
    ),
    hints=(
        Text("Look at the status first.", "先看状态码。"),
        Text(
            'json.loads(body)["predictions"] has one row per picture, in your order.',
            'json.loads(body)["predictions"] 里每张图片一行，顺序与您发送的一致。',
        ),
        Text(
            'None if row["error"] is not None or row["accepted"] is False else row["label"].',
            'None if row["error"] is not None or row["accepted"] is False else row["label"]。',
        ),
    ),
)

EXERCISES = (HOLDS, QUANTISE, CLIENT, HUNT)
