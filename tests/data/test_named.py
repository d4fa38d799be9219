"""torchvision's sets: read from files that lie there, and a useful sentence where they do not and there is no network."""

import gzip
import socket
import struct
import threading
import time

import numpy as np
import pytest
from torchvision import datasets

from reslab.data import named
from reslab.data.named import NAMED, PATIENCE, read_named
from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.errors import ResLabError

FOLDERS = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw"}
QUICK = 2.0  # seconds for a refused connection, import and disk included


def idx(array):
    """The idx format of the MNIST page: type and rank, sizes, bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder):
    """The four files of MNIST with 20 and 10 random pictures; gives the arrays."""
    folder.mkdir(parents=True)
    rng, made = np.random.default_rng(0), {}
    for split, prefix, count in (("train", "train", 20), ("test", "t10k", 10)):
        pixels = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
        made[split] = pixels, labels
    return made


@pytest.fixture
def no_network(monkeypatch):
    """Every request goes to a proxy port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", FOLDERS)
def test_local_idx_files(tmp_path, no_network, capsys, name):
    made = write_mnist(tmp_path / "数据 集" / FOLDERS[name])
    catalog = read_data(name, tmp_path / "数据 集")
    theirs = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST}[name].classes
    for split, (pixels, labels) in made.items():
        pictures = catalog.split(split)
        assert np.array_equal(np.stack([load(p) for p in pictures]), np.repeat(pixels[..., None], 3, 3))
        expected = [str(label) if name == "mnist" else theirs[label] for label in labels]
        assert [p.label for p in pictures] == expected
    assert len({p.key for p in catalog.pictures}) == 30
    assert catalog.mirrored == (name == "fashion_mnist")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", NAMED)
def test_without_network_the_sentence_says_what_to_fetch_and_where_to_put_it(tmp_path, no_network, capsys, name):
    started = time.monotonic()
    with pytest.raises(ResLabError) as caught:
        read_data(name, tmp_path / "sets")
    assert time.monotonic() - started < QUICK
    known, hint = NAMED[name], caught.value.hint
    assert name in caught.value.message and "could not be downloaded" in caught.value.message
    assert "refused" in caught.value.message  # why
    for url, md5 in known.files:
        assert url in hint and f"md5 {md5}" in hint
    assert known.size in hint and str(tmp_path / "sets" / known.folder) in hint and "--data-dir" in hint
    assert "\n" not in caught.value.message and "\n" not in hint
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "sets").exists()  # nothing is made for nothing


def test_the_checksums_and_places_are_those_that_torchvision_looks_for(tmp_path):
    assert NAMED["cifar10"].files == ((datasets.CIFAR10.url, datasets.CIFAR10.tgz_md5),)
    assert [md5 for _, md5 in NAMED["mnist"].files] == [md5 for _, md5 in datasets.MNIST.resources]
    assert len(NAMED["svhn"].files) == 2
    assert {name for name, known in NAMED.items() if not known.mirrored} == {"mnist", "svhn"}  # digits
    for name, folder in FOLDERS.items():
        assert NAMED[name].folder == folder


def test_files_that_lie_there_packed_are_tried_without_asking_the_network(tmp_path, no_network):
    """Here they are not the real ones: torchvision's own checksum says so."""
    place = tmp_path / NAMED["mnist"].folder
    place.mkdir(parents=True)
    for url, _ in NAMED["mnist"].files:
        (place / url.rsplit("/", 1)[1]).write_bytes(gzip.compress(b"not MNIST"))
    with pytest.raises(ResLabError, match="mnist is not in"):
        read_named("mnist", tmp_path)


def test_damaged_files_are_one_sentence(tmp_path, no_network):
    write_mnist(tmp_path / FOLDERS["mnist"])
    (tmp_path / FOLDERS["mnist"] / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03")
    with pytest.raises(ResLabError):
        read_named("mnist", tmp_path)


def test_a_server_that_never_answers_is_noticed(monkeypatch):
    monkeypatch.setattr(named, "PATIENCE", 0.3)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        started = time.monotonic()
        assert named._unreachable("http://example.org/x.gz")
        assert time.monotonic() - started < 1
    assert PATIENCE <= 3


def test_a_server_that_answers_is_reachable(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert named._unreachable(f"http://127.0.0.1:{server.getsockname()[1]}/x.gz") == ""
        thread.join()


def test_an_unpacked_copy_in_the_data_folder_is_read_as_a_folder(plant, no_network):
    base = plant(["cifar10/train/cat/1.png", "cifar10/train/dog/2.png", "cifar10/test/cat/3.png"])
    catalog = read_data("cifar10", base)
    assert [p.split for p in catalog.pictures] == ["test", "train", "train"]
