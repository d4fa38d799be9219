"""The examples of detection and segmentation: from a zip file to scores, a drawing and a model, in a given time."""

import ast
import itertools
import json
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import reslab
from tests.examples.scripts import DATA, ROOT, archive, halves, script, squares, voc

SPLITS = {"train": 6, "val": 3, "test": 4}
WORDS = ("--minutes", "0.0001", "--batch", "3", "--rate", "0.01")
FILES = [path for path in (ROOT / "examples").rglob("*.py") if "node_modules" not in path.parts]


def test_they_stand_on_public_names_alone():
    found = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "reslab":
                found.add(node.attr)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("reslab"), file
    assert {"build", "ResLabError"} <= found <= set(dir(reslab))


@pytest.mark.parametrize("name", ["detection", "segmentation"])
def test_they_are_short(name):
    lines = {
        file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES if file.parent.name == name
    }
    assert lines["train.py"] > 100 and sum(lines.values()) <= 350
    assert lines.get("average_precision.py", 0) <= 100


def run_once(module, task, words, monkeypatch, dense, last):
    """Run an example while noting which splits' pictures are read before and after the training.

    Its last layer gets weights that make answers of all kinds: one step teaches nothing.
    """
    read, stage = {"before": set(), "after": set()}, ["before"]
    picture, train = dense.Archive.picture, dense.train

    def noted(self, name, *args, **options):
        read[stage[0]] |= {split for split in SPLITS if split in name}
        return picture(self, name, *args, **options)

    def trained(*args):
        looks = train(*args)
        stage[0] = "after"
        torch.nn.init.normal_(last(args[0]).weight, std=3.0)
        torch.nn.init.zeros_(last(args[0]).bias)
        return looks

    monkeypatch.setattr(dense.Archive, "picture", noted)
    monkeypatch.setattr(dense, "train", trained)
    code = dense.run(getattr(module, task), "", words)
    return code, read


def size_of(file):
    with Image.open(file) as picture:
        return picture.size


def test_detection_from_zip_to_model(detection, dense, tmp_path, monkeypatch, capsys):
    words = [str(archive(tmp_path / "x.zip", squares(SPLITS))), "--out", str(tmp_path / "run"), *WORDS]
    code, read = run_once(detection, "detect", words, monkeypatch, dense, lambda network: network.centres[-1])
    assert code == 0 and read == {"before": {"train", "val"}, "after": {"test"}}
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["test_pictures"] == 4 and result["ap50"].keys() == {"bright", "dark"} and result["seed"] == 0
    assert result["map50_interval"][0] <= result["test_map50"] <= result["map50_interval"][1]
    assert result["onnx_map50"] == result["test_map50"] and result["onnx_difference"] < 1e-2
    assert size_of(tmp_path / "run/result.png") == (3 * 96, 2 * 64)
    session = onnxruntime.InferenceSession(tmp_path / "run/model.onnx")
    boxes, scores, labels = session.run(None, {"pixels": np.zeros((5, 32, 48, 3), np.uint8)})
    assert boxes.shape == (5, 100, 4) and scores.shape == labels.shape == (5, 100)
    assert dense.run(detection.detect, "", words) == 2  # a finished run is not overwritten
    assert "holds a finished run" in capsys.readouterr().err


def test_segmentation_from_zip_to_model(segmentation, dense, tmp_path, monkeypatch, capsys):
    words = [str(archive(tmp_path / "y.zip", halves(SPLITS))), "--out", str(tmp_path / "run"), *WORDS]
    code, read = run_once(segmentation, "segment", words, monkeypatch, dense, lambda network: network.classify)
    assert code == 0 and read == {"before": {"train", "val"}, "after": {"test"}}
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["test_pictures"] == 4 and list(result["iou"]) == ["sky", "ground", "nowhere"]
    assert result["pixels"] == 4 * 32 * 48 and result["onnx_other_pixels"] <= 4
    assert size_of(tmp_path / "run/result.png") == (3 * 48, 4 * 32)
    session = onnxruntime.InferenceSession(tmp_path / "run/model.onnx")
    [classes] = session.run(None, {"pixels": np.zeros((5, 32, 48, 3), np.uint8)})
    assert classes.shape == (5, 32, 48) and classes.dtype == np.uint8


