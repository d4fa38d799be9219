"""Several processes that train one run: what all of them must agree on. With one process, nothing happens.

Gradients and norm statistics are summed by hand in one flat message per step, instead of by a wrapper around the network:
fifteen lines, the same on every device, and nothing that a saved state could miss. PyTorch is imported where there are
several.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Value = TypeVar("Value")

_PATIENCE = timedelta(minutes=30)  # for the first process, which looks at every picture before the others start


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among `world`."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """The one that writes files and reports events."""
        return self.rank == 0

    def share(self, value: Value | None) -> Value:
        """The first process's value, on all."""
        if self.world == 1:
            return value  # type: ignore[return-value]
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Value | None] = [None] * self.world
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes its sum over the processes, in place, in one message. They share type and device."""
        if self.world == 1:
            return
        import torch
        import torch.distributed as dist

        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether it is true for one of them."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as dist

        total = torch.tensor(float(flag), device=_message_device())
        dist.all_reduce(total)
        return bool(total > 0)


SINGLE = ProcessGroup()


def restarts() -> int:
    """How often `torchrun` has started this command again after one of its processes died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def join() -> ProcessGroup:
    """The group of processes that `torchrun` started; `SINGLE` where it started none."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return SINGLE
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    if not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        store, rank, world = next(rendezvous("env://", timeout=_PATIENCE))
        # torchrun may keep its store over a restart; without a room of its own a process could find the address of one
        # that has died there, and wait for it.
        store = dist.PrefixStore(f"reslab/{restarts()}", store)
        dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=_PATIENCE)
        atexit.register(dist.destroy_process_group)  # its threads may abort a process that ends while they run
    return ProcessGroup(dist.get_rank(), dist.get_world_size())


def _message_device() -> str:
    import torch.distributed as dist

    return "cuda" if dist.get_backend() == "nccl" else "cpu"
