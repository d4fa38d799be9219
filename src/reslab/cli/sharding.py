"""`shard`: a data set as tar files of bounded size with an index, for disks and stores that dislike many small files."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.options import outside_data
from reslab.data.archives.places import is_url, url_path
from reslab.data.archives.write import MAX_BYTES, write_shards
from reslab.data.sources import path_of, read_data


def shard(
    data: str,
    out: str,
    /,
    *,
    max_bytes: int = MAX_BYTES,
    data_dir: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a data set as shards: tar files with the pictures byte for byte, and index.json. They are DATA for every verb.

    Args:
        data: A folder, a CSV/TSV, a zip, Parquet, shards, or a name.
        out: A new folder, or a URL such as s3://bucket/pets (extra scale).
        max_bytes: Size of a shard.
        data_dir: Folder of a named set.
        json: Print a summary as JSON.
    """
    place = url_path(out) if is_url(out) else path_of(out, "OUT")
    if isinstance(place, Path):
        outside_data(place, data, "OUT")
    catalog = read_data(data, data_dir)
    with show.bar("writing", len(catalog.pictures)) as progress:
        index = write_shards(catalog, place, max_bytes, progress.move)
    if json:
        summary = {"schema": 1, "out": out, "pictures": index.pictures, "classes": index.classes}
        show.print_json(summary | {"shards": len(index.shards), "bytes": index.bytes})
        return
    counts = f"{index.pictures:,} pictures of {len(index.classes):,} classes in {len(index.shards):,} shards"
    show.say(f"{out}: {counts}, {index.bytes / 1e6:,.1f} MB")
