"""Look at a data set as a training would see it: split, checked, and drawn."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reslab.check.data import Verdict, examine, judge, worst_first
from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.data.corrections import correct_labels
from reslab.data.sources import path_of, read_data
from reslab.system.files import write_atomically
from reslab.tasks.table import task_named
from reslab.tasks.task import require
from reslab.train.config import TrainConfig

if TYPE_CHECKING:
    from reslab.check.deep import DeepCheck
    from reslab.check.looks import Look


def read_and_split(config: TrainConfig) -> Catalog:
    """The data that a config names, every picture in a split; in a cross-validation also in a fold.

    Labels are corrected afterwards, so that no correction moves a picture to another split.
    """
    catalog = config.split.apply(read_data(config.data, config.data_dir))
    if config.corrections is None:
        return catalog
    require(task_named(catalog.task), "review", "--corrections")
    return correct_labels(catalog, path_of(config.corrections, "--corrections"))


def examine_data(
    config: TrainConfig | str | Path,
    on_progress: Callable[[int], None] | None = None,
    splits: Collection[Split] = SPLITS,
    near: bool = False,
    deep: bool = False,
    html: Path | None = None,
) -> Verdict:
    """Check every split of a data set, given by a config or by its path or name alone. Without PyTorch.

    Args:
        near: also look for near-duplicates.
        deep: besides, look for pictures that stand out, and for labels that follow from something beside the picture.
        html: also write what was found as a page with thumbnails.
    """
    config = config if isinstance(config, TrainConfig) else TrainConfig(data=config)  # type: ignore[arg-type]
    catalog = read_and_split(config).only(splits)
    if near or deep:
        from reslab.check.deep import DeepCheck

        deeper = DeepCheck(catalog, deep)
        verdict = _deeper(examine(catalog, deeper.keep(), on_progress=on_progress), deeper, deep)
    else:
        verdict = examine(catalog, on_progress=on_progress)
    _draw(html, catalog, verdict)
    return verdict


def examine_looks(
    config: TrainConfig, looks: "Iterable[tuple[Picture, Look]]", deep: bool = False, html: Path | None = None
) -> Verdict:
    """The same as `examine_data` with `near` or `deep`, where every picture has been looked at before (`bulk`).

    Args:
        looks: of every picture, in any order.
    """
    from reslab.check.deep import DeepCheck
    from reslab.check.looks import restore_looks

    catalog = read_and_split(config)
    deeper = DeepCheck(catalog, deep)
    verdict = _deeper(judge(catalog, restore_looks(catalog, deeper, looks)), deeper, deep)
    _draw(html, catalog, verdict)
    return verdict


def _deeper(verdict: Verdict, deeper: "DeepCheck", deep: bool) -> Verdict:
    """A verdict, and what the deeper check adds to it."""
    found = deeper.near_problems() + (deeper.other_problems() if deep else [])
    return replace(verdict, problems=worst_first(verdict.problems + tuple(found)), metadata=deeper.leak)


def _draw(html: Path | None, catalog: Catalog, verdict: Verdict) -> None:
    """Write the page, if one is asked for."""
    if html:
        from reslab.report.data_page import render

        write_atomically(html, render(catalog, verdict).encode(errors="replace"))


def contact_sheet(config: TrainConfig, columns: int = 8, rows: int = 6) -> np.ndarray:
    """What the network sees: training pictures as they are prepared (left) and augmented, as one RGB picture."""
    from reslab.train.inputs import open_stores
    from reslab.train.plan.resolve import resolve
    from reslab.train.preview import sheet

    catalog = read_and_split(config).only(("train",))
    plan = resolve(replace(config, skip_bad=True), catalog)
    return sheet(plan, open_stores(plan, catalog).train, columns, rows)
