"""The run that docs/degradation.svg shows, and the paper's numbers, without PyTorch."""

import json
from pathlib import Path
from typing import Any

PAPER = {"resnet20": "8.75", "resnet56": "6.97", "resnet110": "6.43", "plain110": "above 60"}
"""Test error in percent after 64,000 steps: table 6, and section 4.2 for plain-110; figure 6 alone has the others."""


def published() -> dict[str, Any]:
    """The six networks as trained by `reproduce/degradation.py`."""
    return json.loads(Path(__file__).with_name("degradation.json").read_text(encoding="utf-8"))
