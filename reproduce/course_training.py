"""What the long runs of the course share: CIFAR-10 in memory, one plain training loop, results that are kept."""

import dataclasses
import datetime
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from trials import interval

import reslab
from reslab.data.augment import Augment, draw_mix
from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.nn.layers import to_images
from reslab.pixels.preprocess import Preprocess
from reslab.system import device
from reslab.train.config import OptimConfig
from reslab.train.schedule import ScheduleConfig, rate
from reslab.train.step.optim import EMA, build_optimizer, set_rate

_SIZE, _BATCH, _VALIDATION = 32, 128, 1_000


@dataclasses.dataclass(frozen=True)
class Pictures:
    """uint8 pixels and class numbers."""

    pixels: np.ndarray
    labels: torch.Tensor

    def some(self, rows: np.ndarray) -> "Pictures":
        return Pictures(self.pixels[rows], self.labels[torch.from_numpy(rows)])


@dataclasses.dataclass(frozen=True)
class Choices:
    """One setting; by default the article's, with crop and mirror."""

    lr: float = 1e-3
    schedule: str = "constant"
    decay: float = 0.0
    he: bool = False
    smoothing: float = 0.0
    optimiser: str = "adamw"
    clip: float = 0.0
    augment: tuple[str, ...] = ("crop", "hflip")


def read(data: str, keep: int | None = None) -> tuple[Pictures, Pictures]:
    """The training and the test pictures of a folder with train/ and test/; at most `keep` of each, every n-th."""
    catalog = read_data(data)
    classes = sorted({picture.label for picture in catalog.pictures})
    parts = []
    for split in ("train", "test"):
        chosen = [picture for picture in catalog.pictures if picture.split == split]
        chosen = chosen[:: max(1, len(chosen) // keep)] if keep else chosen
        labels = torch.tensor([classes.index(picture.label) for picture in chosen])
        parts.append(Pictures(np.stack([load(picture) for picture in chosen]), labels))
    return parts[0], parts[1]


def answers(network: nn.Module, pictures: Pictures) -> torch.Tensor:
    """Logits, in evaluation mode."""
    network.eval()
    with torch.no_grad():
        parts = [
            to_images(torch.from_numpy(some))
            for some in np.array_split(pictures.pixels, len(pictures.pixels) // 250 + 1)
        ]
        return torch.cat([network(images) for images in parts])


def fit(pool: Pictures, choices: Choices, seed: int, train: int, epochs: int) -> dict[str, dict[str, torch.Tensor]]:
    """Train resnet20 on `train` pictures drawn by the seed: weights of the last epoch, of the best, and their average."""
    order = np.random.default_rng(seed).permutation(len(pool.pixels))
    mine, validation = pool.some(order[:train]), pool.some(order[train : train + _VALIDATION])
    network, (kind, _) = reslab.build("resnet20", num_classes=10, seed=seed), device.precision()
    if not choices.he:  # PyTorch's own start
        torch.manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
    network = network.to(memory_format=torch.channels_last)
    optimiser = build_optimizer(network, OptimConfig(choices.optimiser, lr=choices.lr, weight_decay=choices.decay))
    plan = ScheduleConfig(choices.schedule, warmup=0.25 if choices.schedule == "onecycle" else 0.0)
    augment = Augment(choices.augment, Preprocess(_SIZE), seed)
    average, step, best, kept = EMA(network, 0.99), 0, (-1, 0.0), {}
    steps = epochs * -(-train // _BATCH)
    dice = np.random.default_rng(seed + 1)
    for epoch in range(epochs):
        network.train()
        for rows in np.array_split(dice.permutation(train), -(-train // _BATCH)):
            set_rate(optimiser, rate(plan, choices.lr, (step + 1) / (steps + 1)))
            images = to_images(torch.from_numpy(augment.pictures(list(mine.pixels[rows]), epoch, rows)))
            targets = F.one_hot(mine.labels[torch.from_numpy(rows)], 10).float()
            mix = draw_mix(augment, epoch, step, len(rows))
            if mix:
                images, targets = mix.images(images, images[mix.partner]), mix.targets(targets)
            with device.mixed_precision(torch.device("cpu"), kind):
                logits = network(device.to_layout(images, "channels-last"))
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=choices.smoothing)
            optimiser.zero_grad()
            loss.backward()
            if choices.clip:
                nn.utils.clip_grad_norm_(network.parameters(), choices.clip)
            optimiser.step()
            average.update(network, step)
            step += 1
        logits = answers(network, validation)
        right = int((logits.argmax(1) == validation.labels).sum())
        score = right, -F.cross_entropy(logits, validation.labels).item()
        if score > best:
            best, kept = score, {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return {"last": network.state_dict(), "best": kept, "average": average.tensors}


def hits(states: dict[str, dict[str, torch.Tensor]], test: Pictures) -> dict[str, np.ndarray]:
    """Which test pictures each of the three answers right."""
    network, found = reslab.build("resnet20", num_classes=10), {}
    for name, state in states.items():
        network.load_state_dict(state)
        found[name] = (answers(network, test).argmax(1) == test.labels).numpy()
    return found


def measured(
    pool: Pictures, test: Pictures, choices: Choices, seed: int, train: int, epochs: int, work: Path
) -> dict[str, np.ndarray]:
    """One training, judged; kept in the work folder, so that an interrupted script goes on where it stood."""
    words = [f"{value}" for value in dataclasses.astuple(choices)] + [f"{seed}-{train}-{epochs}-{len(test.pixels)}"]
    words.append(device.precision()[0])
    file = work / ("_".join(words).replace(" ", "").replace("'", "") + ".npz")
    if not file.is_file():
        begin = time.perf_counter()
        found = hits(fit(pool, choices, seed, train, epochs), test)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(file, **found)
        shares = {name: round(float(each.mean()), 4) for name, each in found.items()}
        print(
            json.dumps(
                {"seed": seed, **dataclasses.asdict(choices), **shares, "s": round(time.perf_counter() - begin)}
            ),
            flush=True,
        )
    return dict(np.load(file))


def row(name: str, now: np.ndarray, before: np.ndarray | None) -> dict:
    """Accuracy over seeds, and what it gains over another setting, in shares; the interval by the bootstrap."""
    accuracy = [round(float(each.mean()), 4) for each in now]
    gain = {} if before is None else {"gain": interval(now.astype(float) - before)}
    return {"name": name, "accuracy": round(float(now.mean()), 4), "accuracies": accuracy, **gain}


def write(out: Path, rows: list[dict], facts: dict) -> None:
    """The results with what remakes them."""
    origin = {
        "command": "python " + " ".join(sys.argv),
        "machine": device.describe(),
        "precision": device.precision()[0],
        "date": datetime.date.today().isoformat(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(origin | facts | {"rows": rows}, indent=1) + "\n", encoding="utf-8")
    for each in rows:
        print(json.dumps(each))
