"""`reslab serve` under load: are its answers right, does it keep its memory, and how fast is it beside `predict`?

    python benchmarks/serve.py DATA [--model resnet18] [--size 224] [--requests 2000] [--soak 10000] [--rounds 5]

1. 32 connections send mixed requests: good ones in every form, corrupt, huge, empty, of a wrong type, too large in
   pixels, slow. Every good answer must be that of offline `predict` (same label, |dp| <= 1e-5), every bad one a 4xx that
   names its reason, or 503.
2. The same mix again for a warm-up and then for `--soak` requests: resident memory of the server before and after.
3. Pictures one by one over 32 connections, beside `predict` on the same bytes in a process of its own, in turns.

The model has random weights. The client runs on the same machine and takes its share of it.
"""

import argparse
import base64
import collections
import dataclasses
import http.client
import itertools
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CONNECTIONS, NEAR = 32, 1e-5
MAX_BYTES, TIMEOUT = 2_000_000, 2  # of the server under test, so that huge and slow requests do not take all day
CLASSES = 10


def write_fresh_model(path: Path, name: str, size: int) -> None:
    """An exported network with random weights, whose norms have seen some noise."""
    import numpy as np
    import torch

    from reslab.export.graph import write_onnx
    from reslab.model.file import Calibration, Header
    from reslab.nn.zoo import build_named
    from reslab.pixels.preprocess import Preprocess

    network = build_named(name, num_classes=CLASSES)
    with torch.no_grad():
        network.train()(torch.rand(8, 3, size, size))
    header = Header(
        {"name": name, **dataclasses.asdict(network.config)},
        tuple(f"class {k}" for k in range(CLASSES)),
        Preprocess(size),
        Calibration(1.3, 100, "val"),
    )
    write_onnx(path, network.eval(), header, np.zeros((0, 5), np.uint8))


class Server:
    """`reslab serve` in a process of its own."""

    def __init__(self, model: Path, log: Path) -> None:
        words = [sys.executable, "-m", "reslab", "serve", str(model), "--port", "0"]
        words += ["--max-bytes", str(MAX_BYTES), "--timeout", str(TIMEOUT)]
        self._log = log.open("w")
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self._log, text=True)
        self.port = int(self._process.stdout.readline().rpartition(":")[2])

    def resident(self) -> float:
        """Megabytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024

    def stop(self) -> int:
        self._process.terminate()
        code = self._process.wait(60)
        self._log.close()
        return code


def post(connection: http.client.HTTPConnection, body, kind: str, path: str = "/predict") -> tuple[int, dict]:
    connection.request("POST", path, body, {"Content-Type": kind, "Accept": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def form(files: list[bytes]) -> tuple[bytes, str]:
    head = '--b0\r\nContent-Disposition: form-data; name="file"; filename="{}.jpg"\r\n\r\n'
    parts = [head.format(number).encode() + data + b"\r\n" for number, data in enumerate(files)]
    return b"".join(parts) + b"--b0--\r\n", "multipart/form-data; boundary=b0"


def bomb() -> bytes:
    """A PNG header of 100 megapixels."""
    chunks = (b"IHDR" + struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b""), b"IEND")
    packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def slow(port: int, data: bytes) -> tuple[int, dict]:
    """A body that comes to a stop."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        wire.sendall(head.encode() + data[: len(data) // 2])
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        return answer.status, json.loads(answer.read())


BAD = {  # kind -> status and what its sentence holds
    "corrupt": (422, "cannot read"),
    "huge": (413, "larger than"),
    "huge, no length": (413, "larger than"),
    "pixels": (422, "pixels"),
    "empty": (400, "empty"),
    "type": (415, "content type"),
    "slow": (408, "did not arrive"),
}
MIX = (
    ["raw"] * 6 + ["form"] * 4 + ["json"] * 2 + ["three"] * 2 + ["explain"]
    + ["corrupt", "huge", "huge, no length", "pixels", "empty", "type", "corrupt"] + ["raw"] * 9 + ["slow"]
)  # fmt: skip


