"""`predict --csv`: whole or absent, and after a kill the same command goes on where it stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MODEL = "cifar10_resnet20"
PICTURES, PATIENCE = 3000, 60
ODD = 'a, "b"\nc.png'


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Some tiny pictures, one of them with a name that a CSV has to quote, and two files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / (ODD if number == 3 else f"p{number}.png"))
    (folder / "p7.png").write_bytes(b"no picture")
    (folder / "p8.png").write_bytes(b"")
    return folder


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def begun(reslab, photos, out, kept):
    """As a killed command leaves it: the first `kept` bytes or rows of the part, no file, and what began them."""
    assert reslab("predict", MODEL, photos, "--csv", out)[0] == 0
    whole = out.read_bytes()
    part, told = out.with_name(out.name + ".part"), out.with_name(out.name + ".part.json")
    reached = iter(range(10))
    with pytest.MonkeyPatch.context() as patch:
        from reslab.cli import predicting

        def stop(*_):
            if next(reached) == kept:
                raise KeyboardInterrupt

        patch.setattr(predicting, "_print_row", stop)
        out.unlink()
        code, _, err = reslab("predict", MODEL, photos, "--csv", out)
    assert code == 130 and f"{kept + 1} rows are kept" in err and not out.exists()
    return whole, part, told


def test_the_same_command_goes_on(reslab, photos, tmp_path):
    out = tmp_path / "new" / "rows.csv"
    whole, part, told = begun(reslab, photos, out, kept=2)
    assert whole.startswith(part.read_bytes()) and len(rows_of(part)) == 3
    code, printed, err = reslab("predict", MODEL, photos, "--csv", out, "--json")
    assert code == 0 and "3 rows are" in err and out.read_bytes() == whole and not part.exists() and not told.exists()
    assert len(printed.splitlines()) == len(rows_of(out)) - 3 == 5
    assert {row["path"] for row in rows_of(out)} == {str(p) for p in photos.iterdir()}


def test_wherever_the_last_row_was_cut(reslab, photos, tmp_path):
    """In the middle of a name with a line break and quotes, of a number, of the columns' names, before a line's end."""
    out = tmp_path / "rows.csv"
    whole, part, told = begun(reslab, photos, out, kept=1)
    answering = told.read_bytes()
    cuts = {0, 3, len(whole) - 1, len(whole), *range(whole.index(b'"'), whole.index(b'"') + 60, 7)}
    for cut in sorted(cuts):
        part.write_bytes(whole[:cut])
        told.write_bytes(answering)
        code, _, err = reslab("predict", MODEL, photos, "--csv", out)
        assert code == 0 and out.read_bytes() == whole, (cut, err)
        out.unlink()


def test_what_does_not_fit_is_refused_and_kept(reslab, photos, tmp_path):
    from reslab.model.run import packaged_file

    out = tmp_path / "rows.csv"
    _, part, told = begun(reslab, photos, out, kept=2)
    before = part.read_bytes()

    def refused(*words, sentence):
        code, printed, err = reslab("predict", *words, "--csv", out)
        assert code == 2 and printed == "" and sentence in err and "--fresh" in err and not out.exists(), err
        assert part.read_bytes() == before

    refused(packaged_file(MODEL, ".safetensors"), photos, sentence="begun with another model")
    refused(MODEL, photos / "p1.png", sentence="row 1 of")
    refused(MODEL, photos / ODD, photos / "p0.png", sentence="the inputs end before")
    before = before.replace(b"path,label", b"label,path")
    part.write_bytes(before)
    refused(MODEL, photos, sentence="other columns")
    answering = told.read_bytes()
    told.unlink()
    before = b"somebody's own"
    part.write_bytes(before)
    refused(MODEL, photos, sentence="no rows.csv.part.json says which model")
    told.write_bytes(answering)
    part.write_bytes(before)
    code, _, _ = reslab("predict", MODEL, photos, "--csv", out, "--fresh")
    assert code == 0 and len(rows_of(out)) == 8 and not part.exists()


def test_only_one_process_writes_a_file(reslab, photos, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / "rows.csv.part").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, err = reslab("predict", MODEL, photos, "--csv", tmp_path / "rows.csv")
    assert code == 2 and "another process" in err


def test_a_place_that_cannot_be_written_is_told_before_anything_is_answered(reslab, photos, tmp_path):
    (tmp_path / "file").touch()
    code, printed, err = reslab("predict", MODEL, photos, "--csv", tmp_path / "file" / "rows.csv")
    assert code == 2 and printed == "" and "cannot write" in err


def test_killed_for_good_in_the_middle(photos, tmp_path):
    """A real process, kill -9, and the same command again: every row once, in order, as if nothing had happened."""
    good = sorted(p for p in photos.iterdir() if p.name.startswith("p"))
    inputs = [str(good[number % len(good)]) for number in range(PICTURES)]
    out = tmp_path / "rows.csv"
    part = tmp_path / "rows.csv.part"
    words = [sys.executable, "-m", "reslab", "predict", MODEL, *inputs, "--csv", str(out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not (part.exists() and part.read_bytes().count(b"\n") > PICTURES // 10):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part.read_bytes().count(b"\n") - 1
    assert PICTURES // 10 <= kept < PICTURES and not out.exists()
    done = subprocess.run([*words, "--json"], env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and f"{kept:,} rows are" in done.stderr, done.stderr
    rows = rows_of(out)
    assert [row["path"] for row in rows] == inputs
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in printed] == inputs[kept:]
    answers = {row["path"]: row["label"] for row in rows[:20]}
    assert all(row["label"] == answers[row["path"]] for row in rows) and len(set(answers.values())) > 1
    assert [Path(row["path"]).name for row in rows if row["error"]] == [
        Path(path).name for path in inputs if Path(path).name in ("p7.png", "p8.png")
    ]
