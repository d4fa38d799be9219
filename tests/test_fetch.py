"""A published file: fetched once, resumed, checked; without network one sentence says what to put where."""

import functools
import hashlib
import http.server
import threading

import pytest

from reslab.errors import ResLabError
from reslab.system.fetch import Remote, fetch, reachable

CONTENT = bytes(range(256)) * 5000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; `resumes` honours ranges, `breaks_after` cuts the first answer short."""

    resumes, breaks_after, asked = True, None, None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        begin = int(self.headers["Range"][6:-1]) if server.resumes and "Range" in self.headers else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        end, server.breaks_after = server.breaks_after, None
        self.wfile.write(CONTENT[begin:end])

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    with Server(("127.0.0.1", 0), Handler) as made:
        made.asked = []
        threading.Thread(target=functools.partial(made.serve_forever, 0.01), daemon=True).start()
        monkeypatch.setenv("RESLAB_MIRROR", made.address)
        yield made
        made.shutdown()


def remote(digest=None):
    return Remote(
        "https://example.org/models/net-1234.pth",
        digest or hashlib.sha256(CONTENT).hexdigest()[:8],
        len(CONTENT),
        "free",
    )


def test_it_is_fetched_once_with_progress(server):
    told = []
    path = fetch(remote(), lambda here, total: told.append((here, total)))
    assert path.read_bytes() == CONTENT and path.name == "net-1234.pth" and told[-1] == (len(CONTENT),) * 2
    assert fetch(remote()) == path and len(server.asked) == 1


@pytest.mark.parametrize("resumes", [True, False])
def test_it_goes_on_where_it_broke_off(server, resumes):
    server.resumes, server.breaks_after = resumes, 300_000
    with pytest.raises(ResLabError, match="cannot fetch net-1234.pth"):
        fetch(remote())
    assert fetch(remote()).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_another_file_is_not_kept(server):
    with pytest.raises(ResLabError, match="its checksum is wrong"):
        fetch(remote("deadbeef"))
    assert not list(remote().place.parent.iterdir())


def test_without_network_it_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("RESLAB_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(ResLabError) as caught:
        fetch(remote())
    text = caught.value.message + caught.value.hint
    for part in ("net-1234.pth", "1.3 MB", "https://example.org", remote().sha256, str(remote().place), "refused"):
        assert part in text
    remote().place.write_bytes(CONTENT)  # put there by hand
    assert fetch(remote()).read_bytes() == CONTENT


def test_the_published_place_without_a_mirror(monkeypatch):
    monkeypatch.delenv("RESLAB_MIRROR")
    assert remote().address == remote().url


def test_whether_a_server_answers(server):
    assert reachable(f"{server.address}/net-1234.pth")
    assert not reachable("http://127.0.0.1:9/x")
