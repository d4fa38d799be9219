"""Pictures on the page: small, true, and never a reason to fail or to fetch."""

import base64
import io
import socket

import numpy as np
import pytest
from PIL import Image

from reslab.data.catalog import Picture
from reslab.report import pictures
from reslab.report.page import write_report
from tests.pictures import colour_folder
from tests.report.folders import add_evaluation, evaluation, make_run
from tests.report.reading import Page


def opened(uri):
    kind, _, data = uri.partition(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == f"data:image/{image.format.lower()}"
    return image


def picture(pixels):
    return Picture("a", pixels, "x")


@pytest.fixture
def colours(tmp_path):
    """A data folder and a run that mistook some of its pictures."""
    data = colour_folder(tmp_path / "data", each=4)
    run = make_run(tmp_path / "run", splits=(), data=data)
    keys = [f"{label}/{i:03d}.png" for i in range(4) for label in ("blue", "green", "red")]
    add_evaluation(run, evaluation("val", keys, ("blue", "green", "red"), "", right=0.0))
    (run / "model.safetensors").unlink()
    return data, run


def shown(run):
    page = Page(write_report(run).read_text(encoding="utf-8"))
    return [attrs for attrs in page.all("img") if ": is " in attrs["alt"]], page.text


def test_small_pictures_show_their_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    image = opened(pictures.thumbnail(picture(pixels)))
    assert (image.format, image.size) == ("PNG", (120, 160))
    assert (np.asarray(image)[10::20, 10::20] == pixels).all()


def test_photographs_become_small_files():
    rng = np.random.default_rng(0)
    uri = pictures.thumbnail(picture(rng.integers(0, 256, (600, 900, 3), np.uint8)))
    image = opened(uri)
    assert (image.format, image.size) == ("JPEG", (160, 107))
    assert len(uri) < 30_000


def test_mistakes_are_shown_with_their_own_pictures(colours):
    data, run = colours
    images, text = shown(run)
    assert len(images) == 12
    for attrs in images:
        key, _, said = attrs["alt"].partition(": is ")
        label = key.split("/")[0]
        assert said.startswith(label) and attrs["data-zh-alt"].startswith(f"{key}：实为 {label}")
        mean = np.asarray(opened(attrs["src"])).reshape(-1, 3).mean(0)
        assert ["red", "green", "blue"][int(mean.argmax())] == label
    assert "cannot be shown" not in text


def test_data_that_are_gone_leave_names_and_a_sentence(colours):
    data, run = colours
    data.rename(data.with_name("elsewhere"))
    images, text = shown(run)
    assert images == []
    assert f"only their names: the data are no longer at {data}" in text and "red/002.png" in text


def test_one_unreadable_picture_is_named(colours):
    data, run = colours
    (data / "red" / "002.png").write_bytes(b"no picture")
    images, text = shown(run)
    assert len(images) == 11 and text.count("cannot be read") == 1


def test_a_picture_that_bears_another_label_now_is_not_shown(colours):
    data, run = colours
    found = pictures.find_pictures(
        {"data": str(data), "data_dir": None}, {"red/000.png": "green", "red/001.png": "red"}, run
    )
    assert found.keys() == {"red/001.png"}


def test_whatever_ails_the_data_the_page_is_written(colours):
    data, run = colours
    for file in sorted(data.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    assert "cannot be shown" in shown(run)[1]


def test_a_report_downloads_nothing(tmp_path, monkeypatch):
    asked = []

    def refuse(host, *rest, **options):
        asked.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    for where in (None, str(tmp_path / "nothing")):
        config = {"data": "cifar10", "data_dir": where}
        assert pictures.find_pictures(config, {"cifar10/test/00000": "cat"}, tmp_path) == {}
    assert asked == [] and list(tmp_path.iterdir()) == []


def test_the_contact_sheet_is_taken_as_it_is_or_made_smaller(tmp_path):
    path = tmp_path / "sheet.png"
    assert pictures.sheet(path) is None
    Image.new("RGB", (300, 200), "navy").save(path)
    assert base64.b64decode(pictures.sheet(path).partition(",")[2]) == path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (600, 1800, 3), np.uint8)
    Image.fromarray(noise).save(path)
    image = opened(pictures.sheet(path))
    assert (image.format, image.size) == ("JPEG", (1400, 467))
    path.write_bytes(path.read_bytes()[:5000])
    assert pictures.sheet(path) is None
