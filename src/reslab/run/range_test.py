"""A learning-rate range test on a person's data."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from reslab.run.examine import read_and_split
from reslab.run.prepare import checked, settled, silent
from reslab.train.config import Plan, TrainConfig
from reslab.train.journal import Listener

if TYPE_CHECKING:
    from reslab.train.range_test import RangeTest


def find_rate(
    config: TrainConfig, user: Collection[str] = (), on_event: Listener | None = None
) -> tuple[Plan, "RangeTest"]:
    """A learning rate for a training, and the curve behind it: check and plan as `train` does, and write nothing.

    Raises:
        ResLabError: bad input, or no rate makes the loss fall.
    """
    show = on_event or silent
    whole = read_and_split(config)
    plan, _, stores = checked(whole, config, settled(whole, config, user, show), user, show)
    from reslab.train import range_test  # PyTorch

    return plan, range_test.find_rate(plan, stores, show)
