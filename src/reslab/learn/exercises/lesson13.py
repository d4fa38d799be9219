"""Lesson 13, evaluation: Wilson's interval, how many pictures, leaks, and a bug hunt."""

from collections.abc import Callable
from math import ceil, sqrt
from typing import Any

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson13_more import HUNT
from reslab.metrics.intervals import proportion

_Z95, _Z80 = 1.96, 0.8416

# ---------------------------------------------------------------- 13.1


def _wilson(hits: int, n: int, z: float = _Z95) -> tuple[float, float]:
    share = hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def _oracle(hits: int, n: int) -> tuple[float, float]:
    found = proportion(hits, n)
    return found.low, found.high


def _wald(hits: int, n: int) -> tuple[float, float]:
    share, half = hits / n, _Z95 * sqrt(hits / n * (1 - hits / n) / n)
    return share - half, share + half


def _clipped_wald(hits: int, n: int) -> tuple[float, float]:
    low, high = _wald(hits, n)
    return max(0.0, low), min(1.0, high)


def _agresti(hits: int, n: int) -> tuple[float, float]:
    more = n + _Z95**2
    share = (hits + _Z95**2 / 2) / more
    half = _Z95 * sqrt(share * (1 - share) / more)
    return share - half, share + half


def _around_the_share(hits: int, n: int) -> tuple[float, float]:
    low, high = _wilson(hits, n)
    return hits / n - (high - low) / 2, hits / n + (high - low) / 2


def _undivided(hits: int, n: int) -> tuple[float, float]:
    low, high = _wilson(hits, n)
    return low * (1 + _Z95**2 / n), high * (1 + _Z95**2 / n)


def _percent(hits: int, n: int) -> tuple[float, float]:
    low, high = _wilson(hits, n)
    return 100 * low, 100 * high


WILSON = Exercise(
    number="13.1",
    name="wilson",
    stub='''from math import sqrt


def wilson(hits, n):
    """The 95 % interval (low, high) of a share, by Wilson's score, z = 1.96."""
    raise NotImplementedError
''',
    expected=_oracle,
    cases=lambda: [(353, 359), (36, 36), (11, 12), (0, 12), (7, 20), (9174, 10000)],
    tolerance=1e-4,
    mistakes=(
        Mistake(
            _wald,
            "this is the textbook interval p ± z sqrt(p (1 - p) / n): it leaves [0, 1], and after 36 of 36 claims certainty",
            "这是教科书上的 p ± z sqrt(p (1 - p) / n)：它会越出 [0, 1]，而且 36 张全对时会声称毫无误差",
        ),
        Mistake(
            _clipped_wald,
            "the textbook interval, cut at 0 and 1: cutting hides the fault, 36 of 36 still has no width",
            "这是截断到 [0, 1] 的教科书区间：截断只是掩盖了毛病，36 张全对时宽度仍为零",
        ),
        Mistake(
            _agresti,
            "this is Agresti and Coull's interval, which has Wilson's middle but is wider; the variance inside the root is "
            "that of hits / n",
            "这是 Agresti–Coull 区间，中点与 Wilson 相同，但更宽；根号里的方差应按 hits / n 计算",
        ),
        Mistake(
            _around_the_share,
            "the width is right, but the middle is not hits / n: it is drawn towards one half",
            "宽度是对的，但中点不是 hits / n，而是向二分之一收缩了一点",
        ),
        Mistake(
            _undivided,
            "middle and half-width must both be divided by 1 + z² / n",
            "中点和半宽都要除以 1 + z² / n",
        ),
        Mistake(
            lambda hits, n: _wilson(hits, n, 1.645),
            "z = 1.645 gives 90 %: for 95 % on both sides it is 1.96",
            "z = 1.645 对应 90 %：双侧 95 % 要用 1.96",
        ),
        Mistake(
            lambda hits, n: _wilson(hits, n, 1.0),
            "one standard error covers about 68 %: multiply by z = 1.96",
            "一个标准误只覆盖约 68 %：要乘以 z = 1.96",
        ),
        Mistake(_percent, "shares are wanted, not percent", "要的是比例，不是百分数"),
    ),
    hints=(
        Text(
            "Which true shares p would make hits / n no surprise? Those with |hits / n - p| ≤ z sqrt(p (1 - p) / n).",
            "真实比例 p 是多少时，看到 hits / n 并不意外？就是满足 |hits / n - p| ≤ z sqrt(p (1 - p) / n) 的那些 p。",
        ),
        Text(
            "Squared, that is a quadratic equation in p; its two roots are low and high.",
            "两边平方，就是关于 p 的二次方程；它的两个根就是下限和上限。",
        ),
        Text(
            "middle = (p̂ + z²/2n) / (1 + z²/n), half = z / (1 + z²/n) · sqrt(p̂(1 - p̂)/n + z²/4n²).",
            "中点 = (p̂ + z²/2n) / (1 + z²/n)，半宽 = z / (1 + z²/n) · sqrt(p̂(1 - p̂)/n + z²/4n²)。",
        ),
    ),
)

