"""Judge weights on the validation pictures while training, as every other command would judge them."""

import itertools
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from reslab.data.reader import BLOCK, map_in_order
from reslab.data.store import Store
from reslab.engine.base import Outputs, batch_size, forward_of, join_outputs, padded_outputs
from reslab.engine.torch import TorchEngine
from reslab.model.file import Header
from reslab.nn.config import config_from
from reslab.nn.resnet import ResNet
from reslab.system.machine import default_workers
from reslab.tasks.table import task_named
from reslab.tasks.task import Validation
from reslab.train.config import Plan
from reslab.train.step.process_group import ProcessGroup

_CACHED_BYTES = 2**28  # of outputs that are cached, so that they need not be computed again for calibration


class Validator:
    """Weights -> validation score and loss, through the same engine and blocks as every other command.

    Several processes take the blocks in turn; no block is divided, so each picture's answer is what one process gives.
    """

    def __init__(self, plan: Plan, header: Header, store: Store, group: ProcessGroup) -> None:
        self._network, self._header = ResNet(config_from(plan.network)), header
        self._store, self._group = store, group
        self._task, self._balanced = task_named(plan.task), plan.config.balance != "none"
        self._labels = self._task.targets(store.pictures, plan.classes, "val") if len(store) else None
        size = 4 * len(store) * sum(self._network.head.weight.shape)  # float32 logits and features
        self._caches = group.world == 1 and size <= _CACHED_BYTES
        self._last: Outputs | None = None
        self.kept: Outputs | None = None
        """The outputs of the weights that are kept, a row for each picture; None where they are not known."""

    def __call__(self, weights: dict[str, Tensor]) -> Validation | None:
        """None where nothing validates."""
        if self._labels is None:
            return None
        self._network.load_state_dict(weights)
        forward = forward_of(TorchEngine(self._network, self._header), embed=self._caches)
        batch = batch_size(self._header.preprocess.size)
        mine = [padded_outputs(forward, pixels, batch) for pixels in self._blocks()]
        if self._caches:
            self._last = join_outputs(mine)
        parts, world = self._group.gather([outputs.logits for outputs in mine]), self._group.world
        blocks = [parts[number % world][number // world] for number in range(-(-len(self._store) // BLOCK))]
        return self._task.validate(np.concatenate(blocks), self._labels, self._balanced)

    def keep(self) -> None:
        """Say that the weights that were judged last are kept."""
        self.kept = self._last

    def _blocks(self) -> Iterator[np.ndarray]:
        """This process's pictures, a block at a time; threads help where something must be decoded."""
        mine = [i for i in range(len(self._store)) if i // BLOCK % self._group.world == self._group.rank]
        rows = map_in_order(self._store.__getitem__, mine, default_workers(), 2 * BLOCK)
        while block := list(itertools.islice(rows, BLOCK)):
            yield np.stack(block)
