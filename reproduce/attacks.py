"""`reslab serve` under attack: what hostile bodies and pictures cost, and how long others wait beside them.

    python reproduce/attacks.py [--only WORD] [--beside 2]

A server of its own is sent one bomb after the other: bodies that are slow to parse, pictures that take long or much
memory to decode, alone and as many as a request may bring. Meanwhile `--beside` clients send small pictures, and
another asks /livez. For each bomb: its status, its seconds, the peak of the memory of the server and its processes
above the start (from /proc, Linux), and the 95th percentiles of the small pictures and of /livez. The exit code is 1
where a bomb took more than 12 s or 600 MB, a small picture's p95 2 s, or a /livez 0.5 s at p95.
"""

import argparse
import http.client
import io
import json
import os
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

MAX_BYTES = 32 * 2**20
SECONDS, MEGABYTES, SMALL_SECONDS, LIVE_SECONDS = 12.0, 600.0, 2.0, 0.5


# ------------------------------------------------------------------ pictures


def png(side: int, depth: int, colour: int, data: bytes, height: int | None = None) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, height or side, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data_chunks(chunk, data) + chunk(b"IEND", b"")


def data_chunks(chunk, data: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(data, 9))


def png_chunks(count: int) -> bytes:
    """A whole small picture behind many empty chunks."""
    plain = png(8, 8, 0, bytes(9 * 8))
    empty = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    return plain[:33] + empty * count + plain[33:]


def run_length_bmp(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(data), 0, 0, 1078) + header + bytes(1024) + data


def segment(kind: int, data: bytes) -> bytes:
    return bytes([255, kind]) + struct.pack(">H", len(data) + 2) + data