# ---------------------------------------------------------------- 13.2


def _needed(better: float, worse: float, z: float = _Z95 + _Z80) -> int:
    variance = better * (1 - better) + worse * (1 - worse)
    return ceil(z**2 * variance / (better - worse) ** 2)


HOW_MANY = Exercise(
    number="13.2",
    name="pictures_needed",
    stub='''def pictures_needed(better, worse):
    """Test pictures for each of two models whose true accuracies are `better` and `worse`, each judged on pictures of its own,
    so that in 80 % of such tests the difference is found at the 5 % level (two-sided)."""
    raise NotImplementedError
''',
    expected=_needed,
    cases=lambda: [(0.98, 0.97), (0.9, 0.8), (0.75, 0.7), (0.999, 0.99)],
    tolerance=0.015,
    mistakes=(
        Mistake(
            lambda better, worse: _needed(better, worse, _Z95),
            "with so few, the difference is missed in half of the tests: add 0.84 to z for a power of 80 %",
            "只用这么多图片，一半的测试会看不出这个差别：要达到 80 % 的检验功效，z 须再加 0.84",
        ),
        Mistake(
            lambda better, worse: _needed(better, worse, 1.645 + _Z80),
            "z = 1.645 is for a one-sided test",
            "z = 1.645 用于单侧检验",
        ),
        Mistake(
            lambda better, worse: (_Z95 + _Z80) ** 2 * worse * (1 - worse) / (better - worse) ** 2,
            "both accuracies are measured, so both variances count; you took the worse model's alone",
            "两个准确率都是量出来的，两个方差都要算；您只算了较差的那个",
        ),
        Mistake(
            lambda better, worse: (_Z95 + _Z80) ** 2 * better * (1 - better) / (better - worse) ** 2,
            "both accuracies are measured, so both variances count; you took the better model's alone",
            "两个准确率都是量出来的，两个方差都要算；您只算了较好的那个",
        ),
        Mistake(
            lambda better, worse: _needed(better, worse) * (better - worse),
            "the difference must be squared: half the difference needs four times the pictures",
            "差值要平方：差别小一半，所需图片是四倍",
        ),
        Mistake(
            lambda better, worse: (_Z95 + _Z80) ** 2 * 0.5 / (better - worse) ** 2,
            "p (1 - p) was taken to be a quarter: true at 50 %, far too much at 98 %",
            "您把 p (1 - p) 一律当成四分之一：准确率 50 % 时正是这样，98 % 时就太大了",
        ),
        Mistake(
            lambda better, worse: 2 * _needed(better, worse),
            "this is for both models together; the question asks for each",
            "这是两个模型的总数；题目问的是每个模型",
        ),
    ),
    hints=(
        Text(
            "The variance of a measured accuracy is p (1 - p) / n; that of a difference is the sum of two.",
            "测得的准确率的方差是 p (1 - p) / n；两者之差的方差是两个方差之和。",
        ),
        Text(
            "The true difference must be 1.96 + 0.84 standard errors long.",
            "真实的差别要达到 1.96 + 0.84 个标准误。",
        ),
        Text(
            "n = 2.8² · (p(1 - p) + q(1 - q)) / (p - q)²; deviations below 1.5 % are accepted.",
            "n = 2.8² · (p(1 - p) + q(1 - q)) / (p - q)²；误差在 1.5 % 以内都算对。",
        ),
    ),
)

# ---------------------------------------------------------------- 13.3

Row = dict[str, Any]


def _row(path: str, split: str, digest: str, patient: str | None = None, made_from: str | None = None) -> Row:
    return {"path": path, "split": split, "digest": digest, "patient": patient, "made_from": made_from}


