"""What is to be done to all pictures of DATA, as plain values: a worker, in whatever process, needs no more."""

from dataclasses import dataclass
from typing import Literal

from reslab.engine.base import CheckpointAssumptions
from reslab.engine.open import EngineName
from reslab.evaluate.predict import SetOptions


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be answered by what."""

    model: str
    """Empty where the pictures are only looked at."""
    data: str
    out: str
    verb: Literal["predict", "embed", "check"] = "predict"
    workers: int | None = None
    engine: EngineName = "auto"
    sets: SetOptions | None = None
    assumed: CheckpointAssumptions | None = None
    deep: bool = False
    """Of a check: look at what `--deep` needs, too."""
