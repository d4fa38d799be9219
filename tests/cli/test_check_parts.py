"""`check --near --parts`: the verdict of `check --near`, from files that any number of workers wrote, each shard once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from reslab.bulk.job import Job
from reslab.bulk.work import Worker
from reslab.data.archives.write import write_shards
from reslab.data.sources import read_data
from tests.pictures import tree

pytest.importorskip("pyarrow")

SHARD_BYTES = 90_000  # five shards


def scene(seed):
    """A smooth picture with detail at every scale: no two seeds look alike."""
    draws, total = np.random.default_rng(seed), np.zeros((60, 80, 3))
    for cells in (3, 6, 12):
        field = Image.fromarray(draws.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        total += np.asarray(field.resize((80, 60), Image.Resampling.BICUBIC), float) / 3
    return Image.fromarray(np.clip((total - 127) * 1.6 + 127, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes; with copies of every kind, a damaged file, one colour, and a name that is no UTF-8."""
    root = tmp_path_factory.mktemp("parts") / "photos"
    pictures = {f"{label}/{i:02d}.png": scene(100 * k + i) for k, label in enumerate("ab") for i in range(15)}
    pictures |= {
        "a/equal.png": pictures["a/01.png"], "b/conflict.png": pictures["a/02.png"],
        "b/mirrored.png": ImageOps.mirror(pictures["a/03.png"]), "a/small.png": pictures["b/04.png"].resize((60, 45)),
        "a/bordered.png": ImageOps.expand(pictures["a/05.png"], 6, (255, 255, 255)),
        "b/flat.png": Image.new("RGB", (40, 40), (9, 9, 9)), "b/dark.png": pictures["b/06.png"].point(lambda v: v // 12),
    }  # fmt: skip
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name)
    (root / "b" / "damaged.png").write_bytes(b"none")
    shutil.copy(root / "a" / "07.png", os.fsencode(root / "b") + b"/caf\xe9.png")
    return root


@pytest.fixture(scope="module")
def shards(photos):
    out = photos.parent / "shards"
    assert len(write_shards(read_data(photos), out, SHARD_BYTES).shards) == 5
    return out


def verdict(reslab, data, *words):
    """What `check --json` prints, and its exit code."""
    code, printed, _ = reslab("check", data, "--json", *words)
    return code, json.loads(printed)


def begun(*words):
    """`reslab check WORDS` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "reslab", "check", *map(str, words)], stderr=subprocess.PIPE, text=True
    )


def test_problem_by_problem_the_verdict_on_the_folder(reslab, photos, shards, tmp_path):
    expected = verdict(reslab, photos, "--near")
    kinds = {problem["kind"] for problem in expected[1]["problems"]}
    assert expected[0] == 1 and kinds >= {
        "unreadable", "duplicate", "conflicting labels", "one colour", "near duplicate",
    }  # fmt: skip
    before, out = tree(shards), tmp_path / "out"
    assert verdict(reslab, shards, "--near", "--parts", out) == expected
    assert tree(shards) == before
    assert sorted(path.name for path in out.iterdir()) == [
        "_reslab.json",
        *(f"data-00000{n}.parquet" for n in range(5)),
    ]


def test_what_was_seen_is_not_looked_at_again_and_knows_no_split(reslab, shards, tmp_path):
    data, out = tmp_path / "shards", tmp_path / "out"
    shutil.copytree(shards, data)
    (tmp_path / "corrections.csv").write_text("path,label\na/00.png,b\na/09.png,-\n")
    several = [], ["--val", "0.4", "--split-seed", "3"], ["--corrections", tmp_path / "corrections.csv"]
    expected = [verdict(reslab, data, "--near", *words) for words in several]
    list(Worker(Job("", str(data), str(out), "check")).work())
    for tar in data.glob("*.tar"):
        tar.write_bytes(bytes(tar.stat().st_size))
    for words, found in zip(several, expected, strict=True):
        assert verdict(reslab, data, "--near", "--parts", out, *words) == found


def test_deep(reslab, shards, tmp_path):
    """By two processes, each of which looks at some."""
    words = ("--deep", "--parts", tmp_path / "out", "--processes", 2, "--html", tmp_path / "page.html")
    found = verdict(reslab, shards, *words)
    assert found == verdict(reslab, shards, "--deep") and found[1]["metadata"] is None
    assert {"dark", "near duplicate"} <= {problem["kind"] for problem in found[1]["problems"]}
    assert "near duplicate" in (tmp_path / "page.html").read_text()


DIE = """
import os, signal, sys
from reslab.bulk import rows
from reslab.cli.app import run
whole = rows.look_at_parts
def dying(*given):
    for number, look in enumerate(whole(*given)):
        if number == 3 and len([name for name in os.listdir(sys.argv[-1]) if not name.startswith((".", "_"))]) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield look