def test_a_run_that_was_cut_off_goes_on(segmentation, dense, tmp_path, monkeypatch, capsys):
    """The saved state holds network, optimizer, step and time; a second process begins where the first one ended."""
    words = [
        str(archive(tmp_path / "y.zip", halves(SPLITS))),
        "--out",
        str(tmp_path / "run"),
        *WORDS,
        "--minutes",
        "0.01",
    ]

    def task(options):
        segmentation.fit_and_score(options, segmentation.Segmenter)

    monkeypatch.setattr(dense, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(dense, "LOOKS", 0)
    with monkeypatch.context() as patch:
        patch.setattr(dense.nn.utils, "clip_grad_norm_", cut_off_after(3))
        patch.setattr(dense, "time", slow_clock())
        assert dense.run(task, "", words) == 130
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    network = segmentation.Segmenter(3, 0)
    optimizer = torch.optim.AdamW(network.parameters())
    options = dense.Options(tmp_path / "y.zip", tmp_path / "run", 0.01, 3, 0.01, 0, state["options"]["precision"])
    step, spent, looks = dense._resume(tmp_path / "run/state.pt", network, optimizer, options)
    assert step == 3 and spent > 0 and looks == [] and len(optimizer.state) > 20
    assert all(torch.equal(value, state["network"][name]) for name, value in network.state_dict().items())
    assert dense.run(task, "", [*words, "--seed", "1"]) == 2
    assert dense.run(task, "", words) == 0
    printed = capsys.readouterr()
    assert "the same command goes on" in printed.err and "other options" in printed.err
    assert "going on after step 3" in printed.out


def slow_clock():
    """A millisecond per glance, so that the third step is reached however slow the machine is."""
    glances = itertools.count()
    return SimpleNamespace(monotonic=lambda: next(glances) / 1000)


def cut_off_after(steps):
    left = [steps]

    def clip(*_):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1

    return clip


def damaged(members, changes):
    return {name: data for name, data in {**members, **changes}.items() if data is not None}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"X/ImageSets/Main/train.txt": None}, "has no ImageSets/Main/train.txt"),
        ({"X/ImageSets/Main/train.txt": ""}, "has 0 pictures"),
        ({"X/JPEGImages/val0.jpg": None}, "has no X/JPEGImages/val0.jpg"),
        ({"X/JPEGImages/val0.jpg": b"no picture"}, "cannot be read as a picture"),
        ({"X/Annotations/train0.xml": "<annotation>"}, "no Pascal VOC annotation"),
        ({"X/Annotations/train0.xml": "<annotation><object/></annotation>"}, "no Pascal VOC annotation"),
        ({"X/Annotations/train0.xml": voc("dark", (0, 0, 5, "wide"))}, "no Pascal VOC annotation"),
        ({"X/Annotations/val0.xml": voc("new", (0, 0, 5, 5))}, "the class 'new'"),
    ],
)
def test_bad_boxes_are_one_sentence(detection, dense, tmp_path, capsys, changes, complaint):
    file = archive(tmp_path / "x.zip", damaged(squares(SPLITS), changes))
    assert dense.run(detection.detect, "", [str(file), "--out", str(tmp_path / "run"), *WORDS]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and complaint in printed and printed.count("\n") <= 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"Y/classes.txt": None}, "has no classes.txt"),
        ({"Y/classes.txt": "sky"}, "names 1 classes"),
        ({"Y/train/masks/0.png": None}, "has no Y/train/masks/0.png"),
        ({f"Y/val/images/{n}.jpg": None for n in range(3)}, "has 0 pictures"),
    ],
)
def test_bad_masks_are_one_sentence(segmentation, dense, tmp_path, capsys, changes, complaint):
    file = archive(tmp_path / "y.zip", damaged(halves(SPLITS), changes))
    assert dense.run(segmentation.segment, "", [str(file), "--out", str(tmp_path / "run"), *WORDS]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("--minutes", "nan"), ("--minutes", "0"), ("--batch", "1"), ("--seed", "-1"), ("--rate", "0")]
)
def test_bad_numbers_are_one_sentence(detection, dense, tmp_path, capsys, words):
    (tmp_path / "no.zip").write_bytes(b"no zip")
    assert dense.run(detection.detect, "", [str(tmp_path / "no.zip"), "--out", str(tmp_path / "run"), *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_no_zip_is_one_sentence(detection, dense, tmp_path, capsys):
    (tmp_path / "no.zip").write_bytes(b"no zip")
    for name, complaint in (("no.zip", "it is no zip file"), ("absent.zip", "No such file")):
        assert dense.run(detection.detect, "", [str(tmp_path / name), "--out", str(tmp_path / "run")]) == 2
        assert complaint in capsys.readouterr().err


def test_what_cannot_be_written_is_one_sentence(segmentation, dense, tmp_path, capsys):
    (tmp_path / "file").write_bytes(b"")
    file = archive(tmp_path / "y.zip", halves(SPLITS))
    assert dense.run(segmentation.segment, "", [str(file), "--out", str(tmp_path / "file/run"), *WORDS]) == 2
    assert "cannot make the folder" in capsys.readouterr().err


def test_a_member_of_the_archive_is_bounded(dense, tmp_path, monkeypatch):
    monkeypatch.setattr(dense, "LARGEST", 2**20)
    content = dense.Archive(archive(tmp_path / "x.zip", {"large": bytes(2**20 + 1), "small": b"1"}))
    assert content.read("small") == b"1"
    with pytest.raises(reslab.ResLabError, match="larger than 1 MiB"):
        content.read("large")


def test_boxes_and_masks_move_with_the_pixels(detection, dense):
    """A white rectangle in a random view lies where its box says, and a mask lies where its picture does."""
    dice = torch.Generator().manual_seed(0)
    height, width = 120, 160
    picture = torch.zeros(1, 3, height, width)
    picture[..., 50:70, 60:100] = 1
    views = dense.draw_views(40, dice, upside_down=True)
    assert {tuple(v.diagonal().sign().tolist()) for v in views} == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    for view in views:
        seen = dense.view_pixels(picture, view[None], fill=0.0)[0, 0]
        mask = dense.view_pixels(picture[:, :1], view[None], fill=0.0, mode="nearest")[0, 0]
        boxes, kept = detection.view_boxes(torch.tensor([[60.0, 50, 100, 70]]), view, (height, width))
        down, across = torch.nonzero(seen > 0.5).unbind(1)
        if not kept[0]:
            continue
        edges = torch.tensor([across.min(), down.min(), across.max() + 1, down.max() + 1])
        assert (edges - boxes[0]).abs().max() <= 1.01
        assert ((mask > 0.5) != (seen > 0.5)).float().mean() < 0.02
    outside = dense.view_pixels(picture, torch.tensor([[[4.0, 0, 0], [0, 4, 0]]]), fill=0.5)
    assert outside[0, 0, 0, 0] == 0.5


def test_a_box_of_which_little_is_left_is_forgotten(detection):
    view = torch.tensor([[0.5, 0, -0.5], [0, 1, 0]])  # the left half, twice as wide
    boxes, kept = detection.view_boxes(
        torch.tensor([[40.0, 10, 60, 20], [48, 10, 60, 20], [60, 10, 90, 20]]), view, (50, 100)
    )
    assert kept.tolist() == [True, False, False] and torch.allclose(boxes[0], torch.tensor([80.0, 10, 100, 20]))


def test_truth_as_output_is_the_answer_and_the_smallest_loss(detection):
    """Maps that say exactly what the loss wants are answered as the true boxes, and anything else costs more."""
    truth = torch.tensor([[[2.0, 2, 14, 14], [28, 12, 46, 30]], [[8, 8, 24, 24], [0, 0, 0, 0]]])
    labels = torch.tensor([[0, 1], [1, -1]])
    logits = torch.full((2, 2, 8, 12), -9.0)
    logits[0, 0, 2, 2] = logits[0, 1, 5, 9] = logits[1, 1, 4, 4] = 9.0  # the cells of 4 pixels that hold the centres
    boxes = torch.zeros(2, 4, 8, 12)
    boxes[0, :, :, :6], boxes[0, :, :, 6:], boxes[1] = (box[:, None, None] for box in truth.flatten(0, 1)[:3])
    network = detection.Detector(2, 0)
    network.forward = lambda _: (logits, boxes)
    found, scores, names = network.answer(torch.zeros(2, 3, 32, 48))
    assert (scores > 0.9).sum(dim=1).tolist() == [2, 1]
    order = names[0, :2].argsort()
    assert torch.equal(found[0, :2][order], truth[0]) and torch.equal(found[1, 0], truth[1, 0])
    best = detection.detection_loss(logits, boxes, truth, labels)
    assert best < 0.1
    assert detection.detection_loss(logits.flip(1), boxes, truth, labels) > best + 1
    assert detection.detection_loss(logits, boxes + 4, truth, labels) > best + 1
    assert detection.detection_loss(logits, boxes, truth, torch.full_like(labels, -1)).isfinite()


@pytest.mark.parametrize("kind", ["detection", "segmentation"])
def test_the_peers_of_the_benchmarks_learn_and_answer(kind, request, monkeypatch):
    example = request.getfixturevalue(kind)
    monkeypatch.setattr(example, "WIDTHS", (4, 4, 4, 4))
    monkeypatch.setitem(sys.modules, "train", example)  # the benchmark's `from train import`
    peer = script(f"benchmarks/{kind}.py").Peer(3, 0)
    images = torch.rand(2, 3, 32, 48)
    if kind == "detection":
        loss = peer.loss(images, [torch.tensor([[4.0, 4, 20, 20]])] * 2, [torch.tensor([1]), torch.tensor([2])])
        boxes, scores, labels = peer.eval().answer(images)
        assert loss.isfinite() and boxes.shape == (2, 100, 4) and scores.shape == labels.shape == (2, 100)
    else:
        assert peer(images).shape == (2, 3, 32, 48) and peer.answer(images)[0].shape == (2, 32, 48)


@pytest.mark.skipif(not (DATA / "bccd.zip").exists(), reason="needs ../shared/data")
def test_the_blood_cells_are_read_as_documented(detection, dense):
    content = dense.Archive(DATA / "bccd.zip")
    counts = {}
    for split in SPLITS:
        keys = content.read(f"BCCD/ImageSets/Main/{split}.txt").decode().split()
        counts[split] = (len(keys), sum(len(detection.read_boxes(content, f"BCCD/Annotations/{k}.xml")) for k in keys))
    assert {split: pictures for split, (pictures, _) in counts.items()} == {"train": 205, "val": 87, "test": 72}
    assert sum(boxes for _, boxes in counts.values()) == 4888 - 2  # two have no area


@pytest.mark.skipif(not (DATA / "camvid_small.zip").exists(), reason="needs ../shared/data")
def test_the_streets_are_read_as_documented(segmentation, dense):
    content = dense.Archive(DATA / "camvid_small.zip")
    assert len(segmentation.read_classes(content)) == 11
    split = segmentation.read_split(content, "val", 11)
    assert split.pixels.shape == (101, 180, 240, 3) and split.masks.shape == (101, 180, 240)
    assert set(np.unique(split.masks)) == {*range(11), segmentation.VOID}
