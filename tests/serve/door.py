"""A real server on a free port, and pictures to send to it."""

import io
import struct
import threading
import time
import zlib
from contextlib import contextmanager

import httpx
import numpy as np
from PIL import Image

from reslab.serve.app import create_app
from reslab.serve.run import bind_socket, create_server

PATIENCE = 60  # seconds


@contextmanager
def served(engine, limits=None, token=None, local=False, sets=None, **more):
    """A client of a server that answers for as long as the block lasts; `client.app` is its app."""
    app = create_app(engine, limits, token, local, sets, **more)
    uvicorn = create_server(app)
    with bind_socket("127.0.0.1", 0) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=uvicorn.run, args=([listener],))
        thread.start()
        try:
            with httpx.Client(base_url=address, timeout=PATIENCE) as client:
                client.app, client.port = app, listener.getsockname()[1]
                wait_for(lambda: uvicorn.started)
                yield client
        finally:
            uvicorn.should_exit = True
            thread.join(PATIENCE)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def noise(seed, size=(40, 30)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def file_of(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def one_of_each():
    """Name -> file: the modes and formats that people send."""
    rgb = noise(0)
    deep = np.random.default_rng(1).integers(0, 65536, (30, 40)).astype(np.uint16)
    clear = rgb.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(rgb.size))
    return {
        "rgb.png": file_of(rgb),
        "photo.jpg": file_of(noise(2, (300, 200)), "JPEG"),
        "grey.png": file_of(rgb.convert("L")),
        "deep.png": file_of(Image.fromarray(deep)),
        "print.jpg": file_of(rgb.convert("CMYK"), "JPEG"),
        "clear.png": file_of(clear),
        "palette.gif": file_of(rgb.convert("P"), "GIF"),
        "web.webp": file_of(rgb, "WEBP"),
    }


def png_header(width, height):
    """A PNG that claims a size and holds nothing of it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
