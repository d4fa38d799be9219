"""Options that several verbs share."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from reslab.data.splits import SplitConfig
from reslab.errors import ResLabError


@Parameter(name="*")
@dataclass(frozen=True)
class PictureOptions:
    """What the network sees."""

    size: int | Literal["auto"] | None = None
    "Side of the input in pixels; auto takes the pictures' own up to 64, else up to 224, as far as the time allows."
    resize: str | None = None
    "crop keeps the centre, pad the whole picture, stretch ignores the aspect ratio."
    normalize: str | None = None
    "0-1, -1-1, imagenet, measured on the training pictures, or weights: as the starting weights were trained."
    augment: str | None = None
    (
        "none, light, quick, standard, strong, any-way-up (no side is up: microscopes, satellites); or a list of crop, "
        "shift, hflip, altflip, vflip, rot90, rotate, color, grey, blur, trivialaugment, randaugment, erase, mixup, "
        "cutmix, with commas."
    )

    def given(self) -> dict[str, Any]:
        """The fields that the person set, as the config names them."""
        values = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        return values | ({"size": 0} if values.get("size") == "auto" else {})


@Parameter(name="*")
@dataclass(frozen=True)
class DataOptions:
    """How the data are found and divided."""

    data_dir: Path | None = None
    "Where a named set lies or is downloaded to."
    val: float | Literal["none"] | None = None
    "Share of the pictures that validates (0.1); none trains on all."
    split_seed: int | None = None
    "Decides who is in which split (0)."
    group_by: str | None = None
    "Keep groups on one side: a regular expression on the path, or parent."
    skip_bad: Annotated[bool | None, Parameter(negative="")] = None
    "Leave unreadable pictures out."

    def given(self) -> dict[str, Any]:
        """The fields that the person set, as the config names them."""
        values = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        if "data_dir" in values:
            values["data_dir"] = str(values["data_dir"])
        return values | ({"val": 0.0} if values.get("val") == "none" else {})

    def split(self) -> SplitConfig:
        """The same as one object."""
        return SplitConfig.recorded(self.given())


PICTURE_OPTIONS, DATA_OPTIONS = PictureOptions(), DataOptions()


def outside_data(out: Path | None, data: str) -> None:
    """Nothing is ever written into the person's data folder."""
    folder = Path(data)
    if out is not None and folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise ResLabError(f"--out {out} lies inside {data}, which is never written to", "choose a folder beside it")
