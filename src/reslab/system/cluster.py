"""A Ray cluster, entered for a while: reached within seconds or refused, and of this version of ResLab on every node."""

import contextlib
import importlib.metadata
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from reslab.errors import ResLabError

_PATIENCE = 5.0
"""Seconds for a connection to the client server; Ray itself waits for half a minute."""
_ATTEMPTS = 3
"""The process that the client server starts for a client dies now and then before it can do anything (Ray's issue 63202)."""
_STARTS = 120.0
"""Seconds for a Python process on every node."""


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Any]:
    """The package ray, connected for the duration of the block to a cluster whose nodes have ResLab of this version.

    Args:
        address: `ray://HOST:PORT` of its client server; `auto` for the cluster that this machine is part of.

    Raises:
        ResLabError: the package is missing, no cluster answers, or one of its nodes has another version of ResLab, or none.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before it is imported: it would report to its maker
    try:
        import ray  # pyrefly: ignore[missing-import]
    except ImportError:
        raise ResLabError("a Ray cluster needs the package ray", "pip install 'reslab[ray]'") from None
    _reach(address)
    try:
        _connect(ray, address)
        _refuse_other_versions(ray)
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """See that somebody listens there."""
    if address == "auto":
        return
    host, port = "", None
    with contextlib.suppress(ValueError):  # a port that is no number
        parts = urlsplit(address)
        host, port = parts.hostname if parts.scheme == "ray" else "", parts.port
    if not host or not port:
        raise ResLabError(
            f"{address} is no address of a Ray cluster", "known: auto, ray://HOST:PORT (10001 by default)"
        )
    try:
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        raise _silent(address, error.strerror or str(error)) from None


def _silent(address: str, why: str) -> ResLabError:
    return ResLabError(f"no Ray cluster answers at {address}: {why}", "ray start --head begins one")


def _connect(ray: Any, address: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            ray.init(address, log_to_driver=False, logging_level="error")
            return
        except ConnectionAbortedError as error:
            if attempt == _ATTEMPTS - 1:
                raise _silent(address, _first_and_last(error)) from None
        except Exception as error:  # of Ray, of gRPC, of the system: they have no common class
            raise _silent(address, _first_and_last(error)) from None


def _first_and_last(error: Exception) -> str:
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return " ".join(dict.fromkeys((lines[0], lines[-1].strip())))  # between them is a traceback of the server's


def _refuse_other_versions(ray: Any) -> None:
    def version() -> str:  # within a function, so that Ray sends its code: a module need not be there
        import importlib.metadata

        try:
            return importlib.metadata.version("reslab")
        except importlib.metadata.PackageNotFoundError:
            return ""

    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyrefly: ignore[missing-import]

    ours = importlib.metadata.version("reslab")
    asked = []
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU"):  # others are given no work
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, scheduling_strategy=there)(version)
            asked.append((node["NodeManagerAddress"], task.remote()))
    for where, answer in asked:
        try:
            theirs = ray.get(answer, timeout=_STARTS)
        except ray.exceptions.RayError as error:
            raise ResLabError(
                f"the node {where} of the Ray cluster does not answer: {_first_and_last(error)}"
            ) from None
        if theirs != ours:
            what = f"ResLab {theirs}" if theirs else "no ResLab"
            raise ResLabError(
                f"the node {where} of the Ray cluster has {what}, this is ResLab {ours}",
                f"pip install reslab=={ours} on all nodes",
            )


def change_folder(folder: str) -> None:
    """Work in the folder in which the command was given, if this node has it: relative paths are meant from there."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
