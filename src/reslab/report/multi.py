"""What the page says about answers with any number of labels per picture: one row per label."""

from typing import Any

from reslab.data.catalog import split_labels
from reslab.report.folder import Judged, RunFolder
from reslab.words.phrases import Phrase, percent, say


class MultiSection:
    """Any number of labels per picture."""

    name = "multi"
    curve = "mean_ap"
    lines: tuple[tuple[str, str], ...] = (("validation", "val_mean_ap"),)
    noun = "fact.labels"
    remarks: tuple[str, ...] = ("labels.accuracy",)
    parts: tuple[str, ...] = ("labels",)
    template = "multi.html.j2"

    def shown(self, score: float) -> str:
        return percent(score)

    def heading(self, judged: Judged) -> dict[str, Any]:
        document, exact = judged.document, judged.document["exact_match"]["value"]
        n, baseline = document["n"], percent(judged.baseline)
        low, high = judged.main["low"], judged.main["high"]
        against = (
            say("labels.above", baseline=baseline) if low > judged.baseline else say("labels.level", baseline=baseline)
        )
        return {
            "label": say(f"labels.{judged.split}"),
            "hits": say("labels.hits", hits=f"{round(exact * n):,}", n=f"{n:,}"),
            "against": [against, say("labels.certain")] if low == high else [against],
            "tiles": [
                (say("labels.exact"), percent(exact), say("labels.exact_why")),
                (say("labels.macro"), f"{document['macro_f1']:.3f}", say("labels.macro_why")),
                (say("labels.hamming"), percent(document["hamming_loss"]), say("labels.hamming_why")),
                (say("labels.baseline"), baseline, say("labels.baseline_why")),
            ],
        }

    def view(self, judged: Judged, run: RunFolder) -> dict[str, Any]:
        return {"labels": label_table(judged, run)}


def label_table(judged: Judged, run: RunFolder) -> dict[str, Any]:
    """One row per label, and how its threshold and the temperature came about."""
    fit = judged.document["calibration"]
    applied = fit["temperature"] != 1
    fitted = applied or bool(fit.get("n"))
    said: list[Phrase] = [say(f"labels.thresholds.{judged.split}")] if fitted else [say("calibration.unfitted")]
    if fitted and not applied:
        said.append(say("calibration.refused"))
    if applied:
        before, after = f"{fit['nll_before']:.4f}", f"{fit['nll_after']:.4f}"
        said.append(say("labels.temperature", t=f"{fit['temperature']:.3f}", before=before, after=after))
    rows = [row | {"trained": _trained(run, row["label"])} for row in judged.document["per_label"]]
    return {"rows": rows, "sentences": said}


def _trained(run: RunFolder, label: str) -> int:
    """Training pictures that have a label."""
    return sum(n for (split, labels), n in run.shares.items() if split == "train" and label in split_labels(labels))
