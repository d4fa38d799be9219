"""What other tools make of a folder of pictures, from scratch, in so many seconds: each by its own documented way.

Every contestant is a function that trains on `task.folder` (`train` and `val` hold class folders) and returns how it answers
picture files. Its schedule is stretched so that it ends exactly when the time does: a person would have to guess the number of
epochs. Steps, augmentation, optimizer and rate are the defaults of the tool's own training script or tutorial (named below).
Imports come before the clock; decoding, preparing and the first steps are inside it.

Runs in the peers' environment: pip install timm fastai transformers accelerate ultralytics
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

Answer = Callable[[Sequence[Path]], list[str]]
WORKERS = 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TO_TENSOR = (v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD))


@dataclass(frozen=True)
class Task:
    """What to train on, for how long."""

    folder: Path
    size: int
    seconds: float
    seed: int

    @property
    def classes(self) -> list[str]:
        return sorted(place.name for place in (self.folder / "train").iterdir())


class Clock:
    """Share of a task's time that is gone."""

    def __init__(self, task: Task) -> None:
        self.task, self.begun, self.pictures = task, time.perf_counter(), 0

    def share(self) -> float:
        return (time.perf_counter() - self.begun) / self.task.seconds


def forever(loader: Iterable) -> Iterable:
    while True:
        yield from loader


def loop(
    task: Task, clock: Clock, network: nn.Module, loader: Iterable, optimizer: torch.optim.Optimizer,
    rate: Callable[[float], float], smoothing: float = 0.0,
) -> None:  # fmt: skip
    """Plain steps until the time is over; `rate(share)` multiplies each group's rate."""
    network.train()
    begin = [group["lr"] for group in optimizer.param_groups]
    for images, labels in forever(loader):
        for group, first in zip(optimizer.param_groups, begin, strict=True):
            group["lr"] = first * rate(min(1.0, clock.share()))
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels, label_smoothing=smoothing).backward()
        optimizer.step()
        clock.pictures += len(labels)
        if clock.share() >= 1:
            return


def cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def answering(network: nn.Module, transform: Callable, classes: list[str]) -> Answer:
    """A network's answers to files, a block at a time."""

    def answer(files: Sequence[Path]) -> list[str]:
        network.eval()
        found: list[str] = []
        with torch.inference_mode():
            for first in range(0, len(files), 64):
                opened = [torchvision.datasets.folder.default_loader(str(f)) for f in files[first : first + 64]]
                logits = network(torch.stack([transform(picture) for picture in opened]))
                found += [classes[n] for n in logits.argmax(1).tolist()]
        return found

    return answer


def central(size: int) -> Callable:
    return v2.Compose([v2.Resize(round(size * 256 / 224)), v2.CenterCrop(size), *TO_TENSOR])


def torchvision_references(task: Task, clock: Clock) -> Answer:
    """vision/references/classification/train.py: resnet18, batch 32, SGD 0.1, momentum 0.9, decay 1e-4, zoom and flip; its
    cosine schedule in place of 90 epochs in three steps."""
    crop = v2.Compose([v2.RandomResizedCrop(task.size), v2.RandomHorizontalFlip(), *TO_TENSOR])
    data = ImageFolder(task.folder / "train", crop)
    network = torchvision.models.resnet18(num_classes=len(data.classes))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(data, 32, shuffle=True, num_workers=WORKERS, persistent_workers=True)
    loop(task, clock, network, loader, optimizer, cosine)
    return answering(network, central(task.size), data.classes)


def timm_train(task: Task, clock: Clock) -> Answer:
    """pytorch-image-models/train.py with resnet18: batch 128, SGD with Nesterov 0.1 per 256, decay 2e-5, smoothing 0.1, zoom,
    flip and colours; cosine after a warm-up of 5 of 300 epochs, here a sixtieth of the time."""
    import timm
    import timm.data
    import timm.optim

    data = timm.data.create_dataset("", root=str(task.folder), split="train", is_training=True)
    loader = timm.data.create_loader(
        data, (3, task.size, task.size), 128, is_training=True, num_workers=WORKERS, use_prefetcher=False,
        color_jitter=0.4, persistent_workers=True,
    )  # fmt: skip
    classes = sorted(data.reader.class_to_idx, key=data.reader.class_to_idx.get)
    network = timm.create_model("resnet18", num_classes=len(classes))
    optimizer = timm.optim.create_optimizer_v2(network, "sgd", lr=0.1 * 128 / 256, weight_decay=2e-5, momentum=0.9)
    warm = 5 / 300
    loop(task, clock, network, loader, optimizer, lambda share: min(share / warm, cosine(share)), smoothing=0.1)
    return answering(network, timm.data.create_transform((3, task.size, task.size), is_training=False), classes)


