"""Draw the nearest pictures below an explanation."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reslab.evaluate.features import Neighbour
from reslab.explain.draw import INK, MARGIN, PAPER, TEXT


def draw_neighbours(drawn: Image.Image, rows: Sequence[tuple[Neighbour, np.ndarray | None]]) -> Image.Image:
    """The drawing, and below it a row of pictures with the similarity and, in plain ASCII, the label of each.

    Args:
        rows: each with its pixels, uint8 `[side, side, 3]`, or None where they cannot be shown.
    """
    side = (drawn.width - MARGIN) // max(3, len(rows)) - MARGIN
    canvas = Image.new("RGB", (drawn.width, drawn.height + side + TEXT + 2 * MARGIN), PAPER)
    canvas.paste(drawn, (0, 0))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for number, (one, pixels) in enumerate(rows):
        left, top = MARGIN + number * (side + MARGIN), drawn.height
        if pixels is None:
            pen.rectangle((left, top, left + side - 1, top + side - 1), outline=INK)
        else:
            picture = Image.fromarray(pixels)
            canvas.paste(picture.resize((side, side), Image.Resampling.BICUBIC), (left, top))
        name = one.label if one.label.isascii() else ""  # the built-in font has no other letters
        text = f"{'=' if one.same else ''}{one.similarity:.3f} {name}"
        while pen.textlength(text, font) > side:
            text = text[:-1]
        pen.text((left, top + side + 4), text, fill=INK, font=font, anchor="lt")
    return canvas
