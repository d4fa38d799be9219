"""`predict --parquet`: the rows of `predict`, each once, whoever is killed and whoever works beside."""

import dataclasses
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.bulk import parts, rows
from reslab.bulk.local import work_here
from reslab.bulk.work import Job, Worker
from reslab.data.archives.write import write_shards
from reslab.data.sources import read_data
from reslab.errors import ResLabError
from reslab.evaluate.feature_file import read_features
from tests.bulk.test_table import ROWS, plain
from tests.pictures import tree

parquet = pytest.importorskip("pyarrow.parquet")

MODEL = "cifar10_resnet20"
CLASSES, EACH = ("blue", "red"), 18
SHARD_BYTES = 30_000  # four shards


def pictures(root, each=EACH):
    """Tiny noisy pictures, one of them none."""
    for label in CLASSES:
        (root / label).mkdir(parents=True)
        for number in range(each):
            pixels = np.random.default_rng([number, len(label)]).integers(0, 256, (6, 6, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:03d}.png")
    (root / "blue" / "007.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("bulk") / "photos")


@pytest.fixture(scope="module")
def shards(photos):
    out = photos.parent / "shards"
    assert len(write_shards(read_data(photos), out, SHARD_BYTES).shards) == 4
    return out


@pytest.fixture(scope="module")
def expected(photos):
    """What `predict` says of the folder, by picture."""
    from reslab.evaluate.predict import load_model

    rows = load_model(MODEL).predict(str(photos))
    return {row.path.removeprefix(f"{photos}/"): row for row in rows}


def rows_of(out):
    """Every row in OUT."""
    return [plain(row) for path in sorted(out.glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def assert_right(out, data, expected):
    """Each picture has the row that `predict` gives it, once, and nothing else is left in OUT."""
    rows = rows_of(out)
    found = {row["path"].removeprefix(f"{data}/"): row for row in rows}
    assert len(rows) == len(found) == len(expected)
    for key, row in expected.items():
        assert found[key] == dataclasses.asdict(row) | {"path": f"{data}/{key}"}
    assert {path.suffix for path in out.iterdir()} == {".parquet", ".json"}, sorted(path.name for path in out.iterdir())


def child(*words, patch=""):
    """`reslab WORDS` in a process of its own, changed by a line of Python."""
    code = f"import sys\nfrom reslab.cli.app import run\n{patch}\nsys.exit(run(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_rows_of_predict_on_the_folder(reslab, photos, shards, expected, tmp_path):
    before = tree(shards)
    code, printed, err = reslab("predict", MODEL, shards, "--parquet", tmp_path / "out")
    assert (code, printed) == (0, "") and "36 answered, 1 of them could not be read" in err
    assert_right(tmp_path / "out", shards, expected)
    assert tree(shards) == before
    about = json.loads((tmp_path / "out" / "_reslab.json").read_text())
    for path in (tmp_path / "out").glob("*.parquet"):
        assert json.loads(parquet.read_schema(path).metadata[b"reslab"]) == about | {"part": path.stem}
    files = tree(tmp_path / "out")
    code, printed, _ = reslab("predict", MODEL, shards, "--parquet", tmp_path / "out", "--json")
    assert code == 0 and json.loads(printed) == {
        "schema": 1, "out": str(tmp_path / "out"), "parts": 4, "missing_before": 0, "answered": 0, "failed": 0, "broken": {},
    }  # fmt: skip
    assert tree(tmp_path / "out") == files


@pytest.mark.parametrize("form", ["folder", "zip", "parquet"])
def test_other_data_in_parts(reslab, photos, expected, tmp_path, monkeypatch, form):
    monkeypatch.setattr(parts, "PICTURES", 10)
    data = {"folder": photos, "zip": tmp_path / "a.zip", "parquet": tmp_path / "a.parquet"}[form]
    keys = sorted(expected)
    if form == "zip":
        with zipfile.ZipFile(data, "w") as archive:
            for key in keys:
                archive.write(photos / key, key)
    if form == "parquet":
        import pyarrow

        image = [{"bytes": (photos / key).read_bytes(), "path": key} for key in keys]
        parquet.write_table(pyarrow.table({"image": image}), data)
    assert reslab("predict", MODEL, data, "--parquet", tmp_path / "out")[0] == 0
    assert_right(tmp_path / "out", data, expected)
    assert [path.name for path in sorted((tmp_path / "out").glob("*.parquet"))][0] == "part-000000.parquet"
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 4


def test_at_a_url(reslab, shards, expected, tmp_path):
    pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    assert reslab("predict", MODEL, shards, "--parquet", "memory://bulk/out")[0] == 0
    assert reslab("predict", MODEL, shards, "--parquet", "memory://bulk/out")[0] == 0
    (tmp_path / "out").mkdir()
    for path in MemoryFileSystem().ls("/bulk/out", detail=False):
        MemoryFileSystem().get_file(path, str(tmp_path / "out" / Path(path).name))
    MemoryFileSystem().rm("/bulk", recursive=True)
    assert_right(tmp_path / "out", shards, expected)


# ------------------------------------------------------------------ killed, restarted, several at once

DIE = """
import os, signal
from reslab.bulk import rows
whole = rows.Model.answer
def answer(*given):
    for number, row in enumerate(whole(*given)):
        if number == 5 and {when}:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
rows.Model.answer = answer
"""


def test_killed_in_the_middle_of_a_shard_and_begun_again(reslab, shards, expected, tmp_path):
    out = tmp_path / "out"
    words = ("predict", MODEL, shards, "--parquet", out)
    killed = child(
        *words, patch=DIE.format(when=f"len(list(__import__('pathlib').Path({str(out)!r}).glob('*.parquet'))) == 2")
    )
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert len(list(out.glob("*.parquet"))) == 2 and len(list(out.glob(".*.claim"))) == 1
    kept = {name: file for name, file in tree(out).items() if name.endswith(".parquet")}
    code, _, err = reslab(*words)
    assert code == 0 and "2 of 4 parts are in" in err
    assert_right(out, shards, expected)
    assert {name: file for name, file in tree(out).items() if name in kept} == kept


def test_two_at_once(shards, expected, tmp_path):
    both = [child("predict", MODEL, shards, "--parquet", tmp_path / "out") for _ in range(2)]
    told = [one.communicate()[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert sum(int(re.search(r"(\d+) answered", text)[1]) for text in told) == 36
    assert_right(tmp_path / "out", shards, expected)


def test_two_at_once_with_other_options_are_one_and_a_refusal(shards, tmp_path):
    out = tmp_path / "out"
    both = [child("predict", MODEL, shards, "--parquet", out, "--coverage", share) for share in ("0.95", "0.9")]
    told = [one.communicate()[1] for one in both]
    assert sorted(one.returncode for one in both) == [0, 2], told
    assert "was begun with other prediction sets" in told[[one.returncode for one in both].index(2)]
    about = json.loads((out / "_reslab.json").read_text())
    for path in out.glob("*.parquet"):
        assert json.loads(parquet.read_schema(path).metadata[b"reslab"]) == about | {"part": path.stem}
    assert len(rows_of(out)) == 36 and not list(out.glob(".*"))


HOST = """
from reslab.bulk import claims, work
claims._machine = lambda: {name!r}
claims.STALE, claims.BEAT, work.WAIT = 2.0, 0.1, 0.1
"""
DIE_BESIDE = """
import os, pathlib, signal, time
from reslab.bulk import rows
whole = rows.Model.answer
def answer(*given):
    for number, row in enumerate(whole(*given)):
        while number == 5:
            if list(pathlib.Path({out!r}).glob("*.parquet")):  # the other host's
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
        yield row
rows.Model.answer = answer
"""


def test_two_hosts_of_which_one_is_killed(shards, expected, tmp_path):
    """The other one cannot see that it is dead, and takes over when it has been silent for long enough."""
    out = tmp_path / "out"
    words = ("predict", MODEL, shards, "--parquet", out)
    killed = child(*words, patch=HOST.format(name="first") + DIE_BESIDE.format(out=str(out)))
    while not list(out.glob(".*.claim")):
        assert killed.poll() is None
    other = child(*words, patch=HOST.format(name="second"))
    killed.communicate()
    _, told = other.communicate()
    assert (killed.returncode, other.returncode) == (-signal.SIGKILL, 0), told
    assert "36 answered" in told
    assert_right(out, shards, expected)


def test_processes_of_which_one_is_killed(shards, expected, tmp_path):
    job = Job(MODEL, str(shards), str(tmp_path / "out"))
    dones = work_here(Worker(job), job, processes=2)
    next(dones)
    multiprocessing.active_children()[0].kill()
    list(dones)
    assert_right(tmp_path / "out", shards, expected)


def test_processes_that_are_all_killed(shards, tmp_path):
    job = Job(MODEL, str(shards), str(tmp_path / "out"))
    dones = work_here(Worker(job), job, processes=2)
    next(dones)
    for process in multiprocessing.active_children():
        process.kill()
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(ResLabError, match="a worker process was killed"):
        list(dones)


def test_stopped_by_hand_it_leaves_no_claim(shards, tmp_path, monkeypatch):
    """Ctrl-C in the middle of the second shard."""
    worker = Worker(Job(MODEL, str(shards), str(tmp_path / "out")))
    dones = worker.work()
    next(dones)
    monkeypatch.setattr(rows, "write_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        next(dones)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["_reslab.json", "data-000000.parquet"]


def test_the_tasks_of_an_array(reslab, shards, expected, tmp_path):
    """The printed script is a shell script, whose tasks do a share each."""
    out = tmp_path / "out"
    words = ("predict", MODEL, shards, "--parquet", out, "--coverage", "0.9")
    code, script, err = reslab(*words, "--engine-on", "slurm", "--processes", 3)
    assert code == 0 and "#SBATCH --array=0-2\n" in script and script.startswith("#!/bin/bash\n")
    command = script.splitlines()[-1]
    assert command.endswith(f'--parquet {out} --coverage 0.9 --share "$SLURM_ARRAY_TASK_ID/3"')
    (tmp_path / "job.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "job.sh"]).returncode == 0
    done = subprocess.run(
        ["bash", tmp_path / "job.sh"], env=os.environ | {"SLURM_ARRAY_TASK_ID": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [path.stem for path in out.glob("*.parquet")] == ["data-000001"]
    for task in (0, 2):
        assert reslab(*words, "--share", f"{task}/3")[0] == 0
    assert len(rows_of(out)) == 36
    code, script, _ = reslab(*words, "--engine-on=slurm")
    assert code == 0 and "--array=0-3\n" in script and "engine-on" not in script


def test_features_in_parts_are_those_in_one_file(reslab, shards, photos, tmp_path):
    assert reslab("embed", MODEL, shards, "--out", tmp_path / "a.npz", "--skip-bad")[0] == 0
    out = tmp_path / "out"
    code, printed, err = reslab("embed", MODEL, shards, "--parquet", out)
    assert (code, printed) == (0, "") and "36 answered, 1 of them" in err and len(list(out.glob("*.parquet"))) == 4
    one, other = read_features(tmp_path / "a.npz"), read_features(out)
    assert (one.keys, one.labels) == (other.keys, other.labels) and len(one.keys) == 35
    assert np.array_equal(one.features, other.features) and np.array_equal(one.fingerprints, other.fingerprints)
    asked = ("near", MODEL, shards, photos / "red" / "003.png", "--json", "--features")
    _, found, _ = reslab(*asked, tmp_path / "a.npz")
    assert reslab(*asked, out)[:2] == (0, re.sub(r'"split": "\w+"', '"split": ""', found))  # these shards declare none
    for words, message in (
        (
            ("predict", MODEL, shards, "--parquet", out),
            "was begun with another verb: reslab embed, here it is reslab predict",
        ),
        (("embed", MODEL, photos, "--parquet", tmp_path / "b"), "are no shards"),
        (("embed", MODEL, shards, "--parquet", tmp_path / "b", "--val", "0.5"), "nor options that divide DATA"),
    ):
        code, _, err = reslab(*words)
        assert code == 2 and message in err and not (tmp_path / "b").exists()


# ------------------------------------------------------------------ what is damaged, full or another's


def test_a_shard_that_is_cut_short_missing_or_edited(reslab, shards, expected, tmp_path):
    data, out = tmp_path / "shards", tmp_path / "out"
    shutil.copytree(shards, data)
    tar = (data / "data-000001.tar").read_bytes()
    (data / "data-000001.tar").write_bytes(tar[:-512])
    code, _, err = reslab("predict", MODEL, data, "--parquet", out)
    assert code == 2 and "data-000001.tar has" in err and "cut short or edited" in err and not out.exists()
    (data / "data-000001.tar").unlink()
    code, _, err = reslab("predict", MODEL, data, "--parquet", out)
    assert code == 2 and "data-000001.tar is missing" in err and not out.exists()
    at = tar.index(b"IDAT")
    (data / "data-000001.tar").write_bytes(tar[:at] + b"X" + tar[at + 1 :])
    code, _, err = reslab("predict", MODEL, data, "--parquet", out)
    assert code == 0 and "36 answered, 2 of them could not be read" in err
    (row,) = [row for row in rows_of(out) if "edited" in (row["error"] or "")]
    assert "data-000001.tar was edited" in row["error"] and row["label"] is None


def test_a_damaged_table_takes_no_other_shard_with_it(reslab, shards, tmp_path):
    data, out = tmp_path / "shards", tmp_path / "out"
    shutil.copytree(shards, data)
    table = (data / "data-000002.json").read_text()
    (data / "data-000002.json").write_text(table.replace("red/0", "red/9"))
    code, printed, err = reslab("predict", MODEL, data, "--parquet", out, "--json")
    assert code == 2 and "1 of 4 parts could not be read" in err and "data-000002.json is not the table" in err
    assert list(json.loads(printed)["broken"]) == ["data-000002"]
    assert len(list(out.glob("*.parquet"))) == 3 and not list(out.glob(".*"))
    (data / "data-000002.json").write_text(table)
    assert reslab("predict", MODEL, data, "--parquet", out)[0] == 0
    assert len(rows_of(out)) == 36


def test_a_full_disk(reslab, shards, expected, tmp_path):
    """A limit on the size of a file stands for the disk."""
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        code, _, err = reslab("predict", MODEL, shards, "--parquet", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert code == 2 and "cannot write" in err and "data-000000.parquet: File too large" in err
    assert [path.name for path in out.iterdir()] == ["_reslab.json"]
    assert reslab("predict", MODEL, shards, "--parquet", out)[0] == 0
    assert_right(out, shards, expected)


@pytest.fixture(scope="module")
def answered(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("answered") / "out"
    list(Worker(Job(MODEL, str(shards), str(out))).work())
    return out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "f" * 64}, "was begun with another model: ffffffffffff…, here it is 596e68a4cf88…"),
        ({"reslab": "0.0.9"}, "was begun with another version of ResLab: 0.0.9, here it is "),
        ({"sets": {"coverage": 0.99, "method": "lac"}}, "was begun with other prediction sets"),
        ({"engine": "openvino"}, "was begun with another engine: openvino, here it is onnxruntime"),
        ({"pictures": "0" * 64}, "was begun with other pictures"),
        ({"data": "s3://bucket/pets"}, "was begun with another DATA: s3://bucket/pets"),
        ({"kind": None}, "was begun with another verb"),
        (None, "_reslab.json"),
    ],
)
def test_two_runs_into_one_output(reslab, shards, answered, tmp_path, change, message):
    out = tmp_path / "out"
    shutil.copytree(answered, out)
    about = json.loads((out / "_reslab.json").read_text())
    (out / "_reslab.json").write_text("nonsense" if change is None else json.dumps(about | change))
    before = tree(out)
    code, _, err = reslab("predict", MODEL, shards, "--parquet", out)
    assert code == 2 and message in err and tree(out) == before


def test_the_pictures_of_a_folder_are_others_now(reslab, tmp_path):
    data = pictures(tmp_path / "photos", each=8)
    assert reslab("predict", MODEL, data, "--parquet", tmp_path / "out")[0] == 0
    (data / "red" / "000.png").unlink()
    code, _, err = reslab("predict", MODEL, data, "--parquet", tmp_path / "out")
    assert code == 2 and "was begun with other pictures" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--parquet", "out"], "cannot read nowhere: no such file"),
        (["empty", "--parquet", "out"], "the folder holds no picture"),
        (["SHARDS", "--parquet", "SHARDS/out"], "--parquet SHARDS/out lies inside SHARDS"),
        (["SHARDS", "--parquet", "SHARDS"], "--parquet SHARDS lies inside SHARDS"),
        (["SHARDS", "--parquet", "mine"], "mine is not empty: it holds thesis.txt"),
        (["SHARDS", "--parquet", "mine/thesis.txt"], "mine/thesis.txt"),
        (["SHARDS", "--parquet", "gs://bucket/out"], "gs:// needs the package gcsfs"),
        (["SHARDS", "SHARDS", "--parquet", "out"], "--parquet takes one DATA"),
        (["SHARDS", "--parquet", "out", "--csv", "a.csv"], "--parquet takes one DATA"),
        (["SHARDS", "--parquet", "out", "--engine-on", "spark"], "--engine-on spark is unknown"),
        (["SHARDS", "--parquet", "out", "--engine-on", "ray", "--processes", "2"], "--processes is not for Ray"),
        (["SHARDS", "--parquet", "out", "--share", "4/4"], "--share 4/4 is not K/N"),
        (["SHARDS", "--parquet", "out", "--share", "first"], "--share first is not K/N"),
        (["SHARDS", "--parquet", "out", "--processes", "0"], "--processes 0 is not between 1 and"),
        (["SHARDS", "--processes", "4"], "--processes, --engine-on and --share need --parquet"),
    ],
)
def test_mistakes(reslab, shards, tmp_path, monkeypatch, words, message):
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shards, "SHARDS")
    Path("empty").mkdir()
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    before = tree(tmp_path)
    code, printed, err = reslab("predict", MODEL, *words)
    assert code == 2 and message in err and printed == ""
    assert tree(tmp_path) == before


def test_nothing_that_could_be_read(reslab, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"none")
    code, _, err = reslab("predict", MODEL, tmp_path / "photos", "--parquet", tmp_path / "out")
    assert code == 2 and "none of the inputs could be read" in err and len(rows_of(tmp_path / "out")) == 1


def test_memory_does_not_grow_with_the_pictures(photos, tmp_path, monkeypatch):
    """Of a shard that is done nothing is kept but its entry in the index and the name of its file."""
    monkeypatch.setattr(
        rows.Model, "answer", lambda _, given, __: (dataclasses.replace(ROWS[0], path=one.key) for one in given)
    )
    catalog = read_data(photos)

    def peak(times):
        several = [dataclasses.replace(one, key=f"{n}/{one.key}") for n in range(times) for one in catalog.pictures]
        data = dataclasses.replace(catalog, pictures=tuple(several))
        shards = len(write_shards(data, tmp_path / f"{times}", SHARD_BYTES).shards)
        worker = Worker(Job(MODEL, str(tmp_path / f"{times}"), str(tmp_path / f"out {times}")))
        tracemalloc.start()
        assert sum(done.rows for done in worker.work()) == len(several)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return shards, most

    peak(1)
    (few, one), (many, other) = peak(2), peak(20)
    assert other < one + (many - few) * 1500  # a row alone takes as much, and a shard has nine
