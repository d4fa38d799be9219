"""Label Studio's protocol: what its server sends is answered as its package would, and no other server is ever asked."""

import base64
import http.server
import threading
from contextlib import contextmanager

import httpx
import pytest

from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.predict import Model, Prediction
from reslab.serve.fetching import Fetcher
from reslab.serve.label_studio import _result, read_config
from reslab.serve.limits import Limits
from tests.serve.door import file_of, noise, served

PICTURE = file_of(noise(0))
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
KEY = "secret-of-label-studio"


def config(classes, extra=""):
    choices = "".join(f'<Choice value="{name}"/>' for name in classes)
    return (
        f'<View><Image name="img" value="$photo"/><Choices name="kind" toName="img">{choices}</Choices>{extra}</View>'
    )


def request(tasks, classes):
    """What `MLApi.make_predictions` sends."""
    context = {"login": None, "password": None, "context": None}
    full = [{"id": k, "data": {"photo": each}, "annotations": [], "predictions": []} for k, each in enumerate(tasks)]
    return {
        "tasks": full, "model_version": "v", "project": "3.17", "label_config": config(classes), "params": context
    }  # fmt: skip


@contextmanager
def pictures_server():
    """A server of pictures that keeps what it was asked: (path, authorization)."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(302 if "away" in self.path else 404 if "gone" in self.path else 200)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
            self.wfile.write(PICTURE * 50 if "large" in self.path else PICTURE)

        def log_message(self, *given):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def fetcher(*origins, **limits):
    return Fetcher(origins, KEY, Limits(**{"max_bytes": 4 * len(PICTURE)} | limits))


def test_a_project_is_set_up_and_its_tasks_are_answered(client, engine):
    classes = engine.header.classes
    project = {"project": "3.17", "schema": config(classes), "hostname": "http://localhost:8080", "access_token": "x"}
    version = client.post("/label-studio/setup", json=project).json()["model_version"]
    assert version == f"model-{engine.sha256[:12]}"
    assert client.get("/label-studio/health").json() == {"status": "UP", "model_class": version}
    files = [file_of(noise(seed)) for seed in range(3)]
    urls = ["data:image/png;base64," + base64.b64encode(file).decode() for file in files]
    results = client.post("/models/model/label-studio/predict", json=request(urls, classes)).json()["results"]
    for found, row in zip(results, Model(engine).predict(files), strict=True):
        assert found["model_version"] == version and found["score"] == pytest.approx(row.probability, abs=1e-5)
        assert found["result"] == [
            {"from_name": "kind", "to_name": "img", "type": "choices", "value": {"choices": [row.label]}}
        ]


def test_several_labels_are_one_result():
    row = Prediction("x", "a;b", None, (("a", 0.9),), labels=(("a", 0.9), ("b", 0.7)))
    found = _result(row, read_config(config(["a", "b"]), ("a", "b")), "v")
    assert found["result"][0]["value"]["choices"] == ["a", "b"] and found["score"] == 0.7


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (None, "is not one"), ("<View>", "is not XML"), ("<View/>", "no Choices about an Image"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View/>', "is not one"),
        (config(["cat", "dog"]), "has no Choice for airplane, automobile, bird, deer, frog and 3 more"),
        (config([]).replace("toName", "about"), "no Choices about an Image"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_fit_is_refused(client, schema, sentence):
    answer = client.post("/label-studio/setup", json={"project": "1.2", "schema": schema})
    assert answer.status_code == 422 and sentence in answer.json()["error"]


def test_webhooks_are_taken_and_training_is_refused(client):
    def status(action):
        return client.post("/label-studio/webhook", json={"action": action, "project": {"id": 1}}).status_code

    assert status("ANNOTATION_CREATED") == status("PROJECT_UPDATED") == 200 and status("START_TRAINING") == 409


def test_bad_requests_are_sentences(client, engine):
    def told(document):
        answer = client.post("/label-studio/predict", json=document)
        assert answer.status_code == 422
        return answer.json()["error"]

    classes = engine.header.classes
    assert "tasks must be a list" in told(request([], classes)) and "tasks must be" in told(
        request([1] * 1001, classes)
    )
    assert "no picture can be read" in told(request([None, "data:image/png;base64,!"], classes))
    assert "--fetch-from" in told(request(["http://127.0.0.1:9/a.png"], classes))
    assert client.post("/label-studio/predict", content=b"{").status_code == 400
    rows = client.post("/label-studio/predict", json=request(["nowhere", DATA_URL], classes)).json()["results"]
    assert rows[0] == rows[0] | {"score": 0.0, "result": []} and rows[1]["score"] > 0


def test_only_named_servers_are_asked_and_only_the_first_gets_the_key(engine):
    with pictures_server() as (first, asked), pictures_server() as (second, also), pictures_server() as (third, never):
        with served(engine, fetcher=fetcher(first, second)) as client:
            urls = ["/data/upload/3/a b.png?x=1 2", f"{first}/c.png", f"{second}/d.png", f"{third}/e.png"]
            answer = client.post("/label-studio/predict", json=request(urls, engine.header.classes))
            assert [bool(row["result"]) for row in answer.json()["results"]] == [True, True, True, False]
        assert asked and {key for _, key in asked} == {f"Token {KEY}"} and also == [("/d.png", None)] and never == []
        assert {path for path, _ in asked} == {"/data/upload/3/a%20b.png?x=1%202", "/c.png"}


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a", "https://{host}/a", "//{host}/a", "http://x@{host}/a", "http://{host}@127.0.0.1:9/a",
        "file:///etc/passwd", "ftp://{host}/a", "http:///a", "", "a.png", "http://{host}:1/a", "http://[::1/a",
        "http://localhost/a", "s3://bucket/a", "http://{host}\\@127.0.0.1:9/a", "http://{host}.evil.example/a",
    ],
)  # fmt: skip
def test_other_addresses_are_not_fetched(address, monkeypatch):
    with pictures_server() as (first, asked):
        ask = fetcher(first)
        monkeypatch.setattr(ask, "_fetch", lambda *given: pytest.fail(f"fetched {given}"))
        with pytest.raises(BadPicture, match="not on a server that --fetch-from names"):
            ask.read(address.format(host=first.removeprefix("http://")))
        assert asked == []


def test_a_backslash_or_a_line_break_stays_in_the_path():
    with pictures_server() as (first, asked):
        fetcher(first).read("/\\evil.example/a\r\nX: 1")
        assert [path for path, _ in asked] in (["/%5Cevil.example/aX:%201"], ["/%5Cevil.example/a%0D%0AX:%201"])


def test_what_a_server_does_instead_of_sending_a_picture_is_told():
    with pictures_server() as (first, asked):
        ask = fetcher(first)
        for path, sentence in {"away": "answers 302", "gone": "answers 404", "large": "larger than"}.items():
            with pytest.raises(BadPicture, match=sentence):
                ask.read(f"/{path}")
        assert len(asked) == 3
    with pytest.raises(BadPicture, match="does not send it"):
        ask.read("/a")
    with pytest.raises(BadPicture, match="names"):
        fetcher().read("/a")


@pytest.mark.parametrize(
    "origin", ["labels.example.org", "http://", "ftp://a", "http://a/path", "http://a:b", "http://x@a"]
)
def test_an_origin_is_a_server(origin):
    with pytest.raises(ResLabError, match="is not a server's address"):
        fetcher(origin)


def test_the_token_may_come_as_a_password(engine):
    with served(engine, token="a b:c") as client:
        url = f"{client.base_url}/label-studio/health"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, auth=("anyone", "a b:c")).status_code == 200
        assert httpx.get(url, auth=("anyone", "a b")).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Basic !"}).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer a b:c"}).status_code == 200
        assert httpx.get(f"{client.base_url}/model", auth=("anyone", "a b:c")).status_code == 401
