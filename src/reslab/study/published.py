"""The run that docs/degradation.svg shows, and the paper's numbers, without PyTorch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

PAPER = {"resnet20": "8.75", "resnet56": "6.97", "resnet110": "6.43", "plain110": "above 60"}
"""Test error in percent after 64,000 steps: table 6, and section 4.2 for plain-110; figure 6 alone has the others."""


def published() -> dict[str, Any]:
    """The six networks as trained by `reproduce/degradation.py`."""
    return json.loads(Path(__file__).with_name("degradation.json").read_text(encoding="utf-8"))


def average(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One document of several that differ in their seed alone.

    Errors and losses are means; a test error has the least and the greatest of the seeds as `low` and `high`; gradients are
    those of the first seed. Test errors are of the seeds named in `test_seeds`, those whose networks all have one; where it is a
    single seed, its confidence interval stays.
    """
    rows = [_average_row(each) for each in zip(*(document["networks"] for document in documents), strict=True)]
    seeds = [seed for document in documents for seed in document["seeds"]]
    test_seeds = [document["seeds"][0] for document in documents if all(row["test"] for row in document["networks"])]
    return {**documents[0], "seeds": seeds, "test_seeds": test_seeds, "networks": rows}


def _average_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One network, of which `rows` are the trainings."""
    epochs = [
        {key: mean(epoch[key] for epoch in each) for key in each[0]}
        for each in zip(*(row["epochs"] for row in rows), strict=True)
    ]
    tests = [row["test"] for row in rows if row["test"]]
    errors = [test["error"] for test in tests]
    test = (
        {"n": tests[0]["n"], "error": mean(errors), "low": min(errors), "high": max(errors)} if tests[1:] else tests[0]
    )
    return {**rows[0], "epochs": epochs, "test": test, "seconds": round(sum(row["seconds"] for row in rows), 1)}
