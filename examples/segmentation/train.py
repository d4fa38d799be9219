"""Say for every pixel what it shows: a small decoder on the maps of a ResNet.

    python examples/segmentation/train.py camvid_small.zip --minutes 60 --out runs/camvid

The zip file holds classes.txt (a name per line) and {train,val,test}/{images/*.jpg,masks/*.png}; a mask's pixel is the number of
its class from 0, and any other number is void: neither learnt nor scored. The decoder is a feature pyramid (Lin et al. 2017; for
segmentation Kirillov et al. 2019, "Panoptic feature pyramid networks").
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageColor
from torch import Tensor, nn

import reslab

sys.path[:0] = [str(Path(__file__).parents[1])]  # of dense
import dense  # noqa: E402

WIDTHS = (32, 64, 128, 256)
"""Half of ResNet-18's: an hour of two cores is some 200 visits to each picture of CamVid."""
CHANNELS = 48
FOLD = 2
"""Squares of 2x2 pixels become channels before the first convolution, and that is all that the stem shrinks: poles are thin."""
VOID = 255


@dataclass(frozen=True)
class Split:
    pixels: np.ndarray
    """uint8 `[n, height, width, 3]`"""
    masks: np.ndarray
    """uint8 `[n, height, width]`: the class of each pixel, or VOID."""


def read_classes(archive: dense.Archive) -> list[str]:
    names = archive.read(archive.folder("classes.txt") + "classes.txt").decode("utf-8", "replace").split("\n")
    names = [name.strip() for name in names if name.strip()]
    if not 2 <= len(names) <= VOID:
        raise reslab.ResLabError(f"classes.txt of {archive.path} names {len(names)} classes")
    return names


def read_split(archive: dense.Archive, split: str, classes: int) -> Split:
    """A split, in the order of its names."""
    folder = archive.folder("classes.txt") + f"{split}/"
    stems = sorted(Path(n).stem for n in archive.names if n.startswith(f"{folder}images/") and n.endswith(".jpg"))
    if len(stems) < 2:
        raise reslab.ResLabError(f"{archive.path} has {len(stems)} pictures in {folder}images")
    pictures = [archive.picture(f"{folder}images/{stem}.jpg") for stem in stems]
    masks = [archive.picture(f"{folder}masks/{stem}.png", mode="P") for stem in stems]
    sizes = {array.shape[:2] for array in (*pictures, *masks)}
    if len(sizes) > 1 or any(side % FOLD for size in sizes for side in size):
        raise reslab.ResLabError(
            f"the pictures and masks of {folder} have the sizes {sorted(sizes)[:3]}",
            "resize all to one of even numbers",
        )
    found = np.stack(masks)
    if (found >= classes).all():
        raise reslab.ResLabError(f"all pixels of the masks in {folder} are void: none is below {classes}")
    return Split(np.stack(pictures), np.where(found < classes, found, VOID).astype(np.uint8))


def class_weights(masks: np.ndarray, classes: int) -> Tensor:
    """Rare classes count more: one over the root of the frequency, 1 on average over the pixels."""
    shares = np.maximum(np.bincount(masks[masks < classes], minlength=classes) / (masks < classes).sum(), 1e-4)
    return torch.from_numpy(shares**-0.5 / (shares**0.5).sum()).float()


