"""`lr-find`."""

import csv as files
import io
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab import workflow
from reslab.cli import show
from reslab.cli.options import DATA_OPTIONS, PICTURE_OPTIONS, DataOptions, PictureOptions, apply, outside_data
from reslab.cli.training import RUN_OPTIONS, RunListener, RunOptions, config_of
from reslab.modelfile import write_atomically
from reslab.search.figure import draw_rates
from reslab.train.finder import RangeTest


def lr_find(
    data: str,
    *,
    options: RunOptions = RUN_OPTIONS,
    pictures: PictureOptions = PICTURE_OPTIONS,
    source: DataOptions = DATA_OPTIONS,
    out: Path | None = None,
    csv: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Suggest a learning rate: about a hundred steps of the training, the rate growing until the loss runs away.

    Args:
        data: A folder of class folders (with or without train/ val/ test/), a CSV/TSV, or a name such as digits.
        out: Write the curve as an SVG file.
        csv: Write the curve as a table: rate, loss, average.
        json: Print JSON.
    """
    for file in (out, csv):
        outside_data(file, data)
    config, user = config_of(data, options)
    config, user = apply(config, user, {**pictures.given(), **source.given()})
    listener = RunListener()
    with show.bar() as listener.bar:
        plan, found = workflow.find_rate(config, user, listener)
    if out:
        write_atomically(out, draw_rates(found).encode())
    if csv:
        write_atomically(csv, _table(found).encode())
    if json:
        curve = {"rates": found.rates, "losses": found.losses, "averages": found.averages}
        show.print_json({"schema": 1, "suggestion": found.suggestion, "reason": found.reason, **curve})
        return
    name, default = plan.config.optim.name, plan.config.optim.lr
    show.say(f"suggested learning rate {found.suggestion:g} for {name} at batch {plan.config.batch_size}")
    show.say(f"{found.reason} ({len(found.rates)} steps); the recipe would take {default:g}")
    show.say(f"next: reslab train {data} --lr {found.suggestion:g}, or at once: reslab train {data} --lr auto")


def _table(found: RangeTest) -> str:
    file = io.StringIO()
    writer = files.writer(file, lineterminator="\n")
    writer.writerow(["rate", "loss", "average"])
    writer.writerows(zip(found.rates, found.losses, found.averages, strict=True))
    return file.getvalue()
