"""`models`, `bench`."""

import dataclasses
from typing import Annotated

from cyclopts import Parameter

from reslab.bench import bench as measure
from reslab.cli import show
from reslab.data.reader import BLOCK
from reslab.errors import ResLabError
from reslab.nn.count import layer_table, macs, parameters
from reslab.nn.zoo import SOURCES, ZOO, configuration, native_size


def models(
    name: str | None = None,
    *,
    size: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the networks, or one network layer by layer with the shape that each layer puts out.

    Args:
        name: A network of the zoo.
        size: Side of the input in pixels; its native size by default.
        json: Print JSON.
    """
    if name is None:
        _list(json)
    else:
        _one(name, size or native_size(configuration(name)), json)


def bench(
    model: str,
    *,
    data: str | None = None,
    seconds: float = 5.0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure a network on this machine: images per second, latency, memory, and the share of the machine's peak.

    Args:
        model: A model file, a run folder, latest, or a network of the zoo.
        data: Pictures to read for the measurement from files; two photographs cut into JPEG files by default.
        seconds: Time for each measurement.
        json: Print JSON.
    """
    if seconds <= 0:
        raise ResLabError(f"--seconds {seconds:g} leaves no time to measure", "give at least 1")
    found = measure(model, data, seconds)
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
    made.add_row(
        "training",
        f"{found.training_images_per_second:.1f} images/s",
        f"steps of {BLOCK} in {found.training_precision}",
    )
    made.add_row("memory", f"{found.peak_memory_mb:,.0f} MB", "the most that this process has held")
    made.add_row("peak", f"{found.matmul_gflops:.0f} GFLOP/s", "a large float32 matrix product")
    made.add_row(
        "used", f"{found.percent_of_peak:.0f} %", f"of that peak, by forward; {found.macs / 1e6:,.1f} M MACs a picture"
    )
    show.say(f"{found.model} at {found.size} px, engine {found.engine}, {found.machine}")
    show.say(made)


def _list(json: bool) -> None:
    rows = [
        {
            "name": name,
            "layers": config.layers,
            "parameters": parameters(config),
            "macs": macs(config, native_size(config)),
            "input": [3, native_size(config), native_size(config)],
            "source": SOURCES[name],
        }
        for name, config in ZOO.items()
    ]
    if json:
        show.print_json({"schema": 1, "models": rows})
        return
    made = show.table("name", "layers", "parameters", "MACs", "input", "source", right=(1, 2, 3, 4))
    for row in rows:
        side = row["input"][1]
        made.add_row(
            row["name"], str(row["layers"]), f"{row['parameters']:,}", _giga(row["macs"]), f"{side} px", row["source"]
        )
    show.say(made)
    show.people.print("MACs: multiply-accumulates of one picture (other tools' FLOPs are twice as many)")


def _one(name: str, size: int, json: bool) -> None:
    config = configuration(name)
    rows = layer_table(config, size)
    if json:
        layers = [{"name": r.name, "kind": r.kind, "output": list(r.output), "parameters": r.parameters} for r in rows]
        show.print_json({"schema": 1, "name": name, "size": size, "layers": layers, "parameters": parameters(config)})
        return
    made = show.table("layer", "kind", "output", "parameters", right=(3,))
    for row in rows:
        made.add_row(row.name, row.kind, " x ".join(map(str, row.output)), f"{row.parameters:,}")
    show.say(made)
    cost = f"{parameters(config):,} parameters, {_giga(macs(config, size))} MACs at {size} px"
    show.say(f"{name}: {config.layers} layers, {cost}")


def _giga(count: int) -> str:
    return f"{count / 1e9:.3f} G"
