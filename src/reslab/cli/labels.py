"""How answers with several labels per picture are told."""

from typing import Any

from reslab.cli import show


def say_labels(document: dict[str, Any], heading: str, note: str = "") -> None:
    """The score of `evaluate.labels`, and one row per label."""
    say = show.say
    say(f"{heading}: mAP {show.interval(document['mean_ap'], document['n'])}{note}")
    if document["mean_ap"]["low"] == document["mean_ap"]["high"]:
        say("(a bootstrap over pictures: where all are ranked rightly it has no width, which proves little with few)")
    say(f"ranking without a look: mAP {show.percent(document['frequency_baseline'])}")
    exact = document["exact_match"]
    say(
        f"all labels right {show.percent(exact['value'])}, wrong answers per label {show.percent(document['hamming_loss'])}, "
        f"macro F1 {document['macro_f1']:.3f}"
    )
    fit = document["calibration"]
    say(f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}; {show.temperature(fit)}")
    if document["seen_in_training"]:
        unseen = document["mean_ap_unseen"]
        rest = f"; without them {show.percent(unseen)}" if unseen is not None else ""
        say(f"the model was trained on {document['seen_in_training']} of these pictures{rest}")
    if document["unreadable"]:
        say(f"{len(document['unreadable'])} unreadable picture(s) left out")
    made = show.table(
        "label", "n", "AP", "share", "threshold", "precision", "recall", "F1", right=(1, 2, 3, 4, 5, 6, 7)
    )
    for row in document["per_label"]:
        ratios = [f"{row[name]:.3f}" for name in ("baseline", "threshold", "precision", "recall", "f1")]
        found = row["average_precision"]
        made.add_row(row["label"], f"{row['n']:,}", "-" if found is None else f"{found:.3f}", *ratios)
    say(made)


def say_difference(document: dict[str, Any]) -> None:
    """The comparison of two models."""
    first, second = document["models"]
    show.say(f"a  mAP {show.percent(document['a'])}  {first}")
    show.say(f"b  mAP {show.percent(document['b'])}  {second}")
    interval = f"{100 * document['low']:+.2f} to {100 * document['high']:+.2f}"
    show.say(f"a - b  {100 * document['difference']:+.2f} points, 95 % interval {interval}: {document['verdict']}")
