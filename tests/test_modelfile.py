"""The model file: equal content, equal bytes; one flipped bit refused; nothing of this machine inside."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from reslab.errors import ResLabError
from reslab.model.file import Calibration, Header, read_header, read_model, read_tensors, write_model, write_tensors
from reslab.pixels.preprocess import Preprocess
from reslab.system.files import read_json, write_atomically, write_json
from tests.machine import small_disk

HEADER = Header(
    network={"name": "tiny", "depths": [1]},
    classes=("猫", 'quote"d', "<b>"),
    preprocess=Preprocess(32, "pad"),
    calibration=Calibration(1.5, 10, "val"),
    scores={"val": {"n": 10}},
    training={"seed": 0},
)
TENSORS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.count": np.array(7, dtype=np.int64),
    "a.columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
}
ROOT = str(Path(__file__).parents[1])
SEEN = [b"12345", b"abcde", b"00000"]


@pytest.fixture
def file(tmp_path):
    write_model(tmp_path / "m.safetensors", TENSORS, HEADER, SEEN)
    return tmp_path / "m.safetensors"


def test_there_and_back(file):
    model = read_model(file)
    assert model.header == replace(HEADER, network={"name": "tiny", "depths": [1]})
    assert model.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert model.tensors[name].shape == tensor.shape and np.array_equal(model.tensors[name], tensor)
    assert [row.tobytes() for row in model.seen] == sorted(SEEN)


def test_equal_content_gives_equal_bytes_in_any_process(file, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from reslab.model.file import write_model;"
        "from tests.test_modelfile import *; write_model(Path(sys.argv[2]), dict(reversed(TENSORS.items())), HEADER, SEEN[::-1])"
    )
    for number in range(3):
        other = tmp_path / f"{number}.safetensors"
        subprocess.run([sys.executable, "-c", code, ROOT, str(other)], check=True)
        assert other.read_bytes() == file.read_bytes()


def test_the_order_of_keys_does_not_matter(tmp_path):
    for name, training in (("a", {"x": 1, "y": 2}), ("b", {"y": 2, "x": 1})):
        write_model(tmp_path / name, TENSORS, replace(HEADER, training=training))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_flipped_bit_is_refused(file, tmp_path):
    data = file.read_bytes()
    dice = np.random.default_rng(0)
    places = {
        0,
        8,
        len(data) - 1,
        data.index(read_model(file).sha256.encode()),
        *dice.integers(0, len(data), 60).tolist(),
    }
    for place in sorted(places):
        spoiled = bytearray(data)
        spoiled[place] ^= 1 << int(dice.integers(8))
        (tmp_path / "s").write_bytes(spoiled)
        with pytest.raises(ResLabError) as caught:
            read_model(tmp_path / "s")
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("length", [0, 4, 9, 200, -1])
def test_a_cut_file_is_refused(file, tmp_path, length):
    (tmp_path / "cut").write_bytes(file.read_bytes()[:length])
    with pytest.raises(ResLabError):
        read_model(tmp_path / "cut")


def test_it_opens_with_safetensors_alone_and_holds_no_pickle(file):
    assert np.array_equal(load_file(file)["a.weight"], TENSORS["a.weight"])
    assert b"reslab." not in file.read_bytes() and b"/tmp" not in file.read_bytes()


def test_it_works_wherever_it_lies(file, tmp_path):
    moved = tmp_path / "数据 ñ" / "模型.safetensors"
    moved.parent.mkdir()
    shutil.move(file, moved)
    assert read_model(moved).header.classes == HEADER.classes


def test_other_files_are_told_apart(tmp_path):
    save_file({"w": np.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ResLabError, match="not a ResLab model"):
        read_model(tmp_path / "foreign.safetensors")
    write_tensors(tmp_path / "state", {"w": np.zeros(2)}, {"progress": {}})
    with pytest.raises(ResLabError, match="not a ResLab model"):
        read_model(tmp_path / "state")
    with pytest.raises(ResLabError, match="cannot open"):
        read_model(tmp_path / "nowhere")
    write_tensors(tmp_path / "later", {"w": np.zeros(2)}, {"format": 99, "network": {}})
    with pytest.raises(ResLabError, match="format 99"):
        read_model(tmp_path / "later")


def test_a_failed_write_leaves_the_old_file_and_no_crumbs(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_atomically(path, b"old")

    class Full:
        def __init__(self, *_):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", Full)
    with pytest.raises(ResLabError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_json_is_for_people(tmp_path):
    write_json(tmp_path / "j", {"类": 1})
    assert "类" in (tmp_path / "j").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "j", {"nan": float("nan")})
    assert json.loads((tmp_path / "j").read_text(encoding="utf-8")) == {"类": 1}


def test_a_header_is_read_exactly(file):
    tensors, content = read_tensors(file)
    assert content["sha256"] == read_model(file).sha256 and "data.seen" in tensors


def test_a_class_that_looks_like_a_blank_checksum(tmp_path):
    header = replace(HEADER, classes=("0" * 64, '"sha256":"' + "0" * 64))
    write_model(tmp_path / "m", TENSORS, header)
    assert read_model(tmp_path / "m").header.classes == header.classes


@pytest.mark.parametrize("digest", [None, 7, "", "0" * 63, "g" * 64, "\ud800" + "0" * 63])
def test_a_header_without_a_checksum_is_refused(tmp_path, digest):
    text = json.dumps({"format": 1, "network": {}, "sha256": digest})
    save_file({"w": np.zeros(2)}, tmp_path / "m", metadata={"reslab": text})
    with pytest.raises(ResLabError, match="no checksum: it is damaged"):
        read_model(tmp_path / "m")


def test_a_changed_header_is_refused_even_where_it_is_valid(file):
    data = file.read_bytes()
    assert data.count(b'\\"seed\\":0') == 1
    file.write_bytes(data.replace(b'\\"seed\\":0', b'\\"seed\\":1'))
    with pytest.raises(ResLabError, match="checksum does not match"):
        read_model(file)


def test_a_header_alone_is_read_without_the_tensors(file, tmp_path):
    assert read_header(file) == read_tensors(file)[1]
    length = int.from_bytes(file.read_bytes()[:8], "little")
    file.write_bytes(file.read_bytes()[: 8 + length])
    assert read_header(file)["classes"] == list(HEADER.classes)
    file.write_bytes(b"\xff" * 20)
    with pytest.raises(ResLabError, match="not a ResLab model"):
        read_header(file)
    with pytest.raises(ResLabError, match="cannot open"):
        read_header(tmp_path / "nowhere")


def test_json_that_cannot_be_read_is_told_in_a_sentence(tmp_path):
    (tmp_path / "j").write_text("{", encoding="utf-8")
    (tmp_path / "gbk").write_bytes('{"类": 1}'.encode("gbk"))
    for name, complaint in (("nowhere", "there is no"), ("j", "damaged"), ("gbk", "damaged"), ("", "cannot open")):
        with pytest.raises(ResLabError, match=complaint):
            read_json(tmp_path / name)


def test_a_file_in_the_way_of_a_folder_is_told_in_a_sentence(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    for path in (tmp_path / "f" / "m", tmp_path / "f" / "deeper" / "m"):
        with pytest.raises(ResLabError, match="cannot write"):
            write_atomically(path, b"new")
    assert (tmp_path / "f").read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_full_disk_keeps_the_old_model(tmp_path):
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        write_model(disk / "m", TENSORS, HEADER)
        with pytest.raises(ResLabError, match="No space left"):
            write_model(disk / "m", {"w": np.zeros(2_000_000)}, HEADER)
        assert read_model(disk / "m").tensors.keys() == TENSORS.keys() and len(list(disk.iterdir())) == 1
