"""`review`: which labels of a run are likely wrong."""

import csv as csv_format
import io
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.options import outside_data
from reslab.cli.rows import spreadsheet
from reslab.engine.open import find_model
from reslab.model.run import byte_order_mark, read_config
from reslab.model.run_data import data_location
from reslab.report.review import render
from reslab.run.review import TOP, Review, review_page, review_run
from reslab.system.files import write_atomically

COLUMNS = ("path", "label", "proposed", "score", "reason")
_SHOWN = 20


def review(
    run: str = "latest",
    *,
    html: Path | None = None,
    csv: Path | None = None,
    top: int = TOP,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Rank the labels of a run, the most doubtful first; best after train --folds, which answers for every picture unseen.

    Args:
        run: A run folder, or latest.
        html: Also write a page to decide with: thumbnails, keys, and a corrections.csv that train --corrections takes.
        csv: Also write one row per picture.
        top: Pictures per tab of the page (200).
        json: Print JSON.
    """
    folder = find_model(run).parent if run == "latest" else Path(run)
    found = review_run(folder)
    for path in (html, csv):
        outside_data(path, data_location(read_config(folder)))
    if csv:
        write_atomically(csv, spreadsheet(_table(found)).encode())
    if html:
        write_atomically(html, render(review_page(found, top)).encode(errors="replace"))
    if json:
        rows = [one.document() for one in found.suspects]
        document = {"schema": 1, "run": str(folder), "n": len(rows), "likely_wrong": found.likely_wrong}
        show.print_json(document | {"notes": [str(note) for note in found.notes], "rows": rows})
    else:
        _say(found)


def _table(found: Review) -> str:
    file = io.StringIO()
    writer = csv_format.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(one.document() for one in found.suspects)
    return byte_order_mark([one.path for one in found.suspects] + [*found.classes]) + file.getvalue()


def _say(found: Review) -> None:
    made = show.table(*COLUMNS, right=(3,))
    for one in found.suspects[:_SHOWN]:
        made.add_row(one.path, one.label, one.proposed or "-", f"{one.score:.4f}", str(one.reason))
    show.say(made)
    if len(found.suspects) > _SHOWN:
        show.say(f"and {len(found.suspects) - _SHOWN:,} more: --csv FILE lists them all, --html FILE shows them")
    if found.likely_wrong is not None:
        share = show.percent(found.likely_wrong / len(found.suspects))
        show.say(f"{found.likely_wrong:,} labels ({share}) are likely wrong, by confident learning")
    for note in found.notes:
        show.people.print(f"note: {note}", soft_wrap=True)
