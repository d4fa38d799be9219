"""Run folders made by hand: what `train` and `eval` leave behind, without an hour of training."""

import csv
import json

import numpy as np
from PIL import Image

from reslab.evaluate.evaluation import Evaluation
from reslab.metrics.intervals import spread
from reslab.model.file import Header, write_model
from reslab.model.run import OUT_OF_FOLD, evaluation_name, predictions_name
from reslab.pixels.preprocess import Preprocess
from reslab.system.files import write_json
from reslab.tasks.table import TASKS
from reslab.tasks.task import Calibration

COLOURS = ("blue", "green", "red")


def document(classes, data="digits", **changes):
    """A `config.json` as `train.fit` writes it."""
    config = {
        "data": str(data), "data_dir": None, "val": 0.1, "split_seed": 0, "group_by": None, "folds": 0,
        "fold": 0, "skip_bad": False,
        "recipe": "standard", "model": "resnet20", "weights": "none", "zero_init": True, "size": 8, "resize": "crop",
        "normalize": "-1-1", "augment": "crop", "epochs": 4, "batch_size": 64, "minutes": 0.0, "label_smoothing": 0.1,
        "optim": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "betas": [0.9, 0.999], "weight_decay": 5e-4,
                  "clip_norm": 5.0},
        "lr_per_128": False, "schedule": {"kind": "onecycle", "warmup": 0.25, "milestones": [0.5, 0.75], "gamma": 0.1,
                                          "floor": 0.0},
        "ema": 0.99, "seed": 0, "patience": 0, "log_every": 100, "workers": 1,
    }  # fmt: skip
    origins = {"epochs": {"origin": "user", "reason": ""}, "size": {"origin": "default", "reason": "photographs of about 40 px"},
               "optim.clip_norm": {"origin": "recipe", "reason": "standard"}}  # fmt: skip
    return {
        "schema": 1, "config": config | changes, "origins": origins,
        "network": {"name": "resnet20", "depths": [3, 3, 3], "block": "basic"}, "classes": list(classes),
        "steps_per_epoch": 20, "changes": ["crop"], "machine": "cpu (x86_64), 2 threads", "reslab": "0.1.0",
    }  # fmt: skip


def epochs(number, planned=4, val=True):
    """Epoch events of a journal; the last but one is the best."""
    events = []
    for epoch in range(1, number + 1):
        event = {"event": "epoch", "epoch": epoch, "epochs": planned, "step": 20 * epoch, "train_loss": 2.0 / epoch}
        event |= {"train_accuracy": 1 - 0.5 / epoch, "best": epoch < max(number, 2), "lr": 0.1, "seconds": 1.5}
        events.append(event | ({"val_accuracy": 0.9 - 0.4 / epoch, "val_nll": 1.0 / epoch} if val else {}))
    return events


def evaluation(split, keys, classes, model, right=0.8, seed=0):
    """Answers on `keys`, about `right` of them correct."""
    rng = np.random.default_rng(seed)
    labels = np.arange(len(keys)) % len(classes)
    logits = rng.normal(0, 1, (len(keys), len(classes)))
    logits[np.arange(len(keys)), np.where(rng.random(len(keys)) < right, labels, (labels + 1) % len(classes))] += 4
    none = np.zeros(len(keys), bool)
    folds = spread((0.75, 0.8, 0.875)) if split == OUT_OF_FOLD else None
    return Evaluation(
        task=TASKS["single"], split=split, model=model, classes=tuple(classes), keys=tuple(keys), labels=labels, logits=logits,
        calibrated=logits / 0.8, calibration=Calibration(0.8), seen=none, folds=folds,
    )  # fmt: skip


def make_run(root, classes=COLOURS, done=4, splits=("val", "test"), n=60, data="nowhere", **changes):
    """A run folder; pictures are called `<class>/<number>.png`."""
    root.mkdir(parents=True)
    write_json(root / "config.json", document(classes, data, **changes))
    everything = changes.get("folds", 0) > 0 and not changes.get("fold")  # the run on all pictures, after the folds
    val = changes.get("val", 0.1) > 0 and not everything
    lines = [json.dumps(event) for event in epochs(done, changes.get("epochs", 4), val)]
    (root / "journal.jsonl").write_text("".join(line + "\n" for line in lines))
    rows = [(f"{classes[i % len(classes)]}/{i:03d}.png", classes[i % len(classes)]) for i in range(n)]
    keys = [key for key, _ in rows]
    with (root / "split.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split", "group"])
        writer.writerows((f"more/{key}", label, "train", "") for key, label in rows)
        writer.writerows((key, label, "val", "") for key, label in rows if val)
    model = ""
    if done:
        header = Header({"name": "resnet20"}, tuple(classes), Preprocess(8), training={"versions": {"reslab": "0.1.0"}})
        model = write_model(root / "model.safetensors", {"w": np.zeros(3, np.float32)}, header)
        Image.new("RGB", (40, 30), "teal").save(root / "sheet.png")
    for number, split in enumerate(splits):
        add_evaluation(root, evaluation(split, keys, classes, model, seed=number))
    return root


def add_evaluation(root, found):
    """Write an evaluation where `train` (validation) or `eval` (test) would."""
    write_json(root / evaluation_name(found.split), found.document())
    (root / predictions_name(found.split)).write_text(found.table(), encoding="utf-8")
    return found.document()
