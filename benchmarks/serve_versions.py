"""Two versions of `reslab serve` in turns on the same requests: is the newer one slower?

    python benchmarks/serve_versions.py OLD NEW DATA [--rounds 9] [--pictures 200]

OLD and NEW are checkouts. Each round sends the same pictures over 32 connections to either server, in an order that changes
from round to round: photographs of DATA (resnet18 at 224 px) and PNGs of 32 px (resnet20), one and eight in a request. Printed
are pictures per second and the ratio new / old of each round. The model has random weights; client and servers share the
machine, on which nothing else should run.
"""

import argparse
import http.client
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from serve import CONNECTIONS, form, post, write_fresh_model

SMALL_PICTURES = 600


def start(checkout: Path, model: Path, log: Path) -> tuple[subprocess.Popen, int]:
    """A server of one version, and its port."""
    words = [sys.executable, "-m", "reslab", "serve", str(model), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log.open("w"), text=True, env=environment)
    return process, int(process.stdout.readline().rpartition(":")[2])


def speed(port: int, bodies: list[tuple[bytes, str]], pictures: int) -> float:
    """Pictures per second over all connections."""
    numbers = itertools.count()

    def worker(_: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while (number := next(numbers)) < len(bodies):
            status, document = post(connection, *bodies[number])
            assert status == 200, document
        connection.close()

    begin = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(worker, range(CONNECTIONS)))
    return pictures / (time.perf_counter() - begin)


def noise(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def compare(checkouts: dict[str, Path], model: Path, kind: str, pictures: list[bytes], rounds: int) -> list[dict]:
    requests = {
        "one": [(data, kind) for data in pictures],
        "eight": [form(pictures[k : k + 8]) for k in range(0, len(pictures), 8)],
    }
    servers = {side: start(path, model, model.with_suffix(f".{side}.log")) for side, path in checkouts.items()}
    found = []
    try:
        for name, bodies in requests.items():
            speeds: dict[str, list[float]] = {side: [] for side in servers}
            for number in range(rounds + 1):
                for side in sorted(servers, reverse=bool(number % 2)):
                    speeds[side].append(speed(servers[side][1], bodies, len(pictures)))
            each = [
                new / old for old, new in zip(speeds["old"][1:], speeds["new"][1:], strict=True)
            ]  # the first warms up
            row = {"pictures": len(pictures), "in a request": name, "median": round(statistics.median(each), 3)}
            row |= {"ratios": [round(r, 3) for r in each], **{s: [round(v) for v in speeds[s][1:]] for s in servers}}
            print(json.dumps(row), flush=True)
            found.append(row)
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait(60)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pictures", type=int, default=200, help="photographs")
    options = parser.parse_args()
    checkouts = {"old": options.old.resolve(), "new": options.new.resolve()}
    files = sorted(path for path in options.data.rglob("*.jpg"))[: options.pictures]
    cases = {
        ("resnet18", 224): ("image/jpeg", [file.read_bytes() for file in files]),
        ("resnet20", 32): ("image/png", [noise(number) for number in range(SMALL_PICTURES)]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for (name, size), (kind, pictures) in cases.items():
            model = Path(folder, f"{name}.onnx")
            write_fresh_model(model, name, size)
            print(f"{name} at {size} px", flush=True)
            compare(checkouts, model, kind, pictures, options.rounds)


if __name__ == "__main__":
    main()
