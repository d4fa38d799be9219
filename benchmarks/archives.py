"""Pictures per CPU second from a folder, shards, a zip and a Parquet file, on one core: bytes alone, and decoded.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/archives.py DATA [PICTURES]

The forms are made in a temporary folder from evenly chosen pictures of DATA. CPU time, since other programs may run beside it.
"""

import dataclasses
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
from pyarrow import parquet

from reslab.data.archives import parquet as ours
from reslab.data.archives.write import write_shards
from reslab.data.catalog import Catalog, Picture
from reslab.data.reader import content, load
from reslab.data.sources import read_data
from reslab.system.sampling import evenly_spaced

ROUNDS = 2
KEPT = ours.KEPT_BYTES


def make(given: Catalog, root: Path) -> dict[str, Catalog]:
    """The same pictures in every form."""
    for picture in given.pictures:
        path = root / "folder" / picture.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(picture) or b"")
    folder = read_data(root / "folder")
    begun = time.process_time()
    write_shards(folder, root / "shards")
    print(f"writing shards: {len(folder.pictures) / (time.process_time() - begun):,.0f} pictures per CPU second")
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for picture in folder.pictures:
            archive.write(picture.source, f"folder/{picture.key}")
    columns = {
        "image": [{"bytes": content(picture), "path": picture.key} for picture in folder.pictures],
        "label": [picture.label for picture in folder.pictures],
    }
    parquet.write_table(pyarrow.table(columns), root / "a.parquet", row_group_size=100)
    others = {name: read_data(root / name) for name in ("shards", "a.zip", "a.parquet")}
    return {"folder": folder, **others}


def speed(catalog: Catalog, read: Callable[[Picture], object], order: list[int]) -> float:
    """Pictures per CPU second."""
    begun = time.process_time()
    for i in order:
        read(catalog.pictures[i])
    return len(order) / (time.process_time() - begun)


def main(data: str, count: int = 10_000) -> None:
    """Print a line for each way of reading, twice."""
    given = read_data(data)
    chosen = tuple(given.pictures[i] for i in evenly_spaced(len(given.pictures), count))
    with tempfile.TemporaryDirectory() as folder:
        forms = make(dataclasses.replace(given, pictures=chosen), Path(folder))
        ordered = list(range(len(chosen)))
        shuffled = random.Random(0).sample(ordered, len(ordered))
        ways = [("bytes in order", content, ordered), ("bytes at random", content, shuffled)]
        ways += [("decoded in order", load, ordered), ("decoded at random", load, shuffled)]
        ways += [("decoded at random, one row group kept", load, shuffled[:1000])]
        for what, read, order in ways:
            ours.KEPT_BYTES = 1 if "one row group" in what else KEPT
            for _ in range(ROUNDS):
                speeds = [f"{name} {speed(catalog, read, order):,.0f}" for name, catalog in forms.items()]
                print(f"{what} (n = {len(order):,}): {', '.join(speeds)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
