"""Batches as pure functions of (seed, epoch, step): any of them can be made again, in any order, by any thread."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from reslab.data.augment import Augment, Mix, draw_mix
from reslab.data.draws import balanced_order, steps_per_epoch
from reslab.data.order import visiting_order
from reslab.data.reader import map_in_order
from reslab.data.store import Store
from reslab.shapes import PIXELS, TARGETS


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's pictures, or this process's part of them. Blending is left to the device: see `Mix`."""

    pixels: UInt8[Tensor, PIXELS]
    targets: Float[Tensor, TARGETS]
    """Labels as zeros and ones, already blended."""
    mix: Mix | None
    partners: UInt8[Tensor, PIXELS] | None
    """The pictures to blend with; they come from the whole batch, over all processes."""
    total: int
    """Pictures of the step over all processes."""
    indices: np.ndarray
    """int64 `[total]`: which pictures of the store those are."""
    first: int
    """Where this process's part begins among them."""

    def parts(self, count: int) -> Iterator["Batch"]:
        """The same pictures in up to `count` batches of nearly equal size, none of them of a single picture."""
        n = len(self.pixels)
        count = max(1, min(count, n // 2))
        for k in range(count):
            rows = slice(k * n // count, (k + 1) * n // count)
            partners = None if self.partners is None else self.partners[rows]
            yield replace(self, pixels=self.pixels[rows], targets=self.targets[rows], partners=partners)


class Loader:
    """The training split as batches.

    An epoch visits every picture once, in batches whose sizes differ by one at most: no short last batch, which batch
    norm could not use, and no picture left out.

    Args:
        labels: the class index of each picture or, with several labels per picture, a multi-hot row.
        part: rank of this process and number of processes; each step's pictures are divided evenly among them.
        evenly: visit every class equally often instead of every picture once.
    """

    def __init__(
        self,
        store: Store,
        labels: Sequence[int] | np.ndarray,
        num_classes: int,
        augment: Augment,
        batch_size: int,
        part: tuple[int, int] = (0, 1),
        evenly: bool = False,
    ) -> None:
        self.part = part
        self.store = store
        self.labels = torch.as_tensor(labels)
        self.num_classes = num_classes
        self.augment = augment
        self.steps = steps_per_epoch(len(store), batch_size)
        seed, numbers = augment.seed, self.labels.numpy()
        self._order = lru_cache(maxsize=2)(
            lambda epoch: balanced_order(seed, epoch, numbers) if evenly else visiting_order(seed, epoch, len(store))
        )

    def visits(self, epoch: int, step: int) -> np.ndarray:
        """What makes up a step: each picture's number, plus the number of pictures for each earlier visit to it."""
        count = len(self.store)
        return self._order(epoch)[step * count // self.steps : (step + 1) * count // self.steps]

    def indices(self, epoch: int, step: int) -> np.ndarray:
        """Which pictures make up a step."""
        return self.visits(epoch, step) % len(self.store)

    def batch(self, epoch: int, step: int) -> Batch:
        """The batch of one step of one epoch, both counted from 0."""
        visits, indices = self.visits(epoch, step), self.indices(epoch, step)
        total, (rank, world) = len(indices), self.part
        mine = slice(rank * total // world, (rank + 1) * total // world)
        mix = draw_mix(self.augment, epoch, step, total)
        if mix is None:
            targets = self._targets(indices[mine])
            return Batch(self._pixels(epoch, visits[mine]), targets, None, None, total, indices, mine.start)
        # Decode a picture once, even if it is both in this process's part and a partner.
        wanted = np.arange(total)[mine]
        needed, where = np.unique(np.concatenate([wanted, mix.partner[mine]]), return_inverse=True)
        pixels = self._pixels(epoch, visits[needed])
        own, partners = pixels[where[: len(wanted)]], pixels[where[len(wanted) :]]
        targets = mix.targets(self._targets(indices))[mine]
        return Batch(own, targets, mix, partners, total, indices, mine.start)

    def _targets(self, indices: np.ndarray) -> Tensor:
        labels = self.labels[torch.from_numpy(indices)]
        return labels.float() if labels.ndim == 2 else F.one_hot(labels, self.num_classes).float()

    def _pixels(self, epoch: int, visits: np.ndarray) -> Tensor:
        pixels = self.augment.pictures([self.store[int(i)] for i in visits % len(self.store)], epoch, visits)
        return torch.from_numpy(np.ascontiguousarray(pixels))

    def batches(self, epoch: int, first: int = 0, workers: int = 1) -> Iterator[Batch]:
        """The steps of an epoch from `first` on, made by `workers` threads while the caller trains."""
        steps = range(first, self.steps)
        return map_in_order(lambda step: self.batch(epoch, step), steps, workers, ahead=workers + 1)