class Segmenter(nn.Module):
    """A residual network, a pyramid, and one logit per class for each cell of its finest map, enlarged."""

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.pyramid = dense.Pyramid(backbone(classes, seed), CHANNELS)
        self.classify = nn.Conv2d(CHANNELS, classes, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[n, classes, height, width]`."""
        logits = self.classify(self.pyramid(F.pixel_unshuffle(images, FOLD)))
        return F.interpolate(logits.float(), size=images.shape[2:], mode="bilinear")

    def answer(self, images: Tensor) -> tuple[Tensor, ...]:
        """The class of each pixel, uint8 `[n, height, width]`."""
        return (self(images).argmax(dim=1).to(torch.uint8),)


def backbone(classes: int, seed: int) -> nn.Module:
    shape = {"widths": WIDTHS, "stem": "3x3", "in_channels": 3 * FOLD**2, "num_classes": classes}
    return reslab.build("resnet18", seed, **shape, mean=(0.5,), std=(0.25,))


def draw_batch(split: Split, rows: np.ndarray, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random views of these pictures: images, and masks int64 `[n, height, width]`, void outside of the picture."""
    views = dense.draw_views(len(rows), dice, upside_down=False)
    images = dense.view_pixels(dense.to_images(torch.from_numpy(split.pixels[rows])), views, fill=0.5)
    masks = dense.view_pixels(torch.from_numpy(split.masks[rows])[:, None].float(), views, fill=VOID, mode="nearest")
    return dense.jitter_colours(images, dice), masks[:, 0].round().long()


def confusion(truth: np.ndarray, answer: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of one picture by class (rows) and answer (columns), void left out."""
    known = truth < classes
    pairs = truth[known].astype(np.int64) * classes + answer[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class; NaN for one that is nowhere, in neither truth nor answers."""
    common = counts.diagonal()
    union = counts.sum(axis=0) + counts.sum(axis=1) - common
    return np.where(union > 0, common / np.maximum(union, 1), np.nan)


def count_all(answers: np.ndarray, split: Split, classes: int) -> np.ndarray:
    """The confusion of each picture: `[n, classes, classes]`."""
    return np.stack([confusion(t, a, classes) for t, a in zip(split.masks, answers, strict=True)])


def mean_iou(counts: np.ndarray) -> float:
    """mIoU: over all pixels of all pictures, the mean over the classes."""
    return float(np.nanmean(class_iou(counts.sum(axis=0))))


def draw(split: Split, answers: np.ndarray, classes: int, file: Path, count: int = 5) -> None:
    """Pictures from all of the split, each with its truth and the answer; void is black."""
    hues = [f"hsv({360 * k * 0.382 % 360:.0f},{80 - 30 * (k % 2)}%,{95 - 25 * (k % 3)}%)" for k in range(classes)]
    colours = np.zeros((VOID + 1, 3), np.uint8)
    colours[:classes] = [ImageColor.getrgb(hue) for hue in hues]
    rows = np.linspace(0, len(answers) - 1, min(count, len(answers))).round().astype(int)
    cells = [np.hstack([split.pixels[r], colours[split.masks[r]], colours[answers[r]]]) for r in rows]
    Image.fromarray(np.vstack(cells)).save(file)


def fit_and_score(options: dense.Options, build: Callable[..., nn.Module]) -> tuple[nn.Module, list[str], Split, dict]:
    """Train with a look at the validation split now and then, and open the test split once, at the end.

    Args:
        build: a network from the number of classes and a seed; the benchmark gives another one than ours.
    """
    archive = dense.Archive(options.data)
    names = read_classes(archive)
    classes = len(names)
    learning, checking = read_split(archive, "train", classes), read_split(archive, "val", classes)
    network = build(classes, options.seed).to(memory_format=torch.channels_last)
    weights = class_weights(learning.masks, classes)
    print(f"{len(learning.pixels)} pictures to learn from, {len(checking.pixels)} to validate with; {', '.join(names)}")

    def look() -> dict[str, float]:
        return {
            "val_miou": round(mean_iou(count_all(dense.answers(network, checking.pixels)[0], checking, classes)), 4)
        }

    def loss_of(rows: np.ndarray, dice: torch.Generator) -> Tensor:
        images, masks = draw_batch(learning, rows, dice)
        return F.cross_entropy(network(images), masks, weights, ignore_index=VOID)

    looks = dense.train(network, len(learning.pixels), loss_of, look, options)
    validated = look()["val_miou"]
    testing = read_split(archive, "test", classes)  # opened here for the first time
    counts = count_all(dense.answers(network, testing.pixels)[0], testing, classes)
    return network, names, testing, {
        "test_miou": round(mean_iou(counts), 4), "test_pictures": len(counts),
        "miou_interval": dense.interval(lambda rows: mean_iou(counts[rows]), len(counts), options.seed),
        "iou": dense.by_name(names, class_iou(counts.sum(axis=0))),
        "test_pixel_accuracy": round(float(counts.trace(axis1=1, axis2=2).sum() / counts.sum()), 4),
        "val_miou": validated, "looks": looks,
    }  # fmt: skip


def segment(options: dense.Options) -> None:
    """Train and score our network, draw what it sees, and export it."""
    network, names, testing, result = fit_and_score(options, Segmenter)
    [answers] = dense.answers(network, testing.pixels)
    draw(testing, answers, len(names), options.out / "result.png")
    [shipped] = dense.export_onnx(network, testing.pixels, ["classes"], options.out / "model.onnx")
    result |= {"onnx_other_pixels": int((shipped != answers).sum()), "pixels": int(answers.size)}
    result["onnx_miou"] = round(mean_iou(count_all(shipped, testing, len(names))), 4)
    dense.write_result(options, result)


if __name__ == "__main__":
    sys.exit(dense.run(segment, __doc__))