rows.look_at_parts = dying
run(sys.argv[1:])
"""


def test_killed_in_the_middle_it_costs_the_shard_that_it_was_at(reslab, photos, shards, tmp_path):
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", DIE, "check", shards, "--near", "--parts", out])
    assert killed.returncode == -signal.SIGKILL
    kept = {name: file for name, file in tree(out).items() if name.endswith(".parquet") and not name.startswith(".")}
    assert len(kept) == 2
    code, _, err = reslab("check", shards, "--near", "--parts", out)
    assert code == 1 and "2 of 5 parts are in" in err
    assert {name: file for name, file in tree(out).items() if name in kept} == kept
    assert not list(out.glob(".*"))
    assert verdict(reslab, shards, "--near", "--parts", out) == verdict(reslab, photos, "--near")


def test_two_at_once_and_shares(reslab, photos, shards, tmp_path):
    out = tmp_path / "out"
    shares = [begun(shards, "--near", "--parts", out, "--share", f"{k}/3") for k in range(2)]
    told = [one.communicate()[1] for one in shares]
    assert [one.returncode for one in shares] == [0, 0] and all("without --share judges" in text for text in told)
    assert sorted(path.stem[-1] for path in out.glob("*.parquet")) == ["0", "1", "3", "4"]
    code, printed, _ = reslab("check", shards, "--near", "--parts", out, "--share", "2/3", "--json")
    assert code == 0 and json.loads(printed) | {"out": ""} == {
        "schema": 1, "out": "", "parts": 5, "missing_before": 1, "answered": 8, "failed": 0, "broken": {},
    }  # fmt: skip
    assert verdict(reslab, shards, "--near", "--parts", out) == verdict(reslab, photos, "--near")
    code, script, _ = reslab("check", shards, "--near", "--parts", out, "--engine-on", "slurm")
    assert code == 0 and script.splitlines()[-1].endswith(f'--near --parts {out} --share "$SLURM_ARRAY_TASK_ID/5"')


def test_parts_that_are_damaged_or_of_something_else(reslab, shards, tmp_path):
    out, words = tmp_path / "out", ("check", shards, "--near", "--parts")
    list(Worker(Job("", str(shards), str(out), "check")).work())
    whole = (out / "data-000001.parquet").read_bytes()
    for content, message in (
        (whole[:-20], "is damaged"),
        ((out / "data-000002.parquet").read_bytes(), "is a part of something else"),
    ):
        (out / "data-000001.parquet").write_bytes(content)
        code, printed, err = reslab(*words, out)
        assert (code, printed) == (2, "") and f"data-000001.parquet {message}" in err and "delete it" in err
    (out / "data-000001.parquet").unlink()
    assert reslab(*words, out)[0] == 1 and (out / "data-000001.parquet").read_bytes() == whole
    code, _, err = reslab("check", shards, "--deep", "--parts", out)
    assert code == 2 and "was begun with another --deep: false, here it is true" in err
    code, _, err = reslab("predict", "cifar10_resnet20", shards, "--parquet", out)
    assert code == 2 and "was begun with another verb: reslab check, here it is reslab predict" in err


def test_a_shard_that_cannot_be_read_is_named_and_there_is_no_verdict(reslab, shards, tmp_path):
    data, out = tmp_path / "shards", tmp_path / "out"
    shutil.copytree(shards, data)
    table = data / "data-000002.json"
    table.write_text(table.read_text().replace("/", "|", 1))
    code, printed, err = reslab("check", data, "--near", "--parts", out, "--json")
    assert (code, printed) == (2, "") and "data-000002: " in err and "1 of 5 parts could not be read" in err
    assert len(list(out.glob("*.parquet"))) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["SHARDS", "--parts", "out"], "--parts needs --near or --deep"),
        (["PHOTOS", "--near", "--parts", "out"], "are no shards"),
        (["SHARDS", "--near", "--parts", "SHARDS/out"], "--parts SHARDS/out lies inside SHARDS"),
        (["SHARDS", "--near", "--processes", "2"], "--processes, --engine-on and --share need --parts"),
        (["SHARDS", "--near", "--parts", "out", "--share", "2/2"], "--share 2/2 is not K/N"),
        (["SHARDS", "--near", "--parts", ""], "--parts is empty"),
    ],
)
def test_mistakes(reslab, photos, shards, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shards, "SHARDS")
    shutil.copytree(photos, "PHOTOS")
    before = tree(tmp_path)
    code, printed, err = reslab("check", *words)
    assert (code, printed) == (2, "") and message in err and tree(tmp_path) == before


def test_memory_of_a_worker_does_not_grow_with_the_pictures(photos, tmp_path):
    catalog = read_data(photos)
    catalog = replace(catalog, pictures=catalog.pictures[:12])

    def peak(times):
        several = [replace(one, key=f"{n}/{one.key}") for n in range(times) for one in catalog.pictures]
        data = tmp_path / f"{times}"
        write_shards(replace(catalog, pictures=tuple(several)), data, SHARD_BYTES // 2)
        worker = Worker(Job("", str(data), str(tmp_path / f"out {times}"), "check", workers=0))
        tracemalloc.start()
        assert sum(done.rows for done in worker.work()) == len(several)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)
    few, many = peak(2), peak(8)
    assert many < few + 6 * len(catalog.pictures) * 300  # what is kept of a picture takes 3,072 bytes and more
