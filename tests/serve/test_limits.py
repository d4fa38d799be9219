"""Every refusal is one sentence with its status; nothing that a client sends ends the server or reaches the disk."""

import base64
import json
import os
import socket
import sys
import threading

import httpx
import pytest

from reslab.errors import ResLabError
from reslab.evaluate.predict import Model
from reslab.serve.body import sanitize_name
from reslab.serve.limits import Limits, Rate, Refused
from tests.serve.door import PATIENCE, file_of, noise, png_header, served, wait_for

PICTURE = file_of(noise(0))
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PICTURE + b"\r\n"


def told(answer, status, sentence):
    """An error as the contract writes it."""
    document = answer.json()
    assert answer.status_code == status, answer.text
    assert document.keys() == {"schema", "error", "hint", "request_id"} and document["schema"] == 1
    assert sentence in document["error"] and document["request_id"] == answer.headers["X-Request-ID"]
    return answer


FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'


@pytest.mark.parametrize(
    ("status", "sentence", "content", "headers"),
    [
        (400, "the body is empty", b"", {}),
        (400, "the body is empty", b"", JSON),
        (400, "the body is empty", b"", FORM),
        (400, "not JSON", b"{", JSON),
        (400, "not JSON", b"\xff\xfe", JSON),
        (400, "not JSON", b"[" * 2_000, JSON),
        (413, "more parts than 64 pictures", b"[" * 100_000, JSON),
        (400, "boundary", PART, {"Content-Type": "multipart/form-data"}),
        (400, "incomplete", PART, FORM),
        (400, "cannot be read", b"no form at all", FORM),
        (400, "cannot be read", PART, {"Content-Type": "multipart/form-data; boundary=" + "b" * 300}),
        (400, "more than 100 parts", b"".join([FIELD] * 101) + b"--b--\r\n", FORM),
        (415, "text/plain is not supported", PICTURE, {"Content-Type": "text/plain"}),
        (415, "image/ is not supported", PICTURE, {"Content-Type": "image/"}),
        (415, "x-www-form-urlencoded", PICTURE, {"Content-Type": "application/x-www-form-urlencoded"}),
        (422, "no file", FIELD + b"--b--\r\n", FORM),
        (422, "expected form", b"[]", JSON),
        (422, "expected form", b'{"images": []}', JSON),
        (422, "expected form", b'{"image": "", "images": []}', JSON),
        (422, "expected form", b'{"image": 1}', JSON),
        (422, "images[0] does not have", b'{"images": ["a"]}', JSON),
        (422, "images[0] does not have", b'{"images": [{"data": "", "name": 7}]}', JSON),
        (422, "picture 0 is not base64", b'{"image": "%%%%"}', JSON),
        (422, "picture 0 is not base64", b'{"image": "data:image/png,abc"}', JSON),
        (422, "picture 0 is not base64", b'{"image": "x,abcd"}', JSON),
        (422, "the file is empty", b'{"image": ""}', JSON),
        (422, "cannot read <bytes 0>: it is not a picture", b"hello", {}),
        (422, "web page", b"<html></html>", {"Content-Type": "image/png"}),
        (422, "cut short", PICTURE[:60], {}),
        (422, "claims 8000 x 8000 pixels, more than 50,000,000", png_header(8_000, 8_000), {}),
        (422, "pixels, more than", png_header(10_000, 10_000), {}),
        (422, "pixels", png_header(60_000, 60_000), {}),
    ],
)  # fmt: skip
def test_a_body_that_is_no_picture(client, status, sentence, content, headers):
    headers = {"Content-Type": "application/octet-stream"} | headers
    told(client.post("/predict", content=content, headers=headers), status, sentence)
    told(client.post("/explain", content=content, headers=headers), status, sentence)


def test_none_of_several_can_be_read(client):
    files = [("file", ("a.png", b"a")), ("file", ("b.png", b"b"))]
    told(client.post("/predict", files=files), 422, "none of the 2 pictures can be read")
    told(client.post("/explain", files=files), 422, "explain takes one picture, and 2 were sent")


