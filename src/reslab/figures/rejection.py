"""The risk-coverage curve: how the error falls when only the surest answers are given."""

from collections.abc import Sequence

from reslab.figures.axes import Axes, shares
from reslab.figures.svg import Drawing, Point
from reslab.words.phrases import percent, say

_WIDTH = 360
_LEAST_TOP = 0.1  # an error that stays at 0 is still drawn on an axis


def risk_coverage(curve: Sequence[Point], threshold: Point | None) -> Drawing:
    """Error of the answered pictures over the share that is answered, the surest first.

    Args:
        curve: (share answered, error of the answered), the share rising.
        threshold: the same pair for the model's own thresholds; None where they accept nothing.
    """
    highest = max([risk for _, risk in curve] + ([threshold[1]] if threshold else []))
    axes = Axes(
        shares(0), shares(0, max(highest, _LEAST_TOP)), say("rejection.axis.x"), say("rejection.axis.y"),
        right=_WIDTH - 8, top=46, bottom=208, names=14, font=12,
    )  # fmt: skip
    parts = [*axes.grid(), axes.line("training", curve)]
    if threshold:
        share, risk = (percent(value, 1) for value in threshold)
        parts += axes.mark("best", threshold[0], say("rejection.mark", share=share))
        parts.append(axes.dot("validation", threshold, say("rejection.point", share=share, risk=risk), radius=4.5))
    desc = say("rejection.desc", least=percent(curve[0][1], 1), all=percent(curve[-1][1], 1))
    return Drawing(say("rejection.curve"), _WIDTH, 236, parts, desc=desc, key="chart-rejection")
