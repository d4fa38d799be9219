"""What hostile bodies, pictures, connections and pages cost: themselves a refusal, others nothing."""

import asyncio
import contextlib
import dataclasses
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from reslab.engine.torch import TorchEngine
from reslab.errors import BadPicture, ResLabError
from reslab.model.file import Calibration, Header
from reslab.nn.zoo import build_named
from reslab.pixels.decode import decode
from reslab.pixels.preprocess import Preprocess
from reslab.serve import connection
from reslab.serve.decoding import Decoders, DecodingBudget, ThreadDecoders
from reslab.serve.form import filename
from reslab.serve.limits import Limits
from tests.pixels.bombs import BOMBS
from tests.serve.conftest import MODEL
from tests.serve.door import PATIENCE, file_of, noise, one_of_each, served, wait_for
from tests.serve.test_limits import JSON, PICTURE, connected, head, told
from tests.serve.test_process import process

SLOW = BOMBS["png, 50 M, RGB"]()  # an honest picture that takes about a second of a processor
MEDIUM = file_of(noise(0, (1800, 1300)), "JPEG")  # large enough for the lane of the large ones


def asked(client, text):
    """The whole answer to a request given as it stands on the wire; the server closes."""
    with connected(client) as wire:
        wire.sendall(text)
        return b"".join(iter(lambda: wire.recv(4096), b""))


# ------------------------------------------------------------------ bodies


