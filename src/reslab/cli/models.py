"""`models`."""

from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.nn.count import layer_table, macs, parameters
from reslab.nn.zoo import SOURCES, ZOO, configuration, native_size


def models(
    name: str | None = None,
    *,
    size: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the networks, or show one layer by layer with the shape of each output.

    Args:
        name: A network of the zoo.
        size: Side of the input in pixels; its native size by default.
        json: Print JSON.
    """
    if name is None:
        _list(json)
    else:
        _one(name, size or native_size(configuration(name)), json)


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
