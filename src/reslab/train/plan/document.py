"""A plan as the run folder's `config.json`, and back."""

import dataclasses
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reslab.model.run import CONFIG_NAME, CORRECTIONS_NAME, read_config, read_journal
from reslab.system.values import build, build_known
from reslab.train.config import Origin, Plan, TrainConfig
from reslab.train.step.process_group import job_id
from reslab.words.phrases import PLAIN, Phrase, read_reason


def plan_document(plan: Plan) -> dict[str, Any]:
    """`config.json`: every resolved value with where it came from, and the network."""
    from reslab.system import device  # the machine as PyTorch sees it; reading a document needs no PyTorch

    origins, job = sorted(plan.origins.items()), job_id()
    return {
        "schema": 1,
        "config": asdict(plan.config),
        "origins": {name: {"origin": one.origin, "reason": str(one.reason or "")} for name, one in origins},
        "reasons": {name: asdict(one.reason) for name, one in origins if one.reason and one.reason.key != PLAIN},
        "network": plan.network,
        "classes": list(plan.classes),
        "steps_per_epoch": plan.steps_per_epoch,
        "changes": list(plan.changes),
        "weights_licence": plan.weights_licence,
        "counts": list(plan.counts),
        "teacher_digest": plan.teacher_digest,
        "task": plan.task,
        "data_path": plan.data_path,
        "corrections_digest": plan.corrections_digest,
        "machine": device.describe(),
        "reslab": version("reslab"),
    } | ({"job": job} if job else {})


def plan_from(document: dict[str, Any], run: Path = Path()) -> Plan:
    """The inverse of `plan_document`; `run` is what errors name.

    Raises:
        ResLabError: a field is missing, of another type, or unknown: written by a later version.
    """
    where = run / CONFIG_NAME
    origins = build(dict[str, _Origin], document.get("origins"), where, "origins")
    reasons = build(dict[str, Phrase], document.get("reasons", {}), where, "reasons")
    plan = build_known(Plan, document | {"origins": {}}, where)
    if "convolution" not in document["config"]:
        plan = replace(plan, config=replace(plan.config, convolution=_FIRST))
    decided = {name: Origin(one.origin, read_reason(one.reason, reasons.get(name))) for name, one in origins.items()}
    return replace(plan, origins=decided)


@dataclass(frozen=True, slots=True)
class _Origin:
    """An origin as every version writes it: the reason is an English sentence."""

    origin: str
    reason: str = ""


_FREE = (
    "data", "data_dir", "corrections", "epochs", "minutes", "course", "keep_folds", "workers", "save_seconds", "log_every",
)  # fmt: skip

_FIRST = "pytorch"
"""The only convolution that earlier versions had; their documents name none."""


def decision_digest(plan: Plan) -> str:
    """sha256 of what a run must keep when it is resumed: its config without its length, its place, and what never changes a
    result. Numbers count to nine digits, since what is measured on pictures may differ in the last one elsewhere."""
    document = plan_document(plan)
    chosen = {name: value for name, value in document["config"].items() if name not in _FREE}
    if chosen["convolution"] == _FIRST:
        del chosen["convolution"]  # so that states of earlier versions, which had no other, are known again
    kept = {
        name: document[name] for name in ("network", "classes", "steps_per_epoch", "counts", "teacher_digest", "task")
    }
    if plan.corrections_digest:
        kept["corrections_digest"] = plan.corrections_digest
    return hashlib.sha256(json.dumps(_rounded({**kept, "config": chosen}), sort_keys=True).encode()).hexdigest()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return f"{value:.9g}" if isinstance(value, int | float) and not isinstance(value, bool) else value


def config_like(run: Path) -> TrainConfig:
    """The config that repeats an earlier run; one with a time limit is repeated step by step, without the limit."""
    config = plan_from(read_config(run), run).config
    course = config.course
    for event in read_journal(run):
        if event["event"] == "replan":
            course = tuple((step, share) for step, share in event["knots"])
    table = run / CORRECTIONS_NAME
    corrections = str(table) if table.is_file() else None
    return dataclasses.replace(config, minutes=0.0, course=course, corrections=corrections)
