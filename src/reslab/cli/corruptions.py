"""Scores under corruptions in the terminal: a table of kinds by severities, then the mean."""

from typing import Any

from reslab.cli import show


def print_corruptions(document: dict[str, Any]) -> None:
    """Print what `evaluate.corruptions` found.

    Args:
        document: that of a `CorruptionScore`.
    """
    say, severities, clean = show.say, document["severities"], document["clean"]
    cells = {(cell["kind"], cell["severity"]): cell for cell in document["conditions"]}
    chosen = f"{document['n']:,} of {document['of']:,} pictures" if document["n"] < document["of"] else "all pictures"
    say(f"corrupted at {document['size']} px with the constants of {document['constants']}; {chosen}")
    columns = ("accuracy, severity " + str(severities[0]), *map(str, severities[1:]), "mean")
    made = show.table(
        "corruption", *columns, *(f"ECE {s}" for s in severities), right=tuple(range(1, 2 + 2 * len(columns)))
    )
    made.add_row("none", *("" for _ in severities), show.percent(clean["top1"]["value"]), f"{clean['ece']:.3f}")
    for kind in document["kinds"]:
        row = [cells[kind, severity] for severity in severities]
        shares = [cell["top1"]["value"] for cell in row]
        errors = [f"{cell['ece']:.3f}" for cell in row]
        made.add_row(kind.replace("_", " "), *map(show.percent, [*shares, sum(shares) / len(shares)]), *errors)
    say(made)
    mean = document["mean_top1"]
    say(f"mean accuracy {show.interval(mean, document['n'])}; error {show.percent(1 - mean['value'])}", end="; ")
    say(f"ECE {document['mean_ece']:.3f}, {_ece(clean)} without corruption")
    say("a plain mean over kinds and severities, not divided by AlexNet's errors; frost is drawn")


def _ece(cell: dict[str, Any]) -> str:
    low, high = cell["ece_interval"]["low"], cell["ece_interval"]["high"]
    return f"{cell['ece']:.3f} (95 % interval {low:.3f} to {high:.3f})"