def fastai_learner(task: Task, clock: Clock) -> Answer:
    """docs.fast.ai, tutorial.vision: `vision_learner(dls, resnet18)`, batch 64, `fit_one_cycle` at its default rate; photographs
    resized to 460 each and to the size as a batch with `aug_transforms`."""
    from fastai.vision import all as fastai

    class InTime(fastai.Callback):
        """Let the one cycle go by the clock."""

        order = fastai.TrainEvalCallback.order + 1

        def after_batch(self) -> None:
            if self.training:
                clock.pictures += len(self.xb[0])
                self.learn.pct_train = min(1.0, clock.share())
                if clock.share() >= 1:
                    raise fastai.CancelFitException

    large = task.size > 32
    loaders = fastai.ImageDataLoaders.from_folder(
        task.folder, train="train", valid="val", bs=64, num_workers=WORKERS, device="cpu",
        item_tfms=fastai.Resize(460 if large else task.size),
        batch_tfms=fastai.aug_transforms(size=task.size, min_scale=0.75 if large else 1.0),
    )  # fmt: skip
    learner = fastai.vision_learner(loaders, fastai.resnet18, pretrained=False, metrics=fastai.accuracy)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(10**6, cbs=InTime())

    def answer(files: Sequence[Path]) -> list[str]:
        with learner.no_bar():
            scores, _ = learner.get_preds(dl=loaders.test_dl(list(files), bs=64))
        return [loaders.vocab[n] for n in scores.argmax(1).tolist()]

    return answer


def hugging_face_trainer(task: Task, clock: Clock) -> Answer:
    """transformers/examples/pytorch/image-classification: batch 8, AdamW 5e-5, linear decay, zoom and flip; microsoft/resnet-18's
    configuration, from scratch."""
    import transformers

    class InTime(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            clock.pictures += args.per_device_train_batch_size
            control.should_training_stop = clock.share() >= 1

    crop = v2.Compose([v2.RandomResizedCrop(task.size), v2.RandomHorizontalFlip(), *TO_TENSOR])
    data = ImageFolder(task.folder / "train", crop)
    network = transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic", num_labels=len(data.classes)
        )
    )
    optimizer = torch.optim.AdamW(network.parameters(), 5e-5)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: max(0.0, 1 - clock.share()))

    def collate(rows):
        return {"pixel_values": torch.stack([r[0] for r in rows]), "labels": torch.tensor([r[1] for r in rows])}

    with tempfile.TemporaryDirectory() as out:
        arguments = transformers.TrainingArguments(
            out, per_device_train_batch_size=8, max_steps=10**7, dataloader_num_workers=WORKERS, save_strategy="no",
            report_to="none", disable_tqdm=True, use_cpu=True, logging_strategy="no", seed=task.seed,
        )  # fmt: skip
        trainer = transformers.Trainer(
            network, arguments, train_dataset=data, data_collator=collate, optimizers=(optimizer, decay),
            callbacks=[InTime()],
        )  # fmt: skip
        trainer.train()

    class Logits(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return network(images).logits

    network.eval()
    return answering(Logits(), central(task.size), data.classes)


def ultralytics_classify(task: Task, clock: Clock) -> Answer:
    """docs.ultralytics.com/tasks/classify: `yolo classify train model=yolo26n-cls.yaml imgsz=…`, all else at its defaults, with
    its own limit `time`. At the end it validates, which takes longer than the time that was given."""
    import ultralytics

    project = tempfile.mkdtemp()
    hours = task.seconds / 3600
    ultralytics.YOLO("yolo26n-cls.yaml", task="classify").train(
        data=str(task.folder), time=hours, imgsz=task.size, device="cpu", workers=WORKERS, seed=task.seed, verbose=False,
        project=project, name="run", plots=False,
    )  # fmt: skip
    best = ultralytics.YOLO(f"{project}/run/weights/best.pt")

    def answer(files: Sequence[Path]) -> list[str]:
        found: list[str] = []
        for first in range(0, len(files), 64):
            rows = best.predict(
                [str(f) for f in files[first : first + 64]], imgsz=task.size, device="cpu", verbose=False
            )
            found += [best.names[row.probs.top1] for row in rows]
        return found

    return answer


CONTESTANTS = {
    "torchvision": (torchvision_references, ()),
    "timm": (timm_train, ("timm.data", "timm.optim")),
    "fastai": (fastai_learner, ("fastai.vision.all",)),
    "Hugging Face": (hugging_face_trainer, ("transformers.trainer",)),
    "Ultralytics": (ultralytics_classify, ("ultralytics.models.yolo.classify",)),
}
"""Name -> the function, and what it imports (before the clock)."""


def main() -> None:
    """Train one contestant; print its answers to the files that stand in a list, as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=Path, required=True, help="a text file: a picture to answer in each line")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers'
    said, sys.stdout = sys.stdout, sys.stderr
    contestant, modules = CONTESTANTS[options.name]
    for module in modules:
        __import__(module)
    task = Task(options.folder, options.size, options.seconds, options.seed)
    torch.manual_seed(task.seed)
    clock = Clock(task)
    answer = contestant(task, clock)
    seconds = time.perf_counter() - clock.begun
    answers = answer([Path(line) for line in options.files.read_text().splitlines()])
    document = {"answers": answers, "seconds": round(seconds, 1), "pictures": clock.pictures or None}
    print(json.dumps(document | {"threads": torch.get_num_threads(), "cpus": len(os.sched_getaffinity(0))}), file=said)


if __name__ == "__main__":
    main()
