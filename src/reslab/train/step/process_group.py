"""Several processes that train one run: what all of them must agree on. With one process, nothing happens.

Gradients and norm statistics are summed by hand in one flat message per step, instead of by a wrapper around the network:
fifteen lines, the same on every device, and nothing that a saved state could miss. PyTorch is imported where there are
several.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from reslab.errors import ProcessLost, ResLabError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup as Connections
    from torch.distributed import Store

Value = TypeVar("Value")

_CONNECTING = timedelta(minutes=5)  # `torchrun` starts all processes at once
_PATIENCE = timedelta(minutes=30)  # for the first process, which looks at every picture before the others start
_STEP_SECONDS = 600  # from step to step and for their part of a validation all need about as long
_POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among `world`."""

    rank: int = 0
    world: int = 1
    in_steps: bool = False
    """All compute alike, so that none waits for the others longer than RESLAB_PATIENCE."""

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
        with _as_process_lost():
            dist.broadcast_object_list(box, group=_connections(self.in_steps))
        return box[0]  # type: ignore[return-value]

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Value | None] = [None] * self.world
        with _as_process_lost():
            dist.all_gather_object(values, value, group=_connections(self.in_steps))
        return values  # type: ignore[return-value]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Each tensor becomes its sum over the processes, in place, in one message. They share type and device."""
        if self.world == 1:
            return
        import torch
        import torch.distributed as dist

        flat = torch.cat([t.reshape(-1) for t in tensors])
        with _as_process_lost():
            dist.all_reduce(flat, group=_connections(self.in_steps))
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether it is true for one of them."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as dist

        total = torch.tensor(float(flag), device=_message_device())
        with _as_process_lost():
            dist.all_reduce(total, group=_connections(self.in_steps))
        return bool(total > 0)


SINGLE = ProcessGroup()


@contextmanager
def _as_process_lost() -> Iterator[None]:
    """What gloo and NCCL raise where a connection broke, or no message came in time, becomes a sentence."""
    try:
        yield
    except RuntimeError as error:
        what = re.sub(r"^\[[^]]*\] ", "", str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise ProcessLost(
            f"another process of this run does not answer: {what}",
            "torchrun --max-restarts starts the run again from its last state; by hand: reslab resume RUN",
        ) from None


def job_id() -> str | None:
    """What names the job: `torchrun`'s `--rdzv-id`; with `--standalone` one of its own. None where it has no name."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")  # torchrun's own default
    return None if name == "none" else name


def is_restart(group: ProcessGroup) -> bool:
    """Whether `torchrun` has started any process of the group again.

    Those of another host may have been started for the first time, or count otherwise: a host that sees the failure of
    its own process counts it, one that is asked to start again by others does not.
    """
    return any(group.gather(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))))


def join() -> ProcessGroup:
    """The group of processes that `torchrun` started; `SINGLE` where it started none."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return SINGLE
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    with _as_process_lost():
        if not dist.is_initialized():
            backend = "gloo"
            if torch.cuda.is_available():
                backend = "nccl"
                take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
            store, rank, world = next(rendezvous("env://", timeout=_CONNECTING))
            store = dist.PrefixStore(_fresh_prefix(store, rank, world), store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=_PATIENCE)
            atexit.register(_disconnect)
        _connections(quick=True)
    return ProcessGroup(dist.get_rank(), dist.get_world_size())


def take_gpu(local_rank: int) -> None:
    """Compute on the GPU that is this process's own: those of a host take them in the order of their local ranks.

    Raises:
        ResLabError: the host has more processes than GPUs.
    """
    import torch

    gpus = torch.cuda.device_count()
    if local_rank >= gpus and "CUDA_VISIBLE_DEVICES" not in os.environ:  # where it is set, each may see one of its own
        raise ResLabError(
            f"process {local_rank + 1} of this host finds no GPU of its own: the host has {gpus}",
            f"torchrun --nproc-per-node {gpus}; or CUDA_VISIBLE_DEVICES= before it, to train on the processor",
        )
    torch.cuda.set_device(local_rank % gpus)


def _disconnect() -> None:
    """Connections have threads, which may abort a process that ends while they run."""
    import torch.distributed as dist

    _quick.cache_clear()
    dist.destroy_process_group()


def _connections(quick: bool) -> Connections | None:
    """Those that give up after RESLAB_PATIENCE, or the ones that wait for long. All processes make the former together."""
    import torch.distributed as dist

    return _quick(dist.group.WORLD) if quick else None


@cache
def _quick(world: Connections) -> Connections | None:
    """Of the processes that these connections join."""
    import torch.distributed as dist

    return dist.new_group(timeout=timedelta(seconds=_patience()))  # type: ignore[return-value]


def _patience() -> int:
    """Seconds that a process waits for the others within a step.

    Raises:
        ResLabError: RESLAB_PATIENCE is not a whole number from 1 to a day's seconds.
    """
    written = os.environ.get("RESLAB_PATIENCE", str(_STEP_SECONDS))
    if not written.isdecimal() or not 1 <= int(written) <= 86400:
        raise ResLabError(
            f"RESLAB_PATIENCE is {written!r}, not a number of seconds from 1 to 86400", "the default is 600"
        )
    return int(written)


def _fresh_prefix(store: Store, rank: int, world: int) -> str:
    """A prefix in `torchrun`'s store that all processes of this start use, and no earlier one has used.

    The store outlives a start: under an old prefix a process could find the address of one that has died, and wait for it.
    Each process leaves a word of its own; the first one answers every word it finds with the prefix, until each of the
    others has said that it has it. What earlier processes left is answered too, and read by nobody.
    """
    mine = secrets.token_hex(8)
    store.set(f"reslab/here/{rank}", mine)
    if rank:
        prefix = store.get(f"reslab/prefix/{mine}").decode()
        store.set(f"reslab/joined/{prefix}/{rank}", "")
        return prefix
    missing, deadline = set(range(1, world)), time.monotonic() + _CONNECTING.total_seconds()
    while missing := {other for other in missing if not store.check([f"reslab/joined/{mine}/{other}"])}:
        for other in missing:
            if store.check([f"reslab/here/{other}"]):
                store.set(f"reslab/prefix/{store.get(f'reslab/here/{other}').decode()}", mine)
        if time.monotonic() > deadline:
            raise ResLabError(
                f"{len(missing)} of {world} processes have not come",
                "between several hosts torchrun needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment",
            )
        time.sleep(_POLL)
    return mine


def _message_device() -> str:
    import torch.distributed as dist

    return "cuda" if dist.get_backend() == "nccl" else "cpu"
