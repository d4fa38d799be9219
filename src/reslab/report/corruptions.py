"""What the page says of corrupted pictures, where `eval --corruptions` has answered for them."""

from typing import Any

from reslab.figures.corruptions import draw_corruptions
from reslab.report.folder import RunFolder
from reslab.words.phrases import percent, say


def corruptions(run: RunFolder) -> dict[str, Any] | None:
    """The figure, its sentences and its numbers; None where there are none of this model."""
    found = run.corrupted
    if found is None:
        return None
    mean, clean = found["mean_top1"], found["clean"]
    severities = ", ".join(map(str, found["severities"]))
    return {
        "figure": draw_corruptions(found),
        "sentences": [
            say(
                "corruption.read", n=f"{found['n']:,}", of=f"{found['of']:,}", split=say(f"split.{found['split']}"),
                kinds=len(found["kinds"]), severities=severities, size=found["size"], constants=found["constants"],
            ),
            say(
                "corruption.mean", mean=percent(mean["value"], 1), low=percent(mean["low"], 1),
                high=percent(mean["high"], 1), clean=percent(clean["top1"]["value"], 1),
                ece=percent(found["mean_ece"], 1), clean_ece=percent(clean["ece"], 1),
            ),
            say("corruption.plain"),
        ],
        "rows": [{**cell, "name": say(f"corruption.{cell['kind']}")} for cell in (clean, *found["conditions"])],
    }  # fmt: skip
