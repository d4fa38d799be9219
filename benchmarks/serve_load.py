"""`reslab serve --processes` under load while one of its processes is killed: is an answer wrong, which are lost, how fast is it?

    python benchmarks/serve_load.py [--model cifar10_resnet20] [--processes 4] [--connections 200] [--requests 20000]

1. Memory of one server without `--processes`, then of the supervisor and each process (proportional set size: a page that
   k processes share counts 1/k in each).
2. So many connections send mixed requests, good ones in every form and bad ones of every kind; in the middle one process is
   killed with SIGKILL. Every answer must be that of offline `predict` (same label, |dp| <= 1e-5) or the right refusal. Each
   connection has asked `/health` which process answers it, so a request without an answer is counted as lost in the killed
   process or elsewhere, which must not happen.
3. Answers per quarter of a second around the kill, and the time from it until a new process answers.

Client and server run on one machine and share it.
"""

import argparse
import base64
import collections
import http.client
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from serve import BAD, NEAR, bomb, form, post

MAX_BYTES = 100_000
GOOD = ("raw", "form", "json", "two", "explain")
MIX = (
    "raw",
    "form",
    "raw",
    "corrupt",
    "json",
    "raw",
    "huge",
    "two",
    "raw",
    "pixels",
    "form",
    "empty",
    "raw",
    "type",
    "explain",
)
BIN, PATIENCE = 0.25, 60  # seconds


class Server:
    """`reslab serve` with so many processes."""

    def __init__(self, model: str, processes: int) -> None:
        words = [sys.executable, "-m", "reslab", "serve", model, "--port", "0", "--processes", str(processes)]
        words += ["--max-bytes", str(MAX_BYTES), "--queue", "2000", "--decode-seconds", "120"]
        self.child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.child.stdout.readline().rpartition(":")[2])

    def stop(self) -> int:
        self.child.terminate()
        return self.child.wait(120)


@dataclass
class Outcome:
    """What came back."""

    statuses: collections.Counter = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """For each request without an answer, the process that had it."""
    times: list[float] = field(default_factory=list)
    """When each answer came, seconds after the beginning."""
    killed: int = 0
    killed_at: float = 0.0
    replaced_after: float = 0.0
    """Seconds from the kill until a process answered that had not before."""

    def lost_elsewhere(self) -> int:
        return sum(process != self.killed for process in self.lost)

    def rate(self, begin: float, end: float) -> float:
        """Answers per second, in seconds after the kill."""
        return sum(begin <= moment - self.killed_at < end for moment in self.times) / (end - begin)


