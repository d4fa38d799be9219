"""A run as one self-contained HTML page: what the folder holds, put into words and figures by one template."""

import base64
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reslab.data.catalog import SPLITS
from reslab.figures import curves
from reslab.figures.svg import Drawing, Point
from reslab.model.run import REPORT_NAME, SHEET_NAME, fold_folder
from reslab.report import pictures
from reslab.report.findings import headline
from reslab.report.folder import RunFolder, read_run
from reslab.report.remake import flat, remake
from reslab.report.sections import SECTIONS
from reslab.system.files import write_atomically
from reslab.words import phrases
from reslab.words.phrases import Phrase, duration, percent, say

_HERE = Path(__file__).parent
_TEMPLATE, _STYLE, _SCRIPT = "template.html.j2", "style.css", "switch.js"
_SUMMED = ("train_loss", "val_nll", "train_accuracy", "val_accuracy", "val_mean_ap", "lr", "seconds")


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder and give its path.

    The page holds all that is in the folder, however far the run got; what is missing is said in its place. It is a
    function of the folder and the pictures alone: writing it twice gives the same bytes.

    Raises:
        ResLabError: `run` holds no run, a file of it is damaged, or it cannot be written.
    """
    path = run / REPORT_NAME
    write_atomically(path, render(read_run(run)).encode(errors="replace"))  # a folder's name may not be valid text
    return path


def render(run: RunFolder) -> str:
    """The page as HTML."""
    tools = {"say": say, "element": phrases.element, "attribute": phrases.attribute, "whisker": curves.whisker}
    return environment().get_template(_TEMPLATE).render(tools | _view(run))


def environment() -> Environment:
    """What every template of this room is rendered with."""
    made = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"percent": percent, "thousands": "{:,}".format, "fixed": _fixed}
    return made


def _view(run: RunFolder) -> dict[str, Any]:
    """Everything that the template shows."""
    judged, section = run.score, SECTIONS[run.task]
    script, style = part(_SCRIPT), part(_STYLE)
    return {
        "style": Markup(style),
        "script": Markup(script),
        "policy": policy(script),
        "languages": json.dumps(phrases.languages(), ensure_ascii=False),
        "run": run,
        "title": say("page.title", model=run.config["model"], data=_data_name(run)),
        "state": _state(run),
        "facts": _facts(run),
        "score": headline(run),
        "curves": _curves(run),
        "epochs": _epoch_table(run),
        "kept": _kept(run),
        "validated": _best(run) is not None,
        "section": section,
        "anchors": ["curves", *(section.parts if judged else ()), "input", "settings", "remake"],
        "split": say(f"split.{judged.split}") if judged else None,
        "answers": section.view(judged, run) if judged else None,
        "sheet": pictures.sheet(run.path / SHEET_NAME),
        "network": _network(run),
        "settings": _settings(run),
        "remake": _remake(run),
    }


def policy(script: str) -> str:
    """A content security policy under which the browser itself refuses whatever is not in this file."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def part(name: str) -> str:
    """A style sheet or a script of this room."""
    return (_HERE / name).read_text(encoding="utf-8").strip()


def _data_name(run: RunFolder) -> str:
    return Path(run.config["data"]).name or run.config["data"]


def _state(run: RunFolder) -> dict[str, Any]:
    """How far the run got, and how to go on."""
    done = len(run.epochs)
    if run.early:
        return {"finished": True, "text": say("state.early", best=run.early["best_epoch"])}
    if run.finished:
        return {"finished": True, "text": say("state.finished")}
    command = f"reslab resume {shlex.quote(str(run.path))}"
    return {"finished": False, "text": say("state.unfinished", done=done, planned=run.planned), "command": command}


def _facts(run: RunFolder) -> list[tuple[str | Phrase, Phrase]]:
    """A few figures of the run: (value, what it is). A head that is computed writes its one line without an epoch."""
    done = sum(event["step"] > 0 for event in run.epochs)
    facts: list[tuple[str | Phrase, Phrase]] = [
        *((f"{n:,}", say(f"fact.{split}")) for split in SPLITS if (n := run.pictures(split))),
        *([(f"{folds}", say("fact.folds"))] if (folds := run.config.get("folds")) else []),
        (f"{len(run.document['classes']):,}", say(SECTIONS[run.task].noun)),
        (f"{run.config['size']} px", say("fact.size")),
        (f"{done} / {run.planned}", say("fact.epochs")),
    ]
    if run.epochs:
        facts.append((duration(sum(event["seconds"] for event in run.epochs)), say("fact.time")))
    return facts


