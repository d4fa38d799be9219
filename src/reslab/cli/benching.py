"""`bench`; an exported model is measured without torch."""

import dataclasses
from typing import Annotated

from cyclopts import Parameter

from reslab.bench.measure import measure
from reslab.cli import show
from reslab.data.reader import BLOCK
from reslab.engine.open import EngineName
from reslab.errors import ResLabError


def bench(
    model: str,
    *,
    data: str | None = None,
    seconds: float = 5.0,
    json: Annotated[bool, Parameter(negative="")] = False,
    engine: EngineName = "auto",
) -> None:
    """Measure a network on this machine: images per second, latency, memory, and the share of the machine's peak.

    Args:
        model: A model file, an exported model.onnx, a run folder, latest, or a network of the zoo.
        data: Pictures for the measurement that reads files; by default JPEG files of noise with the statistics of photographs.
        seconds: Time for each measurement.
        json: Print JSON.
        engine: auto, fastest, torch, onnxruntime or openvino: the library that computes, where the file leaves a choice.
    """
    if seconds <= 0:
        raise ResLabError(f"--seconds {seconds:g} leaves no time to measure", "give at least 1")
    found = measure(model, data, seconds, engine)
    if json:
        show.print_json({"schema": 1, **dataclasses.asdict(found)})
        return
    made = show.table("measured", "value", "meaning", right=(1,))
    made.add_row("forward", f"{found.forward_images_per_second:.1f} images/s", f"{BLOCK} pictures in memory at a time")
    made.add_row(
        "latency", f"{found.latency_ms_p50:.1f} ms", f"one picture, median; 95 % within {found.latency_ms_p95:.1f} ms"
    )
    made.add_row("from files", f"{found.files_images_per_second:.1f} images/s", found.files)
    made.add_row("waiting", f"{100 * found.waiting_share:.0f} %", "of that time the engine waited for pictures")
    if found.training_images_per_second:
        steps = f"steps of {BLOCK} in {found.training_precision}"
        made.add_row("training", f"{found.training_images_per_second:.1f} images/s", steps)
    made.add_row("memory", f"{found.peak_memory_mb:,.0f} MB", "peak of this process")
    if found.macs and found.percent_of_peak:
        made.add_row("peak", f"{found.matmul_gflops:.0f} GFLOP/s", "a large float32 matrix product")
        share = f"of that peak, by forward; {found.macs / 1e6:,.1f} M MACs a picture"
        made.add_row("used", f"{found.percent_of_peak:.0f} %", share)
    show.say(f"{found.model} at {found.size} px, engine {found.engine}, {found.machine}")
    show.say(made)
