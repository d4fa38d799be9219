"""`study`."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.options import outside_data
from reslab.errors import ResLabError
from reslab.model.run import RUNS
from reslab.study.published import PAPER, published
from reslab.system.events import Event
from reslab.system.files import write_atomically, write_json

_LEAST_MINUTES = 1.0


def study(
    name: Literal["degradation"] = "degradation",
    *,
    minutes: float | None = None,
    data: str = "cifar10",
    data_dir: Path | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Compare plain and residual networks by depth: show the published run or, with --minutes, train them here.

    Args:
        name: The experiment.
        minutes: Train all six networks here in about this many minutes, on fewer pictures if time is short.
        data: Training data: a folder with train/ and test/, or a name.
        data_dir: Folder of a named set, or where to download it.
        seed: Determines weights, order and augmentation.
        out: Folder for the figure and, with --minutes, for every run.
        json: Print JSON.
    """
    from reslab.figures.degradation import draw

    outside_data(out, data)
    if minutes is None:
        document, folder = published(), out
    else:
        if minutes < _LEAST_MINUTES:
            raise ResLabError(
                f"--minutes {minutes:g} is too short for six networks", f"give at least {_LEAST_MINUTES:g}"
            )
        folder = out or RUNS / f"{datetime.now():%Y%m%d-%H%M%S}-degradation"
        document = _remade(minutes, data, data_dir, seed, folder)
    if folder:
        write_json(folder / "degradation.json", document)
        for language in ("en", "zh"):
            write_atomically(folder / f"degradation.{language}.svg", draw(document, language).encode())
    if json:
        show.print_json(document)
    else:
        _say(document, folder)


def _remade(minutes: float, data: str, data_dir: Path | None, seed: int, folder: Path) -> dict[str, Any]:
    from reslab.study import degradation

    started = time.monotonic()
    place = None if data_dir is None else str(data_dir)
    show.people.print("measuring the speed of six networks")
    seconds = degradation.measure_epochs(data, place)
    left = minutes - (time.monotonic() - started) / 60
    length = degradation.length_for(max(left, minutes / 2), seconds)
    show.people.print(
        f"{length.epochs} epochs of each network, on {show.percent(min(1.0, length.share))} of the training pictures"
    )
    with show.bar() as bar:

        def on_event(event: Event) -> None:
            if event["event"] == "network":
                bar.begin(event["name"], event["epochs"])
            elif event["event"] == "epoch":
                bar.move(1)
                show.people.print(
                    f"epoch {event['epoch']}: training error {show.percent(1 - event['train_accuracy'])}, "
                    f"validation error {show.percent(1 - event['val_accuracy'])}"
                )

        return degradation.study(data, folder, length, place, seed, on_event)


def _say(document: dict[str, Any], folder: Path | None) -> None:
    made = show.table(
        "network", "epochs", "training error", "validation error", "test error", "paper", right=(1, 2, 3, 4, 5)
    )
    for row in document["networks"]:
        last, test = row["epochs"][-1], row["test"]
        interval = f"{show.percent(test['error'])} ({100 * test['low']:.1f} to {100 * test['high']:.1f})"
        made.add_row(
            row["name"], str(len(row["epochs"])), show.percent(last["train_error"]), show.percent(last["val_error"]),
            interval, PAPER.get(row["name"], "figure 6"),
        )  # fmt: skip
    show.say(made)
    pictures = document["pictures"]
    seeds, test_seeds = (", ".join(map(str, document.get(key, document["seeds"]))) for key in ("seeds", "test_seeds"))
    show.say(
        f"{document['data']}: {pictures['train']:,} training, {pictures['val']:,} validation and {pictures['test']:,} test "
        f"pictures; seeds {seeds}; {document['machine']}"
    )
    if test_seeds != seeds:
        show.say(f"training and validation errors are means of these seeds, test errors those of seed {test_seeds}")
    show.say("paper: He et al. 2015, test error in % after 64,000 steps; here a few epochs, so compare within a column")
    if folder:
        show.say(f"figure: {folder / 'degradation.en.svg'}")
