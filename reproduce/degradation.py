"""Remake the published study of degradation: plain and residual networks of 20, 56 and 110 layers on CIFAR-10.

    python reproduce/degradation.py DATA [--epochs 10] [--share 1] [--seeds 0] [--out RUNS] [--publish]

DATA is a folder with train/ and test/ (one folder per class), or cifar10. `--share` takes that part of the training pictures;
several seeds are averaged. What is finished is not trained again, a stopped training goes on where it stood. With --publish the
result becomes what `reslab study degradation` shows (src/reslab/study/degradation.json), with docs/degradation.svg and its
twin in Chinese.
"""

import argparse
import json
from pathlib import Path

from reslab.figures.degradation import draw
from reslab.study import degradation
from reslab.study.published import average
from reslab.system.files import write_atomically, write_json

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, default=Path("runs/degradation"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--publish", action="store_true")
    options = parser.parse_args()

    def tell(event: dict) -> None:
        if event["event"] in ("network", "epoch"):
            print(json.dumps(event), flush=True)

    length = degradation.Length(options.epochs, options.share)
    document = average([
        degradation.study(options.data, options.out / f"seed-{seed}", length, seed=seed, on_event=tell)
        for seed in options.seeds
    ])  # fmt: skip
    write_json(options.out / "degradation.json", document)
    if options.publish:
        write_json(Path(degradation.__file__).with_suffix(".json"), document)
        for language, name in (("en", "degradation.svg"), ("zh", "degradation.zh.svg")):
            write_atomically(ROOT / "docs" / name, draw(document, language).encode())


if __name__ == "__main__":
    main()
