"""Draw a class activation map over its picture, with a scale."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_FOR, _AGAINST = np.array([230, 97, 1]), np.array([33, 102, 172])  # orange and blue: safe for colour-blind readers
_STRONGEST = 0.75  # opacity of the strongest evidence
_BAR, MARGIN, TEXT = 12, 10, 14
PAPER, INK = (255, 255, 255), (40, 40, 40)


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Blend a picture with its map: orange for the class, blue against it, the stronger the more opaque.

    Args:
        picture: uint8 `[side, side, 3]`.
        heat: float `[map_height, map_width]`, in logits.

    Returns:
        uint8 `[side, side, 3]`.
    """
    side = picture.shape[0]
    smooth = Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(smooth, np.float64) / scale_limit(heat), -1, 1)[..., None]
    opacity = _STRONGEST * np.abs(share)
    blended = (1 - opacity) * picture + opacity * np.where(share > 0, _FOR, _AGAINST)
    return blended.round().astype(np.uint8)


def scale_limit(heat: np.ndarray) -> float:
    """The end of the colour scale: the largest absolute evidence, or 1 where there is none."""
    return float(np.abs(heat).max()) or 1.0


def draw_explanation(picture: np.ndarray, heat: np.ndarray) -> Image.Image:
    """The picture as the network sees it, the same under its map, and the colour scale in logits."""
    side = picture.shape[0]
    canvas = Image.new("RGB", (2 * side + 3 * MARGIN, side + 3 * MARGIN + _BAR + TEXT + 4), PAPER)
    canvas.paste(Image.fromarray(picture), (MARGIN, MARGIN))
    left = side + 2 * MARGIN
    canvas.paste(Image.fromarray(overlay(picture, heat)), (left, MARGIN))
    limit, top = scale_limit(heat), side + 2 * MARGIN
    ramp = np.linspace(-1, 1, side)[None, :, None]
    colours = 255 * (1 - _STRONGEST * np.abs(ramp)) + _STRONGEST * np.abs(ramp) * np.where(ramp > 0, _FOR, _AGAINST)
    bar = np.repeat(colours.round().astype(np.uint8), _BAR, axis=0)
    canvas.paste(Image.fromarray(bar), (left, top))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for x, anchor, text in (
        (left, "lt", f"{-limit:+.3g}"),
        (left + side / 2, "mt", "0"),
        (left + side, "rt", f"{limit:+.3g}"),
    ):
        pen.text((x, top + _BAR + 4), text, fill=INK, font=font, anchor=anchor)
    return canvas
