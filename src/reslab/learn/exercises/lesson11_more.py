"""Lesson 11, the last two exercises: CutMix by hand, and a bug hunt in a mirror."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.data.augment import Mix
from reslab.learn.exercise import Exercise, Mistake, Text


def _cutmix_cases() -> list[tuple[Any, ...]]:
    """Maps that are not square, partners in a cycle, boxes of every kind."""
    dice = torch.Generator().manual_seed(11)
    cases = []
    for order, box in (([1, 2, 3, 0], (1, 3, 2, 7)), ([3, 0, 1, 2], (0, 6, 1, 8)), ([2, 0, 3, 1], (2, 6, 1, 2))):
        images = torch.rand(4, 2, 6, 9, generator=dice)
        cases.append((images, torch.eye(5)[torch.tensor([4, 0, 2, 1])], torch.tensor(order), box))
    return cases


def _observe_cutmix(answer: Any, case: tuple[Any, ...]) -> list[Any]:
    """Images and targets, and whether the ones that came in are as they were."""
    images, targets = case[0].clone(), case[1].clone()
    mixed, blended = answer(case[0], case[1], *case[2:])
    mixed, blended = mixed.clone(), blended.clone()
    return [mixed, blended, torch.equal(images, case[0]) and torch.equal(targets, case[1])]


def _cutmix(images: Tensor, targets: Tensor, partner: Tensor, box: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """The product's."""
    upper, lower, left, right = box
    share = 1 - (lower - upper) * (right - left) / (images.shape[2] * images.shape[3])
    mix = Mix(partner.numpy(), share, box)
    return mix.images(images, images[partner]), mix.targets(targets)