def test_paths_and_methods_that_are_not_there(client):
    told(client.get("/nowhere"), 404, "not found")
    assert told(client.get("/predict"), 405, "method not allowed").headers["Allow"] == "POST"
    assert told(client.delete("/model"), 405, "method not allowed").headers["Allow"] == "GET"


def test_an_unknown_label_names_the_nearest(client):
    answer = told(client.post("/explain?label=shop", content=PICTURE), 404, "has no class 'shop'")
    assert "did you mean 'ship'" in answer.json()["hint"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.png", "a.png"), ("猫 1.jpg", "猫 1.jpg"), ("../../etc/passwd", "passwd"), ("C:\\Users\\me\\b.jpg", "b.jpg"),
        ("/", "picture"), ("..", "picture"), ("", "picture"), ("a\nb\x00.png", "a_b_.png"), ("\udc80.png", "\\udc80.png"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)  # fmt: skip
def test_names_are_never_paths(client, sent, kept):
    assert sanitize_name(sent) == kept
    if not {"\n", "\x00", "\udc80"} & set(sent) and sent:
        answer = client.post("/predict", files={"file": (sent, PICTURE)})
        assert answer.json()["predictions"][0]["path"] == kept
    encoded = base64.b64encode(PICTURE).decode()
    body = json.dumps({"images": [{"name": sent, "data": encoded}]})
    answer = client.post("/predict", content=body, headers=JSON)
    assert answer.json()["predictions"][0]["path"] == kept


def test_request_ids_are_kept_when_they_are_sane(client):
    assert client.get("/livez", headers={"X-Request-ID": "a-1:b/2"}).headers["X-Request-ID"] == "a-1:b/2"
    made = [client.get("/livez", headers=h).headers["X-Request-ID"] for h in ({}, {"X-Request-ID": "no spaces"})]
    made.append(client.get("/livez", headers={"X-Request-ID": "x" * 200}).headers["X-Request-ID"])
    assert len(set(made)) == 3 and all(len(one) == 32 for one in made)


def test_limits_of_bytes_pixels_files(engine):
    with served(engine, Limits(max_bytes=20_000, max_pixels=2_000, max_files=3)) as client:
        told(client.post("/predict", content=b"x" * 20_001), 413, "larger than 20,000 bytes")
        told(client.post("/predict", content=iter([b"x" * 15_000] * 2)), 413, "larger than 20,000 bytes")  # no length
        told(
            client.post("/predict", content=file_of(noise(1, (50, 41)))), 422, "claims 50 x 41 pixels, more than 2,000"
        )
        files = [("file", (f"{n}.png", PICTURE)) for n in range(4)]
        told(client.post("/predict", files=files), 413, "more than 3 pictures")
        encoded = base64.b64encode(PICTURE[:50]).decode()
        told(client.post("/predict", json={"images": [{"data": encoded}] * 4}), 413, "more than 3 pictures")
        assert len(client.post("/predict", files=files[:3]).json()["predictions"]) == 3
        assert client.get("/model").json()["limits"] == {"bytes": 20_000, "pixels": 2_000, "files": 3}


@pytest.mark.parametrize(("header", "status"), [(b"", b"401"), (b"Authorization: Bearer secret\r\n", b"413")])
def test_a_client_that_sends_on_sees_its_refusal(engine, header, status):
    """Who sends all before it listens, as browsers do, would otherwise find its connection reset."""
    size = 30_000_000
    with served(engine, Limits(max_bytes=1000), token="secret") as client, connected(client) as wire:
        wire.sendall(head(size) + header + b"\r\n" + b"x" * size)
        assert wire.recv(1000).startswith(b"HTTP/1.1 " + status)
        assert client.get("/livez").status_code == 200


def test_a_client_that_asks_first_need_not_send(engine):
    with served(engine, Limits(max_bytes=1000)) as client, connected(client) as wire:
        wire.sendall(head(5000) + b"Expect: 100-continue\r\n\r\n")
        assert b"413" in wire.recv(1000).split(b"\r\n")[0]


def test_a_slow_body_is_given_up(engine):
    with served(engine, Limits(timeout=0.4)) as client, connected(client) as wire:
        wire.sendall(head(1000) + b"\r\n" + PICTURE[:100])
        answer = b"".join(iter(lambda: wire.recv(1000), b""))  # until the server closes
        assert answer.startswith(b"HTTP/1.1 408") and b"did not arrive within 0.4 seconds" in answer
        assert b"connection: close" in answer.lower()
        assert client.post("/predict", content=PICTURE).status_code == 200


def test_a_client_that_hangs_up_is_forgotten(engine, caplog):
    caplog.set_level("INFO", "reslab.serve")
    with served(engine) as client:
        with connected(client) as wire:
            wire.sendall(head(1000) + b"\r\n" + PICTURE[:100])
            wait_for(lambda: client.app.state.service.running)
        wait_for(lambda: not client.app.state.service.running)
        assert client.post("/predict", content=PICTURE).status_code == 200
    assert '"status": 499' in caplog.text


class Held:
    """The engine, which waits for a word before it answers."""

    explains = False

    def __init__(self, engine):
        self.header, self.sha256, self.name, self.seen = engine.header, engine.sha256, engine.name, engine.seen
        self.go, self.engine = threading.Event(), engine

    def logits(self, pixels):
        assert self.go.wait(PATIENCE)
        return self.engine.logits(pixels)


def test_a_full_queue_says_when_to_come_again(engine):
    held = Held(engine)
    statuses = []
    with served(held, Limits(queue=3, max_files=3)) as client:
        admission = client.app.state.service.admission

        def ask_aside():
            thread = threading.Thread(target=lambda: statuses.append(ask(client)))
            thread.start()
            return thread

        asking = [ask_aside(), ask_aside()]
        wait_for(lambda: admission.waiting == 2)
        two = [("file", ("a.png", PICTURE)), ("file", ("b.png", PICTURE))]
        told(client.post("/predict", files=two), 503, "too many pictures are waiting")
        asking.append(ask_aside())
        wait_for(lambda: admission.waiting == 3)
        refused = told(client.post("/predict", content=b""), 503, "too many pictures are waiting")  # before it is read
        assert int(refused.headers["Retry-After"]) >= 1 and client.get("/readyz").status_code == 200
        assert b"reslab_queue_pictures 3.0" in client.get("/metrics").content
        held.go.set()
        for thread in asking:
            thread.join(PATIENCE)
        assert statuses == [200] * 3 and admission.waiting == 0
        assert client.post("/predict", files=two).status_code == 200


def test_bodies_in_memory_are_bounded(engine):
    with served(engine, Limits(max_bytes=2_000, timeout=PATIENCE)) as client:
        wires = [connected(client) for _ in range(8)]
        for wire in wires:
            wire.sendall(head(2_000) + b"\r\n" + b"x" * 1_990)
        held = client.app.state.service.admission
        wait_for(lambda: held._held == 8 * 1_990)
        told(client.post("/predict", content=PICTURE[:500]), 503, "too many")
        for wire in wires:
            wire.close()
        wait_for(lambda: held._held == 0)
        told(client.post("/predict", content=PICTURE[:500]), 422, "cut short")


def test_a_fault_of_the_engine_is_one_answer_and_no_more(engine, caplog):
    class Faulty(Held):
        def logits(self, pixels):
            if not self.go.is_set():
                raise RuntimeError("no such kernel")
            return engine.logits(pixels)

    faulty = Faulty(engine)
    with served(faulty) as client:
        told(client.post("/predict", content=PICTURE), 500, "bug in ResLab")
        assert "no such kernel" in caplog.text
        faulty.go.set()
        assert client.post("/predict", content=PICTURE).status_code == 200


def test_no_upload_is_written_to_disk(engine):
    """Beyond a megabyte Starlette would write to a temporary file: no file is opened for writing at all."""
    opened, watching = [], [True]

    def hook(event, arguments):
        if watching[0] and event == "open" and isinstance(arguments[2], int):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR) and arguments[0] != os.devnull:  # of processes
                opened.append(arguments[0])
        elif watching[0] and event.startswith("tempfile."):
            opened.append(event)

    large = file_of(noise(5, (1300, 1200)))  # of noise: 4.7 MB
    with served(engine) as client:
        client.post("/predict", content=PICTURE)
        sys.addaudithook(hook)
        try:
            rows = client.post("/predict", files=[("file", ("a.png", large)), ("file", ("b.png", large))]).json()
            client.post("/explain", content=large)
        finally:
            watching[0] = False
    assert len(large) > 4_000_000 and opened == []
    assert rows["predictions"][0]["probability"] == pytest.approx(Model(engine).predict(large)[0].probability, abs=1e-5)


