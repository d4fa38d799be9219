"""The score of a run in large type, with everything that keeps it honest."""

import shlex
from functools import reduce
from typing import Any

from reslab.figures import curves
from reslab.model.run import OUT_OF_FOLD
from reslab.report.folder import Judged, RunFolder
from reslab.report.sections import SECTIONS
from reslab.words.phrases import Phrase, percent, plain, say


def headline(run: RunFolder) -> dict[str, Any]:
    """The score in large type with everything that keeps it honest."""
    judged = run.score
    ask = f"reslab eval {shlex.quote(str(run.path))} {shlex.quote(run.config['data'])}"
    stale = [
        say("score.stale", split=say(f"split.{old.split}"), value=_shown(old, old.main["value"]))
        for old in run.judged.values()
        if old.stale
    ]
    if judged is None:
        validates = run.config["val"] or run.pictures("val")
        reason = say("score.none_yet") if validates or not run.finished else say("score.none_val")
        return {"found": False, "sentences": [reason, *stale], "ask": ask if run.header else None}
    main, heading = judged.main, SECTIONS[judged.task.name].heading(judged)
    return {
        "found": True,
        "value": _shown(judged, main["value"]),
        "interval": say("score.interval", low=_shown(judged, main["low"]), high=_shown(judged, main["high"])),
        "bar": curves.score_bar(main, judged.baseline),
        "sentences": [*_trust(judged, run), *heading["against"], *_beside(run, judged), *stale],
        "ask": ask if judged.split == "val" or (judged.split == OUT_OF_FOLD and run.pictures("test")) else None,
    } | heading


def _shown(judged: Judged, score: float) -> str:
    return SECTIONS[judged.task.name].shown(score)


def _trust(judged: Judged, run: RunFolder) -> list[Phrase]:
    """How far the score can be believed."""
    document = judged.document
    whose = say("score.ensemble", folds=run.config["folds"]) if run.ensemble else say("score.folded")
    said = [whose, _spread(document["folds"])] if judged.split == OUT_OF_FOLD else []
    if seen := document["seen_in_training"]:
        key = "score.twins" if judged.split == OUT_OF_FOLD else "score.seen"
        said.append(say(key, seen=f"{seen:,}", n=f"{document['n']:,}"))
        if judged.unseen is not None:
            said.append(say("score.without", value=_shown(judged, judged.unseen)))
    elif judged.split == "test":
        said.append(say("score.unseen"))
    if judged.split == "val":
        said.append(say("score.chose") if run.chose else say("score.fold"))
    if bad := document["unreadable"]:
        said.append(say("score.unreadable", n=f"{len(bad):,}"))
    return said


def _spread(folds: dict[str, Any]) -> Phrase:
    """How far the folds lie apart."""
    shares = {name: percent(folds[name]) for name in ("mean", "std", "low", "high")}
    values = (plain(percent(value, 1)) for value in folds["values"])
    each = reduce(lambda first, following: say("list", first=first, next=following), values)
    return say("score.spread", each=each, **shares)


def _beside(run: RunFolder, judged: Judged) -> list[Phrase]:
    """The validation score, or that of the folds, beside the test score."""
    other = run.judged.get("val") or run.judged.get(OUT_OF_FOLD)
    if judged.split != "test" or other is None or other.stale:
        return []
    main = {name: _shown(other, score) for name, score in other.main.items()}
    key = "score.beside" if other.split == "val" else "score.beside_folds"
    return [say(key, n=f"{other.document['n']:,}", **main)]
