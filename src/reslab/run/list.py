"""What was trained here: one row per run, read from its files, without PyTorch."""

from pathlib import Path
from typing import Any

from reslab.modelfile import read_json
from reslab.runfolder import CONFIG_NAME, JUDGED, RUNS, evaluation_name, fold_folder, read_config, read_journal


def list_runs(root: Path = RUNS) -> list[dict[str, Any]]:
    """What was trained under `root`, oldest first: one row per run."""
    return [_row(folder) for folder in sorted(root.glob("*/")) if (folder / CONFIG_NAME).is_file()]


def _row(folder: Path) -> dict[str, Any]:
    document = read_config(folder)
    epochs = [event for event in read_journal(folder) if event["event"] == "epoch"]
    folds = [fold_folder(folder, k + 1) for k in range(document["config"].get("folds", 0))]
    spent = epochs + [event for fold in folds for event in read_journal(fold) if event["event"] == "epoch"]
    scored = next((p for split in JUDGED if (p := folder / evaluation_name(split)).is_file()), None)
    score = read_json(scored) if scored else None
    return {
        "run": str(folder),
        "model": document["config"]["model"],
        "data": document["config"]["data"],
        "epochs": f"{sum(event['step'] > 0 for event in epochs)}/{document['config']['epochs']}",
        "split": score and score["split"],
        "n": score and score["n"],
        "top1": score and score.get("top1"),
        "mean_ap": score and score.get("mean_ap"),
        "seconds": round(sum(event["seconds"] for event in spent), 1),
    }
