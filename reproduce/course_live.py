"""What the moving figures of the lessons show and no lesson trains: a small network, and gradients without norms.

    python reproduce/course_live.py digits            lessons/figures/15-living-network.json, half a minute
    python reproduce/course_live.py gradients DATA    lessons/results/gradient-flow.json, a minute
    python reproduce/course_live.py eight DATA        the same file, its two networks of 8 layers trained: ten minutes

DATA is CIFAR-10 as a folder with train/ and test/ (one folder per class), or cifar10. After the last two,
`python -m reslab.learn.live lessons` draws the figure anew.
"""

import argparse
import datetime
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import reslab
from reslab.data.digits import read_digits
from reslab.metrics.intervals import proportion
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet, fold_batch_norm
from reslab.nn.zoo import ZOO
from reslab.study import degradation
from reslab.system import device
from reslab.system.files import read_json, write_atomically, write_json
from reslab.train.inputs import open_stores, preprocess_of
from reslab.train.plan.resolve import resolve, with_statistics

LESSONS = Path(__file__).parents[1] / "lessons"
RESULTS, NETWORK = LESSONS / "results" / "gradient-flow.json", LESSONS / "figures" / "15-living-network.json"
EPOCHS, BATCH, PEAK, SEED = 60, 64, 0.02, 0
DIGITS = 4  # significant digits of a stored weight
DEPTHS = (8, 20, 56, 110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("digits", "gradients", "eight"))
    parser.add_argument("data", nargs="?")
    parser.add_argument("--out", type=Path, default=Path("runs/eight"), help="where the two networks are trained")
    parser.add_argument("--share", type=float, default=0.4, help="of the training pictures, as in the published study")
    options = parser.parse_args()
    if options.what == "digits":
        compact = json.dumps(living_network(), ensure_ascii=False, separators=(",", ":")) + "\n"
        write_atomically(NETWORK, compact.encode())
    elif not options.data:
        parser.error("DATA is missing")
    elif options.what == "gradients":
        write_json(RESULTS, origin() | {"networks": fresh_gradients(options.data)})
    else:
        write_json(RESULTS, read_json(RESULTS) | {"eight": trained_eight(options.data, options.out, options.share)})


