"""Pictures that stand out, labels that follow from metadata, names or cameras, and what the verb says of all this."""

import html
import json
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier
from tests.check.test_near import scene

from reslab.check.deep import _cameras, _named, _names_tell
from reslab.check.metadata import Metadata, camera, leak
from reslab.check.near import NearPair
from reslab.check.quality import Quality, cropped_share, measure_quality
from reslab.cli.app import run
from reslab.run.examine import examine_data


def kinds(verdict, *wanted):
    return sorted((p.kind, p.path) for p in verdict.problems if p.kind in wanted)


def test_what_stands_out_is_named(plant):
    tree = {f"{label}/{i}.png": scene(10 * k + i, 128, 96) for k, label in enumerate("ab") for i in range(8)}
    sharp = tree["a/1.png"].resize((320, 240))
    noisy = np.clip(np.asarray(sharp) + np.random.default_rng(0).normal(0, 20, (240, 320, 3)), 0, 255).astype(np.uint8)
    dark = np.asarray(scene(90, 128, 96)) // 12
    tree |= {"a/blurred.png": sharp.filter(ImageFilter.GaussianBlur(20)), "a/noisy.png": noisy, "b/dark.png": dark}
    tree |= {"b/tiny.png": scene(91, 24, 18), "b/wide.png": scene(92, 256, 60)}
    verdict = examine_data(plant(tree), deep=True)
    assert kinds(verdict, "blurred", "dark", "odd size", "odd shape") == [
        ("blurred", "a/blurred.png"), ("dark", "b/dark.png"), ("odd shape", "b/wide.png"), ("odd size", "b/tiny.png"),
    ]  # fmt: skip
    (crop,) = (p for p in verdict.problems if p.kind == "centre crop")
    assert "(1 lose more than 40 %)" in crop.detail and verdict.ok
    assert not kinds(examine_data(plant(tree), near=True), "blurred", "dark", "odd size", "odd shape", "centre crop")


def test_the_share_outside_the_centre_is_that_of_the_rectangle():
    looks = [measure_quality(np.zeros((3, 4, 3), np.uint8)), measure_quality(np.zeros((10, 4, 3), np.uint8))]
    assert cropped_share(looks) == (pytest.approx((0.25 + 0.6) / 2), 1)
    assert cropped_share([]) == (0.0, 0) and looks[0] == Quality(4, 3, 0.0, 0.0, 1.0)


# ------------------------------------------------------------------ metadata


def rows(n, seed=0, leaking=0.0):
    draws = np.random.default_rng(seed)
    labels = [str(label) for label in draws.integers(0, 2, n)]
    wide = [300 + 200 * int(label if draws.random() < leaking else draws.integers(0, 2)) for label in labels]
    sizes = draws.integers(10_000, 90_000, n)
    return [Metadata(w, 200, int(s), "JPEG", "RGB", "") for w, s in zip(wide, sizes, strict=True)], labels


@pytest.mark.parametrize("leaking", [0.0, 0.6, 1.0])
def test_the_tree_is_as_good_as_that_of_scikit_learn(leaking):
    metadata, labels = rows(400, leaking=leaking)
    found = leak(metadata, labels)
    numbers = [[m.width, m.height, m.width / m.height, m.bytes, m.bytes / (m.width * m.height)] for m in metadata]
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=10, random_state=0)
    theirs = cross_val_score(tree, numbers, labels, cv=5).mean()
    assert found.accuracy == pytest.approx(theirs, abs=0.06) and found.n == 400
    assert 0.45 < found.majority < 0.6
    if leaking == 1:
        assert found.accuracy == 1 and found.asked == ("width",)


def test_too_few_pictures_or_classes_say_nothing():
    metadata, labels = rows(49)
    assert leak(metadata, labels) is None
    assert leak(rows(60)[0], ["a"] * 60) is None


