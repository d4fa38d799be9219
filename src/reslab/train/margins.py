"""The margins of a run's training pictures (`step.margin`): where they begin, and the table that they end in."""

import csv
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from reslab.data.store import Store
from reslab.model.run import MARGINS_NAME
from reslab.system.files import write_atomically
from reslab.tasks.table import task_named
from reslab.tasks.task import supports
from reslab.train.config import Plan
from reslab.train.probe import Probe
from reslab.train.step.margin import Margins, margins_of


def no_margins(plan: Plan, store: Store) -> Margins | None:
    """Of every training picture, before the first step; None where labels do not exclude each other."""
    return Margins.none(len(store)) if supports(task_named(plan.task), "review") else None


def count_probe(margins: Margins, probe: Probe, plan: Plan, store: Store) -> None:
    """Those of a head that was computed, not trained: of each picture and, where it was used, of its mirror image."""
    labels = torch.from_numpy(task_named(plan.task).targets(store.pictures, plan.classes, "train"))
    targets = F.one_hot(labels, len(plan.classes)).float()
    for logits in np.split(probe.logits, probe.n // len(labels)):
        margins.add(np.arange(len(labels)), margins_of(torch.from_numpy(logits), targets).numpy())


def write_margins(folder: Path, margins: Margins, plan: Plan, store: Store) -> None:
    """`margins.csv`: path, label, mean margin, how often the picture was seen, and its rival class."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["path", "label", "margin", "seen", "rival"])
    rows = zip(store.pictures, margins.mean(), margins.seen, margins.rival, strict=True)
    writer.writerows((p.key, p.label, f"{mean:.6f}", seen, plan.classes[k]) for p, mean, seen, k in rows if seen)
    write_atomically(folder / MARGINS_NAME, file.getvalue().encode())