def _folders() -> list[tuple[list[Row]]]:
    one = [
        _row("a.png", "train", "11", "p1"),
        _row("b.png", "train", "22", None),
        _row("c.png", "val", "33", "p2"),
        _row("copy of a.png", "test", "11", "p9"),
        _row("d.png", "test", "44", "p1"),
        _row("b mirrored.png", "test", "55", None, "b.png"),
        _row("e.png", "test", "66", None),
        _row("f.png", "test", "77", "p2"),
        _row("g.png", "test", "88", "p5"),
        _row("g mirrored.png", "test", "89", "p5", "g.png"),
    ]
    two = [
        _row("x.png", "test", "01", None),
        _row("y.png", "train", "02", None),
        _row("z.png", "val", "03", "q"),
        _row("z again.png", "test", "03", None),
        _row("w.png", "test", "04", "q"),
        _row("v.png", "train", "05", None, "x.png"),
    ]
    return [(one,), (two,)]


def _leaking(rows: list[Row], *, by: tuple[str, ...] = ("digest", "patient", "origin"), known: tuple[str, ...] = ("train", "val"),
             alike: bool = False, split: str = "test") -> list[str]:  # fmt: skip
    """Pictures of a split that share something with pictures of other splits."""

    def traits(row: Row) -> dict[str, Any]:
        return {"digest": row["digest"], "patient": row["patient"], "origin": row["made_from"] or row["path"]}

    others = [traits(row) for row in rows if row["split"] in known]
    found = []
    for row in rows:
        shared = [k for k in by for other in others if traits(row)[k] == other[k] and (alike or other[k] is not None)]
        if row["split"] == split and shared:
            found.append(row["path"])
    return sorted(found)


def _only(*traits: str) -> Callable[[list[Row]], list[str]]:
    return lambda rows: _leaking(rows, by=traits)


LEAKS = Exercise(
    number="13.3",
    name="leaks",
    stub='''def leaks(rows):
    """rows: dicts with path, split ("train", "val", "test"), digest (of the pixels), patient (or None) and made_from (the path of
    the picture that this one is an altered copy of, or None) -> sorted paths of the test pictures that leak."""
    raise NotImplementedError
''',
    expected=_leaking,
    cases=_folders,
    mistakes=(
        Mistake(
            _only("digest"),
            "you find equal files only: other pictures of the same patient, and altered copies, leak as well",
            "您只找出了相同的文件：同一病人的其他图片、经过改动的副本也会泄漏",
        ),
        Mistake(
            _only("patient", "origin"),
            "equal pixels under another name are missing",
            "漏了改了名字但像素相同的图片",
        ),
        Mistake(
            _only("digest", "origin"),
            "other pictures of a patient who is trained on are missing",
            "漏了训练集中出现过的病人的其他图片",
        ),
        Mistake(
            _only("digest", "patient"),
            "altered copies are missing: a mirrored training picture in the test is a training picture",
            "漏了改动过的副本：测试集里镜像的训练图片，仍然是训练图片",
        ),
        Mistake(
            lambda rows: _leaking(rows, alike=True),
            "two pictures without a patient are not of the same patient: None is no name",
            "两张没有病人信息的图片不等于属于同一个病人：None 不是名字",
        ),
        Mistake(
            lambda rows: _leaking(rows, known=("train",)),
            "the validation pictures count, too: they have chosen the epoch and the temperature",
            "与验证图片相同也算泄漏：轮数和温度就是用它们挑选的",
        ),
        Mistake(
            lambda rows: _leaking(rows, known=("test", "val"), split="train"),
            "these are the training pictures; the question asks which *test* pictures to leave out",
            "这些是训练图片；题目要的是应当去掉的*测试*图片",
        ),
    ),
    hints=(
        Text(
            "Three ways to leak: the same pixels, the same patient, the same original.",
            "泄漏有三种：像素相同、病人相同、原图相同。",
        ),
        Text(
            "Collect the digests, patients and originals of everything that is not test. A picture that was not made from "
            "another is its own original.",
            "先收集所有非测试图片的 digest、病人和原图。不是由别的图片改成的图片，它的原图就是它自己。",
        ),
        Text(
            "Leave None out of the set of patients; compare `made_from or path` on both sides.",
            "病人集合里不要放 None；原图用 made_from or path，两边都这样比较。",
        ),
    ),
)

EXERCISES = (WILSON, HOW_MANY, LEAKS, HUNT)
