"""The small decoder of examples/segmentation beside torchvision's FCN head: same backbone, pictures, views, rate and minutes.

    python benchmarks/segmentation.py camvid_small.zip --minutes 60 --out runs/fcn

Trains the peer, scores it as the example does, and writes result.json; ours is `python examples/segmentation/train.py` with the
same words. The head (Long et al. 2015, as torchvision has it) reads the last map alone; its logits are enlarged.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.fcn import FCNHead

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "segmentation")]
import dense  # noqa: E402

from train import FOLD, WIDTHS, backbone, fit_and_score  # noqa: E402


class Peer(nn.Module):
    """The head on the backbone, with the methods that the example asks for."""

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.backbone = backbone(classes, seed)
        self.head = FCNHead(WIDTHS[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(self.backbone.features(F.pixel_unshuffle(images, FOLD)))
        return F.interpolate(logits.float(), size=images.shape[2:], mode="bilinear")

    def answer(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self(images).argmax(dim=1).to(torch.uint8),)


def compete(options: dense.Options) -> None:
    dense.write_result(options, {"peer": "torchvision FCNHead"} | fit_and_score(options, Peer)[-1])


if __name__ == "__main__":
    sys.exit(dense.run(compete, __doc__))
