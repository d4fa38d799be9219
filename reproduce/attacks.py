"""`reslab serve` under attack: what hostile bodies and pictures cost, and how long others wait beside them.

    python reproduce/attacks.py [--only WORD] [--beside 2]

A server of its own is sent one bomb after the other: bodies that are slow to parse, pictures that take long or much
memory to decode, alone and as many as a request may bring. Meanwhile `--beside` clients send small pictures, and
another asks /livez. For each bomb: its status, its seconds, the peak of the memory of the server and its processes
above the start (from /proc, Linux), and the 95th percentiles of the small pictures and of /livez. The exit code is 1
where a bomb took more than 12 s or 600 MB, a small picture's p95 2 s, or a /livez 0.5 s at p95.
"""

import argparse
import base64
import functools
import http.client
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

MAX_BYTES = 32 * 2**20
RAW = "application/octet-stream"
_SLOW = 0.3  # seconds; such pictures are sent again, 64 in a request
SECONDS, MEGABYTES, SMALL_SECONDS, LIVE_SECONDS = 12.0, 600.0, 2.0, 0.5


# ------------------------------------------------------------------ bodies


def form(files: list[bytes]) -> tuple[bytes, str]:
    head = '--b0\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n\r\n'
    parts = [head.format(number).encode() + data + b"\r\n" for number, data in enumerate(files)]
    return b"".join(parts) + b"--b0--\r\n", "multipart/form-data; boundary=b0"


Body = tuple[bytes, str]