@pytest.mark.parametrize(
    ("begin", "middle", "end", "statuses"),
    [
        (b'{"images":[', b'{"data":""},', b'{"data":""}]}', {413}),
        (b"", b"[", b"", {413}),
        (b"{", b'"":0,', b'"":0}', {413}),
        (b'{"image":"', b"\\n", b'"}', {413}),
        (b'{"image":"', "😀".encode(), b'"}', {413}),
        (b'{"image":', b"9", b"}", {422}),
        (b'{"image":-0.', b"9", b"e9}", {422}),
        (b'{"image":"', b"\\/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", b'"}', {422}),
        (b'{"image":""', b" ", b"}", {422}),
    ],
)
def test_json_of_any_kind_is_measured_before_it_is_parsed(client, begin, middle, end, statuses):
    """Its parser holds all of Python: a million pieces would stop every other request."""
    body = begin + middle * (8 * 2**20 // len(middle)) + end
    assert client.post("/predict", content=body, headers=JSON).status_code in statuses


def test_a_full_request_of_pictures_with_long_names_is_read(client):
    name = "猫 [1] {a}, \"b\": 'c' \\ d" * 3
    body = json.dumps({"images": [{"name": name, "data": ""}] * 64}, ensure_ascii=False).encode()
    told(client.post("/predict", content=body, headers=JSON), 422, "none of the 64 pictures can be read")


def test_tiny_chunks_are_refused(client):
    begin = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert asked(client, begin + b"1\r\nx\r\n" * 2000).startswith(b"HTTP/1.1 400")
    lines = b"50\r\n" + b"x" * 80 + b"\r\n"
    answer = asked(client, begin.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + lines * 2000 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 422") and b"not a picture" in answer


def test_two_lengths_are_refused_and_the_connection_ends(client):
    answer = asked(
        client, head(5) + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert (
        answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1") == 1 and b"connection: close" in answer.lower()
    )


def test_a_compressed_body_is_not_read(client):
    for word in ("gzip", "br", "identity, gzip"):
        told(client.post("/predict", content=PICTURE, headers={"Content-Encoding": word}), 415, "Content-Encoding")
    assert client.post("/predict", content=PICTURE, headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("filename*=utf-8''%E7%8C%AB.png", "猫.png"),
        ("filename=\"=?utf-8?B?54yrLnBuZw==?=\"; filename*=utf-8''%E7%8C%AB.png", "猫.png"),
        ("FileName*=UTF-8'zh'%E7%8C%AB.png; filename=a.png", "猫.png"),
        ("filename*=\"iso-8859-1''%A3.png\"", "£.png"),
        ("filename*=utf-8''it's.png", "it's.png"),
        ("filename*0*=utf-8''%E7%8C; filename*1*=%AB.png", "猫.png"),
        ("filename*=rot13''%A3.png", "�.png"),
        ("filename*=%41.png", "A.png"),
        ('filename="=?utf-8?B?54yrLnBuZw==?="', "猫.png"),
        ('filename="=?utf-8?Q?caf=C3=A9.png?="', "café.png"),
        ('filename="=?none?B?AAAA?="', "=?none?B?AAAA?="),
        ("filename=\"a; filename*=utf-8''b\"", "a; filename*=utf-8''b"),
        ("filename=猫.png", "猫.png"),
    ],
)
def test_names_of_files_in_every_form(client, given, name):
    assert filename(f'form-data; name="file"; {given}'.encode()) == name
    body = f'--b\r\nContent-Disposition: form-data; name="file"; {given}\r\n\r\n'.encode() + PICTURE + b"\r\n--b--\r\n"
    answer = client.post("/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.json()["predictions"][0]["path"] == name


def test_a_part_without_any_name_is_no_file():
    assert filename(b'form-data; name="filename*"') is None and filename(b"form-data") is None


# ------------------------------------------------------------------ pictures


def test_a_picture_beyond_its_time_is_a_row_and_others_are_answered(engine):
    with served(engine, Limits(decode_seconds=0.3)) as client, ThreadPoolExecutor(4) as pool:
        files = [("file", ("slow.jpg", SLOW)), ("file", ("a.png", PICTURE))]
        several = pool.submit(client.post, "/predict", files=files)
        alone = [
            pool.submit(httpx.post, f"{client.base_url}/predict", content=SLOW, timeout=PATIENCE) for _ in range(3)
        ]
        assert client.post("/predict", content=PICTURE).status_code == 200
        assert client.get("/readyz").status_code == 200
        slow, fast = several.result().json()["predictions"]
        assert slow["error"] == "it takes longer than 0.3 seconds to decode" and fast["label"]
        for one in alone:
            told(one.result(), 422, "it takes longer than 0.3 seconds")


def test_the_slow_pictures_of_a_request_share_their_time(engine):
    with served(engine, Limits(decode_seconds=3)) as client:
        files = [("file", ("slow.png", SLOW))] * 40 + [("file", ("a.png", PICTURE))]
        answer = client.post("/predict", files=files)
        assert answer.status_code in (200, 422)
        errors = [row["error"] for row in answer.json().get("predictions", [])][:40]
        assert answer.status_code == 422 or errors.count("it takes longer than 3 seconds to decode") > 20
        assert client.post("/predict", content=PICTURE).status_code == 200


def read(decoders, *files, side=0, limits=Limits()):  # noqa: B008
    async def all_of_them():
        budget = DecodingBudget(limits)
        rows = await asyncio.gather(*(decoders.read(f, budget, side) for f in files), return_exceptions=True)
        able = await decoders.is_ready()
        decoders.stop()
        return rows, able

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("kind", [Decoders, ThreadDecoders])
def test_both_ways_give_what_decode_gives(kind):
    prepare = Preprocess(24, "pad", "bicubic")
    files = [*one_of_each().values(), file_of(noise(3, (2500, 1700)), "JPEG"), b"no picture"]
    (*rows, bad), able = read(kind(prepare, Limits()), *files, side=50)
    assert able and isinstance(bad, BadPicture) and bad.reason == "it is not a picture in a known format"
    for (small, large), data in zip(rows, files, strict=False):
        assert np.array_equal(small, prepare(decode(data)))
        assert np.array_equal(large, dataclasses.replace(prepare, size=50)(decode(data)))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
def test_a_picture_beyond_its_memory_is_refused(monkeypatch):
    from reslab.serve import decoding

    monkeypatch.setattr(decoding, "_LARGE_MEMORY", 2**24)
    rows, able = read(Decoders(Preprocess(24), Limits(max_pixels=10**6 + 1)), file_of(noise(1, (1000, 1000))))
    assert rows[0][0].shape == (24, 24, 3) and able
    monkeypatch.setattr(decoding, "_SMALL_MEMORY", 2**20)
    (error,), able = read(Decoders(Preprocess(24), Limits()), file_of(noise(1, (1000, 1000))))
    assert isinstance(error, BadPicture) and "memory" in error.reason and able


def test_a_decoder_that_dies_costs_its_picture_only(engine):
    with served(engine, Limits()) as client, ThreadPoolExecutor(1) as pool:
        assert client.post("/predict", content=MEDIUM).status_code == 200
        lane = client.app.state.service.models["model"].decoders._large
        (process,) = [one for one in lane._all if one._child is not None]
        asking = pool.submit(httpx.post, f"{client.base_url}/predict", content=SLOW, timeout=PATIENCE)
        wait_for(lambda: lane._free.qsize() < len(lane._all))
        process._child.kill()
        told(asking.result(), 422, "its decoder ended unexpectedly")
        assert client.post("/predict", content=MEDIUM).status_code == 200


def test_starting_decoders_again_and_again_costs_the_request_its_time(monkeypatch):
    from reslab.serve import decoding

    dying = "import socket, time; wire = socket.socket(fileno=0); time.sleep(0.4); wire.sendall(bytes(1)); wire.recv(9)"
    monkeypatch.setattr(decoding, "_CHILD", dying)
    limits = Limits(decode_seconds=1)
    rows, _ = read(Decoders(Preprocess(24), limits), *[PICTURE] * 20, limits=limits)
    reasons = [row.reason for row in rows]
    assert 1 <= reasons.count("its decoder ended unexpectedly") <= 6
    assert reasons[6:] == ["it takes longer than 1 seconds to decode"] * 14


def test_readiness_is_the_decoders(engine, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with served(engine) as client:
        assert client.get("/readyz").status_code == 503 and client.get("/livez").status_code == 200
        told(client.post("/predict", content=PICTURE), 503, "no decoder can be started")
        monkeypatch.undo()
        assert client.get("/readyz").status_code == 200
        assert client.post("/predict", content=PICTURE).status_code == 200


def test_a_network_without_numbers_is_an_error_of_the_row():
    network = build_named("resnet20", seed=2, num_classes=3)
    network.state_dict()["head.weight"][0] = float("nan")
    header = Header(
        {"name": "resnet20", **dataclasses.asdict(network.config)}, ("a", "b", "c"), Preprocess(16), Calibration(1.0, 1, "val")
    )  # fmt: skip
    with served(TorchEngine(network, header, "0" * 64)) as client:
        told(client.post("/predict", content=PICTURE), 422, "the network gave no finite number")
        told(client.post("/explain", content=PICTURE), 422, "the network gave no finite number")
        assert client.get("/metrics").status_code == 200


# ------------------------------------------------------------------ connections


def test_a_silent_or_slow_head_is_given_up(engine, monkeypatch):
    monkeypatch.setattr(connection, "_HEAD_SECONDS", 0.3)
    with served(engine) as client, connected(client) as silent, connected(client) as half, connected(client) as later:
        half.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")
        later.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: later.recv(4096).endswith(b"}"))
        later.sendall(b"GET /li")
        for wire in (silent, half, later):
            assert closed(wire)
        assert client.get("/livez").status_code == 200


def closed(wire):
    try:
        return wire.recv(100) == b""
    except ConnectionResetError:
        return True


def test_too_many_connections_push_out_silent_ones(engine, monkeypatch):
    monkeypatch.setattr(connection, "_MOST", 8)
    with served(engine) as client:
        wires = [connected(client) for _ in range(20)]
        assert client.get("/livez").status_code == 200
        assert closed(wires[0]) and len(client.app.state.service.models["model"].decoders._small._all) > 0
        for wire in wires:
            wire.close()


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are limited otherwise there")
def test_descriptors_never_end_and_the_log_stays_json():
    """Every line is a document, whoever writes it, and an attack writes few."""
    command = f"ulimit -n 200; exec '{sys.executable}' -m reslab serve {MODEL} --port 0"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        port = int(child.stdout.readline().rpartition(":")[2])
        wires = [socket.create_connection(("127.0.0.1", port)) for _ in range(250)]
        for wire in wires[100:]:
            with_suppressed(lambda wire=wire: wire.sendall(b"no http\r\n\r\n"))
        address = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{address}/livez", timeout=PATIENCE).status_code == 200
        assert (
            httpx.post(
                f"{address}/predict", content=BOMBS["tiff, fax of a million rows"](), timeout=PATIENCE
            ).status_code
            < 500
        )
        httpx.post(f"{address}/predict", content=b"--c", headers={"Content-Type": "multipart/form-data; boundary=b"})
        for wire in wires:
            wire.close()
        child.terminate()
        lines = child.stderr.read().splitlines()
        assert child.wait(PATIENCE) == 0
    assert 3 <= len(lines) < 30 and all(isinstance(json.loads(line), dict) for line in lines)
    assert any("Invalid HTTP request" in line for line in lines)


def with_suppressed(work):
    with contextlib.suppress(OSError):
        work()


# ------------------------------------------------------------------ ends


def test_sigterm_ends_in_time_with_a_stuck_picture():
    with process("--timeout", "2") as (child, address), ThreadPoolExecutor(1) as pool:
        pool.submit(post_slowly, address)
        wait_for(lambda: b"reslab_running_requests 1.0" in httpx.get(f"{address}/metrics").content)
        begin = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE) == 0 and time.monotonic() - begin < 2 * 2 + 1
        assert not children_of(child.pid)


def post_slowly(address):
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(f"{address}/predict", files=[("file", ("slow.png", SLOW))] * 64, timeout=PATIENCE)


def children_of(pid):
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()


def test_a_signal_as_soon_as_it_answers():
    for word in (signal.SIGTERM, signal.SIGINT):
        with process() as (child, _):
            child.send_signal(word)
            assert child.wait(PATIENCE) == 0


# ------------------------------------------------------------------ who may ask


@pytest.fixture(scope="module")
def local(engine):
    with served(engine, local=True) as client:
        yield client


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LocalHost", "[::1]:80", "[::1]", "127.0.0.2"])
def test_names_of_this_machine(local, host):
    assert local.get("/model", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/page/page.js", "/livez", "/model", "/openapi.json", "/metrics", "/model/", "/nowhere"]
)
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "0.0.0.0:8000", "192.168.0.1", "", "[::]", "localhost:80:80"]
)
def test_other_names_are_refused_on_every_path(local, path, host):
    told(local.get(path, headers={"Host": host}), 421, "answers to localhost only")


