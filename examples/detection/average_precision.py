"""Average precision as COCO defines it (Lin et al. 2014; the rules of `pycocotools.cocoeval`, without crowds)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
THRESHOLDS = np.linspace(0.50, 0.95, 10)
"""IoU from which an answer counts as a hit."""
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Matches:
    """The answers for one picture, each a hit or not."""

    scores: np.ndarray
    """float `[answers]`"""
    labels: np.ndarray
    """int `[answers]`"""
    hits: np.ndarray
    """bool `[thresholds, answers]`"""
    truths: np.ndarray
    """int `[classes]`: how many there are to find."""


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (left, top, right, bottom): `[n, 4]` and `[m, 4]` -> `[n, m]`."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    sides = (np.minimum(first[:, None, 2:], second[None, :, 2:]) - corner).clip(0)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    common = np.prod(sides, axis=2)
    return common / np.maximum(areas[0][:, None] + areas[1][None, :] - common, 1e-12)


def match(boxes: Array, scores: Array, labels: Array, truth: Array, names: Array, classes: int) -> Matches:
    """Give each answer, the surest first, the box of its class that it covers best among those still free.

    `truth` and `names` are boxes and labels of what there is to find in the picture.
    """
    order = np.argsort(-scores, kind="stable")
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    overlaps = np.where(labels[:, None] == names[None, :], iou(boxes, truth), -1.0)
    hits = np.zeros((len(THRESHOLDS), len(boxes)), bool)
    if len(truth):
        free = np.ones((len(THRESHOLDS), len(truth)), bool)
        rows = np.arange(len(THRESHOLDS))
        for answer, row in enumerate(overlaps):
            open_ones = np.where(free, row, -1.0)
            best = open_ones.shape[1] - 1 - open_ones[:, ::-1].argmax(axis=1)  # of equal ones the last
            hits[:, answer] = open_ones[rows, best] >= THRESHOLDS
            free[rows, best] &= ~hits[:, answer]
    return Matches(scores, labels, hits, np.bincount(names, minlength=classes))


def average_precision(matches: Sequence[Matches]) -> np.ndarray:
    """Precision averaged over 101 recalls: `[thresholds, classes]`, NaN for a class of which there is nothing to find.

    The precision at a recall is the best one at that recall or a higher one.
    """
    truths = np.sum([m.truths for m in matches], axis=0)
    labels = np.concatenate([m.labels for m in matches])
    scores = np.concatenate([m.scores for m in matches])
    hits = np.concatenate([m.hits for m in matches], axis=1)
    found = np.full((len(THRESHOLDS), len(truths)), np.nan)
    for label in np.flatnonzero(truths):
        mine = np.flatnonzero(labels == label)
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        right = np.cumsum(hits[:, mine], axis=1)
        precision = right / np.arange(1, len(mine) + 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for row, recall in enumerate(right / truths[label]):
            at = np.searchsorted(recall, RECALLS)
            found[row, label] = precision[row, at[at < len(mine)]].sum() / len(RECALLS)
    return found


def mean_ap(matches: Sequence[Matches]) -> tuple[float, float]:
    """mAP at an IoU of 0.50, and its mean over 0.50 to 0.95."""
    found = average_precision(matches)
    return float(np.nanmean(found[0])), float(np.nanmean(found))
