"""`search`, `lr-find`."""

import csv as files
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.app import STARTED
from reslab.cli.fields import config_of
from reslab.cli.options import RUN_OPTIONS, RunOptions, outside_data
from reslab.cli.progress import RunListener
from reslab.system.events import Event
from reslab.system.files import write_atomically

if TYPE_CHECKING:
    from reslab.train.range_test import RangeTest


def search(
    data: str,
    *,
    minutes: float,
    options: RunOptions = RUN_OPTIONS,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Search learning rate, weight decay, augmentation and label smoothing around the default, within a time limit.

    Settings that you give are kept. With trained weights the mode of fine-tuning is searched too. The default wins unless
    the best trial is shown to be better on the validation pictures. The same command with the same --out continues a
    search. Test pictures are never opened.

    Args:
        data: A folder of class folders (with or without train/ val/ test/), a CSV/TSV, shards, Parquet, a zip, or a name.
        minutes: Time limit of the whole search; with a larger one a finished search continues.
        out: The folder of the search; runs/DATE-search-DATA by default. The winner is the run OUT/best.
        json: Print search.json.
    """
    config, user = config_of(data, options)
    outside_data(out, data)
    from reslab.search.search import search as search_settings

    listener = _SearchListener()
    with show.bar() as listener.bar:
        document = search_settings(config, minutes, out, user, listener, STARTED.get())
    if json:
        show.print_json(document)
    else:
        _say(document, data, listener.folder)


def lr_find(
    data: str,
    *,
    options: RunOptions = RUN_OPTIONS,
    out: Path | None = None,
    csv: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Suggest a learning rate: train about a hundred steps while the rate grows, until the loss diverges.

    Args:
        data: A folder of class folders (with or without train/ val/ test/), a CSV/TSV, shards, Parquet, a zip, or a name.
        out: Write the curve as an SVG file.
        csv: Write the curve as a table: rate, loss, average.
        json: Print JSON.
    """
    for file in (out, csv):
        outside_data(file, data)
    config, user = config_of(data, options)
    from reslab.run.range_test import find_rate

    listener = RunListener()
    with show.bar() as listener.bar:
        plan, found = find_rate(config, user, listener)
    if out:
        from reslab.figures.search import draw_rates

        write_atomically(out, draw_rates(found).encode())
    if csv:
        write_atomically(csv, _table(found).encode())
    if json:
        curve = {"rates": found.rates, "losses": found.losses, "averages": found.averages}
        show.print_json({"schema": 1, "suggestion": found.suggestion, "reason": str(found.reason), **curve})
        return
    name, default = plan.config.optim.name, plan.config.optim.lr
    show.say(f"suggested learning rate {found.suggestion:g} for {name} at batch {plan.config.batch_size}")
    show.say(f"{found.reason} ({len(found.rates)} steps); the recipe would take {default:g}")
    show.say(f"next: reslab train {data} --lr {found.suggestion:g}, or at once: reslab train {data} --lr auto")


class _SearchListener(RunListener):
    """Prints the progress of a search."""

    folder = ""

    def __call__(self, event: Event) -> None:
        match event["event"]:
            case "search":
                self._search(event)
            case "trial":
                self.trial = event
            case "step":
                note = (
                    f"trial {self.trial['trial']}  epoch {event['epoch']}/{event['epochs']}  loss {event['loss']:.3f}"
                )
                self.bar.move(to=int(event["elapsed"]), note=note)
            case "trial end":
                self._ended(event)
            case "epoch":
                pass
            case _:
                super().__call__(event)

    def _search(self, event: Event) -> None:
        self.folder = event["folder"]
        made = show.table("dial", "default", "tried")
        for dial in event["dials"]:
            span = (
                f"{dial['span'][0]:.3g} to {dial['span'][1]:.3g}"
                if dial["span"]
                else ", ".join(map(str, dial["options"]))
            )
            made.add_row(dial["name"], str(dial["default"]), span)
        show.people.print(made)
        full = f" of {event['full_epochs']}" if event["full_epochs"] != event["epochs"] else ""
        show.people.print(
            f"{event['train']:,} pictures train, {event['val']:,} validate; a trial of {event['epochs']} epochs{full} takes "
            f"about {show.duration(event['seconds'])}, and {event['minutes']:g} minutes were given"
        )
        show.people.print(f"search folder: {self.folder}", soft_wrap=True)
        self.bar.begin("searching", int(60 * event["minutes"]))

    def _ended(self, event: Event) -> None:
        score = "no number" if event["val_accuracy"] is None else f"validation {show.percent(event['val_accuracy'])}"
        state = "" if event["state"] == "complete" else f", {_STATES[event['state']]} after epoch {event['epochs']}"
        text = f"trial {event['trial']}: {_turned(event['dials'])}: {score}{' (best)' if event['best'] else ''}{state}"
        show.people.print(text, soft_wrap=True, markup=False)


_STATES = {"pruned": "stopped", "diverged": "diverged"}


def _turned(dials: dict[str, Any]) -> str:
    """`lr 0.1, augment light`"""
    return ", ".join(f"{name.removeprefix('optim.')} {value}" for name, value in dials.items())


def _say(document: dict[str, Any], data: str, folder: str) -> None:
    names = [dial["name"] for dial in document["dials"]]
    made = show.table("", *(name.removeprefix("optim.") for name in names), "validation", "NLL")
    for word in ("default", "leader"):
        row = document[word]
        val = row["val"]
        turned = [str(row["dials"].get(name, "-")) for name in names]
        made.add_row(
            f"{word} (trial {row['trial']})", *turned, show.interval(val["top1"], val["n"]), f"{val['nll']:.4f}"
        )
    show.say(made)
    states = Counter(trial["state"] for trial in document["trials"])
    stopped = states["pruned"] + states["diverged"]
    show.say(f"{len(document['trials'])} trials of {document['epochs']} epochs, {stopped} of them stopped early")
    _say_who_won(document)
    if document["leader"]["trial"] != document["winner"]["trial"]:
        _say_how_to_tell(document, data, folder)
    best, default = document["winner"]["folder"], document["default"]["folder"]
    longer = f" --epochs {document['full_epochs']}" if document["full_epochs"] > document["epochs"] else ""
    show.say(f"next: reslab train {data} --like {best}{longer}")
    if document["comparison"]["shown"]:
        show.say(f"      reslab compare {best} {default} {data}")
    show.say(f"trials, figure, evidence: {folder}")


def _say_who_won(document: dict[str, Any]) -> None:
    found = document["comparison"]
    if document["leader"]["trial"] == document["default"]["trial"]:
        show.say("the default wins: nothing tried was better")
        return
    show.say(
        f"leader - default  {100 * found['difference']:+.2f} points, 95 % interval {100 * found['low']:+.2f} to "
        f"{100 * found['high']:+.2f}; McNemar's p = {found['p_value']:.3g}, as the best of {found['rivals']} "
        f"{found['p_of_best']:.3g}"
    )
    if found["shown"]:
        show.say(f"trial {document['winner']['trial']} wins; note: {document['note']}")
    else:
        show.say(f"the default wins: {found['n']:,} validation pictures do not show that the leader is better")


def _say_how_to_tell(document: dict[str, Any], data: str, folder: str) -> None:
    """Suggest a cross-validation of leader and default, which validates every picture."""
    places = {word: Path(folder) / f"{word}-folds" for word in ("leader", "default")}
    for begin, (word, place) in zip(("to tell: ", " " * 9), places.items(), strict=True):
        show.say(f"{begin}reslab train {data} --like {document[word]['folder']} --folds 5 --out {place}")
    show.say(f"{'':9}reslab compare {places['leader']} {places['default']} {data} --split out-of-fold")


def _table(found: "RangeTest") -> str:
    file = io.StringIO()
    writer = files.writer(file, lineterminator="\n")
    writer.writerow(["rate", "loss", "average"])
    writer.writerows(zip(found.rates, found.losses, found.averages, strict=True))
    return file.getvalue()