def _curves(run: RunFolder) -> list[Drawing]:
    """The figures of the learning curves; none where no epoch was finished."""
    if not run.epochs:
        return []

    def line(style: str, field: str) -> curves.Series:
        return curves.Series(style, tuple((float(e["epoch"]), e[field]) for e in run.epochs if field in e))

    def steps(field: str) -> list[Point]:
        return [(e["epoch"] - 1 + e["step"] / e["steps"], e[field]) for e in run.steps]

    best = _best(run)
    rates = sorted({*steps("lr"), *line("rate", "lr").points})
    loss = (curves.Series("steps", tuple(steps("loss"))), line("training", "train_loss"), line("validation", "val_nll"))
    section = SECTIONS[run.task]
    score = tuple(line(style, field) for style, field in section.lines)
    figures = (
        curves.Curves(section.curve, _drawn(score), best, share=True),
        curves.Curves("loss", _drawn(loss), best),
        curves.Curves("rate", (curves.Series("rate", tuple(rates)),)),
    )
    return [curves.curves(figure) for figure in figures if figure.series]


def _drawn(series: tuple[curves.Series, ...]) -> tuple[curves.Series, ...]:
    """Without lines that have no point: a run may have no validation, and short epochs no single steps."""
    return tuple(one for one in series if one.points)


def _best(run: RunFolder) -> int | None:
    """The epoch with the best validation score; None where nothing validated, or validation may not choose."""
    validated = [event for event in run.epochs if run.chose and "val_accuracy" in event and event["best"]]
    return validated[-1]["epoch"] if validated else None


def _kept(run: RunFolder) -> Phrase | None:
    if not run.epochs:
        return None
    best, last = _best(run), run.epochs[-1]["epoch"]
    if best is not None:
        return say("curves.best", epoch=best)
    if run.config.get("fold"):
        return say("curves.fold", epoch=last)
    if run.config.get("folds"):
        return say("curves.folded", epoch=last, fold=fold_folder(run.path, 1))
    return say("curves.last", epoch=last)


def _epoch_table(run: RunFolder) -> dict[str, Any]:
    """The numbers behind the curves."""
    names = [name for name in _SUMMED if any(name in event for event in run.epochs)]

    def shown(name: str, value: float) -> str:
        if name.endswith(("accuracy", "mean_ap")):
            return percent(value)
        return f"{value:.1f}" if name == "seconds" else f"{value:.4g}"

    rows = [[event["epoch"], *(shown(n, event[n]) if n in event else "–" for n in names)] for event in run.epochs]
    return {"columns": [say("curves.column.epoch"), *(say(f"curves.column.{n}") for n in names)], "rows": rows}


def _network(run: RunFolder) -> list[Phrase]:
    """The network in two sentences."""
    network, weights = run.document["network"], run.config["weights"]
    key = "settings.plain" if network.get("shortcut") == "plain" else "settings.network"
    shape = say(key, name=network["name"], blocks=sum(network["depths"]), block=network["block"])
    return [shape, say("settings.scratch") if weights == "none" else say("settings.tuned", weights=weights)]


def _settings(run: RunFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every value of the config: first those with a story, then those that are as they come."""
    shown, rest = [], []
    reasons = run.document.get("reasons", {})
    for name, value in flat(run.config).items():
        origin = run.document["origins"].get(name, {"origin": "default", "reason": ""})
        row = {"name": name, "meaning": phrases.setting(name), "value": _shown(value)}
        row |= {
            "origin": origin["origin"],
            "from": say(f"origin.{origin['origin']}"),
            "why": _why(origin, reasons.get(name)),
        }
        (shown if origin["reason"] or origin["origin"] != "default" else rest).append(row)
    return shown, rest


def _why(origin: dict[str, str], stored: dict[str, Any] | None) -> Phrase:
    if origin["origin"] == "recipe" and origin["reason"].isidentifier():
        return say("settings.recipe", name=origin["reason"])
    return phrases.read_reason(origin["reason"], Phrase(**stored) if stored else None) or phrases.plain("")


def _shown(value: object) -> str | Phrase:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return "–" if value is None else str(value)


def _remake(run: RunFolder) -> dict[str, Any]:
    """Commands, caveats and the facts that decide whether a second run comes out the same."""
    made, config, header = remake(run), run.config, run.header
    like = f"reslab train {shlex.quote(config['data'])} --like {shlex.quote(str(run.path))}"
    notes = [say("remake.silent", names=", ".join(made.silent))] if made.silent else []
    if config["minutes"]:
        notes.append(say("remake.minutes", minutes=f"{config['minutes']:g}", epochs=run.planned))
    notes.append(say("remake.resumed", epochs=config["epochs"]) if made.resumed else say("remake.promise"))
    versions = header["training"].get("versions", {}) if header else {"reslab": run.document["reslab"]}
    facts = [
        (say("remake.seed"), config["seed"]),
        (say("remake.split_seed"), config["split_seed"]),
        (say("remake.machine"), run.document["machine"]),
        (say("remake.versions"), ", ".join(f"{name} {number}" for name, number in versions.items())),
    ]
    if header:
        facts.append((say("remake.model"), header["sha256"]))
    return {"command": made.command, "like": like, "notes": notes, "facts": facts}


def _fixed(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"
