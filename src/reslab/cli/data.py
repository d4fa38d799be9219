"""`check` and `preview`."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.check.data import Verdict
from reslab.cli import show
from reslab.cli.bulk_options import PARTS_OPTIONS, PartsOptions
from reslab.cli.fields import apply
from reslab.cli.options import DATA_OPTIONS, PICTURE_OPTIONS, DataOptions, PictureOptions, outside_data
from reslab.cli.scores import SCORES
from reslab.errors import GateNotMet, ResLabError
from reslab.pixels.encode import encode_picture
from reslab.run.examine import contact_sheet, examine_data, examine_looks
from reslab.system.files import write_atomically
from reslab.train.config import TrainConfig
from reslab.train.recipes import recipe

_SHOWN = 40


def check(
    data: str,
    *,
    source: DataOptions = DATA_OPTIONS,
    corrections: Path | None = None,
    near: Annotated[bool, Parameter(negative="")] = False,
    deep: Annotated[bool, Parameter(negative="")] = False,
    html: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
    bulk: PartsOptions = PARTS_OPTIONS,
) -> None:
    """Look at every picture of a data set, change nothing, and say what is wrong.

    Args:
        data: A folder, a CSV/TSV, shards, Parquet, a zip, or a name.
        corrections: As in train.
        near: Also find near-duplicates: resized, re-encoded, brightened, mirrored, cropped by up to 10 %, with a border.
        deep: As --near; also find blurred, dark and oddly sized pictures, and labels that follow from file names or metadata.
        html: Also write a page with thumbnails, pairs side by side.
        json: Print JSON.
    """
    outside_data(html, data, "--html")
    bulk.where.refuse_without(bulk.parts, "--parts")
    config, _ = apply(replace(recipe("standard"), data=data), (), source.given())
    config = replace(config, corrections=None if corrections is None else str(corrections))
    if bulk.parts is None:
        with show.bar("checking") as progress:
            verdict = examine_data(config, progress.move, near=near, deep=deep, html=html)
    elif near or deep:
        verdict = _from_parts(config, deep, bulk, html, json)
    else:
        raise ResLabError("--parts needs --near or --deep", "a plain check takes no longer than reading the pictures")
    if verdict is None:
        return
    if json:
        problems = [dataclasses.asdict(p) for p in verdict.problems]
        document = {"schema": 1, "ok": verdict.ok, "images": verdict.images, "classes": verdict.classes}
        document |= {"problems": problems, "skipped": verdict.skipped, "majority_baseline": verdict.majority_baseline}
        document |= {"task": verdict.task}
        document |= {"metadata": verdict.metadata and dataclasses.asdict(verdict.metadata)} if deep else {}
        show.print_json(document)
    else:
        _say(verdict)
    if html:
        show.people.print(f"wrote {html}", soft_wrap=True)
    if not verdict.ok:
        errors = sum(p.severity == "error" for p in verdict.problems)
        raise GateNotMet(f"{errors} problem(s) in {data} must be fixed", "each line above says what")


def _from_parts(config: TrainConfig, deep: bool, bulk: PartsOptions, html: Path | None, json: bool) -> Verdict | None:
    """The verdict from what was seen of each shard; None where this command only looks at some of them."""
    from reslab.bulk.job import Job  # not at the top: for those who ask for it
    from reslab.cli.bulk import look_in_bulk

    worker = look_in_bulk(Job("", config.data, bulk.parts or "", "check", deep=deep), bulk.where, json)
    return None if worker is None else examine_looks(config, worker.looks(), deep, html)


def preview(
    data: str,
    *,
    out: Path,
    pictures: PictureOptions = PICTURE_OPTIONS,
    source: DataOptions = DATA_OPTIONS,
    model: str | None = None,
    seed: int | None = None,
) -> None:
    """Draw what the network sees: one picture per row, first as prepared, then as augmentation changes it.

    Args:
        data: A folder, a CSV/TSV, shards, Parquet, a zip, or a name.
        out: Where to write the PNG.
        model: As in train; decides the size where --size does not.
        seed: As in train.
    """
    outside_data(out, data)
    chosen = {k: v for k, v in {"model": model, "seed": seed}.items() if v is not None}
    config, _ = apply(replace(recipe("standard"), data=data), (), {**pictures.given(), **source.given(), **chosen})
    write_atomically(out, encode_picture(contact_sheet(config)))
    show.people.print(f"wrote {out}: left column as prepared, the others as training changes them", soft_wrap=True)


def _say(verdict: Verdict) -> None:
    """The findings as a table, the worst first."""
    made = show.table("class", "pictures", right=(1,))
    for label, n in verdict.classes.items():
        made.add_row(label, f"{n:,}")
    show.say(made)
    for reason, n in verdict.skipped.items():
        show.say(f"skipped: {n:,} {reason}")
    if found := verdict.metadata:
        accuracy, majority = show.percent(found.accuracy), show.percent(found.majority)
        show.say(f"size, format and camera alone predict {accuracy} of the labels, the most frequent class {majority}")
    chance = SCORES[verdict.task].chance
    show.say(f"{verdict.images:,} pictures; {chance} {show.percent(verdict.majority_baseline)}")
    if not verdict.problems:
        show.say("no problems found")
        return
    found = show.table("", "what", "where", "detail")
    for problem in verdict.problems[:_SHOWN]:
        found.add_row(problem.severity, problem.kind, problem.path, problem.detail)
    show.say(found)
    if len(verdict.problems) > _SHOWN:
        show.say(f"and {len(verdict.problems) - _SHOWN:,} more: --json lists them all")
