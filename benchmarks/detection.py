"""The small detector of examples/detection beside torchvision's FCOS: same backbone, pictures, views, rate and minutes.

    python benchmarks/detection.py bccd.zip --minutes 60 --out runs/fcos

Trains the peer, scores it as the example does, and writes result.json; ours is `python examples/detection/train.py` with the
same words. FCOS (Tian et al. 2019) has no anchors either; it reads maps of stride 8 to 128 with four convolutions of 256
channels per head, and drops overlapping answers (non-maximum suppression). It is not tuned here, and neither is ours.
"""

import sys
from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelP6P7

import reslab

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "detection")]
import dense  # noqa: E402

from train import MOST, SIZE, WIDTHS, fit_and_score  # noqa: E402


class Body(nn.Module):
    """Our backbone with torchvision's pyramid of 256 channels on its maps of stride 8, 16 and 32, and two coarser ones."""

    out_channels = 256

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        self.backbone = reslab.build("resnet18", seed, widths=WIDTHS, num_classes=classes)
        self.pyramid = FeaturePyramidNetwork(WIDTHS[1:], self.out_channels, LastLevelP6P7(256, 256))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        _, *maps = self.backbone.stage_maps(images)
        return self.pyramid(OrderedDict((str(number), x) for number, x in enumerate(maps)))


class Peer(nn.Module):
    """FCOS with the two methods that the example asks for."""

    windows = (0,)  # nothing to choose

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.fcos = FCOS(
            Body(classes, seed), classes, min_size=min(SIZE), max_size=max(SIZE), detections_per_img=MOST,
            image_mean=[0.5] * 3, image_std=[0.25] * 3, score_thresh=0.01,
        )  # fmt: skip

    def loss(self, images: Tensor, boxes: list[Tensor], labels: list[Tensor]) -> Tensor:
        truth = [{"boxes": b, "labels": n} for b, n in zip(boxes, labels, strict=True)]
        return sum(self.fcos(list(images), truth).values())

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels, filled up to `MOST` with rows of score zero, which are not scored."""
        rows = []
        for one in self.fcos(list(images)):
            table = torch.cat([one["boxes"], one["scores"][:, None], one["labels"][:, None]], dim=1)
            rows.append(F.pad(table, (0, 0, 0, MOST - len(table))))
        filled = torch.stack(rows)
        return filled[..., :4], filled[..., 4], filled[..., 5].long()


def compete(options: dense.Options) -> None:
    dense.write_result(options, {"peer": "torchvision FCOS"} | fit_and_score(options, Peer)[-1])


if __name__ == "__main__":
    sys.exit(dense.run(compete, __doc__))
