"""`export`: a model for other programs, verified to answer as before."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.options import DATA_OPTIONS, DataOptions, outside_data
from reslab.engine.open import find_model
from reslab.errors import ResLabError
from reslab.export.certify import Certificate
from reslab.export.options import FORMS, SUFFIXES, Form, Layout

if TYPE_CHECKING:
    from reslab.export.quantize import Acceptance

_NOT_MET = 1


@Parameter(name="*")
@dataclass(frozen=True)
class FileOptions:
    """Options of the file."""

    form: Annotated[Form | None, Parameter(name="--format")] = None
    "onnx, openvino or pt2 (torch.export: a program, which ResLab writes and never opens); by default what --out ends in."
    input_layout: Layout = "nhwc-uint8"
    "nhwc-uint8: pixels as decoders return them; nchw-float32: planes in [0, 1]. The model normalises either."
    opset: int | None = None
    "ONNX operator set, 18 to 26; 20 suits most runtimes."
    int8: Annotated[bool, Parameter(negative="")] = False
    "Eight-bit integers, if accuracy and speed on this machine allow it; else float32 is kept and the exit code is 1."
    max_drop_points: float = 0.5
    "Points of accuracy that int8 may cost."
    golden: Path | None = None
    "A new folder for golden vectors: pictures, and the answers that other programs must reproduce (see examples/)."


_OPTIONS = FileOptions()


def export(
    model: str,
    /,
    *,
    out: Path = Path("model.onnx"),
    data: str | None = None,
    how: FileOptions = _OPTIONS,
    source: DataOptions = DATA_OPTIONS,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a model for other programs, and verify on pictures, in batches of 1, 2, 3, 7 and 32, that it answers as before.

    Args:
        model: A model file, a run folder, latest, a packaged model, or a checkpoint of another library.
        out: The file; not written if the verification fails.
        data: Labelled pictures: the validation split verifies, and int8 takes its ranges from the training split. By default
            those of the run, else two photographs.
        json: Print JSON: the certificate.
    """
    foreign.refuse_for(find_model(model))
    if data:
        outside_data(out, data)
    form, out = _form(how.form, out)
    from reslab.run.export import ExportOptions, export_model

    options = ExportOptions(form, how.input_layout, how.opset, how.int8, how.max_drop_points, how.golden)
    with show.bar("exporting and comparing"):
        exported = export_model(model, out, options, data, source.split(), foreign.assumed())
    refused = bool(exported.acceptance and exported.acceptance.reasons)
    if json:
        document = {"path": str(out), **exported.certificate.document()}
        show.print_json(document | ({"int8": exported.acceptance.document()} if exported.acceptance else {}))
    else:
        _say(exported.certificate)
        if exported.acceptance:
            _print_acceptance(exported.acceptance)
        kept = " (float32)" if refused else " (int8)" if exported.acceptance else ""
        if how.golden:
            show.say(f"{how.golden}: golden vectors for testing programs in other languages")
        following = f"torch.export.load({str(out)!r})" if form == "pt2" else f"reslab predict {out} photos/"
        show.say(f"{out}{kept}: {out.stat().st_size / 1e6:.1f} MB. Next: {following}")
    return _NOT_MET if refused else 0


def _form(asked: Form | None, out: Path) -> tuple[Form, Path]:
    """The form, and the path with its suffix."""
    by_suffix = next((form for form in FORMS if SUFFIXES[form] == out.suffix), None)
    form = asked or by_suffix
    if form is None:
        raise ResLabError(
            f"--out {out} does not say a format", "end it in .onnx, .xml (OpenVINO) or .pt2, or say --format"
        )
    if by_suffix != form and out != Path("model.onnx"):
        raise ResLabError(f"--out {out} is no name for --format {form}", f"end it in {SUFFIXES[form]}")
    return form, out.with_suffix(SUFFIXES[form])


def _say(found: Certificate) -> None:
    batches = ", ".join(map(str, found.batches))
    show.say(f"certificate: {found.pictures}, in batches of {batches}")
    show.say(
        f"  logits differ by at most {found.max_difference:.1e} ({found.limit:.1e} is allowed), "
        f"and all {found.n:,} labels are the same"
    )
    if found.accuracy_before and found.accuracy_after:
        after = found.accuracy_after
        show.say(
            f"  accuracy {100 * found.accuracy_before.value:.2f} % before, {100 * after.value:.2f} % after "
            f"({100 * after.low:.2f} to {100 * after.high:.2f}, n = {found.n:,})"
        )
    show.say(
        f"  one picture takes {found.milliseconds_before:.1f} ms before ({found.engines[0]}), "
        f"{found.milliseconds_after:.1f} ms after ({found.engines[1]})"
    )


def _print_acceptance(acceptance: "Acceptance") -> None:
    found = acceptance.comparison
    show.say(
        f"int8: accuracy {100 * found.a:.2f} % in float32, {100 * found.b:.2f} % in int8: a drop of {acceptance.drop_points:.2f} "
        f"points ({100 * found.low:.2f} to {100 * found.high:.2f} with 95 % confidence; {acceptance.max_drop_points:g} allowed)"
    )
    show.say(
        f"  {acceptance.images_per_second_before:,.0f} pictures/s in float32, {acceptance.images_per_second_after:,.0f} in int8 "
        f"({acceptance.engine})"
    )
    for reason in acceptance.reasons:
        show.say(f"  refused: {reason}; float32 is kept")