class Load:
    """Mixed requests and what came back."""

    def __init__(self, port: int, pictures: list[bytes], expected: list[tuple[str, float]]) -> None:
        self.port, self.pictures, self.expected = port, pictures, expected
        self.good: list[float] = []  # seconds
        self.statuses: collections.Counter = collections.Counter()
        self.wrong: list[str] = []
        self.furthest = 0.0
        self._lock = threading.Lock()

    def run(self, requests: int) -> float:
        """Seconds that so many requests took."""
        numbers, begin = itertools.count(), time.perf_counter()

        def worker() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            while (number := next(numbers)) < requests:
                kind = MIX[number % len(MIX)]
                start = time.perf_counter()
                try:
                    status, document = self._ask(connection, kind, number)
                except (OSError, http.client.HTTPException) as error:
                    status, document = 0, {"error": repr(error)}
                    connection.close()
                self._judge(kind, number, status, document, time.perf_counter() - start)
            connection.close()

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda _: worker(), range(CONNECTIONS)))
        return time.perf_counter() - begin

    def _ask(self, connection: http.client.HTTPConnection, kind: str, number: int) -> tuple[int, dict]:
        data = self.pictures[number % len(self.pictures)]
        bodies = {
            "raw": lambda: (data, "image/jpeg"),
            "form": lambda: form([data]),
            "three": lambda: form(self._three(number)),
            "json": lambda: (json.dumps({"image": base64.b64encode(data).decode()}).encode(), "application/json"),
            "corrupt": lambda: (data[: len(data) // 2], "image/jpeg"),
            "huge": lambda: (b"x" * (MAX_BYTES + 1), "image/jpeg"),
            "huge, no length": lambda: (iter([b"x" * (MAX_BYTES // 4)] * 5), "image/jpeg"),
            "pixels": lambda: (bomb(), "image/png"),
            "empty": lambda: (b"", "image/jpeg"),
            "type": lambda: (data, "text/plain"),
        }
        if kind == "slow":
            return slow(self.port, data)
        if kind == "explain":
            return post(connection, data, "image/jpeg", "/explain")
        return post(connection, *bodies[kind]())

    def _three(self, number: int) -> list[bytes]:
        return [self.pictures[(number + k) % len(self.pictures)] for k in range(3)]

    def _judge(self, kind: str, number: int, status: int, document: dict, seconds: float) -> None:
        with self._lock:
            self.statuses[f"{kind}: {status}"] += 1
            if status == 503:
                return
            if kind in BAD:
                wanted, word = BAD[kind]
                if status != wanted or word not in document["error"]:
                    self.wrong.append(f"{kind}: {status} {document}")
                return
            self.good.append(seconds)
            if status != 200:
                self.wrong.append(f"{kind}: {status} {document}")
                return
            rows = [document] if kind == "explain" else document["predictions"]
            for k, row in enumerate(rows):
                label, probability = self.expected[(number + k) % len(self.pictures)]
                distance = abs(row["probability"] - probability)
                self.furthest = max(self.furthest, distance)
                if row["label"] != label or distance > NEAR:
                    self.wrong.append(f"{kind}: {row['label']} {row['probability']}, offline {label} {probability}")


def offline_speed(model: Path, files: list[str]) -> float:
    """`predict` on bytes, pictures per second, in a process of its own whose start is not counted."""
    words = [sys.executable, __file__, "--offline", str(model), *files]
    return float(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def offline(model: str, files: list[str]) -> None:
    from reslab.evaluate.predict import load_model

    loaded, pictures = load_model(model), [Path(file).read_bytes() for file in files]
    loaded.predict(pictures[:32])
    begin = time.perf_counter()
    answered = sum(row.error is None for row in loaded.stream(pictures))
    print(answered / (time.perf_counter() - begin))


def served_speed(port: int, pictures: list[bytes]) -> float:
    numbers = itertools.count()

    def worker(count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while (number := next(numbers)) < count:
            status, _ = post(connection, pictures[number % len(pictures)], "image/jpeg")
            assert status == 200, status
        connection.close()

    def run(count: int) -> float:
        nonlocal numbers
        numbers, begin = itertools.count(), time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda _: worker(count), range(CONNECTIONS)))
        return count / (time.perf_counter() - begin)

    run(CONNECTIONS)  # as the other has seen some pictures before its clock starts
    return run(len(pictures))


def main() -> None:
    if sys.argv[1:2] == ["--offline"]:
        offline(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=398)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--soak", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = sorted(str(p) for p in options.data.rglob("*.jpg") if 4 * p.stat().st_size < MAX_BYTES)  # three in one body
    files = files[:: max(1, len(files) // options.pictures)][: options.pictures]
    pictures = [Path(file).read_bytes() for file in files]
    report: dict = {"cores": os.cpu_count(), "model": options.model, "size": options.size, "files": len(files)}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        write_fresh_model(model, options.model, options.size)
        server = Server(model, Path(folder) / "log")
        try:
            load = under_load(server, model, pictures, options, report)
            speeds = {"serve": [], "predict": []}
            for number in range(options.rounds):
                speeds["predict"].append(offline_speed(model, files))
                speeds["serve"].append(served_speed(server.port, pictures))
                print(f"round {number + 1}: {speeds['serve'][-1]:.1f} / {speeds['predict'][-1]:.1f} per s", flush=True)
        finally:
            code = server.stop()
    pairs = [a / b for a, b in zip(speeds["serve"], speeds["predict"], strict=True)]
    report["pictures_per_second"] = {name: [round(x, 1) for x in each] for name, each in speeds.items()}
    if pairs:
        report["ratio"] = {"median": round(statistics.median(pairs), 3), "all": [round(p, 3) for p in pairs]}
    report |= {"exit_code": code, "wrong": load.wrong[:10]}
    print(json.dumps(report, indent=1))
    sys.exit(bool(load.wrong or code))


def under_load(server: Server, model: Path, pictures: list[bytes], options, report: dict) -> Load:
    from reslab.evaluate.predict import load_model

    rows = load_model(model).predict(pictures)
    load = Load(server.port, pictures, [(row.label, row.probability) for row in rows])
    seconds = load.run(options.requests)
    quantiles = statistics.quantiles(load.good, n=20)
    report["mixed"] = {
        "requests": options.requests,
        "per_second": round(options.requests / seconds, 1),
        "statuses": dict(sorted(load.statuses.items())),
        "furthest_probability": load.furthest,
        "good_p50_s": round(statistics.median(load.good), 3),
        "good_p95_s": round(quantiles[-1], 3),
    }
    print(json.dumps(report["mixed"], indent=1), flush=True)
    before = server.resident()
    load.run(options.soak)
    growth = server.resident() - before
    report["memory"] = {"requests": options.soak, "before_mb": round(before, 1), "growth_mb": round(growth, 1)}
    print(json.dumps(report["memory"]), flush=True)
    return load


if __name__ == "__main__":
    main()
