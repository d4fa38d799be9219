"""A learning-rate range test on a person's data."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from reslab.run.examine import read_and_split
from reslab.run.prepare import OPENED, check_pictures, resolve_plan
from reslab.system.events import Listener, ignore
from reslab.train.config import Plan, TrainConfig
from reslab.train.plan.resolve import with_statistics

if TYPE_CHECKING:
    from reslab.train.range_test import RangeTest


def find_rate(
    config: TrainConfig, user: Collection[str] = (), on_event: Listener | None = None
) -> tuple[Plan, "RangeTest"]:
    """A learning rate for a training, and the curve behind it: check and plan as `train` does, and write nothing.

    Raises:
        ResLabError: bad input, or no rate makes the loss fall.
    """
    listener = on_event or ignore
    catalog = read_and_split(config).only(OPENED)
    plan = resolve_plan(config, catalog, user, listener)
    plan, _, stores = check_pictures(plan, catalog, config, user, listener)
    plan = with_statistics(plan, stores.train)
    from reslab.train import range_test  # PyTorch

    return plan, range_test.find_rate(plan, stores, listener)