def origin() -> dict[str, Any]:
    """How and where a result was made."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    command = [
        "python",
        f"reproduce/{Path(sys.argv[0]).name}",
        *sys.argv[1:2],
        *(["DATA"] if len(sys.argv) > 2 else []),
    ]
    return {"command": shlex.join(command), "machine": device.describe(), "date": today}


# ---------------------------------------------------------------- the network that is drawn


def living_network() -> dict[str, Any]:
    """Train the network of 9,634 parameters on the digits; its folded weights and its logits for one digit of each class."""
    catalog = read_digits()
    pixels = {split: np.stack([p.source[..., :1] for p in catalog.split(split)]) for split in ("train", "test")}
    labels = {split: torch.tensor([int(p.label) for p in catalog.split(split)]) for split in ("train", "test")}
    network = trained(to_images(torch.from_numpy(pixels["train"])), labels["train"])
    folded = fold_batch_norm(network)
    for parameter in folded.parameters():
        parameter.data = torch.tensor(rounded(parameter), dtype=torch.float64)
    with torch.no_grad():
        logits = folded.double()(to_images(torch.from_numpy(pixels["test"])).double())
    right = proportion(int((logits.argmax(1) == labels["test"]).sum()), len(logits))
    shown = [int((labels["test"] == digit).nonzero()[0]) for digit in range(10)]
    return {
        "figure": "living-network", **origin(),
        "parameters": sum(p.numel() for p in network.parameters()), "epochs": EPOCHS, "seed": SEED,
        "test": {"n": len(logits), "right": right.value, "low": right.low, "high": right.high},
        "layers": [layer(name, module) for name, module in folded.named_modules() if isinstance(module, nn.Conv2d)],
        "head": {"weight": rounded(folded.head.weight), "bias": rounded(folded.head.bias)},
        "digits": [np.rint(pixels["test"][i, ..., 0] * (16 / 255)).astype(int).ravel().tolist() for i in shown],
        "logits": [[round(v, 6) for v in logits[i].tolist()] for i in shown],
    }  # fmt: skip


def trained(images: Tensor, labels: Tensor) -> ResNet:
    """The network after `EPOCHS` epochs of AdamW on one cycle; pictures are turned, scaled and shifted a little."""
    network = reslab.build("resnet20", seed=SEED, in_channels=1, depths=(1, 1, 1), widths=(8, 16, 16), num_classes=10)
    dice = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=EPOCHS * steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images), generator=dice)
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            loss = F.cross_entropy(network(moved(images[chosen], dice)), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def moved(images: Tensor, dice: torch.Generator) -> Tensor:
    """Each picture turned by up to 14 degrees, scaled by up to 12 % and shifted by up to a pixel: hands differ."""
    draws = 2 * torch.rand(len(images), 5, generator=dice) - 1
    angle, wide, high = 0.25 * draws[:, 0], 1 + 0.12 * draws[:, 1], 1 + 0.12 * draws[:, 2]
    shift = 0.25 * draws[:, 3:]
    rows = [torch.stack([angle.cos() * wide, -angle.sin() * high, shift[:, 0]], 1)]
    rows.append(torch.stack([angle.sin() * wide, angle.cos() * high, shift[:, 1]], 1))
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def layer(name: str, module: nn.Conv2d) -> dict[str, Any]:
    """One folded convolution as plain values; the weights by output channel, input channel, row, column."""
    return {
        "name": name.removesuffix(".conv"), "shape": list(module.weight.shape), "stride": module.stride[0],
        "weight": rounded(module.weight.flatten()), "bias": rounded(module.bias),
    }  # fmt: skip


def rounded(values: Tensor | None) -> Any:
    """Numbers with `DIGITS` significant digits, nested like the tensor."""
    assert values is not None
    flat = [float(f"{v:.{DIGITS}g}") for v in values.detach().double().flatten().tolist()]
    return np.array(flat).reshape(tuple(values.shape)).tolist()


# ---------------------------------------------------------------- gradients


def fresh_gradients(data: str) -> list[dict[str, Any]]:
    """Gradient norms before the first step, with and without norms, on the pictures of the degradation study."""
    catalog = degradation._read_and_split(data, None, 0, 1.0)
    plan = resolve(degradation._config(data, None, "resnet20", 1, 0), catalog.only(("train", "val")))
    stores = open_stores(plan, catalog)
    plan = with_statistics(plan, stores.train)
    chosen = np.unique(np.linspace(0, len(stores.train) - 1, degradation._BATCH).astype(np.int64))
    pixels = np.stack([preprocess_of(plan)(stores.train[int(i)]) for i in chosen])
    labels = np.array([plan.classes.index(stores.train.pictures[int(i)].label) for i in chosen])
    rows = []
    for depth in DEPTHS:
        for kind, shortcut in (("plain", "plain"), ("resnet", "A")):
            for norm in (True, False):
                n = (depth - 2) // 6
                network = reslab.build(
                    "resnet20", seed=0, depths=(n, n, n), num_classes=10, shortcut=shortcut,
                    mean=tuple(plan.network["mean"]), std=tuple(plan.network["std"]),
                )  # fmt: skip
                if not norm:
                    drop_norms(network)
                norms = degradation.gradients(network, pixels, labels)
                rows.append({"depth": depth, "kind": kind, "norm": norm, "start": [float(f"{v:.4g}") for v in norms]})
                print(depth, kind, norm, rows[-1]["start"][0], rows[-1]["start"][-1], flush=True)
    return rows


def drop_norms(network: nn.Module) -> None:
    """Put an identity in the place of every batch norm."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())


def trained_eight(data: str, folder: Path, share: float) -> list[dict[str, Any]]:
    """Train the two networks of 8 layers, which the study leaves out, as long as the others; an interrupted run is resumed."""
    catalog = degradation._read_and_split(data, None, 0, share)
    rows = []
    for kind, of in (("plain8", "plain20"), ("resnet8", "resnet20")):
        ZOO[kind] = replace(ZOO[of], depths=(1, 1, 1))
        config = degradation._config(data, None, kind, degradation.Length().epochs, 0)
        rows.append(degradation._row(kind, config, catalog, folder / kind, lambda event: print(event, flush=True)))
    return rows


if __name__ == "__main__":
    main()
