"""How many near-duplicates `reslab check --near` finds: planted copies, pairs that people judged, and a million hashes.

    python reproduce/near_duplicates.py planted DATA [--pictures 0] [--each 100]
    python reproduce/near_duplicates.py judged DATA LIST
    python reproduce/near_duplicates.py features FEATURES LIST
    python reproduce/near_duplicates.py scale [--most 1000000]

planted: DATA is a folder; `--pictures N` takes N of its training pictures, 0 all pictures. Copies of each kind are written
beside them into a temporary folder, which is checked. Other pairs that are named are printed, to be looked at.

judged: DATA is CIFAR-10 as a folder with train/ and test/, LIST the table of the pairs between test and train that people
judged. Counted are the pairs between test and train that the check names: of each test picture the most similar training
picture. A judged pair is found directly if it is named itself; and its test picture is flagged if it is named with any.

features: FEATURES is what `reslab embed MODEL DATA` wrote for the same folder. Where the training picture of a judged pair
stands among all neighbours of its test picture, by cosine; and how many other test pictures have a neighbour that is as near.

scale: draws hashes at random, one picture in ten a copy of another with one bit in ten changed; searches them as the check
does, at one plain and one mirrored view for each picture.
"""

import argparse
import csv
import gzip
import io
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from reslab.check.data import Verdict
from reslab.check.hashes import BITS, propose
from reslab.data.sources import read_data
from reslab.pixels.decode import decode
from reslab.run.examine import examine_data
from reslab.system.machine import peak_memory
from reslab.train.config import TrainConfig


def jpeg(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def resized(image: Image.Image, draws: np.random.Generator) -> Image.Image:
    factor = draws.choice([0.6, 0.75, 1.5, 2])
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def brightened(image: Image.Image, draws: np.random.Generator) -> Image.Image:
    values = np.asarray(image) * draws.uniform(1.1, 1.5) + draws.uniform(0, 25)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def cropped(image: Image.Image, draws: np.random.Generator) -> Image.Image:
    """At most 10 % of each side, wherever."""
    width, height = (int(np.ceil(side * draws.uniform(0.9, 1))) for side in image.size)
    left, top = draws.integers(0, image.width - width + 1), draws.integers(0, image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def bordered(image: Image.Image, draws: np.random.Generator) -> Image.Image:
    width = max(1, round(draws.uniform(0.03, 0.1) * min(image.size)))
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 30)]
    return ImageOps.expand(image, width, colours[draws.integers(0, len(colours))])


KINDS = {
    "exact": lambda image, draws: image,
    "damaged": lambda image, draws: jpeg(image, 90)[:-40],
    "re-encoded": lambda image, draws: jpeg(image, int(draws.integers(50, 91))),
    "resized": resized,
    "brightened": brightened,
    "cropped": cropped,
    "bordered": bordered,
    "mirrored": lambda image, draws: ImageOps.mirror(image),
}
"""Kind of copy -> how it is made: a picture, or the bytes of a file."""


def planted(data: Path, count: int, each: int) -> None:
    pictures = read_data(data).pictures
    pictures = pictures if not count else [p for p in pictures if p.split == "train"]
    draws = np.random.default_rng(0)
    chosen = [pictures[i] for i in sorted(draws.permutation(len(pictures))[: count or len(pictures)])]
    with tempfile.TemporaryDirectory() as folder:
        copies: dict[str, tuple[str, str]] = {}
        names = {}
        for number, picture in enumerate(chosen):
            names[number] = f"{picture.label}/{number:05d}{Path(picture.source).suffix.lower()}"
            path = Path(folder) / names[number]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(Path(picture.source).read_bytes())
        for kind, change in KINDS.items():
            for number in draws.permutation(len(chosen))[:each]:
                made = change(Image.fromarray(decode(chosen[number].source)), draws)
                key = f"{chosen[number].label}/{number:05d}_{kind}{'.jpg' if isinstance(made, bytes) else '.png'}"
                path = Path(folder) / key
                made.save(path) if isinstance(made, Image.Image) else path.write_bytes(made)
                copies[key] = kind, names[number]
        start = time.monotonic()
        verdict = examine_data(TrainConfig(data=folder, val=0), near=True)
        seconds = time.monotonic() - start
    report = {
        "pictures": len(chosen),
        "of each kind": each,
        "seconds": round(seconds),
        "found": _found(verdict, copies),
    }
    print(json.dumps(report))
    for problem in verdict.problems:
        if problem.kind.startswith("near") and not {problem.path, problem.other} & copies.keys():
            places = [chosen[int(Path(key).stem)].key for key in (problem.path, problem.other)]
            print("another pair:", *places, problem.detail.partition(": ")[2])


