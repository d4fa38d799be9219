"""Keep a run within its time: how many steps still fit is measured again and again while the machine's speed drifts."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reslab.train.schedule import Timeline

_AIM = 0.97  # of the time given: the promise is 0.90 to 1.02
_LOOK = 0.02  # share of the time between two looks
_WORTH = 0.004  # share of the time by which a new timeline must differ


@dataclass(slots=True)
class TimeBudget:
    """The time of one run.

    Steps and the work at the end of each epoch (validation, saving) are timed apart: a short run has few epochs.
    """

    seconds: float
    """What the person gave for the whole run; 0 promises nothing, and only counts."""
    spent: float = 0.0
    """What had gone before this process's clock started."""
    after: float = 1.0
    """What comes after the last step and its validation: calibration and the report."""
    validation_steps: float = 0.0
    """A guess at the time of one validation, in steps, until one has been timed."""
    closing: float = 1.0
    """Passes over as many pictures as a validation takes, after the last step: the last validation, and more."""
    clock: Callable[[], float] = time.monotonic
    _begin: float = field(init=False)
    _looked: tuple[float, int] = field(init=False, default=(0.0, -1))
    """When and at which step the last look was."""
    _validation: float | None = field(init=False, default=None)
    _pause: float = field(init=False, default=0.0)
    """Time since the last look that was not training."""

    def __post_init__(self) -> None:
        self._begin = self.clock()

    def elapsed(self) -> float:
        """Seconds of the run so far."""
        return self.spent + self.clock() - self._begin

    @contextmanager
    def pause(self, validating: bool = False) -> Iterator[None]:
        """Around what is not training: the end of an epoch, a saved state."""
        begin = self.clock()
        yield
        seconds = self.clock() - begin
        self._pause += seconds
        if validating:
            self._validation = seconds

    def replan(self, step: int, timeline: Timeline, epoch_steps: int) -> Timeline:
        """The timeline to follow after `step` steps: the given one, unless it would miss the time.

        Args:
            epoch_steps: steps between two validations.
        """
        if not self.seconds:
            return timeline
        now = self.elapsed()
        before, first = self._looked
        if first < 0:
            self._looked, self._pause = (now, step), 0.0
            return timeline
        if now - before < _LOOK * self.seconds:
            return timeline
        per_step = max(now - before - self._pause, 1e-9) / (step - first)
        self._looked, self._pause = (now, step), 0.0
        validation = self.validation_steps * per_step if self._validation is None else self._validation
        left = _AIM * self.seconds - now - self.after - self.closing * validation
        fitting = max(0, int(left / (per_step + validation / epoch_steps)))
        off = abs(step + fitting - timeline.total) * per_step
        return timeline.replanned(step, step + fitting) if off > _WORTH * self.seconds else timeline
