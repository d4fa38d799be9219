"""One bad input never loses the answers of others, and Python's door takes what people have."""

import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import reslab
from reslab.errors import ResLabError
from reslab.system.bounds import Bound
from reslab.train.config import SETTINGS


@pytest.fixture(scope="module")
def model():
    return reslab.load("cifar10_resnet20")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


BAD = {
    "None": (None, "NoneType"),
    "NaN": (float("nan"), "float: nan"),
    "a number": (7, "int: 7"),
    "a dictionary": ({}, "dict"),
    "nothing": ("", "the path is empty"),
    "NUL": ("a\0b.png", "null"),
    "too long": ("x" * 300 + ".jpg", "too long"),
    "a long path": ("x/" * 5000, "too long"),
    "missing": ("nowhere.png", "no such file"),
    "below a file": ("{photo}/x.png", "not a directory"),
    "a device": ("/dev/zero", "device"),
    "no content": (b"", "empty"),
    "grey": (np.zeros((8, 8), np.uint8), "must be uint8 [height, width, 3]"),
    "several at once": (np.zeros((2, 8, 8, 3), np.uint8), "give a list"),
    "text": (io.StringIO("x"), '"rb"'),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_input_is_a_row(model, photo, bad):
    item, why = BAD[bad]
    item = item.format(photo=photo) if isinstance(item, str) else item
    first, row, last = model.predict([photo, item, photo])
    assert first.error is None and last == first
    assert row.label is None and why in row.error


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_a_broken_link_and_an_empty_folder_are_rows(model, photo, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "empty").mkdir()
    pipe, gone, empty, good = model.predict([tmp_path / "pipe.jpg", tmp_path / "gone.png", tmp_path / "empty", photo])
    assert "pipe" in pipe.error and "link" in gone.error and "holds no picture" in empty.error and good.error is None
    assert [Path(row.path).name for row in model.predict(tmp_path)] == ["gone.png", "photo.png"]


def test_a_locked_subfolder_is_one_row(model, photo, tmp_path, without_rights):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:4]):
        folder.chmod(0o755)
    with without_rights():
        good, locked = model.predict([tmp_path])
    (tmp_path / "locked").chmod(0o755)
    assert good.error is None and "cannot be listed" in locked.error and locked.path.endswith("locked")


def forms(photo):
    import torch

    content = photo.read_bytes()
    with Image.open(photo) as image:
        array = np.array(image)
        yield image
    yield from (str(photo), photo, content, bytearray(content), memoryview(content), io.BytesIO(content))
    with photo.open("rb") as file:
        yield file
    yield from (array, array.copy()[:, ::-1][:, ::-1])
    yield from (torch.from_numpy(array), torch.from_numpy(array).permute(2, 0, 1))


def test_every_form_of_one_picture_gets_one_answer(model, photo):
    for form in forms(photo):
        (row,) = model.predict(form)
        (listed,) = model.predict([form]) if not hasattr(form, "read") else [row]
        assert row.error is None and row.top == listed.top == model.predict(photo)[0].top, type(form)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "F"])
def test_pillows_modes_are_read_as_their_files_are(model, mode, tmp_path):
    levels = np.random.default_rng(5).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    image = Image.fromarray(levels).convert("L" if mode in ("I;16", "F") else "RGB").convert(mode)
    kind = {"CMYK": "tif", "YCbCr": "tif", "F": "tif"}.get(mode, "png")
    if mode == "HSV":
        image.convert("RGB").save(tmp_path / "x.png")
    else:
        image.save(tmp_path / f"x.{kind}")
    (asked,), (filed,) = model.predict(image), model.predict(tmp_path / f"x.{kind}")
    assert asked.error is None and asked.top == filed.top


