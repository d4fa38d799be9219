"""How scores look in the terminal: one class per task, chosen by the table at the end."""

from typing import Any, Protocol

from reslab.cli import show
from reslab.metrics.rejection import RELIABLE


class Scores(Protocol):
    """How the scores of a task are printed. A `document` is that of an evaluation."""

    classes: str
    """What classes are called where they are counted."""
    chance: str
    """What needs no picture to reach the baseline that is printed after it."""

    def headline(self, share: dict[str, float]) -> str:
        """The score that counts, with its interval, in a table."""

    def epoch(self, event: dict[str, Any]) -> str:
        """The validation score of an epoch."""

    def trained(self, document: dict[str, Any], fold: bool) -> None:
        """Print the score at the end of a training, or of a single `fold` of one."""

    def evaluation(self, document: dict[str, Any], heading: str, note: str) -> None:
        """Print the score in full; the heading stands before its first line, the note at its end."""

    def difference(self, document: dict[str, Any]) -> None:
        """Print the comparison of two models."""


class SingleScores:
    """One label per picture: accuracy."""

    classes = "classes"
    chance = "always answering one class scores"

    def headline(self, share: dict[str, float]) -> str:
        return _range(share)

    def epoch(self, event: dict[str, Any]) -> str:
        return show.percent(event["val_accuracy"])

    def trained(self, document: dict[str, Any], fold: bool) -> None:
        say = show.say
        if document["folds"]:
            _say_folds(document)
        else:
            note = (
                "the pictures of this fold, which chose nothing" if fold else "these pictures also chose the best epoch"
            )
            say(f"validation   {show.interval(document['top1'], document['n'])}; {note}")
        balanced, baseline = (show.percent(document[key]) for key in ("balanced_accuracy", "majority_baseline"))
        say(f"             balanced {balanced}; always answering one class would score {baseline}")
        fit = document["calibration"]
        say(f"calibration  {show.temperature(fit)}; {_ece(document, 3)}")
        _say_limits(document, 13)

    def evaluation(self, document: dict[str, Any], heading: str, note: str) -> None:
        say = show.say
        say(f"{heading}: {show.interval(document['top1'], document['n'])}{note}")
        if document["top5"]:
            say(f"top-5 {show.percent(document['top5']['value'])}", end=", ")
        say(f"balanced {show.percent(document['balanced_accuracy'])}", end=", ")
        say(f"always answering one class {show.percent(document['majority_baseline'])}")
        fit = document["calibration"]
        say(f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}, {_ece(document, 4)}; {show.temperature(fit)}")
        _say_limits(document, 9)
        unseen = document["top1_unseen"]
        _say_exceptions(document, unseen and unseen["value"])
        made = show.table("class", "n", "precision", "recall", "F1", right=(1, 2, 3, 4))
        for row in document["per_class"]:
            made.add_row(row["label"], f"{row['n']:,}", *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")))
        say(made)
        for row in document["worst_confusions"][:5]:
            say(f"{row['n']} x {row['true']} answered as {row['answered']}, e.g. {row['examples'][0]}")

    def difference(self, document: dict[str, Any]) -> None:
        first, second = document["models"]
        show.say(f"a  {show.percent(document['a'])}  {first}")
        show.say(f"b  {show.percent(document['b'])}  {second}")
        show.say(f"{_difference(document)}; p = {document['p_value']:.3g}")
        only_a, only_b = (f"{document[key]:,}" for key in ("only_a", "only_b"))
        show.say(f"only a is right on {only_a} pictures, only b on {only_b}: {document['verdict']}")


class MultiScores:
    """Any number of labels per picture: mean average precision."""

    classes = "labels, any number to a picture"
    chance = "any number of labels to a picture; a random ranking scores a mAP of"

    def headline(self, share: dict[str, float]) -> str:
        return f"mAP {_range(share)}"

    def epoch(self, event: dict[str, Any]) -> str:
        return f"mAP {show.percent(event['val_mean_ap'])}"

    def trained(self, document: dict[str, Any], fold: bool) -> None:
        self.evaluation(document, "validation", "; these pictures also chose the best epoch and the thresholds")

    def evaluation(self, document: dict[str, Any], heading: str, note: str) -> None:
        say = show.say
        say(f"{heading}: mAP {show.interval(document['mean_ap'], document['n'])}{note}")
        if document["mean_ap"]["low"] == document["mean_ap"]["high"]:
            say(
                "(a bootstrap over pictures: where all are ranked rightly it has no width, which proves little with few)"
            )
        say(f"a random ranking: mAP {show.percent(document['frequency_baseline'])}")
        exact, hamming = show.percent(document["exact_match"]["value"]), show.percent(document["hamming_loss"])
        say(f"all labels right {exact}, wrong answers per label {hamming}, macro F1 {document['macro_f1']:.3f}")
        fit = document["calibration"]
        say(f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}; {show.temperature(fit)}")
        _say_exceptions(document, document["mean_ap_unseen"])
        columns = ("label", "n", "AP", "share", "threshold", "precision", "recall", "F1")
        made = show.table(*columns, right=(1, 2, 3, 4, 5, 6, 7))
        for row in document["per_label"]:
            ratios = [f"{row[name]:.3f}" for name in ("baseline", "threshold", "precision", "recall", "f1")]
            found = row["average_precision"]
            made.add_row(row["label"], f"{row['n']:,}", "-" if found is None else f"{found:.3f}", *ratios)
        say(made)

    def difference(self, document: dict[str, Any]) -> None:
        first, second = document["models"]
        show.say(f"a  mAP {show.percent(document['a'])}  {first}")
        show.say(f"b  mAP {show.percent(document['b'])}  {second}")
        show.say(f"{_difference(document)}: {document['verdict']}")


SCORES: dict[str, Scores] = {"single": SingleScores(), "multi": MultiScores()}
"""Task -> how its scores are printed."""


def _range(share: dict[str, float]) -> str:
    return f"{show.percent(share['value'])} ({100 * share['low']:.1f} to {100 * share['high']:.1f})"


def _ece(document: dict[str, Any], digits: int) -> str:
    """The calibration error before and after the temperature, with its 95 % interval."""
    fit, span = document["calibration"], document["ece_interval"]
    before, after, low, high = (
        f"{v:.{digits}f}" for v in (fit["ece_before"], fit["ece_after"], span["low"], span["high"])
    )
    return f"ECE {before} -> {after} ({low} to {high})"


def _difference(document: dict[str, Any]) -> str:
    interval = f"{100 * document['low']:+.2f} to {100 * document['high']:+.2f}"
    return f"a - b  {100 * document['difference']:+.2f} points, 95 % interval {interval}"


def _say_exceptions(document: dict[str, Any], unseen: float | None) -> None:
    """Pictures that the model was trained on, with the score of the others, and those that could not be read."""
    if document["seen_in_training"]:
        rest = f"; without them {show.percent(unseen)}" if unseen is not None else ""
        show.say(f"the model was trained on {document['seen_in_training']} of these pictures{rest}")
    if document["unreadable"]:
        show.say(f"{len(document['unreadable'])} unreadable picture(s) left out")


def _say_limits(document: dict[str, Any], indent: int) -> None:
    """What the model's thresholds and prediction sets do to these pictures."""
    say, found, n = show.say, document["rejection"], document["calibration"]["n"]
    if found is None:
        say(f"{'accepted':{indent}}every answer: the model file holds no thresholds")
    else:
        right = f", {show.percent(found['accuracy']['value'])} of them right" if found["accuracy"] else ""
        strange = "" if found["not_from_here"] is None else f", {found['not_from_here']:,} not from here"
        accepted = f"{show.percent(found['accepted']['value'])} of the answers{right}"
        say(f"{'accepted':{indent}}{accepted}; {found['may_be_wrong']:,} may be wrong{strange}")
        if not found["reliable"]:
            say(f"{'':{indent}}unreliable: the thresholds rest on {n:,} pictures, fewer than {RELIABLE}")
    if sets := [row for row in document["prediction_sets"] if row["method"] == "lac"]:
        each = (f"{row['coverage']:.2f}: {show.percent(row['measured']['value'])}, {row['size']:.2f}" for row in sets)
        fitted = "" if document["split"] == "test" else "; these pictures fitted them"
        say(f"{'sets':{indent}}coverage and mean size at {'; '.join(each)}{fitted}")


def _say_folds(document: dict[str, Any]) -> None:
    """The score of a cross-validation, and how far its folds lie apart."""
    say, folds = show.say, document["folds"]
    say(
        f"out-of-fold  {show.interval(document['top1'], document['n'])}; each answered by a network that had not seen it"
    )
    each = ", ".join(f"{100 * value:.1f}" for value in folds["values"])
    say(f"             folds {each} %: mean {show.percent(folds['mean'])}, 95 % interval of the mean", end=" ")
    say(f"{show.percent(folds['low'])} to {show.percent(folds['high'])}")
    if twins := document["seen_in_training"]:
        say(f"             {twins:,} of them have an exact copy in another fold, which flatters the score")