class Load:
    """Mixed requests over many connections, and one process killed when half of them are done."""

    def __init__(self, port: int, pictures: list[bytes], expected: list[tuple[str, float]]) -> None:
        self.port, self.pictures, self.expected = port, pictures, expected
        self.outcome = Outcome()
        self._lock, self._numbers = threading.Lock(), itertools.count()

    def run(self, connections: int, requests: int) -> Outcome:
        self._begin = time.perf_counter()
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(lambda _: self._work(requests), range(connections)))
        self._watch.join()
        return self.outcome

    def _work(self, requests: int) -> None:
        connection, process = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120), 0
        while (number := next(self._numbers)) < requests:
            if number == requests // 2:
                self._kill()
            if connection.sock is None:
                process = self._connect(connection)
            kind = MIX[number % len(MIX)]
            try:
                status, document = self._ask(connection, kind, number)
            except (OSError, http.client.HTTPException):
                connection.close()
                with self._lock:
                    self.outcome.lost.append(process)
                continue
            with self._lock:
                self.outcome.times.append(time.perf_counter() - self._begin)
                self._judge(kind, number, status, document)
        connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> int:
        """The process that answers this connection; one that is killed before it says so has had no request."""
        for _ in range(5):
            try:
                connection.request("GET", "/health")
                return json.loads(connection.getresponse().read())["process"]
            except (OSError, http.client.HTTPException):
                connection.close()
        raise RuntimeError("no process answers")

    def _kill(self) -> None:
        """End the process that answers a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        killed = self._connect(connection)
        connection.close()
        with self._lock:
            self.outcome.killed, self.outcome.killed_at = killed, time.perf_counter() - self._begin
        before = set(health(self.port)["processes"])
        begun = time.perf_counter()
        os.kill(killed, signal.SIGKILL)
        self._watch = threading.Thread(target=self._await_replacement, args=(before, begun))
        self._watch.start()

    def _await_replacement(self, before: set[int], begun: float) -> None:
        """By new connections, one after the other."""
        while time.perf_counter() - begun < PATIENCE:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            process = self._connect(connection)
            connection.close()
            if process not in before:
                self.outcome.replaced_after = time.perf_counter() - begun
                return
            time.sleep(0.005)

    def _ask(self, connection: http.client.HTTPConnection, kind: str, number: int) -> tuple[int, dict]:
        data, after = (self.pictures[(number + k) % len(self.pictures)] for k in range(2))
        bodies = {
            "raw": (data, "image/jpeg"), "explain": (data, "image/jpeg"), "form": form([data]), "two": form([data, after]),
            "json": (json.dumps({"image": base64.b64encode(data).decode()}).encode(), "application/json"),
            "corrupt": (data[: len(data) // 2], "image/jpeg"), "huge": (b"x" * (MAX_BYTES + 1), "image/jpeg"),
            "pixels": (bomb(), "image/png"), "empty": (b"", "image/jpeg"), "type": (data, "text/plain"),
        }  # fmt: skip
        return post(connection, *bodies[kind], "/explain" if kind == "explain" else "/predict")

    def _judge(self, kind: str, number: int, status: int, document: dict) -> None:
        self.outcome.statuses[f"{kind}: {status}"] += 1
        if kind in BAD:
            wanted, word = BAD[kind]
            if status != wanted or word not in document["error"]:
                self.outcome.wrong.append(f"{kind}: {status} {document}")
            return
        rows = document.get("predictions", [document]) if status == 200 else []
        for k, row in enumerate(rows):
            label, probability = self.expected[(number + k) % len(self.pictures)]
            if row["label"] != label or not abs(row["probability"] - probability) <= NEAR:
                self.outcome.wrong.append(f"{kind}: {row}, offline {label} {probability}")
        if len(rows) != 1 + (kind == "two"):
            self.outcome.wrong.append(f"{kind}: {status} {document}")


def some_pictures(count: int) -> list[bytes]:
    """JPEGs of coarse noise."""
    import numpy as np
    from PIL import Image

    files = []
    for seed in range(count):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((96, 72), Image.Resampling.BICUBIC).save(file, "JPEG")
        files.append(file.getvalue())
    return files


def answers_of(model: str, pictures: list[bytes]) -> list[tuple[str, float]]:
    """Label and probability by offline `predict`."""
    from reslab.evaluate.predict import load_model

    return [(row.label, row.probability) for row in load_model(model).predict(pictures)]


def megabytes(pid: int) -> dict[str, float]:
    """Resident, proportional and private memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    private = found["Private_Clean"] + found["Private_Dirty"]
    return {"resident": round(found["Rss"]), "proportional": round(found["Pss"]), "private": round(private)}


def health(port: int) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/health")
    document = json.loads(connection.getresponse().read())
    connection.close()
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cifar10_resnet20")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()
    pictures = some_pictures(64)
    expected = answers_of(options.model, pictures)
    report: dict = {"cores": len(os.sched_getaffinity(0)), **vars(options)}

    single = Server(options.model, 1)
    Load(single.port, pictures, expected)._ask(http.client.HTTPConnection("127.0.0.1", single.port), "raw", 0)
    report["one server, MB"] = megabytes(single.child.pid)
    single.stop()

    server = Server(options.model, options.processes)
    load = Load(server.port, pictures, expected)
    for number in range(8 * options.processes):  # so that each has computed
        load._ask(http.client.HTTPConnection("127.0.0.1", server.port), "raw", number)
    report["supervisor, MB"] = megabytes(server.child.pid)
    report["processes, MB"] = [megabytes(pid) for pid in health(server.port)["processes"]]
    begin = time.perf_counter()
    outcome = load.run(options.connections, options.requests)
    report["answers_per_second"] = round(len(outcome.times) / (time.perf_counter() - begin), 1)
    report["statuses"] = dict(sorted(outcome.statuses.items()))
    report |= {"wrong": outcome.wrong[:10], "lost_with_the_process": outcome.lost.count(outcome.killed)}
    report |= {"lost_elsewhere": outcome.lost_elsewhere(), "restarts": health(server.port)["restarts"]}
    report["replaced_after_s"] = round(outcome.replaced_after, 3)
    report["per_second_before"] = round(outcome.rate(-5, 0), 1)
    report["per_second_after"] = {f"{k * BIN:.2f} s": round(outcome.rate(k * BIN, (k + 1) * BIN), 1) for k in range(12)}
    report["per_second_from_1_s_to_6_s"] = round(outcome.rate(1, 6), 1)
    report["exit_code"] = server.stop()
    print(json.dumps(report, indent=1))
    sys.exit(bool(outcome.wrong or outcome.lost_elsewhere() or report["exit_code"]))


if __name__ == "__main__":
    main()
