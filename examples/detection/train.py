"""Find and name objects: a small detector without anchors and without non-maximum suppression, on a ResNet.

    python examples/detection/train.py bccd.zip --minutes 60 --out runs/bccd

The zip file holds Pascal VOC boxes with splits: ImageSets/Main/{train,val,test}.txt, JPEGImages, Annotations. The network says
for every cell of a map how likely a centre of each class lies there and how far the four sides are; peaks are answers
(Zhou et al. 2019, "Objects as points"; sides and their loss as in Liu et al. 2019, "TTFNet").
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss

import reslab

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]  # of dense and average_precision
import dense  # noqa: E402
from average_precision import Matches, average_precision, match, mean_ap  # noqa: E402

SIZE = (240, 320)  # height and width that every picture is resized to
WIDTHS = (32, 64, 128, 256)
"""Half of ResNet-18's: a quarter of its work; an hour of two cores is some 500 visits to each picture of BCCD."""
CHANNELS = 64
STRIDE = 4
MOST = 100  # answers per picture


@dataclass(frozen=True)
class Split:
    pixels: np.ndarray
    """uint8 `[n, height, width, 3]`"""
    boxes: list[np.ndarray]
    """Of each picture float32 `[objects, 4]`: left, top, right, bottom in pixels of `pixels`."""
    labels: list[np.ndarray]
    """int64 `[objects]`"""


def read_boxes(archive: dense.Archive, name: str) -> list[tuple[str, np.ndarray]]:
    """Class and box of every object of one annotation, the box in shares of the picture; boxes without area are left out."""
    try:
        root = ElementTree.fromstring(archive.read(name))
        size = np.array([float(root.findtext(f"size/{side}") or "") for side in ("width", "height")] * 2)
        things = [(thing.findtext("name") or "", thing) for thing in root.iter("object")]
        edges = [[float(t.findtext(f"bndbox/{e}") or "") for e in ("xmin", "ymin", "xmax", "ymax")] for _, t in things]
    except (ElementTree.ParseError, ValueError):
        raise reslab.ResLabError(f"{name} in {archive.path} is no Pascal VOC annotation") from None
    boxes = [np.array(box) / np.maximum(size, 1) for box in edges]
    return [(label, box) for (label, _), box in zip(things, boxes, strict=True) if (box[:2] < box[2:]).all()]


def read_split(archive: dense.Archive, split: str, classes: list[str] | None = None) -> tuple[Split, list[str]]:
    """A split and its classes; `classes` are those that it may have, if they are known."""
    root = archive.folder(f"ImageSets/Main/{split}.txt")
    keys = archive.read(f"{root}ImageSets/Main/{split}.txt").decode("utf-8", "replace").split()
    objects = [read_boxes(archive, f"{root}Annotations/{key}.xml") for key in keys]
    names = classes or sorted({label for found in objects for label, _ in found})
    if len(keys) < 2 or not names:
        raise reslab.ResLabError(f"split {split} of {archive.path} has {len(keys)} pictures with {len(names)} classes")
    if odd := {label for found in objects for label, _ in found} - set(names):
        raise reslab.ResLabError(f"split {split} has the class {min(odd)!r}, of which there is nothing to learn from")
    scale = np.array(SIZE[::-1] * 2, np.float32)
    boxes = [np.array([box for _, box in found], np.float32).reshape(-1, 4) * scale for found in objects]
    labels = [np.array([names.index(label) for label, _ in found], np.int64) for found in objects]
    pixels = np.stack([archive.picture(f"{root}JPEGImages/{key}.jpg", size=SIZE) for key in keys])
    return Split(pixels, boxes, labels), names