def scans(side: int, count: int) -> bytes:
    """A progressive JPEG with so many empty scans."""
    blocks = (-(-side // 8)) ** 2
    runs = "".join("0" + "1" * 14 for _ in range(-(-blocks // 32767)))
    runs += "1" * (-len(runs) % 8)
    run = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    tables = segment(0xC4, b"\0\1" + bytes(16)) + segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8 + 1)
    return b"\xff\xd8" + head + tables + first + (segment(0xDA, b"\1\1\0\1\x3f\0") + run) * count + b"\xff\xd9"


def jpeg_with(filling: bytes) -> bytes:
    whole = saved(Image.new("RGB", (64, 64)), "JPEG")
    return whole[:2] + filling + whole[2:]


def tiff(width: int, height: int, tags: list[tuple[int, int, int]], data: bytes) -> bytes:
    tags = sorted([(256, 4, width), (257, 4, height), *tags])
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries).ljust(400, b"\0") + data


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    fax = b"\0\x10\x01" * 333_333
    strips = [(258, 3, 1), (259, 3, 3), (262, 3, 0), (273, 4, 400), (277, 3, 1), (278, 4, 10**6), (279, 4, len(fax))]
    tile = zlib.compress(bytes(2**20))
    tiles = [(258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1), (322, 3, 32752), (323, 3, 32752), (324, 4, 400),
             (325, 4, len(tile))]  # fmt: skip
    made = {
        "BMP, ends of lines, 50 Mpx": run_length_bmp(50_000_000, 1, b"\1\1\0\0" * 3),
        "BMP, ends of lines, 7071 high": run_length_bmp(7071, 7071, b"\1\1\0\0" * 7071),
        "BMP, runs of one pixel, 32 MB": run_length_bmp(4000, 4000, b"\1\1" * 15_900_000),
        "JPEG, 1000 scans of 7071 px": scans(7071, 1000),
        "JPEG, 20,000 scans of 7071 px": scans(7071, 20_000),
        "JPEG, 100 scans of 7071 px": scans(7071, 99),
        "JPEG, 2000 scans of 1400 px": scans(1400, 2000),
        "JPEG, 32 MB of padding": jpeg_with(b"\xff" * 33_000_000),
        "JPEG, 8 M empty comments": jpeg_with(segment(0xFE, b"") * 8_000_000),
        "PNG, 2.6 M empty chunks": png_chunks(2_600_000),
        "PNG, 16-bit grey, one row": png(7071, 16, 0, bytes(14143)),
        "PNG, 16-bit grey, all rows": png(7071, 16, 0, bytes(14143 * 7071)),
        "PNG, RGBA, all rows": png(7071, 8, 6, bytes((4 * 7071 + 1) * 7071)),
        "PNG, grey and alpha, all rows": png(7071, 8, 4, bytes((2 * 7071 + 1) * 7071)),
        "PNG, RGB, all rows": png(7071, 8, 2, bytes((3 * 7071 + 1) * 7071)),
        "PPM, plain, 31 MB": b"P3 3000 1700 255\n" + b"0 " * 15_600_000,
        "PPM, white space, 30 MB": b"P6" + b" " * 30_000_000 + b"1 1 255\n\0\0\0",
        "PBM, a comment of 30 MB": b"P4 #" + b"x" * 30_000_000 + b"\n1 1\n\0",
        "GIF, 4 M extensions": saved(Image.new("P", (8, 8)), "GIF")[:13] + b"!\xfe\0" * 10_000_000 + b";",
        "TIFF, tile of 32,752 px": tiff(1, 1, tiles, tile),
        "TIFF, fax that complains": tiff(8, 10**6, strips, fax),
        "WebP, 7071 px": saved(Image.new("RGB", (7071, 7071)), "WEBP", lossless=True, method=0),
        "no picture, 32 MB": bytes(MAX_BYTES),
    }
    made["a photograph of 50 Mpx"] = saved(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)).resize((8500, 5800)), "JPEG"
    )
    try:
        from tests.pixels.bombs import bombs
    except ImportError:
        return made
    return made | dict(bombs())


# ------------------------------------------------------------------ bodies


def form(files: list[bytes]) -> tuple[bytes, str]:
    head = '--b0\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n\r\n'
    parts = [head.format(number).encode() + data + b"\r\n" for number, data in enumerate(files)]
    return b"".join(parts) + b"--b0--\r\n", "multipart/form-data; boundary=b0"


def bodies() -> dict[str, tuple[bytes, str]]:
    """Name -> body and content type."""
    room, kind = MAX_BYTES - 100, "application/json"

    def filled(begin: bytes, middle: bytes, end: bytes) -> tuple[bytes, str]:
        return begin + middle * (room // len(middle)) + end, kind

    import base64

    honest = base64.b64encode(np.random.default_rng(0).bytes(23_000_000))
    php = honest.replace(b"/", b"\\/")
    lines = b"\\r\\n".join(honest[i : i + 76] for i in range(0, len(honest), 76))
    return {
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


def cases() -> dict[str, tuple[bytes, str]]:
    made = bodies()
    for name, data in pictures().items():
        made[name] = data, "application/octet-stream"
        if 64 * len(data) < MAX_BYTES // 2:
            made[f"64 x {name}"] = form([data] * 64)
    return made


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
    server, failed, every = Server(options.log), [], []
    try:
        for _ in range(20):
            ask(server.port, "/predict", small, "image/png")
        start = server.megabytes()
        print(f"start: {start:.0f} MB\n{'status':>6} {'s':>6} {'MB':>6} {'small':>6} {'livez':>6}  bytes, bomb")
        for name, (body, kind) in cases().items():
            if options.only not in name:
                continue
            beside, begin = Beside(server, small, options.beside), time.monotonic()
            status = ask(server.port, "/predict", body, kind)
            seconds = time.monotonic() - begin
            time.sleep(max(0.0, 0.5 - seconds))
            beside.stop()
            row = (seconds, beside.peak - start, p95(beside.small), p95(beside.live))
            every += beside.small
            bad = any(v > m for v, m in zip(row, (SECONDS, MEGABYTES, SMALL_SECONDS, LIVE_SECONDS), strict=True))
            if bad or status not in (200, 400, 413, 422):
                failed.append(name)
            print(f"{status:>6} {row[0]:>6.2f} {row[1]:>6.0f} {row[2]:>6.2f} {row[3]:>6.2f}  {len(body):,}, {name}"
                  + (" <- beyond the bounds" if bad else ""), flush=True)  # fmt: skip
        print(
            json.dumps(
                {"bombs": len(cases()), "failed": failed, "small": len(every), "small_p95_s": round(p95(every), 3)}
            )
        )
        return bool(failed)
    finally:
        server.process.terminate()
        print("SIGTERM:", server.process.wait(60))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