def test_a_size_that_gives_the_label_away_is_a_warning(plant):
    tree = {f"{label}/{i}.png": scene(100 * k + i, 40 + 8 * k, 40) for k, label in enumerate("ab") for i in range(30)}
    verdict = examine_data(plant(tree), deep=True)
    (problem,) = (p for p in verdict.problems if p.kind == "label from metadata")
    assert problem.severity == "warning" and "100.0% of the labels" in problem.detail
    assert verdict.metadata.accuracy == 1 and verdict.ok
    alike = {f"{label}/{i}.png": scene(100 * k + i, 40, 40) for k, label in enumerate("ab") for i in range(30)}
    assert not kinds(examine_data(plant(alike, "alike"), deep=True), "label from metadata", "one camera")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_the_camera_is_read_as_pillow_wrote_it(tmp_path, kind):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker & Sons", "X1"
    path = tmp_path / "a"
    scene(1).save(path, kind, exif=exif)
    assert camera(path.read_bytes()) == "Maker & Sons X1"
    scene(1).save(path, kind)
    assert camera(path.read_bytes()) == ""


@pytest.mark.parametrize(
    "block",
    [
        b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 40,
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x010F, 2, 2**32 - 1, 2**32 - 1) + b"\0" * 4,
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0110, 5, 2**31, 0) + b"\0" * 4,
    ],
)  # fmt: skip
def test_a_hostile_exif_block_is_no_camera(tmp_path, block):
    path = tmp_path / "a"
    path.write_bytes(b"\xff\xd8\xff\xe1\xff\xffExif\0\0" + block)
    assert camera(path.read_bytes()) == ""


def test_a_camera_of_its_own_is_named():
    ours = [("a", "X1")] * 8 + [("a", "")] * 2 + [("b", "Y2")] * 5 + [("b", "Z3")] * 5
    assert list(_cameras(ours)) == [("a", "X1", 8)]
    assert list(_cameras([*ours, ("b", "X1")])) == [] and list(_cameras([("a", "X1")] * 9)) == []


def test_names_tell_labels_by_other_pictures_only():
    assert _names_tell([("a", "cat_1"), ("a", "cat 2"), ("b", "dog_1"), ("b", "dog_2")]) == 1
    assert _names_tell([("a", "cat"), ("b", "dog"), ("a", "0001"), ("b", "0002")]) == 0


def test_each_picture_is_named_with_the_most_similar_one():
    splits = ["train", "train", "train", "test", "test"]
    pairs = [
        NearPair(*pair, False)
        for pair in ((0, 1, 0.9), (0, 2, 0.8), (1, 2, 0.7), (0, 3, 0.6), (1, 3, 0.5), (3, 4, 0.4))
    ]
    assert [(p.first, p.second) for p in _named(pairs, splits)] == [(0, 1), (0, 2), (0, 3), (3, 4)]


# ------------------------------------------------------------------ the verb


@pytest.fixture
def leaking(plant):
    tree = {
        f"{s}/{c}/{i}.png": scene(n)
        for n, (s, c, i) in enumerate((s, c, i) for s in ("train", "test") for c in "ab" for i in range(3))
    }
    return plant(tree | {"test/a/copy.png": tree["train/a/1.png"].resize((50, 40))})


def test_json_names_both_pictures(leaking, capsys, untouched):
    with untouched(leaking):
        assert run(["check", str(leaking), "--near", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (pair,) = document["problems"]
    assert pair["kind"] == "near duplicate across splits" and {pair["path"], pair["other"]} == {
        "train/a/1.png",
        "test/a/copy.png",
    }
    assert "metadata" not in document
    assert run(["check", str(leaking), "--deep", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"] is None


def test_the_page_holds_both_pictures_and_asks_nobody(leaking, tmp_path, capsys):
    page = tmp_path / "check.html"
    assert run(["check", str(leaking), "--deep", "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count(";base64,") == 2 and "test/a/copy.png" in text and "近似重复" in text
    assert not re.search(r"""(src|href)=["']http""", text) and "default-src 'none'" in html.unescape(text)
    assert run(["check", str(leaking), "--html", str(leaking / "check.html")]) == 2
    assert "--html" in capsys.readouterr().err and not (leaking / "check.html").exists()


def test_the_deeper_check_loads_no_torch(leaking, tmp_path):
    code = "import sys; from reslab.cli.app import run; run(sys.argv[1:]); "
    code += "print({'torch', 'scipy', 'sklearn'} & set(sys.modules))"
    words = ["check", str(leaking), "--deep", "--html", str(tmp_path / "a.html")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.stdout.endswith("set()\n"), done.stdout + done.stderr