def view_boxes(boxes: Tensor, view: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Boxes `[n, 4]` as the view shows them, and which of them it shows: at least two fifths of their area."""
    sides = torch.tensor([size[1], size[0]])
    corners = (boxes.reshape(-1, 2, 2) / sides * 2 - 1 - view[:, 2]) / view.diagonal()
    whole = (corners.sort(dim=1).values + 1) / 2 * sides
    seen = torch.minimum(whole.clamp(min=0), sides)
    area, left = ((b[:, 1] - b[:, 0]).prod(dim=1) for b in (whole, seen))
    return seen.flatten(1), left >= 0.4 * area


class Detector(nn.Module):
    """A residual network, a pyramid, and two small heads on its map of stride 4."""

    windows = (3, 5, 7)
    """Sides of the neighbourhood in which a peak must be the highest; validation chooses."""

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        backbone = reslab.build("resnet18", seed, widths=WIDTHS, num_classes=classes, mean=(0.5,), std=(0.25,))
        self.pyramid = dense.Pyramid(backbone, CHANNELS)
        self.centres = nn.Sequential(dense.conv(CHANNELS, CHANNELS), nn.Conv2d(CHANNELS, classes, 1))
        self.sides = nn.Sequential(dense.conv(CHANNELS, CHANNELS), nn.Conv2d(CHANNELS, 4, 1))
        nn.init.constant_(self.centres[-1].bias, -4.6)  # a probability of 0.01: most cells hold no centre
        self.window = self.windows[0]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of centres `[n, classes, h/4, w/4]`, and boxes `[n, 4, h/4, w/4]` in pixels, one for each cell."""
        x = self.pyramid(images)
        left, top, right, bottom = (16 * self.sides(x).float().clamp(-6, 4).exp()).unbind(1)
        across = (torch.arange(x.shape[3], device=x.device) + 0.5) * STRIDE
        down = ((torch.arange(x.shape[2], device=x.device) + 0.5) * STRIDE)[:, None]
        return self.centres(x).float(), torch.stack([across - left, down - top, across + right, down + bottom], dim=1)

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes `[n, 100, 4]`, scores and labels `[n, 100]`, the surest first: the highest peaks of the map of centres."""
        logits, boxes = self(images)
        scores = logits.sigmoid()
        peaks = scores * (scores == F.max_pool2d(scores, self.window, 1, self.window // 2))
        best, where = peaks.flatten(1).topk(min(MOST, peaks[0].numel()))
        cells = boxes.shape[2] * boxes.shape[3]
        chosen = boxes.flatten(2).transpose(1, 2).gather(1, (where % cells)[..., None].expand(-1, -1, 4))
        limit = torch.tensor([images.shape[3], images.shape[2]] * 2, device=images.device)
        return torch.minimum(chosen.clamp(min=0), limit), best, where // cells

    def loss(self, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
        """Of these pictures, each with the boxes and labels that it shows."""
        truth = nn.utils.rnn.pad_sequence([*boxes, torch.zeros(1, 4)], batch_first=True)  # one object at least
        names = nn.utils.rnn.pad_sequence([*labels, torch.tensor([-1])], batch_first=True, padding_value=-1)
        return detection_loss(*self(images), truth[:-1], names[:-1])


def detection_loss(logits: Tensor, boxes: Tensor, truth: Tensor, labels: Tensor) -> Tensor:
    """The focal loss of the centres (Zhou et al. 2019, equation 1) and the generalised IoU of the boxes around them.

    Args:
        truth: boxes `[n, objects, 4]`.
        labels: `[n, objects]`, -1 where a picture has fewer.
    """
    height, width = logits.shape[2:]
    size = (truth[..., 2:] - truth[..., :2]) / STRIDE
    middle = ((truth[..., :2] + truth[..., 2:]) / 2 / STRIDE).floor()
    spread = (0.54 * size + 1) / 6
    bell_x = torch.exp(-(((torch.arange(width) - middle[..., :1]) / spread[..., :1]) ** 2) / 2)
    bell_y = torch.exp(-(((torch.arange(height) - middle[..., 1:]) / spread[..., 1:]) ** 2) / 2)
    bells = bell_y[..., :, None] * bell_x[..., None, :] * (labels >= 0)[..., None, None]
    target = torch.stack([(bells * (labels == k)[..., None, None]).amax(1) for k in range(logits.shape[1])], dim=1)
    centre, probability = target == 1, logits.sigmoid()
    found = centre * (1 - probability) ** 2 * F.logsigmoid(logits)
    empty = ~centre * (1 - target) ** 4 * probability**2 * F.logsigmoid(-logits)
    objects = (labels >= 0).sum().clamp(min=1)
    weight, owner = bells.max(dim=1)
    near = weight > 0.05
    wanted = truth.gather(1, owner.flatten(1)[..., None].expand(-1, -1, 4)).view(*owner.shape, 4)[near]
    missed = generalized_box_iou_loss(boxes.permute(0, 2, 3, 1)[near], wanted) * weight[near]
    return -(found + empty).sum() / objects + 5 * missed.sum() / weight[near].sum().clamp(min=1)


def draw_batch(split: Split, rows: np.ndarray, dice: torch.Generator) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Random views of these pictures: images, boxes, labels."""
    views = dense.draw_views(len(rows), dice, upside_down=True)
    images = dense.view_pixels(dense.to_images(torch.from_numpy(split.pixels[rows])), views, fill=0.5)
    boxes, labels = [], []
    for row, view in zip(rows, views, strict=True):
        moved, seen = view_boxes(torch.from_numpy(split.boxes[row]), view, split.pixels.shape[1:3])
        boxes.append(moved[seen])
        labels.append(torch.from_numpy(split.labels[row])[seen])
    return dense.jitter_colours(images, dice), boxes, labels


def match_all(outputs: list[np.ndarray], split: Split, classes: int) -> list[Matches]:
    """Each picture's answers beside its truth; rows of score zero only fill the table up."""
    found = []
    for boxes, scores, labels, truth, names in zip(*outputs, split.boxes, split.labels, strict=True):
        real = scores > 0
        found.append(match(boxes[real], scores[real], labels[real], truth, names, classes))
    return found


def threshold(matches: list[Matches]) -> float:
    """The score from which answers are worth drawing: the best F1 at an IoU of 0.50."""
    scores = np.concatenate([m.scores for m in matches])
    order = np.argsort(-scores)
    right = np.cumsum(np.concatenate([m.hits[0] for m in matches])[order])
    truths = sum(int(m.truths.sum()) for m in matches)
    return float(scores[order][np.argmax(2 * right / (np.arange(1, len(order) + 1) + truths))])


def largest_difference(ours: list[np.ndarray], theirs: list[np.ndarray], least: float = 0.05) -> float:
    """Between the answers of two engines, in pixels or scores: each box that scores `least` beside the nearest of its label.

    Two boxes of nearly equal scores may have changed places, and the faintest peaks differ by rounding.
    """
    worst = float(np.abs(ours[1] - theirs[1]).max())
    for boxes, scores, labels, others, _, names in zip(*ours, *theirs, strict=True):
        apart = np.abs(boxes[:, None] - others[None, :]).max(axis=2)
        apart[labels[:, None] != names[None, :]] = np.inf
        worst = max(worst, float(apart[scores >= least].min(axis=1).max(initial=0)))
    return worst


def draw(split: Split, outputs: list[np.ndarray], least: float, names: list[str], file: Path, count: int = 6) -> None:
    """The first pictures with the answers, a colour for each class, and the truth in white below."""
    height, width = (2 * side for side in split.pixels.shape[1:3])
    sheet = Image.new("RGB", (3 * width, -(-count // 3) * height))
    colours = ("#ff4030", "#30c0ff", "#ffe030", "#40e060", "#ff60ff", "#ff9030")
    for place in range(min(count, len(split.pixels))):
        picture = Image.fromarray(split.pixels[place]).resize((width, height))
        pen = ImageDraw.Draw(picture)
        for box in split.boxes[place]:
            pen.rectangle(list(2 * box), outline="white")
        for box, score, label in zip(*(part[place] for part in outputs), strict=True):
            colour = colours[label % len(colours)]
            if score >= least and (box[2:] > box[:2]).all():
                pen.rectangle(list(2 * box), outline=colour, width=3)
                pen.text((2 * box[0] + 5, 2 * box[1] + 3), f"{names[label]} {score:.2f}", fill=colour)
        sheet.paste(picture, (place % 3 * width, place // 3 * height))
    sheet.save(file)


def fit_and_score(options: dense.Options, build: Callable[..., nn.Module]) -> tuple[nn.Module, list[str], Split, dict]:
    """Train, choose on the validation split, then open the test split once.

    Args:
        build: a detector from the number of classes and a seed; the benchmark gives another one than ours.
    """
    archive = dense.Archive(options.data)
    learning, names = read_split(archive, "train")
    checking, _ = read_split(archive, "val", names)
    network = build(len(names), options.seed).to(memory_format=torch.channels_last)
    print(f"{len(learning.pixels)} pictures to learn from, {len(checking.pixels)} to validate with; {', '.join(names)}")

    def on_validation() -> list[Matches]:
        return match_all(dense.answers(network, checking.pixels), checking, len(names))

    def look() -> dict[str, float]:
        return dict(zip(("val_map50", "val_map"), (round(x, 4) for x in mean_ap(on_validation())), strict=True))

    def loss_of(rows: np.ndarray, dice: torch.Generator) -> Tensor:
        return network.loss(*draw_batch(learning, rows, dice))

    looks = dense.train(network, len(learning.pixels), loss_of, look, options)
    scored = {}
    for window in network.windows:
        network.window = window
        scored[window] = mean_ap(on_validation())[0]
    network.window = max(scored, key=scored.__getitem__)
    least = round(threshold(on_validation()), 3)
    testing, _ = read_split(archive, "test", names)  # opened here for the first time
    matches = match_all(dense.answers(network, testing.pixels), testing, len(names))
    map50, mean = mean_ap(matches)
    return network, names, testing, {
        "test_map50": round(map50, 4), "test_map": round(mean, 4), "test_pictures": len(matches),
        "map50_interval": dense.interval(lambda rows: mean_ap([matches[r] for r in rows])[0], len(matches), options.seed),
        "ap50": dense.by_name(names, average_precision(matches)[0]), "val_map50": round(scored[network.window], 4),
        "window": network.window, "threshold": least, "looks": looks,
    }  # fmt: skip


def detect(options: dense.Options) -> None:
    """Train and score our detector, draw what it finds, and export it."""
    network, names, testing, result = fit_and_score(options, Detector)
    outputs = dense.answers(network, testing.pixels)
    draw(testing, outputs, result["threshold"], names, options.out / "result.png")
    shipped = dense.export_onnx(network, testing.pixels, ["boxes", "scores", "labels"], options.out / "model.onnx")
    result["onnx_difference"] = largest_difference(outputs, shipped)
    result["onnx_map50"] = round(mean_ap(match_all(shipped, testing, len(names)))[0], 4)
    dense.write_result(options, result)


if __name__ == "__main__":
    sys.exit(dense.run(detect, __doc__))
