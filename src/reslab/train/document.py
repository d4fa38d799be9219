"""A plan as the run folder's `config.json`, and back."""

import dataclasses
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reslab.runfolder import read_config, read_journal
from reslab.train.config import OptimConfig, Origin, Plan, TrainConfig
from reslab.train.schedule import ScheduleConfig


def plan_document(plan: Plan) -> dict[str, Any]:
    """`config.json`: every resolved value with where it came from, and the network."""
    from reslab import runtime  # the machine as PyTorch sees it; reading a document needs no PyTorch

    return {
        "schema": 1,
        "config": asdict(plan.config),
        "origins": {name: asdict(origin) for name, origin in sorted(plan.origins.items())},
        "network": plan.network,
        "classes": list(plan.classes),
        "steps_per_epoch": plan.steps_per_epoch,
        "changes": list(plan.changes),
        "weights_licence": plan.weights_licence,
        "counts": list(plan.counts),
        "teacher_digest": plan.teacher_digest,
        "task": plan.task,
        "machine": runtime.describe(),
        "reslab": version("reslab"),
    }


def plan_from(document: dict[str, Any]) -> Plan:
    """The inverse of `plan_document`."""
    values = dict(document["config"])
    optim, schedule = _with_tuples(values.pop("optim")), _with_tuples(values.pop("schedule"))
    values["course"] = tuple((step, share) for step, share in values["course"])
    config = TrainConfig(**values, optim=OptimConfig(**optim), schedule=ScheduleConfig(**schedule))
    return Plan(
        config=config,
        origins={name: Origin(**origin) for name, origin in document["origins"].items()},
        network=document["network"],
        classes=tuple(document["classes"]),
        steps_per_epoch=document["steps_per_epoch"],
        changes=tuple(document["changes"]),
        weights_licence=document.get("weights_licence"),
        counts=tuple(document.get("counts", ())),
        teacher_digest=document.get("teacher_digest"),
        task=document.get("task", "single"),
    )


def followed(run: Path) -> TrainConfig:
    """The config that repeats an earlier run: one that had a time to keep is followed step by step, without a clock."""
    config = plan_from(read_config(run)).config
    course = config.course
    for event in read_journal(run):
        if event["event"] == "replan":
            course = tuple((step, share) for step, share in event["knots"])
    return dataclasses.replace(config, minutes=0.0, course=course)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