def test_an_exif_turn_is_applied_once(model, tmp_path):
    image = Image.fromarray(np.random.default_rng(6).integers(0, 256, (16, 24, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as turned:
        assert model.predict(turned)[0].top == model.predict(tmp_path / "x.png")[0].top


@pytest.mark.parametrize(
    "call",
    [
        lambda: reslab.build("resnet20", num_classes="10"),
        lambda: reslab.build("resnet20", num_classes=1.5),
        lambda: reslab.build("resnet20", classes=10),
        lambda: reslab.build("resnet20", depths=3),
        lambda: reslab.build("resnet20", widths=("16", 32, 64)),
        lambda: reslab.build("resnet20", depths=(3, 3.5, 3)),
        lambda: reslab.build("resnet20", drop_path="x"),
        lambda: reslab.build("resnet20", mean=None),
        lambda: reslab.build(None),
        lambda: reslab.build("resnet20", seed="1"),
        lambda: reslab.fit("toy"),
        lambda: reslab.fit(None),
        lambda: reslab.examine("toy"),
        lambda: reslab.examine(3),
        lambda: reslab.examine(""),
        lambda: reslab.score("cifar10_resnet20", "digits", split="validation"),
        lambda: reslab.score("cifar10_resnet20", ""),
        lambda: reslab.score("cifar10_resnet20", "x" * 5000),
        lambda: reslab.load(None),
        lambda: reslab.load(""),
        lambda: reslab.load("a\0b"),
        lambda: reslab.resume("nowhere"),
        lambda: reslab.resume(None),
        lambda: reslab.recipe(3),
        lambda: reslab.recipe(["standard"]),
        lambda: reslab.TrainConfig(data=3),
        lambda: reslab.TrainConfig(optim="sgd"),
        lambda: reslab.TrainConfig(model=None),
        lambda: reslab.TrainConfig(skip_bad="yes"),
        lambda: reslab.TrainConfig(group_by=3),
    ],
)
def test_only_one_kind_of_error_comes_out(call):
    with pytest.raises(ResLabError):
        call()


NUMBERS = [f.name for f in dataclasses.fields(reslab.TrainConfig) if type(f.default) in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "1", None, True, 1j, np.float64("nan")])
def test_no_field_of_a_config_takes_what_is_no_number(name, value):
    assert isinstance(SETTINGS[name].allowed, Bound)
    with pytest.raises(ResLabError):
        reslab.TrainConfig(**{name: value})


def test_numbers_and_paths_of_other_libraries_become_pythons_own():
    config = reslab.TrainConfig(data=Path("~/d"), data_dir=Path("x"), epochs=np.int64(3), val=np.float32(0.25), seed=-1)
    assert config.data == str(Path.home() / "d") and config.data_dir == "x"
    assert [type(v) for v in (config.epochs, config.val)] == [int, float] and config.seed == 2**64 - 1
    assert reslab.TrainConfig(seed=2**64).seed == 0 and reslab.TrainConfig(split_seed=-1).split_seed == -1
    with pytest.raises(ResLabError, match="--epochs 1.5 is not a whole number"):
        reslab.TrainConfig(epochs=1.5)


def test_a_path_may_be_examined(tmp_path):
    for name in "ab":
        (tmp_path / "d" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red" if name == "a" else "blue").save(tmp_path / "d" / name / "1.png")
    assert reslab.examine(tmp_path / "d").classes == {"a": 1, "b": 1}


_FORKED = """
import multiprocessing, sys, reslab
network = reslab.build("resnet20", num_classes=2)
import numpy, torch
def work(queue): queue.put(tuple(network.eval()(torch.zeros(2, 3, 32, 32)).shape))
if __name__ == "__main__":
    from reslab.system import device
    device.use_threads(2)
    network.eval()(torch.zeros(8, 3, 32, 32))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=work, args=(queue,), daemon=True)
    child.start()
    print(queue.get(timeout=60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_answers(tmp_path):
    (tmp_path / "forked.py").write_text(_FORKED)
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, tmp_path / "forked.py"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "(2, 2)" in done.stdout, done.stderr[-500:]