def test_the_token_is_asked_for(engine):
    with served(engine, token="gehe1m wort") as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic gehe1m wort"}):
            for method, path in (("POST", "/predict"), ("POST", "/explain"), ("GET", "/model"), ("GET", "/metrics")):
                content = PICTURE if method == "POST" else None
                answer = told(client.request(method, path, content=content, headers=headers), 401, "requires a token")
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        right = {"Authorization": "bearer gehe1m wort"}
        assert client.post("/predict", content=PICTURE, headers=right).status_code == 200
        assert client.get("/metrics", headers=right).status_code == 200
        for path in ("/livez", "/readyz"):
            assert client.get(path).status_code == 200
        told(client.get("/openapi.json"), 401, "requires a token")
        assert "HTTPBearer" in client.get("/openapi.json", headers=right).json()["components"]["securitySchemes"]


def test_a_rate_is_kept(engine):
    with served(engine, Limits(rate=0.01)) as client:
        assert client.post("/predict", content=PICTURE).status_code == 200
        refused = told(client.post("/predict", content=PICTURE), 429, "more than 0.01 requests per second")
        assert 90 <= int(refused.headers["Retry-After"]) <= 101
        assert client.get("/livez").status_code == client.get("/metrics").status_code == 200


def test_a_bucket_fills_with_time():
    now = [0.0]
    rate = Rate(2, lambda: now[0])

    def granted(client="a"):
        try:
            rate.take(client)
        except Refused as refused:
            return refused.retry_after
        return True

    assert [granted(), granted(), granted(), granted("b")] == [True, True, 1, True]
    now[0] = 0.5
    assert [granted(), granted()] == [True, 1]
    now[0] = 100
    assert [granted(), granted(), granted()] == [True, True, 1]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"queue": 3}, "no room"), ({"max_bytes": 0}, "--max-bytes 0 must"), ({"rate": -1}, "--rate -1 must"),
        ({"timeout": float("nan")}, "--timeout nan must"), ({"timeout": float("inf")}, "--timeout inf is too large"),
        ({"decode_seconds": 1e300}, "--decode-seconds 1e\\+300 is too large"),
        ({"decode_seconds": 0}, "--decode-seconds 0 must"),
        ({"max_pixels": 10**9}, "--max-pixels 1000000000 is too large"),
    ],
)  # fmt: skip
def test_limits_that_make_no_sense(given, sentence):
    with pytest.raises(ResLabError, match=sentence):
        Limits(**given)


def ask(client):
    return httpx.post(f"{client.base_url}/predict", content=PICTURE, timeout=PATIENCE).status_code


def connected(client):
    return socket.create_connection(("127.0.0.1", client.port), timeout=PATIENCE)


def head(length):
    return (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n".encode()
    )