def _cutmix_with(slip: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def cutmix(
        images: Tensor, targets: Tensor, partner: Tensor, box: tuple[int, int, int, int]
    ) -> tuple[Tensor, Tensor]:
        upper, lower, left, right = box
        if slip == "rows and columns":
            upper, lower, left, right = left, right, upper, lower
        donors = partner.argsort() if slip == "partner reversed" else partner
        mixed = images if slip in ("in place", "one by one") else images.clone()
        if slip == "one by one":
            for n, other in enumerate(partner.tolist()):
                mixed[n, :, upper:lower, left:right] = images[other, :, upper:lower, left:right]
        elif slip == "outside":
            mixed = images[partner].clone()
            mixed[:, :, upper:lower, left:right] = images[:, :, upper:lower, left:right]
        else:
            mixed[:, :, upper:lower, left:right] = images[donors][:, :, upper:lower, left:right].clone()
        area = (lower - upper) * (right - left) / (images.shape[2] * images.shape[3])
        if slip == "Mixup":
            mixed = (1 - area) * images + area * images[partner]
        if slip == "own box":
            mixed = images.clone()
        share = {
            "sides": 1 - area**0.5,
            "shares exchanged": area,
            "labels kept": 1.0,
            "labels of the partner": 0.0,
            "pixels": 1 - (lower - upper) * (right - left),
            "half": 0.5,
            "greater": float(area < 0.5),
        }
        own = share.get(slip, 1 - area)
        others = targets if slip == "own label twice" else targets[donors]
        kept = 1.0 if slip == "sum of shares" else own
        return mixed, kept * targets + (1 - own) * others

    return cutmix


CUTMIX = Exercise(
    number="11.3",
    name="cutmix",
    stub='''def cutmix(images, targets, partner, box):
    """images [batch, channels, height, width], targets [batch, classes], partner [batch], box = (upper, lower, left, right)
    -> images in which the box comes from the partner, and targets mixed by area; what came in stays as it is"""
    raise NotImplementedError
''',
    expected=_cutmix,
    cases=_cutmix_cases,
    observe=_observe_cutmix,
    mistakes=(
        Mistake(
            _cutmix_with("one by one"),
            "you paste into the batch picture by picture: later pictures take from ones that are changed already; "
            "clone() first",
            "您逐张往原来的批里粘贴：后面的图片会从已经改过的图片里取内容；请先 clone()",
        ),
        Mistake(
            _cutmix_with("in place"),
            "the images that came in are changed: clone() first",
            "改动了传入的图片：请先 clone()",
        ),
        Mistake(
            _cutmix_with("labels kept"),
            "the labels are not mixed: a part of the picture shows something else now, and the target must say so",
            "标签没有混合：图片的一部分已经换成了别的内容，目标也要相应改变",
        ),
        Mistake(
            _cutmix_with("labels of the partner"),
            "only the partner's label is left, though it fills no more than the box: both count, by area",
            "只剩下搭档的标签，可搭档只占方框那一块：两个标签都要按面积计入",
        ),
        Mistake(
            _cutmix_with("pixels"),
            "the share is that of areas: divide the pixels of the box by those of the picture, height × width",
            "份额是面积之比：方框的像素数要除以整张图的像素数，即 高 × 宽",
        ),
        Mistake(
            _cutmix_with("sum of shares"),
            "the shares of a picture add up to 1: what the partner gets, the picture's own label loses",
            "两个份额相加应为 1：搭档得到多少，图片自己的标签就少多少",
        ),
        Mistake(
            _cutmix_with("Mixup"),
            "whole pictures are blended: that is Mixup; in CutMix the box is replaced and all else stays",
            "整张图片混在了一起，那是 Mixup：CutMix 只替换方框内的部分，其余不变",
        ),
        Mistake(
            _cutmix_with("own box"),
            "the box is filled with the picture's own pixels: take them from images[partner]",
            "方框里填的还是图片自己的像素：应取自 images[partner]",
        ),
        Mistake(
            _cutmix_with("shares exchanged"),
            "the shares are exchanged: the partner's label has the share of the box",
            "两个份额弄反了：方框占多大面积，搭档的标签就占多大份额",
        ),
        Mistake(
            _cutmix_with("sides"),
            "the share is that of areas, not of sides",
            "份额按面积算，不是按边长算",
        ),
        Mistake(
            _cutmix_with("half"),
            "both labels count half, whatever the box: their shares are those of the areas",
            "不管方框多大，两个标签各占一半：份额应按面积算",
        ),
        Mistake(
            _cutmix_with("greater"),
            "only the label of the greater part remains: both count, by area",
            "只留下了面积较大者的标签：两者都要按面积计入",
        ),
        Mistake(
            _cutmix_with("outside"),
            "inside and outside are exchanged: the box comes from the partner, the rest is the picture's own",
            "里外弄反了：方框内来自搭档，其余是图片自己的",
        ),
        Mistake(
            _cutmix_with("rows and columns"),
            "rows and columns are exchanged: upper and lower belong to dimension 2, left and right to dimension 3",
            "行和列弄反了：upper、lower 属于第 2 维，left、right 属于第 3 维",
        ),
        Mistake(
            _cutmix_with("partner reversed"),
            "picture n takes from picture partner[n], not the other way round: images[partner]",
            "第 n 张从第 partner[n] 张取内容，不是反过来：images[partner]",
        ),
    ),
    hints=(
        Text("Which share of the picture does the box cover?", "方框占整张图片的多大份额？"),
        Text(
            "area = (lower - upper) * (right - left) / (height * width) is the partner's share of the target.",
            "area = (lower - upper) * (right - left) / (height * width)，就是搭档在目标中的份额。",
        ),
        Text(
            "mixed = images.clone(); mixed[:, :, upper:lower, left:right] = images[partner][:, :, upper:lower, left:right]",
            "先 mixed = images.clone()，再 mixed[:, :, upper:lower, left:right] = images[partner][:, :, upper:lower, "
            "left:right]",
        ),
    ),
)

_FACTS = (
    "untouched",
    "own or mirrored",
    "upright",
    "validation",
    "coins differ",
    "epochs differ",
    "repeatable",
    "half",
    "seeds differ",
)


def _observe_mirror(answer: Any, case: tuple[Any, ...]) -> list[bool]:
    """Facts about what happens to a batch of many pictures."""
    pictures = np.random.default_rng(11).integers(0, 256, (case[0], 4, 5, 3)).astype(np.uint8)
    original = pictures.copy()
    first = np.array(answer(pictures, 0, 7, True))
    untouched = bool((pictures == original).all())

    def ask(epoch: int, seed: int, training: bool = True) -> np.ndarray:
        return np.array(answer(original.copy(), epoch, seed, training))

    def which(turned: np.ndarray) -> np.ndarray:
        return (first == turned).all(axis=(1, 2, 3)) if first.shape == original.shape else np.zeros(len(original), bool)

    own, coins, turned = which(original), which(original[:, :, ::-1]), which(original[:, ::-1])
    return [
        untouched, bool((own | coins).all()), not turned.any(), bool((ask(0, 7, False) == original).all()),
        0 < coins.sum() < len(coins), bool((ask(1, 7) != ask(0, 7)).any()), bool((ask(0, 7) == ask(0, 7)).all()),
        0.3 < coins.mean() < 0.7, bool((ask(0, 8) != ask(0, 7)).any()),
    ]  # fmt: skip


def _mirror(slip: str = "") -> Callable[[np.ndarray, int, int, bool], np.ndarray]:
    def mirrored(pictures: np.ndarray, epoch: int, seed: int, training: bool) -> np.ndarray:
        if not training and slip != "validation":
            return pictures
        if slip == "not repeatable":
            dice = np.random.default_rng()
        else:
            dice = np.random.default_rng({"same epochs": [seed], "same seeds": [epoch]}.get(slip, [seed, epoch]))
        coins = dice.random(1 if slip == "one coin" else len(pictures)) < {"seldom": 0.05, "always": 2.0}.get(slip, 0.5)
        turned = {"upside down": pictures[:, ::-1], "colours": pictures[..., ::-1]}.get(slip, pictures[:, :, ::-1])
        if slip == "in place":
            pictures[coins] = turned[coins].copy()
            return pictures
        return np.where(coins[:, None, None, None], turned, pictures)

    return mirrored


def _wrong(fact: str) -> Callable[[list[Any], list[Any]], bool]:
    """Recognises an answer by one fact about it, whatever else is wrong."""
    at = _FACTS.index(fact)
    return lambda given, expected: all(
        isinstance(g, list) and g[at] != e[at] for g, e in zip(given, expected, strict=True)
    )


MIRROR = Exercise(
    number="11.4",
    name="mirrored",
    stub='''import numpy as np


def mirrored(pictures, epoch, seed, training):
    """pictures [batch, height, width, 3], which stay as they are -> each one mirrored left to right with probability 1/2"""
    dice = np.random.default_rng(seed)
    if dice.random() < 0.5:
        pictures[:] = pictures[:, ::-1].copy()
    return pictures
''',
    expected=_mirror(),
    cases=lambda: [(64,), (80,)],
    observe=_observe_mirror,
    mistakes=(
        Mistake(
            _mirror("upside down"),
            "pictures stand on their heads: dimension 1 holds the rows; left and right are dimension 2, "
            "pictures[:, :, ::-1]",
            "图片上下颠倒了：第 1 维是行；左右是第 2 维，应写 pictures[:, :, ::-1]",
            when=_wrong("upright"),
        ),
        Mistake(
            _mirror("colours"),
            "the channels are reversed, red becomes blue: the width is dimension 2",
            "颠倒的是通道，红变成了蓝：宽是第 2 维",
            when=_wrong("own or mirrored"),
        ),
        Mistake(
            _mirror("one coin"),
            "one coin for the whole batch: each picture needs its own, dice.random(len(pictures))",
            "整批只抛了一次硬币：每张图片要各抛一次，dice.random(len(pictures))",
            when=lambda given, expected: (
                all(isinstance(g, list) and g[1] and not g[4] for g in given)
                and any(isinstance(g, list) and g[5] or isinstance(g, list) and g[8] for g in given)
            ),
        ),
        Mistake(
            _mirror("in place"),
            "the pictures that came in are changed: in the next epoch they would be mirrored twice; work on a copy",
            "改动了传入的图片：到下一轮它们就会被镜像两次；请在副本上操作",
            when=_wrong("untouched"),
        ),
        Mistake(
            _mirror("validation"),
            "validation pictures are mirrored, too: where training is False they stay as they are",
            "验证图片也跟着镜像了：training 为 False 时应保持原样",
            when=_wrong("validation"),
        ),
        Mistake(
            _mirror("not repeatable"),
            "the same call gives other pictures each time: draw from a generator made of seed and epoch",
            "同样的调用每次结果不同：随机数要由 seed 和 epoch 生成",
            when=_wrong("repeatable"),
        ),
        Mistake(
            _mirror("same epochs"),
            "every epoch draws the same: a picture is then mirrored always or never; np.random.default_rng([seed, "
            "epoch])",
            "每一轮抽到的都一样，一张图片要么总被镜像，要么从不：用 np.random.default_rng([seed, epoch])",
            when=_wrong("epochs differ"),
        ),
        Mistake(
            _mirror("same seeds"),
            "the seed is not used: other seeds should draw others",
            "没有用到 seed：种子不同，抽签也应不同",
            when=_wrong("seeds differ"),
        ),
        Mistake(
            _mirror("seldom"),
            "the probability is not one half",
            "概率不是二分之一",
            when=_wrong("half"),
        ),
    ),
    hints=(
        Text("Five things are wrong. What does dimension 1 hold?", "一共有五处错误。第 1 维是什么？"),
        Text(
            "How many coins are thrown, and what are they made of? What happens to the pictures that came in?",
            "一共抛几次硬币，由什么决定？传入的图片有没有被改动？",
        ),
        Text(
            "coins = np.random.default_rng([seed, epoch]).random(len(pictures)) < 0.5; np.where(coins[:, None, None, None], "
            "pictures[:, :, ::-1], pictures)",
            "先 coins = np.random.default_rng([seed, epoch]).random(len(pictures)) < 0.5，再 np.where(coins[:, None, None, "
            "None], pictures[:, :, ::-1], pictures)",
        ),
    ),
)
