"""What was trained here: one row per run, read from its files, without PyTorch."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ResLabError
from reslab.model.run import (
    CONFIG_NAME,
    RUNS,
    SCORED_SPLITS,
    evaluation_name,
    fold_folder,
    is_ensemble,
    planned_epochs,
    read_config,
    read_epochs,
)
from reslab.system.files import read_json
from reslab.system.values import build_known


def list_runs(root: Path = RUNS) -> list[dict[str, Any]]:
    """What was trained under `root`, oldest first: one row per run; that of a damaged one says so in `error`."""
    return [_row(folder) for folder in sorted(root.glob("*/")) if (folder / CONFIG_NAME).is_file()]


_ROW = ("model", "data", "epochs", "split", "n", "top1", "mean_ap", "seconds")


def _row(folder: Path) -> dict[str, Any]:
    try:
        return {"run": str(folder), **_summary(folder), "error": None}
    except ResLabError as error:
        return {"run": str(folder), **dict.fromkeys(_ROW), "error": error.message}


def _summary(folder: Path) -> dict[str, Any]:
    document = read_config(folder)
    config = document["config"]
    epochs = read_epochs(folder, config)
    folds = [] if is_ensemble(config) else [fold_folder(folder, k + 1) for k in range(config.get("folds", 0))]
    spent = epochs + [event for fold in folds for event in read_epochs(fold, {})]
    scored = next((p for split in SCORED_SPLITS if (p := folder / evaluation_name(split)).is_file()), None)
    score = build_known(_Scored, read_json(scored), scored) if scored else _Scored(None, None)
    return {
        "model": config["model"],
        "data": config["data"],
        "epochs": f"{sum(event['step'] > 0 for event in epochs)}/{planned_epochs(config, epochs)}",
        **asdict(score),
        "seconds": round(sum(event["seconds"] for event in spent), 1),
    }


@dataclass(frozen=True, slots=True)
class _Scored:
    """What a row shows of an evaluation."""

    split: str | None
    n: int | None
    top1: dict[str, float] | None = None
    mean_ap: dict[str, float] | None = None
