"""Which prediction sets a model answers, as flags of `predict` and `serve`."""

from dataclasses import dataclass

from cyclopts import Parameter

from reslab.evaluate.predict import SetOptions
from reslab.metrics.conformal import Method


@Parameter(name="*")
@dataclass(frozen=True)
class SetChoice:
    """Which prediction sets are answered."""

    coverage: float | None = None
    "Probability that a prediction set contains the true label: 0.9, 0.95 (default) or 0.99."
    sets: Method | None = None
    "lac: smallest prediction sets, empty where no label is likely enough; raps: growing with difficulty; class: a promise each."

    def options(self) -> SetOptions | None:
        """None where nothing was chosen: then a model without sets is no error."""
        if self.coverage is None and self.sets is None:
            return None
        plain = SetOptions()
        return SetOptions(self.coverage or plain.coverage, self.sets or plain.method)


DEFAULT_SETS = SetChoice()