def pictures() -> dict[str, Callable[[], Body]]:
    """Name -> what makes the body and its content type."""
    from tests.pixels.bombs import BOMBS

    made = {name: lambda make=make: (make(), RAW) for name, make in BOMBS.items()}
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8))
    return made | {"a photograph of 49 Mpx": lambda: (saved(coarse.resize((8500, 5800)), "JPEG"), RAW)}


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bodies() -> dict[str, Callable[[], Body]]:
    """The same for JSON and forms."""
    room, kind = MAX_BYTES - 100, "application/json"

    def filled(begin: bytes, middle: bytes, end: bytes) -> tuple[bytes, str]:
        return begin + middle * (room // len(middle)) + end, kind

    honest = base64.b64encode(np.random.default_rng(0).bytes(23_000_000))
    php = honest.replace(b"/", b"\\/")
    lines = b"\\r\\n".join(honest[i : i + 76] for i in range(0, len(honest), 76))
    made = {
        "JSON, empty pictures": filled(b'{"images":[', b'{"data":""},', b'{"data":""}]}'),
        "JSON, empty lists": filled(b'{"images":[', b"[],", b"[]]}"),
        "JSON, nested": filled(b"", b"[", b""),
        "JSON, numbers": filled(b'{"images":[', b"0,", b"0]}"),
        "JSON, one long number": filled(b'{"image":', b"9", b"}"),
        "JSON, one long fraction": filled(b'{"image":0.', b"9", b"}"),
        "JSON, equal keys": filled(b"{", b'"":0,', b'"":0}'),
        "JSON, escapes": filled(b'{"image":"', b"\\n", b'"}'),
        "JSON, escaped signs": filled(b'{"image":"', b"\\ud83d\\ude00", b'"}'),
        "JSON, wide signs": filled(b'{"image":"', "😀".encode(), b'"}'),
        "JSON, wide, many words": filled(b'{"image":"', "😀 ".encode(), b'"}'),
        "JSON, blanks": filled(b'{"image":""', b" ", b"}"),
        "JSON, base64": (b'{"image":"' + honest + b'"}', kind),
        "JSON, base64, as PHP writes it": (b'{"image":"' + php + b'"}', kind),
        "JSON, base64, in lines": (b'{"image":"' + lines + b'"}', kind),
        "JSON, UTF-16": (('{"image":"' + "a" * (room // 2 - 20) + '"}').encode("utf-16"), kind),
        "form, near boundaries": (b"\r\n--b" * (room // 5), "multipart/form-data; boundary=b0"),
        "form, empty parts": (b"--b0\r\n\r\n\r\n" * (room // 10), "multipart/form-data; boundary=b0"),
    }
    return {name: lambda body=body: body for name, body in made.items()}


# ------------------------------------------------------------------ the server, watched


class Server:
    def __init__(self, log: Path) -> None:
        words = [sys.executable, "-m", "reslab", "serve", "cifar10_resnet20", "--port", "0"]
        with log.open("w") as stream:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stream, text=True)
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def megabytes(self) -> float:
        """Of the server and the processes that it started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(resident(pid) for pid in [self.process.pid, *children])


def resident(pid) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def ask(port: int, path: str, body: bytes | None = None, kind: str = "", timeout: float = 120) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


class Beside:
    """Clients that ask again and again while a bomb is under way."""

    def __init__(self, server: Server, small: bytes, clients: int) -> None:
        self.server, self.over = server, threading.Event()
        self.small: list[float] = []
        self.live: list[float] = []
        self.peak = 0.0
        asked = [(self.small, "/predict", small, "image/png")] * clients + [(self.live, "/livez", None, "")]
        self.threads = [threading.Thread(target=self.repeat, args=each) for each in asked]
        self.threads.append(threading.Thread(target=self.watch))
        for thread in self.threads:
            thread.start()

    def repeat(self, seconds: list[float], path: str, body: bytes | None, kind: str) -> None:
        while not self.over.is_set():
            begin = time.monotonic()
            if ask(self.server.port, path, body, kind) == 200:
                seconds.append(time.monotonic() - begin)
            else:
                seconds.append(float("inf"))
            time.sleep(0.05)

    def watch(self) -> None:
        while not self.over.is_set():
            self.peak = max(self.peak, self.server.megabytes())
            time.sleep(0.01)

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else max(seconds, default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="bombs with this word in their name")
    parser.add_argument("--beside", type=int, default=2, help="clients with small pictures")
    parser.add_argument("--log", type=Path, default=Path(os.devnull))
    options = parser.parse_args()
    small = saved(Image.fromarray(np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)), "PNG")
    server, failed, done, every = Server(options.log), [], [], []
    try:
        large = saved(Image.new("RGB", (2400, 1600)), "JPEG")
        for many in (form([small] * 32), form([large] * 8), form([small] * 32)):
            ask(server.port, "/predict", *many)  # starts all processes
        start = server.megabytes()
        print(f"start: {start:.0f} MB\n{'status':>6} {'s':>6} {'MB':>6} {'small':>6} {'livez':>6}  bytes, bomb")
        waiting = [(name, body) for name, body in (bodies() | pictures()).items() if options.only in name]
        while waiting:
            name, make = waiting.pop(0)
            body, kind = make()
            beside, begin = Beside(server, small, options.beside), time.monotonic()
            status = ask(server.port, "/predict", body, kind)
            seconds = time.monotonic() - begin
            time.sleep(max(0.0, 0.5 - seconds))
            beside.stop()
            row = (seconds, beside.peak - start, p95(beside.small), p95(beside.live))
            every += beside.small
            done.append(name)
            if seconds > _SLOW and kind == RAW and 64 * len(body) < MAX_BYTES:
                waiting.insert(0, (f"64 x {name}", functools.partial(form, [body] * 64)))
            bad = any(v > m for v, m in zip(row, (SECONDS, MEGABYTES, SMALL_SECONDS, LIVE_SECONDS), strict=True))
            if bad or status not in (200, 400, 413, 422):
                failed.append(name)
            print(f"{status:>6} {row[0]:>6.2f} {row[1]:>6.0f} {row[2]:>6.2f} {row[3]:>6.2f}  {len(body):,}, {name}"
                  + (" <- beyond the bounds" if bad else ""), flush=True)  # fmt: skip
        print(
            json.dumps({"bombs": len(done), "failed": failed, "small": len(every), "small_p95_s": round(p95(every), 3)})
        )
        return bool(failed)
    finally:
        server.process.terminate()
        print("SIGTERM:", server.process.wait(60))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
