"""The main job on the built-in digits."""

from dataclasses import dataclass, replace
from pathlib import Path

from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.predict import Prediction, load_model
from reslab.model.run import REPORT_NAME
from reslab.pixels.encode import encode_picture
from reslab.run.evaluate import evaluate
from reslab.run.train import train
from reslab.system.events import Listener
from reslab.system.files import write_atomically
from reslab.train.recipes import recipe


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demonstration made."""

    model: Path
    report: Path
    evaluation: Evaluation
    """On the test split."""
    prediction: "Prediction"


def demo(out: Path | None = None, epochs: int | None = None, on_event: Listener | None = None) -> Demo:
    """The main job on the built-in digits: train, score on the test split, predict a picture file, report."""

    config = replace(recipe("standard"), data="digits", epochs=epochs or 0)
    run = train(config, out, {"epochs"} if epochs else (), on_event)
    evaluation = evaluate(run.folder, "digits")
    example = read_data("digits").split("test")[0]
    path = run.folder / f"digit-{example.label}.png"
    write_atomically(path, encode_picture(load(example)))
    prediction = load_model(run.folder).predict(path)[0]
    return Demo(run.model, run.folder / REPORT_NAME, evaluation, prediction)
