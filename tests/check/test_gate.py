"""The gate names every problem that is there, no other, and changes nothing."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_pictures import picture

from reslab.check import data
from reslab.check.data import IMBALANCE, Keep, examine
from reslab.check.deep import DeepCheck
from reslab.data.catalog import Catalog, Member, Picture
from reslab.data.folder import read_folder
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.data.store import Store
from reslab.pixels.fingerprint import fingerprint


def judged(root, val=0.1, **options):
    return examine(assign_splits(read_data(root), val), **options)


def found(verdict, *kinds):
    """(kind, path) of the problems, or the problems of one kind."""
    return [(p.kind, p.path) for p in verdict.problems if not kinds or p.kind in kinds]


def two_classes(n=12, seed=0):
    return {f"{label}/{i:02d}.png": seed + 100 * k + i for k, label in enumerate("ab") for i in range(n)}


def declared(**extra):
    """train, val and test of two classes, all different; `extra` replaces or adds."""
    tree = {
        f"{split}/{label}/{i}.png": 1000 * s + 100 * k + i
        for s, split in enumerate(("train", "val", "test"))
        for k, label in enumerate("ab")
        for i in range(4)
    }
    return {**tree, **extra}


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# ------------------------------------------------------------------ nothing wrong


@pytest.mark.parametrize("tree", [two_classes(40), declared()])
def test_good_data_have_no_problem(plant, tree):
    verdict = judged(plant(tree))
    assert verdict.ok and verdict.problems == ()
    assert verdict.images == len(tree) and verdict.classes == {"a": len(tree) // 2, "b": len(tree) // 2}
    assert verdict.majority_baseline == 0.5 and verdict.skipped == {} and verdict.unreadable() == []


def test_the_built_in_digits_have_no_problem_but_their_twins():
    verdict = judged("digits")
    assert verdict.images == 1797 and set(verdict.classes) == set("0123456789")
    assert {kind for kind, _ in found(verdict)} <= {"duplicate", "duplicate across splits"}


# ------------------------------------------------------------------ files

FILES = {
    "empty.jpg": (b"", "empty"),
    "note.jpg": (b"remember the milk", "not a picture"),
    "page.png": (b"<!DOCTYPE html><html></html>", "web page"),
    "half.jpg": (encoded(Image.fromarray(picture(1, 200, 200)), "JPEG")[:9000], "cut short"),
    "almost.jpg": (lambda whole: whole[: int(len(whole) * 0.95)], "cut short"),
    "crc.png": (lambda png: png[: png.index(b"IDAT") + 40] + b"\0\0" + png[png.index(b"IDAT") + 42 :], "damaged"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
}


def bad_tree():
    tree = two_classes()
    for name, (content, _) in FILES.items():
        if callable(content):
            content = content(encoded(Image.fromarray(picture(2, 200, 200)), "PNG" if name.endswith("png") else "JPEG"))
        tree[f"a/{name}"] = content
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    tree["b/bomb.png"] = b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
    nan = np.full((9, 9), np.nan, np.float32)
    tree["b/nan.tif"] = encoded(Image.fromarray(nan), "TIFF")
    return tree


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_unreadable_files_are_all_named_with_their_reasons(plant, untouched, workers):
    base = plant(bad_tree())
    (base / "a" / "folder.jpg").mkdir()
    (base / "a" / "link.jpg").symlink_to(base / "gone.jpg")
    with untouched(base):
        verdict = judged(base, workers=workers)
    assert {p.kind for p in verdict.problems} == {"unreadable"}
    reasons = {p.path: p.detail for p in verdict.problems}
    expected = {f"a/{name}": word for name, (_, word) in FILES.items()}
    expected |= {"a/folder.jpg": "folder", "a/link.jpg": "link", "b/bomb.png": "pixels", "b/nan.tif": "not finite"}
    assert reasons.keys() == expected.keys()
    for path, word in expected.items():
        assert word in reasons[path], (path, reasons[path])
    assert set(verdict.unreadable()) == expected.keys() and not verdict.ok
    assert all(p.severity == "error" and p.blocks_training for p in verdict.problems if p.kind == "unreadable")


def test_files_that_may_not_be_read_are_named(plant, without_rights):
    base = plant(two_classes(2))
    catalog = assign_splits(read_folder(base))
    for path in base.rglob("*.png"):
        path.chmod(0)
    with without_rights():
        verdict = examine(catalog)
    assert {p.detail for p in verdict.problems if p.kind == "unreadable"} == {"no permission to read it"}
    assert len(verdict.unreadable()) == 4


# ------------------------------------------------------------------ classes and splits


def test_a_class_that_train_lacks(plant):
    verdict = judged(plant(declared(**{"val/cc/1.png": 1, "test/A/2.png": 2})))
    problems = {p.path: p for p in verdict.problems if p.kind == "unknown class"}
    assert problems.keys() == {"val: cc", "test: A"}
    assert "val/cc/1.png" in problems["val: cc"].detail and "'a'" in problems["test: A"].detail
    assert not verdict.ok and all(p.blocks_training for p in problems.values())


def test_a_class_that_is_missing_from_a_split(plant):
    tree = {k: v for k, v in declared().items() if not k.startswith("val/b")}
    verdict = judged(plant(tree))
    assert found(verdict) == [("missing class", "val: b")] and verdict.ok


def test_a_class_folder_without_pictures(plant):
    verdict = judged(plant({**declared(), "train/c/notes.txt": b"x", "c.txt": b""}))
    assert found(verdict) == [("empty class", "train/c")]
    assert not verdict.ok and verdict.problems[0].blocks_training
    assert verdict.skipped == {"files that are no pictures": 1, "files outside a class folder": 1}


def test_one_class_only(plant):
    verdict = judged(plant({f"a/{i}.png": i for i in range(30)}))
    assert ("one class", "a") in found(verdict) and not verdict.ok


def test_a_test_set_alone_says_that_nothing_trains(plant):
    verdict = judged(plant({"test/a/1.png": 1, "test/b/2.png": 2}))
    assert found(verdict) == [("one class", "train")]
    assert "missing" in verdict.problems[0].detail


def test_imbalance_and_the_majority_baseline(plant):
    tree = {f"many/{i:03d}.png": i for i in range(10 * IMBALANCE + 5)} | {f"few/{i}.png": 900 + i for i in range(10)}
    verdict = judged(plant(tree))
    (problem,) = [p for p in verdict.problems if p.kind == "imbalance"]
    assert problem.path == "many" and problem.severity == "warning"
    assert "105" in problem.detail and "10" in problem.detail and "91.3%" in problem.detail
    assert verdict.majority_baseline == pytest.approx(105 / 115) and verdict.ok
    del tree["many/000.png"], tree["many/001.png"], tree["many/002.png"], tree["many/003.png"], tree["many/004.png"]
    assert not found(judged(plant(tree, "even")), "imbalance")


def test_classes_that_differ_in_capitals_only(plant):
    verdict = judged(
        plant({f"{label}/{i}.png": 100 * k + i for k, label in enumerate(["Cat", "cat", "dog"]) for i in range(9)})
    )
    assert found(verdict, "similar classes") == [("similar classes", "Cat")]


def test_a_group_on_two_sides_of_declared_splits(plant):
    base = plant({f"p/{i}.png": i for i in range(8)})
    rows = [f"p/{i}.png,{'ab'[i % 2]},{('train', 'train', 'val', 'val')[i // 2]},g{i % 3}" for i in range(8)]
    (base / "t.csv").write_text("path,label,split,group\n" + "\n".join(rows) + "\n")
    verdict = judged(base / "t.csv")
    assert {path for _, path in found(verdict, "divided group")} == {"g0", "g1", "g2"}
    assert "train and val" in verdict.problems[0].detail and verdict.ok
    free = (base / "t.csv").read_text().replace(",split", "").replace(",train", "").replace(",val", "")
    (base / "free.csv").write_text(free)
    assert not found(judged(base / "free.csv"), "divided group")  # what we divide ourselves is never cut through


# ------------------------------------------------------------------ the same picture twice


def test_duplicates_within_and_across_splits(plant):
    tree = declared(**{"train/a/9.png": 1, "val/a/9.png": 1001, "test/b/9.png": 101})
    verdict = judged(plant(tree))
    assert found(verdict, "duplicate") == [("duplicate", "train/a/1.png"), ("duplicate", "val/a/1.png")]
    assert found(verdict, "duplicate across splits") == [("duplicate across splits", "test/b/9.png")]
    across = next(p for p in verdict.problems if p.kind == "duplicate across splits")
    assert "train/b/1.png" in across.detail and "train" in across.detail and "test" in across.detail
    assert not verdict.ok and not across.blocks_training
    assert all(p.severity == "warning" for p in verdict.problems if p.kind == "duplicate")


def test_the_same_pixels_in_another_format_are_the_same_picture(plant):
    verdict = judged(
        plant(
            {
                **two_classes(),
                "a/copy.bmp": 3,
                "a/copy.webp": encoded(Image.fromarray(picture(3)), "WEBP", lossless=True),
            }
        )
    )
    assert {path for _, path in found(verdict, "duplicate", "duplicate across splits")} == {"a/03.png", "a/copy.bmp"}


def test_conflicting_labels(plant):
    verdict = judged(plant({**two_classes(), "b/same.png": 4}))
    (problem,) = [p for p in verdict.problems if p.kind == "conflicting labels"]
    assert problem.severity == "error" and "a/04.png = b/same.png" in problem.detail and "a and b" in problem.detail


def test_twins_among_many_are_found_by_more_than_forty_bits():
    """Pictures whose short fingerprints agree are not therefore the same: the gate compares 128 bits."""
    pixels = [picture(n, 8, 8) for n in range(50)]
    long = {fingerprint(p, 16) for p in pixels}
    assert len(long) == 50 and {len(name) for name in long} == {16}


# ------------------------------------------------------------------ read rightly, but odd


def odd_tree():
    base = picture(7, 30, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp = np.linspace(0, 65535, 1200).astype(np.uint16).reshape(30, 40)
    other = [Image.fromarray(picture(n, 30, 40)) for n in (8, 9)]
    return two_classes() | {
        "a/turned.jpg": encoded(Image.fromarray(base), "JPEG", exif=exif.tobytes()),
        "a/moving.gif": encoded(other[0].convert("P"), "GIF", save_all=True, append_images=other),
        "a/still.gif": encoded(other[1].convert("P"), "GIF"),
        "a/clear.png": encoded(Image.fromarray(np.dstack([base, base[..., :1]])), "PNG"),
        "a/ink.tif": encoded(Image.fromarray(np.dstack([base, base[..., :1]]), "CMYK"), "TIFF"),
        "a/deep.png": encoded(Image.fromarray(ramp), "PNG"),
        "a/twelve.png": encoded(Image.fromarray(ramp // 16), "PNG"),  # 12 of 16 bits: comes out black
        "a/flat.tif": encoded(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "TIFF"),
        "a/white.tif": encoded(Image.fromarray(np.full((30, 40), 65_000, np.uint16)), "TIFF"),
        "a/grey.png": encoded(Image.fromarray(base[..., 0]), "PNG"),
    }


def test_oddities_are_notes_and_blank_deep_pictures_warnings(plant, untouched):
    base = plant(odd_tree())
    with untouched(base):
        verdict = judged(base)
    notes = {
        p.path: p.kind for p in verdict.problems if p.severity == "note" and p.kind not in ("colour mode", "one colour")
    }
    assert notes == {"a/turned.jpg": "exif rotation", "a/moving.gif": "animation", "a/still.gif": "gif"}
    modes = {p.path: p.detail for p in verdict.problems if p.kind == "colour mode"}
    assert modes.keys() == {
        f"a/{n}" for n in ("clear.png", "ink.tif", "deep.png", "twelve.png", "flat.tif", "white.tif")
    }
    assert "RGBA" in modes["a/clear.png"] and "CMYK" in modes["a/ink.tif"] and "I;16" in modes["a/deep.png"]
    blank = {p.path: p for p in verdict.problems if p.kind == "almost blank"}
    assert blank.keys() == {"a/twelve.png", "a/flat.tif", "a/white.tif"}
    assert all(p.severity == "warning" for p in blank.values())
    assert "0 to 16" in blank["a/twelve.png"].detail
    assert verdict.ok


def test_a_picture_that_comes_out_as_one_colour_is_noted_whatever_it_is(plant):
    clear, flat = Image.new("RGBA", (30, 40), (9, 8, 7, 0)), Image.new("RGB", (30, 40), (200, 10, 10))
    almost = flat.copy()
    almost.putpixel((29, 39), (200, 10, 11))
    files = {
        "a/clear.png": encoded(clear, "PNG"),
        "a/flat.bmp": encoded(flat, "BMP"),
        "a/almost.png": encoded(almost, "PNG"),
    }
    verdict = judged(plant({**two_classes(), **files}))
    notes = {p.path: p for p in verdict.problems if p.kind == "one colour"}
    assert notes.keys() == {"a/clear.png", "a/flat.bmp"} and all(p.severity == "note" for p in notes.values())
    assert "(255, 255, 255)" in notes["a/clear.png"].detail and "(200, 10, 10)" in notes["a/flat.bmp"].detail


def test_a_gif_with_a_damaged_second_frame_is_read_and_does_not_stop_the_gate(plant):
    frames = [Image.fromarray(picture(n, 30, 40)).convert("P") for n in (8, 9)]
    whole = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    alone = encoded(frames[0], "GIF")
    verdict = judged(plant({**two_classes(), "a/half.gif": whole[: len(alone) + 20]}))
    assert "a/half.gif" not in verdict.unreadable()


# ------------------------------------------------------------------ how it works


def test_problems_come_worst_first(plant):
    tree = {**odd_tree(), **bad_tree(), "b/same.png": 4, "a/again.png": 5}
    order = [("error", "warning", "note").index(p.severity) for p in judged(plant(tree)).problems]
    assert order == sorted(order) and set(order) == {0, 1, 2}


def test_every_picture_is_handed_on_and_counted(plant):
    tree = bad_tree()
    catalog = assign_splits(read_data(plant(tree)))
    kept, steps = {}, []
    keep = Keep(lambda _, pixels: np.shape(pixels), lambda p, shape, _: kept.update({p.key: shape}))
    examine(catalog, keep, workers=2, on_progress=steps.append)
    assert len(kept) == 24 and set(kept.values()) == {(20, 24, 3)}
    assert sum(steps) == len(tree)


def in_store(store):
    return Keep(lambda _, pixels: store.transform(pixels), store.take)


class Counted(Member):
    """A file that counts how often it is read."""

    def __init__(self, file):
        self.file, self.reads = file, 0

    def read(self):
        self.reads += 1
        return self.file


def test_each_file_is_read_once(plant):
    files = [Counted(path.read_bytes()) for path in sorted(plant(two_classes()).rglob("*.png"))]
    boxes = (None, (2, 2, 9, 9))
    pictures = tuple(Picture(str(n), f, "ab"[n % 2], "train", None, boxes[n // 20]) for n, f in enumerate(files))
    store = Store(pictures, np.array)
    examine(Catalog("t", "t", pictures), in_store(store), workers=2)
    assert store[3].shape == (20, 24, 3) and {file.reads for file in files} == {1}


def test_a_chance_match_of_two_fingerprints_is_no_duplicate():
    pixels = [np.zeros((3, 2, 3), np.uint8) for _ in range(3)]
    for array, number in zip(pixels, (257876, 2035026, 257876), strict=True):
        array[1].flat[:4] = list(number.to_bytes(4, "big"))
    assert fingerprint(pixels[0]) == fingerprint(pixels[1])
    verdict = examine(Catalog("t", "t", tuple(Picture(str(n), p, "ab"[n % 2]) for n, p in enumerate(pixels))))
    assert found(verdict, "duplicate", "conflicting labels") == [("duplicate", "0")]


def test_what_it_hands_on_fills_a_store(plant):
    base = plant(two_classes(30))
    catalog = assign_splits(read_data(base))
    store = Store(catalog.pictures, lambda pixels: pixels)
    examine(catalog, in_store(store), workers=4)
    for path in base.rglob("*.png"):
        path.unlink()
    assert all(store[n].shape == (20, 24, 3) for n in range(60))


@pytest.mark.parametrize("deep", [False, True])
def test_many_files_are_looked_at_in_processes_with_the_same_verdict(plant, monkeypatch, deep):
    catalog = assign_splits(read_data(plant({**two_classes(30), **odd_tree(), "a/cut.png": b"\x89PNG\r\n\x1a\n"})))
    deeper = [DeepCheck(catalog, deep=True) for _ in range(2)]
    one = examine(catalog, deeper[0].keep() if deep else None, workers=2)
    monkeypatch.setattr(data, "_MANY", 2)
    monkeypatch.setattr(data, "map_in_order", None)
    assert examine(catalog, deeper[1].keep() if deep else None, workers=2) == one
    assert deeper[0].near_problems() == deeper[1].near_problems()
    assert deeper[0].other_problems() == deeper[1].other_problems()


def test_arrays_and_boxes_are_judged_too():
    pixels = picture(1)
    rows = (
        Picture("whole", pixels, "a", "train"),
        Picture("left", pixels, "a", "train", box=(0, 0, 10, 20)),
        Picture("right", pixels, "b", "train", box=(10, 0, 10, 20)),
        Picture("outside", pixels, "b", "train", box=(99, 0, 5, 5)),
    )
    verdict = examine(Catalog("t", "t", rows))
    assert found(verdict) == [("unreadable", "outside")]


def test_no_picture_at_all():
    verdict = examine(Catalog("t", "t", ()))
    assert verdict.images == 0 and verdict.majority_baseline == 0 and not verdict.ok


def test_a_folder_that_cannot_be_written_and_names_in_any_script(plant, untouched):
    tree = {f"猫 咪/图 {i}.png": i for i in range(12)} | {f"perro ñ/é {i}.png": 50 + i for i in range(12)}
    base = plant(tree, "数据 集/ñ é")
    everything = [base, *base.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with untouched(base):
            verdict = judged(base)
        assert verdict.ok and verdict.classes == {"perro ñ": 12, "猫 咪": 12}
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