def _found(verdict: Verdict, copies: dict[str, tuple[str, str]]) -> dict[str, float]:
    """The share of the copies of each kind that a chain of named pairs joins with the original; damaged ones are unreadable."""
    group: dict[str, set[str]] = {}
    for problem in verdict.problems:
        if problem.other:
            joined = group.get(problem.path, {problem.path}) | group.get(problem.other, {problem.other})
            group |= dict.fromkeys(joined, joined)
    unreadable = set(verdict.unreadable())
    hits = Counter(
        kind
        for key, (kind, original) in copies.items()
        if (key in unreadable if kind == "damaged" else original in group.get(key, ()))
    )
    totals = Counter(kind for kind, _ in copies.values())
    return {kind: round(hits[kind] / n, 4) for kind, n in totals.items()}


def judged(data: Path, table: Path) -> None:
    with gzip.open(table, "rt") as file:
        rows = list(csv.DictReader(file))
    start = time.monotonic()
    verdict = examine_data(TrainConfig(data=str(data), val=0), near=True)
    seconds = time.monotonic() - start
    named = {}
    for problem in verdict.problems:
        if problem.kind in ("near duplicate across splits", "duplicate across splits"):
            test, train = sorted((problem.path, problem.other), key=lambda key: not key.startswith("test/"))
            named[test, train] = problem
    flagged, listed = {test for test, _ in named}, {row["test"] for row in rows}
    kinds = Counter(row["judgement"] for row in rows)
    direct = Counter(row["judgement"] for row in rows if (row["test"], row["train"]) in named)
    seen = Counter(row["judgement"] for row in rows if row["test"] in flagged)
    print(json.dumps({
        "judged": kinds, "named": direct, "test picture flagged": seen,
        "pairs named between test and train": len(named),
        "of other test pictures": sum(test not in listed for test, _ in named),
        "all pairs named": sum(bool(p.other) for p in verdict.problems),
        "seconds": round(seconds), "processor seconds": round(time.process_time()), "MiB": round(peak_memory() / 2**20),
    }))  # fmt: skip


def features(file: Path, table: Path) -> None:
    with gzip.open(table, "rt") as rows, np.load(file) as stored:
        pairs = [(row["test"], row["train"]) for row in csv.DictReader(rows)]
        vectors, keys, splits = stored["features"], stored["keys"].tolist(), stored["splits"]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place, train = {key: n for n, key in enumerate(keys)}, np.flatnonzero(splits == "train")
    similar = vectors[[place[test] for test, _ in pairs]] @ vectors[train].T
    cosines = np.array([vectors[place[a]] @ vectors[place[b]] for a, b in pairs])
    ranks = (similar > cosines[:, None] + 1e-6).sum(axis=1)
    blocks = np.array_split(np.flatnonzero(splits == "test"), 20)
    nearest = np.concatenate([(vectors[block] @ vectors[train].T).max(axis=1) for block in blocks])
    report = {f"among the {most} nearest": int((ranks < most).sum()) for most in (1, 10, 100)}
    for share in (0.5, 0.8, 0.9):
        least = np.quantile(cosines, 1 - share)
        report[f"test pictures with a neighbour as near as {share:.0%} of the pairs"] = int((nearest >= least).sum())
    print(json.dumps({"pairs": len(pairs), **report}))


def scale(most: int) -> None:
    count = 10_000
    while count <= most:
        draws = np.random.default_rng(0)
        vectors = draws.standard_normal((count, BITS), np.float32)
        copies = np.arange(count // 10)
        originals = len(copies) + copies
        vectors[copies] = vectors[originals] * np.where(draws.random((len(copies), BITS)) < 0.1, -0.3, 1)
        mirror = np.where(np.arange(BITS) % 2, -1, 1).astype(np.float32)
        both = np.stack([vectors, vectors * mirror], axis=1).reshape(-1, BITS)
        both = (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float16)
        del vectors
        owners, mirrored = np.repeat(np.arange(count), 2), np.tile([False, True], count)
        start = time.process_time()
        found = {tuple(sorted(pair)) for pair in owners[propose(both, owners, mirrored)].tolist()}
        spent = time.process_time() - start
        hits = sum(
            (copy, original) in found for copy, original in zip(copies.tolist(), originals.tolist(), strict=True)
        )
        row = {"pictures": count, "processor seconds": round(spent, 1), "copies found": round(hits / len(copies), 4)}
        row |= {"other candidates": len(found) - hits, "MiB": round(peak_memory() / 2**20)}
        print(json.dumps(row), flush=True)
        count *= 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    plant = verbs.add_parser("planted")
    plant.add_argument("data", type=Path)
    plant.add_argument("--pictures", type=int, default=0)
    plant.add_argument("--each", type=int, default=100)
    pairs = verbs.add_parser("judged")
    pairs.add_argument("data", type=Path)
    pairs.add_argument("list", type=Path)
    judged_by = verbs.add_parser("features")
    judged_by.add_argument("file", type=Path)
    judged_by.add_argument("list", type=Path)
    verbs.add_parser("scale").add_argument("--most", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.verb == "planted":
        planted(options.data, options.pictures, options.each)
    elif options.verb == "judged":
        judged(options.data, options.list)
    elif options.verb == "features":
        features(options.file, options.list)
    else:
        scale(options.most)


if __name__ == "__main__":
    main()
