"""All that the next step needs, on disk: two generations, so that one is always whole."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from reslab.errors import ResLabError
from reslab.model.file import read_tensors, write_tensors
from reslab.nn.resnet import ResNet
from reslab.system.values import build
from reslab.train.schedule import Timeline
from reslab.train.step.loss import Objective
from reslab.train.step.margin import Margins
from reslab.train.step.optim import EMA, optimizer_tensors, restore_optimizer

FORMAT = 2
_GENERATIONS = ("a.safetensors", "b.safetensors")


@dataclass(slots=True)
class Progress:
    """Where a run stands, besides its tensors."""

    step: int = 0
    """Updates made."""
    loss_sum: float = 0.0
    """Loss of the epoch so far, summed over pictures."""
    hits: int = 0
    """Training pictures of the epoch so far that were answered right, as they were augmented."""
    pictures: int = 0
    """Training pictures of the epoch so far."""
    best_value: float = -1.0
    """Best `Validation.value`."""
    best_nll: float = float("1e308")
    best_epoch: int = -1
    """The epoch whose weights are kept, from 0."""
    journal: int = 0
    """Bytes of the journal that belong to this state."""
    threads: int = 0
    processes: int = 0
    """How many trained; 0 in states of earlier versions."""
    planned: int = 0
    """Length of the plan that is followed; under another one the run continues by that one from here."""
    knots: tuple[tuple[int, float], ...] = ()
    """The timeline (`schedule.Timeline`), with every change that was made on the way."""
    seconds: float = 0.0
    """Time that the run has taken, over all its starts."""
    finished: bool = False

    @property
    def timeline(self) -> Timeline:
        """Where the run goes."""
        return Timeline(self.knots)

    @timeline.setter
    def timeline(self, timeline: Timeline) -> None:
        self.knots = timeline.breakpoints

    def follow(self, plan: Timeline) -> None:
        """Take the plan's timeline, unless the run already follows it (and may have changed it on the way)."""
        if self.planned != plan.total:
            self.planned, self.timeline, self.finished = plan.total, plan, False


@dataclass(slots=True)
class Training:
    """A network in training with everything that changes."""

    network: ResNet
    optimizer: Optimizer
    ema: EMA | None
    scaler: torch.amp.GradScaler
    progress: Progress
    objective: Objective = field(default_factory=Objective)
    """What is minimised; made from the plan, never saved."""
    anchor: dict[str, Tensor] = field(default_factory=dict)
    """Weights that others are pulled towards, by name (`TrainConfig.start_decay`)."""
    margins: Margins | None = None
    """Of each training picture; None where the task has none, or a state of an earlier version was without."""

    def weights(self) -> dict[str, Tensor]:
        """The weights that count: the average where there is one."""
        return self.ema.tensors if self.ema else self.network.state_dict()


class StateFolder:
    """The two generations of one run. Each save overwrites the one that was not loaded or written last."""

    def __init__(self, folder: Path, decisions: str | None = None) -> None:
        """`decisions` is the digest of what must not change on the way (`document.decisions`)."""
        self.folder, self.decisions = folder, decisions
        self._next = 0

    def exists(self) -> bool:
        """Whether anything was ever saved here, whole or not."""
        return any((self.folder / name).exists() for name in _GENERATIONS)

    def save(self, training: Training) -> None:
        """Write a generation; the other one stays as it was until this is complete."""
        tensors = {f"network.{k}": v for k, v in training.network.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in optimizer_tensors(training.optimizer).items()}
        if training.ema:
            tensors |= {f"average.{k}": v for k, v in training.ema.tensors.items()}
        tensors |= {f"anchor.{k}": v for k, v in training.anchor.items()}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        arrays |= {f"margins.{k}": v for k, v in asdict(training.margins).items()} if training.margins else {}
        content: dict[str, Any] = {"format": FORMAT, "progress": asdict(training.progress), "decisions": self.decisions}
        content["scaler"] = training.scaler.state_dict()
        write_tensors(self.folder / _GENERATIONS[self._next], arrays, content)
        self._next = 1 - self._next

    def load(self, training: Training) -> str | None:
        """Put the newest whole generation into `training`.

        Returns:
            A sentence if the newest one was damaged and the one before it was taken.

        Raises:
            ResLabError: no generation is whole, or it belongs to another network.
        """
        found, complaints = [], []
        for number, name in enumerate(_GENERATIONS):
            try:
                found.append((*read_tensors(self.folder / name), number))
            except ResLabError as error:
                complaints.append(error.message)
        if not found:
            raise ResLabError(f"{self.folder} holds no whole state: " + "; ".join(complaints), "train anew")
        arrays, content, number = max(found, key=lambda generation: _step(generation[1]))
        if (written := content.get("format", 1)) != FORMAT:
            raise ResLabError(
                f"{self.folder} was written by another version of ResLab (state format {written}; this one reads {FORMAT})",
                "finish the run with the version that began it; its model.safetensors is good in any",
            )
        if self.decisions and content.get("decisions") not in (None, self.decisions):  # None: of an earlier version
            raise ResLabError(
                f"config.json beside {self.folder} was edited since this run began",
                "put it back as it was, or train anew",
            )
        training.progress = build(Progress, content.get("progress"), self.folder, "progress")
        try:
            _restore(training, {k: torch.from_numpy(v) for k, v in arrays.items()}, self.folder)
            training.scaler.load_state_dict(content["scaler"])
        except (LookupError, TypeError, ValueError, RuntimeError):
            raise ResLabError(
                f"{self.folder} belongs to another run than config.json describes", "train anew"
            ) from None
        self._next = 1 - number
        damaged = [text for text in complaints if "damaged" in text]
        return f"{damaged[0]}; the other generation, of step {training.progress.step}, was taken" if damaged else None


def _step(content: dict[str, Any]) -> int:
    progress = content.get("progress")
    step = progress.get("step") if isinstance(progress, dict) else None
    return step if isinstance(step, int) else -1


def _restore(training: Training, tensors: dict[str, Tensor], folder: Path) -> None:
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}, "average": {}, "anchor": {}, "margins": {}}
    for name, tensor in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = tensor
    try:
        training.network.load_state_dict(parts["network"])
    except RuntimeError:
        raise ResLabError(f"{folder} belongs to another network than config.json describes") from None
    restore_optimizer(training.optimizer, parts["optimizer"])
    if training.ema:
        for name, tensor in training.ema.tensors.items():
            tensor.copy_(parts["average"][name])
    for name, tensor in parts["anchor"].items():
        training.anchor[name] = tensor.to(next(training.network.parameters()).device)
    if training.margins:
        training.margins = _margins(training.margins, {k: v.numpy() for k, v in parts["margins"].items()})


def _margins(empty: Margins, stored: dict[str, np.ndarray]) -> Margins | None:
    """The margins of a state; None of one that was written before runs kept them."""
    if not stored:
        return None
    margins = Margins(**stored)
    if {len(row) for row in stored.values()} != {len(empty.total)}:
        raise ValueError("of other pictures")
    return margins
