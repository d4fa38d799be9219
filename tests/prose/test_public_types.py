"""The public names of `reslab` as a type checker of its users sees them: right use passes, wrong use is found."""

import re
import subprocess
import sys
from pathlib import Path

import reslab

RIGHT = """
from pathlib import Path
import reslab
from reslab import ResLabError, ResNetConfig, TrainConfig

config: TrainConfig = reslab.recipe("standard")
shape: ResNetConfig = reslab.ZOO["resnet18"]
parameters = sum(each.numel() for each in reslab.build("resnet18", num_classes=10, seed=1).parameters())
run = reslab.fit(TrainConfig(data="pictures", epochs=3), on_event=print)
folder: Path = run.folder
reslab.resume(run.folder)
answers = reslab.load(run.folder).predict(["a.jpg"])
seen = reslab.score(run.folder, "pictures").document()["n"]
ok: bool = reslab.examine("pictures").ok
version: str = reslab.__version__
try:
    reslab.recipe("nothing")
except ResLabError as error:
    hint: str | None = error.hint
"""

WRONG = """
import reslab
reslab.recipe(3)
reslab.TrainConfig(epoch=3)
reslab.TrainConfig(epochs="three")
reslab.fitt("digits")
reslab.fit("digits", on_event=3)
reslab.resume(epochs="3")
reslab.examine("pictures").okay
reslab.score("model")
reslab.load("model").predict("a.jpg", 3, 4, 5, 6)
reslab.build(18)
reslab.ZOO[18]
reslab.ResNetConfig(widths=16)
reslab.ResLabError()
size: str = reslab.recipe("standard").size
"""


def faults(text, place):
    """The lines of a file in which pyrefly finds something."""
    file = place / "use.py"
    file.write_text(text, encoding="utf-8")
    words = ["check", file, "--preset", "default", "--python-interpreter-path", sys.executable]
    done = subprocess.run([sys.executable, "-m", "pyrefly", *words], cwd=place, capture_output=True, text=True)
    assert re.search(r"\b\d+ errors?\b", done.stdout + done.stderr), done.stderr
    return {int(line) for line in re.findall(r"use\.py:(\d+):", done.stdout)}, done.stdout


def test_right_use_passes(tmp_path):
    found, said = faults(RIGHT, tmp_path)
    assert not found, said
    assert all(name in RIGHT for name in dir(reslab))


def test_wrong_use_is_found(tmp_path):
    found, said = faults(WRONG, tmp_path)
    assert found == set(range(3, len(WRONG.splitlines()) + 1)), said


def test_the_package_says_that_it_is_typed():
    assert (Path(reslab.__file__).parent / "py.typed").is_file()
