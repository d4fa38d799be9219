"""Pictures per second of augmentations on one core, and the time that the fractals of PixMix take to be drawn.

    OMP_NUM_THREADS=1 python benchmarks/augment.py [--rounds 7]

Pictures are noise at the input's size; the fastest of several batches counts, in seconds of this process's processor time.
"""

import argparse
import time

import numpy as np

from reslab.data.augment import Augment, parse
from reslab.data.fractals import mixing_pictures
from reslab.pixels.preprocess import Preprocess

SETS = ("light", "quick", "light,trivialaugment", "light,pixmix", "quick,pixmix")
SIZES = ((32, 128), (224, 32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for side, batch in SIZES:
        begun = time.process_time()
        mixing_pictures(round(side * 9 / 8))
        print(f"{side} px: fractals {time.process_time() - begun:.2f} s")
        pictures = list(np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8))
        for name in SETS:
            augment, times = Augment(parse(name), Preprocess(side), 0), []
            for epoch in range(options.rounds):
                begun = time.process_time()
                augment.pictures(pictures, epoch, np.arange(batch))
                times.append(time.process_time() - begun)
            print(f"{side} px, {batch} at a time: {name:22s} {batch / min(times):8,.0f} pictures/s")


if __name__ == "__main__":
    main()
