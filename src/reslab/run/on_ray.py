"""A training whose processes Ray Train starts: `run.train` in each of them, as where `torchrun` starts them.

Ray places the processes, joins them to one group, and starts all of them anew where one has died; the run then goes on from
its saved state. What is saved, and when, is ours; Ray stores nothing.
"""

import secrets
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import ProcessLost, ResLabError
from reslab.evaluate.evaluation import Evaluation
from reslab.model.run import CONFIG_NAME
from reslab.run.prepare import removed_unless_begun, reserve
from reslab.run.train import Run, resume, train
from reslab.system.cluster import change_folder, cluster
from reslab.system.events import Event, Listener
from reslab.train.config import TrainConfig
from reslab.train.step.process_group import join

RESTARTS = 3
"""How often all processes are started again after one has died."""
_LOOK = 0.5  # seconds between two looks at what has been told


@dataclass(frozen=True, slots=True)
class _Task:
    """What each process is given."""

    config: TrainConfig
    out: Path
    user: frozenset[str]
    spent: float
    """Seconds of the person's time that were gone when the command reached the cluster."""
    folder: str
    """The one in which the command was given."""
    mark: str
    """A file in `out`, for the processes to see."""


class _Mailbox:
    """Between the processes and whoever gave the command: what is told, and what was wrong."""

    def __init__(self) -> None:
        self._told: list[Event] = []
        self._wrong: ResLabError | None = None

    def tell(self, event: Event) -> None:
        self._told.append(event)

    def take(self) -> list[Event]:
        told, self._told = self._told, []
        return told

    def set_error(self, error: ResLabError) -> None:
        self._wrong = self._wrong or error

    def error(self) -> ResLabError | None:
        return self._wrong


def train_on_ray(
    address: str,
    processes: int,
    out: Path,
    config: TrainConfig,
    user: Collection[str],
    on_event: Listener,
    begun: float,
) -> Run:
    """Train as `run.train.train` does, in processes that a Ray cluster starts.

    Args:
        address: `ray://HOST:PORT`, or `auto` for the cluster that this machine is part of.
        processes: each with one core, and one GPU where the cluster has any.
        out: the run folder, on storage that this machine and all nodes share.
        begun: when the person's time began to run, by `time.monotonic`.

    Raises:
        ResLabError: as `train`; no such cluster, another ResLab on it, too few cores or GPUs; `out` is not shared; processes
            died more often than `RESTARTS`.
    """
    with cluster(address) as ray:
        need_train()
        gpus = _refuse_few(ray, processes)
        reserve(out)
        with removed_unless_begun(out), _marked(out) as mark:
            spent = time.monotonic() - begun
            task = _Task(config, out.resolve(), frozenset(user), spent, str(Path.cwd()), mark)
            return Run(out, _followed(ray, task, processes, gpus, on_event))


@contextmanager
def _marked(out: Path) -> Iterator[str]:
    """A file in a folder, by which others see whether theirs of that name is the same."""
    mark = out / f".{secrets.token_hex(8)}.shared"
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)


def _followed(ray: Any, task: _Task, processes: int, gpus: bool, on_event: Listener) -> Evaluation | None:
    """What the first process has found; meanwhile, what it tells is passed on."""
    mailbox = ray.remote(num_cpus=0)(_Mailbox).remote()
    running = [fitted := ray.remote(num_cpus=0, max_retries=0)(_fit).remote(task, mailbox, processes, gpus)]
    try:
        while running:
            _, running = ray.wait(running, timeout=_LOOK)
            for event in ray.get(mailbox.take.remote()):
                on_event(event)
        if error := ray.get(mailbox.error.remote()):
            raise error
        return ray.get(fitted)
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[-1]
        hint = f"go on with: reslab resume {task.out}" if (task.out / CONFIG_NAME).is_file() else None
        raise ResLabError(f"the training on the Ray cluster ended: {why}", hint) from None


def need_train() -> None:
    """See that Ray Train can be imported: it needs more packages than Ray.

    Raises:
        ResLabError: one is missing.
    """
    try:
        import ray.train.torch  # noqa: F401  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise ResLabError(f"Ray Train lacks a package: {error}", "pip install 'reslab[ray]' on all nodes") from None


def _refuse_few(ray: Any, processes: int) -> bool:
    """Whether the processes get GPUs; refused where the cluster has too few of what they need."""
    has = ray.cluster_resources()
    gpus = has.get("GPU", 0) > 0
    name, there = ("GPUs", has["GPU"]) if gpus else ("cores", has.get("CPU", 0))
    if there < processes:
        raise ResLabError(
            f"the Ray cluster has {there:g} {name}, and {processes} processes need one each", f"--processes {there:g}"
        )
    return gpus


def _fit(task: _Task, mailbox: Any, processes: int, gpus: bool) -> Evaluation | None:
    """Where Ray Train is told what to do: a task on the cluster, since a client from outside cannot."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig  # pyrefly: ignore[missing-import]
    from ray.train.torch import TorchTrainer  # pyrefly: ignore[missing-import]

    with tempfile.TemporaryDirectory(prefix="reslab-ray-") as folder:  # for what Ray would store
        failures = FailureConfig(max_failures=RESTARTS)
        trainer = TorchTrainer(
            _train,
            train_loop_config={"task": task, "mailbox": mailbox},
            scaling_config=ScalingConfig(num_workers=processes, use_gpu=gpus),
            run_config=RunConfig(name="reslab", storage_path=folder, failure_config=failures),
        )
        return trainer.fit().return_value


def _train(given: dict[str, Any]) -> Evaluation | None:
    """What each process does; the first one's answer counts."""
    import ray  # pyrefly: ignore[missing-import]

    task, mailbox = given["task"], given["mailbox"]
    if ray.get(mailbox.error.remote()):  # after a restart: what was wrong with the data is still wrong
        return None
    try:
        change_folder(task.folder)
        return _trained(task, lambda event: mailbox.tell.remote(event)).evaluation
    except ProcessLost:
        raise  # Ray starts all of them again
    except ResLabError as error:
        ray.get(mailbox.set_error.remote(error))
        raise


def _trained(task: _Task, listener: Listener) -> Run:
    """The run begun, or continued where it was begun before."""
    group = join()
    if group.share((task.out / CONFIG_NAME).is_file() if group.first else None):
        return resume(task.out, None, listener)
    seen = group.gather((socket.gethostname(), (task.out / task.mark).is_file()))
    if blind := [node for node, sees in seen if not sees]:
        raise ResLabError(
            f"{task.out} of the node {blind[0]} is not the folder that this machine has under that name",
            "choose an --out on storage that all nodes share",
        )
    return train(task.config, task.out, task.user, listener, time.monotonic() - task.spent)
