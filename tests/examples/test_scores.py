"""The scores of the examples are those of COCO's own program and of scikit-learn."""

import contextlib
import io

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from tests.examples.scripts import script

CLASSES = 4


def random_pictures(seed, pictures=30):
    """Boxes that answers nearly meet, meet twice, or miss; ties among scores; a class that nobody answers with."""
    dice = np.random.default_rng(seed)
    for number in range(pictures):
        truths = int(dice.integers(0, 12)) if number else 0
        corner = dice.uniform(0, 200, (truths, 2))
        true_boxes = np.hstack([corner, corner + dice.uniform(30, 80, (truths, 2))])
        true_labels = dice.integers(0, CLASSES, truths)
        near = np.repeat(true_boxes, 2, axis=0) + dice.uniform(-9, 9, (2 * truths, 4))
        far = dice.uniform(0, 200, (5, 2))
        boxes = np.vstack([near, np.hstack([far, far + 30])])
        labels = np.concatenate([np.repeat(true_labels, 2), dice.integers(0, CLASSES, 5)]).clip(0, CLASSES - 2)
        yield boxes, dice.uniform(0, 1, len(boxes)).round(1), labels, true_boxes, true_labels


def coco_precision(pictures):
    """AP by threshold and class from pycocotools, which wants left, top, width, height."""
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    from pycocotools.cocoeval import COCOeval

    def wide(box):
        return [*box[:2], *(box[2:] - box[:2])]

    truths, answers = [], []
    for number, (boxes, scores, labels, true_boxes, true_labels) in enumerate(pictures):
        for box, label in zip(true_boxes, true_labels, strict=True):
            row = {"id": len(truths) + 1, "image_id": number, "category_id": int(label), "bbox": wide(box)}
            truths.append({**row, "area": float(np.prod(box[2:] - box[:2])), "iscrowd": 0})
        for box, score, label in zip(boxes, scores, labels, strict=True):
            answers.append({"image_id": number, "category_id": int(label), "bbox": wide(box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "info": {}, "images": [{"id": number} for number in range(len(pictures))], "annotations": truths,
            "categories": [{"id": label} for label in range(CLASSES)],
        }  # fmt: skip
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(answers), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.eval["precision"][:, :, :, 0, -1].mean(axis=1), judge.stats


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_cocos(seed):
    ours = script("examples/detection/average_precision.py")
    pictures = list(random_pictures(seed))
    matches = [ours.match(*picture, CLASSES) for picture in pictures]
    expected, summary = coco_precision(pictures)
    found = ours.average_precision(matches)
    assert found.shape == (10, CLASSES)
    assert 0.2 < found[0, 0] < 0.95 and found[0, CLASSES - 1] == 0
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(ours.mean_ap(matches), (summary[1], summary[0]), atol=1e-12)


def test_average_precision_by_hand():
    """Two to find: a hit, a miss, a hit. Precision 1 up to a recall of 0.5 (51 of 101 recalls), then 2/3."""
    ours = script("examples/detection/average_precision.py")
    truth = np.array([[0.0, 0, 10, 10], [20, 20, 40, 40]])
    answers = np.array([[0.0, 0, 10, 10], [60, 60, 70, 70], [20, 20, 40, 40]])
    labels = np.zeros(3, int)
    matches = [ours.match(answers, np.array([0.9, 0.8, 0.7]), labels, truth, labels[:2], 2)]
    found = ours.average_precision(matches)
    assert found[:, 0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert np.isnan(found[:, 1]).all()
    assert ours.mean_ap(matches)[0] == found[0, 0]


def test_mean_iou_is_scikit_learns():
    ours = script("examples/segmentation/train.py")
    dice = np.random.default_rng(0)
    truth = dice.integers(0, 5, (6, 20, 30)).astype(np.uint8)
    truth[dice.uniform(size=truth.shape) < 0.1] = ours.VOID
    answers = np.where(dice.uniform(size=truth.shape) < 0.6, truth % 5, dice.integers(0, 4, truth.shape)).astype(
        np.uint8
    )
    counts = ours.count_all(answers, ours.Split(truth, truth), 5)
    known = truth != ours.VOID
    expected = jaccard_score(truth[known], answers[known], average=None)
    np.testing.assert_allclose(ours.class_iou(counts.sum(axis=0)), expected, atol=1e-12)
    assert ours.mean_iou(counts) == pytest.approx(jaccard_score(truth[known], answers[known], average="macro"))
    assert counts.sum() == known.sum()
    assert np.isnan(ours.class_iou(np.zeros((2, 2), int))).all()
