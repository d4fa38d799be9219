"""`embed`, `near`: the pooled features of pictures, and which pictures are near each other by them."""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.bulk_options import BULK_OPTIONS, BulkOptions
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.options import DATA_OPTIONS, DataOptions, outside_data
from reslab.data.catalog import SPLITS
from reslab.data.splits import SplitConfig
from reslab.engine.open import EngineName, find_model, open_engine
from reslab.errors import ResLabError
from reslab.evaluate.feature_file import check_feature_file, write_features
from reslab.evaluate.features import FeatureTable, Near, embed_pictures, find_near, require_features
from reslab.evaluate.predict import expand
from reslab.run.features import PictureSet, features_place, kept_table, read_pictures
from reslab.run.features import embed as embed_set

_NAMED = 5  # unreadable pictures that are named on stderr


@Parameter(name="*")
@dataclass(frozen=True)
class FeatureOptions:
    """Which pictures, and how their features are computed."""

    split: Literal["train", "val", "test"] | None = None
    "Only this part of DATA."
    workers: int | None = None
    "Threads that read pictures."
    engine: EngineName = "auto"
    "auto, fastest, torch, onnxruntime or openvino: the library that computes, where the file leaves a choice."


_FEATURE_OPTIONS = FeatureOptions()


def embed(
    model: str,
    data: str,
    /,
    *,
    out: Path | None = None,
    source: DataOptions = DATA_OPTIONS,
    how: FeatureOptions = _FEATURE_OPTIONS,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    bulk: BulkOptions = BULK_OPTIONS,
) -> None:
    """Write the pooled features of pictures to a file: what the linear layer of the network is given.

    Args:
        model: A model file, an exported model.onnx, a run folder, latest, a packaged model, or another library's checkpoint.
        data: A folder, a CSV/TSV, shards, Parquet, a zip, or a name; or pictures without labels: a folder or a pattern.
        out: The file, .npz or .parquet; by default features.npz in the run folder, where explain looks for it.
        json: Print a summary as JSON.
    """
    path = find_model(model)
    foreign.refuse_for(path)
    bulk.where.refuse_without(bulk.parquet, "--parquet")
    if bulk.parquet is not None:
        if out or how.split or source.given():
            raise ResLabError(
                "embed --parquet takes neither --out nor options that divide DATA",
                "its rows have the splits that the shards declare",
            )
        from reslab.cli.bulk import answer_in_bulk, job_of  # not at the top: for those who ask for it

        job = job_of("embed", path, data, bulk, foreign, how.workers, how.engine)
        answer_in_bulk(job, bulk, json)
        return
    if out:
        check_feature_file(out)
        outside_data(out, data)
    engine, pictures = _open(path, data, source, how, foreign)
    place = out or features_place(path, pictures, how.split)
    table = _embedded(engine, pictures, source, how)
    write_features(place, table)
    n, d = table.features.shape
    counts = Counter(table.splits)
    splits = {split: counts[split] for split in SPLITS if counts[split]}
    if json:
        unreadable = [{"path": bad.name, "reason": bad.reason} for bad in table.unreadable]
        show.print_json({
            "schema": 1, "out": str(place), "n": n, "d": d, "model": table.source.model, "classes": table.source.classes,
            "splits": splits, "unreadable": unreadable,
        })  # fmt: skip
        return
    parts = ", ".join(f"{split} {count:,}" for split, count in splits.items())
    show.say(f"{place}: {d} features of each of {n:,} pictures{f' ({parts})' if parts else ''}")


def near(
    model: str,
    data: str,
    /,
    *queries: str,
    top: int = 5,
    features: Path | None = None,
    html: Path | None = None,
    source: DataOptions = DATA_OPTIONS,
    how: FeatureOptions = _FEATURE_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find the pictures of DATA that are nearest to others: by the cosine similarity of their pooled features.

    Args:
        model: A model file, an exported model.onnx, a run folder, latest, or a packaged model.
        data: Where to search: a folder, a CSV/TSV, an archive, or a name; or pictures without labels: a folder or a pattern.
        queries: Pictures, folders, patterns.
        top: How many pictures for each.
        features: What reslab embed wrote of DATA, a file or a folder, so that they are not computed again.
        html: Also write one self-contained page with the pictures side by side.
        json: Print JSON Lines: a row for each query, with its nearest pictures or the reason why there are none.
    """
    if not queries:
        raise ResLabError("near needs at least one picture, folder or pattern", "reslab near MODEL DATA photo.jpg")
    engine, pictures = _open(find_model(model), data, source, how, FOREIGN_OPTIONS)
    outside_data(html, data)
    table = kept_table(features, engine, pictures, how.split) if features else _embedded(engine, pictures, source, how)
    asked = list(expand(queries))
    with show.bar("embedding", len(asked)) as progress:
        found = embed_pictures(engine, asked, workers=how.workers, on_progress=progress.move)
    rows = find_near(table, asked, found, top)
    if html:
        from reslab.report.near import write_near  # not at the top: it loads jinja2

        write_near(html, model, pictures.catalog, asked, rows)
    for row in rows:
        _print_row(row, json)
    if len(found.errors) == len(rows):
        raise ResLabError("none of the queries could be read", "each row above says why")


def _open(
    model: Path, data: str, source: DataOptions, how: FeatureOptions, foreign: ForeignOptions
) -> tuple[Any, PictureSet]:
    """The engine, and the pictures split as when the model was trained."""
    division = source.split()
    pictures = read_pictures(data, division.data_dir)
    engine = open_engine(model, foreign.assumed(), how.engine)
    require_features(engine)
    return engine, pictures.divided(division.or_else(SplitConfig.recorded(engine.header.training)))


def _embedded(engine: Any, pictures: PictureSet, source: DataOptions, how: FeatureOptions) -> FeatureTable:
    with show.bar("embedding", len(pictures.pictures(how.split))) as progress:
        skip_bad = bool(source.split().skip_bad)
        table = embed_set(engine, pictures, how.split, skip_bad, how.workers, progress.move)
    for bad in table.unreadable[:_NAMED]:
        show.people.print(f"{bad.name}: left out: {bad.reason}")
    if (more := len(table.unreadable) - _NAMED) > 0:
        show.people.print(f"and {more:,} more")
    return table


def _print_row(row: Near, json: bool) -> None:
    if json:
        show.print_json_line(dataclasses.asdict(row))
        return
    if row.error is not None:
        show.say(f"{row.path}: cannot compare: {row.error}")
        return
    show.say(f"{row.path}:")
    for one in row.neighbours:
        what = f" {one.label}" if one.label else ""
        mark = "   the same picture" if one.same else ""
        show.say(f"   {one.similarity:.4f}{what}   {one.path}{mark}")