def test_pages_of_other_servers_are_refused(local):
    own = str(local.base_url).rstrip("/")
    for headers in (
        {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"},
        {"Origin": "http://localhost:1"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ):  # fmt: skip
        told(local.post("/predict", content=PICTURE, headers=headers), 403, "other servers")
        told(local.get("/model", headers=headers), 403, "other servers")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        told(local.get("/", headers={"Sec-Fetch-Site": "cross-site", **upgrade}), 403, "other servers")
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": own}, {}):
        assert local.post("/predict", content=PICTURE, headers=headers).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert local.get("/", headers=link).status_code == 200


def test_the_command_closes_its_door_where_there_is_no_token():
    with process() as (_, address):
        assert httpx.get(f"{address}/model", headers={"Host": "evil.example"}).status_code == 421
    with process(RESLAB_TOKEN=" secret\n") as (_, address):
        headers = {"Host": "a.example", "Origin": "https://a.example", "Authorization": "Bearer secret"}
        assert httpx.get(f"{address}/model", headers=headers).status_code == 200


def test_a_token_that_no_header_can_carry(monkeypatch):
    from reslab.cli.serving import _token

    monkeypatch.setenv("RESLAB_TOKEN", "a\nb")
    with pytest.raises(ResLabError, match="a header cannot hold"):
        _token()


def test_paths_are_what_they_are(client):
    told(client.get("/model/"), 404, "not found")
    answer = asked(client, b"GET http://x/livez?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and b'"ok": true' in answer
    assert asked(client, b"GET http://x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/model", "/", "/openapi.json"])
def test_head_is_get_without_a_body(client, path):
    got, answer = client.get(path), client.head(path)
    assert answer.status_code == got.status_code == 200 and answer.content == b""
    assert answer.headers["Content-Type"] == got.headers["Content-Type"]
    assert answer.headers["X-Content-Type-Options"] == got.headers["X-Content-Type-Options"] == "nosniff"


def test_refusals_are_not_sniffed_either(client):
    for answer in (client.get("/nowhere"), client.post("/predict"), client.delete("/model")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"nosniff" in asked(client, b"no http\r\n\r\n")
