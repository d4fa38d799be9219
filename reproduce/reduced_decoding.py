"""How far a JPEG that is decoded at 1/2, 1/4 or 1/8 (libjpeg's DCT scaling) is from the same one decoded in full, once resized.

    python reproduce/reduced_decoding.py

For each drawn picture, quality and sampling: the share of samples at 0 or 255, and the greatest difference in levels of 255
after bilinear resizing, where the reduced side is 5, 6 and 6.7 times the network's.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

from reslab.pixels.encode import encode_picture
from reslab.pixels.preprocess import Preprocess

SIDE, RATIOS, SCALES = 1344, (5, 6, 6.7), (2, 4, 8)
WAYS = {"q90 4:2:0": {"quality": 90}, "q90 4:4:4": {"quality": 90, "subsampling": 0}, "q30 4:2:0": {"quality": 30}}


def pictures() -> dict[str, np.ndarray]:
    """uint8 `[SIDE, SIDE, 3]`: with and without saturated samples."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3))
    high = noise[..., 0] > 127
    page = Image.new("RGB", (SIDE, SIDE), "white")
    for y in range(20, SIDE, 18):
        ImageDraw.Draw(page).text((30, y), "The quick brown fox jumps over the lazy dog " * 6, "black", font_size=10)
    text = np.asarray(page)
    found = {
        "noise, 85 to 170": 128 + (noise - 128) // 3,
        "text, 90 to 190": 90 + text // 255 * 100,
        "text, 0 to 255": text,
        "noise, 0 or 255": (noise > 127) * 255,
        "red or blue": np.stack([high * 255, high * 0, ~high * 255], -1),
    }
    return {name: pixels.astype(np.uint8) for name, pixels in found.items()}


def reduced(data: bytes, scale: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (SIDE // scale, SIDE // scale))
    return np.asarray(image)


def main() -> None:
    for name, pixels in pictures().items():
        for way, options in WAYS.items():
            data = encode_picture(pixels, "JPEG", **options)
            full, row = reduced(data, 1), []
            for scale in SCALES:
                for ratio in RATIOS:
                    prepare = Preprocess(round(SIDE / scale / ratio), "stretch")
                    row.append(int(abs(prepare(full).astype(int) - prepare(reduced(data, scale))).max()))
            saturated = np.isin(full, (0, 255)).mean()
            print(f"{name:17} {way} saturated {saturated:4.0%}", *(row[n : n + 3] for n in (0, 3, 6)), flush=True)


if __name__ == "__main__":
    main()
