"""`adopt`: ONNX classifiers that were trained elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import class_names
from reslab.cli.options import DATA_OPTIONS, DataOptions, outside_data
from reslab.errors import ResLabError
from reslab.export.options import NUMBERS, Numbers, RuleChoices
from reslab.pixels.preprocess import Interpolation, Resize

if TYPE_CHECKING:
    from reslab.export.adopt import Adoption


@Parameter(name="*")
@dataclass(frozen=True)
class InputOptions:
    """The input rule of the graph. What is given is not searched for."""

    mean: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None
    "Mean of the graph's normalisation, for pictures in [0, 1]: red, green, blue."
    std: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None
    "Standard deviation of the graph's normalisation."
    size: int | None = None
    "Side of the input in pixels, where the graph takes any; 224 by default."
    resize: Resize | None = None
    "crop keeps the centre, pad the whole picture, stretch ignores the aspect ratio."
    interpolation: Interpolation | None = None
    "bilinear or bicubic."

    def choices(self) -> RuleChoices:
        """The rules that are left to try."""
        if self.size is not None and self.size < 8:
            raise ResLabError(f"--size {self.size} is too small", "the smallest input is 8 pixels")
        tried = RuleChoices(self._numbers())
        return RuleChoices(
            tried.numbers,
            (self.resize,) if self.resize else tried.resizes,
            (self.interpolation,) if self.interpolation else tried.interpolations,
        )

    def _numbers(self) -> dict[str, Numbers]:
        if self.mean is None and self.std is None:
            return NUMBERS
        if self.mean is None or self.std is None:
            raise ResLabError("--mean and --std go together", "--mean 0 0 0 --std 1 1 1 stands for numbers from 0 to 1")
        if min(self.std) <= 0 or max(map(abs, self.mean)) > 1:
            raise ResLabError(
                "--mean and --std are for pictures in [0, 1], and no std is 0", "divide numbers for [0, 255] by 255"
            )
        return {"given": (self.mean, self.std)}


_INPUT_OPTIONS = InputOptions()


def adopt(
    foreign: Path,
    /,
    *,
    data: str,
    classes: Path | None = None,
    out: Path = Path("model.onnx"),
    split: Literal["train", "val", "test"] = "val",
    division: DataOptions = DATA_OPTIONS,
    pictures: InputOptions = _INPUT_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Turn an ONNX classifier from elsewhere into a model.onnx that predict, eval and explain take.

    Its input rule (range, channel order, resize) is found by trying rules on labelled pictures, and its probabilities are
    calibrated by a temperature. The new graph is compared with the given one; if they differ, no file is written (exit code 1).

    Args:
        foreign: The ONNX file of a classifier: from timm, Ultralytics, torchvision or elsewhere.
        data: Labelled pictures of all or some of its classes: a folder, a CSV/TSV, shards, Parquet, a zip, or a name.
        classes: A text file with its class names, one per line in the order of its outputs; by default the names in the file.
        out: The model file.
        split: The split of DATA that chooses the rule.
        json: Print JSON.
    """
    outside_data(out, data)
    if not foreign.is_file():
        raise ResLabError(f"there is no file {foreign}", "adopt takes an ONNX file")
    if out.exists() and foreign.exists() and out.samefile(foreign):
        raise ResLabError(f"--out {out} is the foreign file itself", "choose another name")
    names = None if classes is None else class_names(classes)
    choices = pictures.choices()
    from reslab.export.adopt import Source
    from reslab.export.adopt import adopt as adopted

    source = Source(data, split, division.split())
    with show.bar("answering") as progress:
        made = adopted(foreign, out, source, choices, names, pictures.size, _tell, progress.move)
    for warning in made.warnings:
        _tell(f"warning: {warning}")
    document = made.document() | {"out": str(out)}
    if json:
        show.print_json(document)
    else:
        _say(made, document, data)


def _tell(sentence: str) -> None:
    show.people.print(sentence, markup=False, soft_wrap=True)


def _say(made: "Adoption", document: dict[str, Any], data: str) -> None:
    say = show.say
    rows = show.table(
        "numbers", "order", "resize", "interpolation", "n", "accuracy", "NLL", "temperature", right=(4, 5, 6, 7)
    )
    for one in document["tried"]:
        nll = "-" if one["nll"] is None else f"{one['nll']:.4f}"
        shown = (one["numbers"], one["order"], one["resize"], one["interpolation"])
        rows.add_row(*shown, str(one["n"]), show.percent(one["accuracy"]), nll, f"{one['temperature']:.2f}")
    say(rows)
    rule, fit, proof = document["rule"], document["calibration"], document["certificate"]
    say(f"input: {rule['numbers']} {rule['order']}, {rule['size']} px, {rule['resize']}, {rule['interpolation']}")
    for question, doubt in document["doubts"].items():
        second = doubt["second"]
        other = (
            f"{second['numbers']} {second['order']}"
            if question == "numbers"
            else f"{second['resize']}, {second['interpolation']}"
        )
        say(
            f"second best: {other}, {100 * doubt['difference']:+.2f} points, p = {doubt['p_value']:.3g}: {doubt['verdict']}"
        )
    say(f"{document['split']} split of {data}: {show.interval(document['top1'], document['n'])}", end="; ")
    say(f"always answering one class {show.percent(document['majority_baseline'])}")
    say("these pictures chose the input rule and the temperature; whether the graph was trained on them is unknown")
    say(f"NLL {fit['nll_before']:.4f} -> {fit['nll_after']:.4f}; {show.temperature(fit)}")
    say(
        f"certificate: {proof['n']} pictures in batches of {', '.join(map(str, proof['batches']))}, largest difference "
        f"{proof['max_difference']:.2g} of {proof['limit']:.2g} allowed, same labels"
    )
    say(document["out"] + ("" if made.explains else " (predict and eval; it has no features to explain by)"))
