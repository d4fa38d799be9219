"""Progress of a training in the terminal."""

import dataclasses
from typing import TYPE_CHECKING

from reslab.cli import show
from reslab.cli.scores import SCORES
from reslab.system.events import Event
from reslab.train.config import Plan

if TYPE_CHECKING:
    from reslab.check.data import Verdict

_DECISIONS = (
    "recipe", "model", "weights", "finetune", "teacher", "balance", "size", "resize", "normalize", "augment", "epochs",
    "batch_size", "accumulate", "precision", "optim.name", "optim.lr", "schedule.kind", "label_smoothing", "ema", "val", "folds",
    "seed", "split_seed",
)  # fmt: skip
"""What is printed before the first step."""


class RunListener:
    """Tells a person what a run does."""

    bar: show.Bar
    chooses = True
    """Whether the best epoch is kept."""
    scores = SCORES["single"]
    fetched = ""
    """What was fetched last."""

    def __call__(self, event: Event) -> None:
        match event["event"]:
            case "fetching" | "check" | "checking" | "range test":
                self._preparing(event)
            case "checked":
                say_verdict(event["verdict"])
            case "plan":
                self._plan(event)
            case "fold":
                self._fold(event)
            case "step":
                self._step(event)
            case "epoch":
                self._epoch(event)
            case "replan":
                self.bar.extend(event["total_steps"])
            case "early stop":
                show.people.print(f"stopped early: no better validation score since epoch {event['best_epoch']}")
            case "restart":
                show.people.print(_restarted(event["processes"], event["before"], event["step"]))
            case "warning" | "hint":
                show.people.print(f"{event['event']}: {event['text']}", soft_wrap=True)

    def _preparing(self, event: Event) -> None:
        """The bar, before the first step."""
        match event["event"]:
            case "fetching":
                if event["name"] != self.fetched:
                    self.fetched = event["name"]
                    self.bar.begin(f"fetching {event['name']}", event["total"])
                self.bar.move(to=event["bytes"])
            case "check":
                self.bar.begin("checking", event["total"])
            case "checking":
                self.bar.move(event["images"])
            case "range test":
                if event["step"] == 1:
                    self.bar.begin("finding a rate", event["steps"])
                self.bar.move(to=event["step"], note=f"{event['lr']:.2g}")

    def _plan(self, event: Event) -> None:
        plan: Plan = event["plan"]
        made = show.table("choice", "value", "why")
        flat = dataclasses.asdict(plan.config)
        for name in _DECISIONS:
            outer, _, inner = name.partition(".")
            value = flat[outer][inner] if inner else flat[outer]
            origin = plan.origins[name]
            made.add_row(name, str(value), origin.origin + (f": {origin.reason}" if origin.reason else ""))
        show.people.print(made)
        estimate = f"; about {show.duration(event['seconds'])} on this machine" if event["seconds"] else ""
        self.chooses, self.scores = not plan.config.folds, SCORES[plan.task]
        show.people.print(_who_does_what(event) + estimate)
        show.people.print(f"run folder: {event['folder']}", soft_wrap=True)
        self.bar.begin("training", plan.total_steps)

    def _fold(self, event: Event) -> None:
        name = f"fold {event['fold']} of {event['folds']}" if event["fold"] else "all pictures"
        judging = f", {event['val']:,} judge" if event["fold"] else "; this is the model"
        show.people.print(f"{name}: {event['train']:,} train{judging}")
        self.bar.begin(name, event["steps"])

    def _step(self, event: Event) -> None:
        done = (event["epoch"] - 1) * event["steps"] + event["step"]
        speed, loss = event["images_per_second"], event["loss"]
        self.bar.move(to=done, note=f"epoch {event['epoch']}/{event['epochs']}  {speed:.0f} images/s  loss {loss:.3f}")
        if event["step"] % event["log_every"] == 0:
            where = f"Epoch [{event['epoch']}/{event['epochs']}], Step [{event['step']}/{event['steps']}]"
            show.people.print(f"{where}, Loss: {event['loss']:.4f}")

    def _epoch(self, event: Event) -> None:
        text = f"epoch {event['epoch']}/{event['epochs']}: train loss {event['train_loss']:.4f}"
        if "val_accuracy" in event:
            text += f", validation {self.scores.epoch(event)}" + (" (best)" if event["best"] and self.chooses else "")
        show.people.print(f"{text}, {event['images_per_second']:.0f} images/s, {show.duration(event['seconds'])}")


def _who_does_what(event: Event) -> str:
    """How many pictures train and how many validate."""
    config = event["plan"].config
    if not config.cross_validates:
        return f"{event['train']:,} pictures train, {event['val']:,} validate"
    pool = f"{event['train']:,} pictures, training and validation ones together, in {config.folds} folds"
    model = "the networks together are the model" if config.keep_folds else "then all of them train"
    return f"{pool}: each is judged once by a network that has not seen it, {model}"


def _restarted(processes: int, before: int, step: int) -> str:
    """With how many processes a run goes on; `before` is 0 where that is unknown."""
    more = f" instead of {before}" if 0 < before < processes else ""
    of = f" of {before}" if before >= processes else ""
    return f"restarted with {processes}{of} processes{more}, from step {step}"


def say_verdict(verdict: "Verdict") -> None:
    """The findings of the data check in a few lines; `reslab check` shows them all."""
    counts = {level: sum(p.severity == level for p in verdict.problems) for level in ("error", "warning", "note")}
    found = ", ".join(f"{n} {level}{'s' if n > 1 else ''}" for level, n in counts.items() if n) or "no problems found"
    classes = f"{len(verdict.classes)} {SCORES[verdict.task].classes}"
    show.people.print(f"checked {verdict.images:,} pictures of {classes}: {found}")
    kinds = {p.kind: p for p in reversed(verdict.problems) if p.severity != "note"}  # the first of each
    for problem in sorted(kinds.values(), key=verdict.problems.index)[:5]:
        show.people.print(f"  {problem.severity}: {problem.kind}: {problem.path}: {problem.detail}", soft_wrap=True)
