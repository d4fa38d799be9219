"""Which library may be imported where, for every room there is and every room to come (DESIGN, section 2)."""

import ast
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

WALLS = {
    "torch": (
        "bench/network", "data/augment", "data/loader", "engine/torch", "export", "learn/exercises", "model/checkpoint", "nn",
        "run/export", "study", "system/device", "train",
    ),
    "torchvision": ("data/named",),
    "sklearn": ("run/export", "train/probe"),
    "scipy": ("data/augment", "metrics/intervals", "metrics/conformal"),
    "cyclopts": ("cli",),
    "rich": ("cli/show", "learn/start"),
    "onnx": ("export",),
    "onnxscript": ("export",),
    "onnxruntime": ("engine", "export"),
    "openvino": ("engine", "export"),
    "fastapi": ("serve",),
    "starlette": ("serve",),
    "uvicorn": ("serve",),
    "h11": ("serve",),
    "python_multipart": ("serve",),
    "prometheus_client": ("serve",),
    "optuna": ("search",),
    "pyarrow": ("bulk/table", "data/archives/parquet", "evaluate/feature_file"),
    "ray": ("run/on_ray", "system/cluster"),
    "fsspec": ("data/archives/remote",),
    "jinja2": ("report",),
    "markdown_it": ("learn/page",),
    "mdit_py_plugins": ("learn/page",),
    "pygments": ("learn/page",),
    "latex2mathml": ("learn/page",),
    "tensorboard": ("train/track",),
    "pickle": ("data/processes",),  # to and from its own processes; never a file
}  # fmt: skip
"""Library -> the rooms and files that may import it, at the top or inside a function."""

REACH_TORCH = (
    "bench/network", "data/loader", "data/named", "engine/checkpoint", "engine/torch", "export", "learn/exercises",
    "model/checkpoint", "nn/blocks", "nn/convolution", "nn/ensemble", "nn/layers", "nn/resnet", "nn/weights", "nn/winograd",
    "run/cross_validation", "run/export", "study/degradation", "system/device", "train",
)  # fmt: skip
"""The rooms and files whose import may load PyTorch; whatever else is imported answers without it."""

TORCH_FREE = (
    "export/options", "train/config", "train/hub", "train/journal", "train/recipes", "train/schedule", "train/plan/choices",
    "train/plan/document", "train/plan/memory", "train/plan/resolve",
)  # fmt: skip
"""What does not load it in these rooms, since configurations, mistakes and listings are answered by it."""

FILES = {path.relative_to(SOURCE / "reslab").with_suffix("").as_posix(): path for path in SOURCE.rglob("*.py")}


def inside(name, places):
    return any(name == place or name.startswith(place + "/") for place in places)


@cache
def imports(name, deep):
    """The modules that a file imports: at its top, or anywhere in it; not those for type checkers alone."""
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree)) if deep else tree.body
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@cache
def reached(name):
    """All libraries that importing a file loads."""
    seen, waiting, libraries = set(), [name], set()
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for module in imports(file, deep=False):
            ours = module.removeprefix("reslab.").replace(".", "/")
            if module.startswith("reslab.") and ours in FILES:
                waiting.append(ours)
            libraries.add(module.split(".")[0])
    return libraries


@pytest.mark.parametrize("library", WALLS)
def test_a_library_stays_in_its_rooms(library):
    found = {name for name in FILES if any(m.split(".")[0] == library for m in imports(name, deep=True))}
    assert {name for name in found if not inside(name, WALLS[library])} == set()


def test_what_needs_no_torch_loads_none():
    loading = {name for name in FILES if "torch" in reached(name)}
    assert len(loading) > 20
    assert {name for name in loading if not inside(name, REACH_TORCH) or inside(name, TORCH_FREE)} == set()


def test_every_wall_stands_somewhere():
    """A room that was renamed takes its name out of the table."""
    named = {place for places in (*WALLS.values(), REACH_TORCH, TORCH_FREE) for place in places}
    rooms = {parent.as_posix() for name in FILES for parent in Path(name).parents}
    assert named - set(FILES) - rooms == set()


def test_there_are_no_loose_modules():
    assert {path.stem for path in (SOURCE / "reslab").glob("*.py")} == {"__init__", "__main__", "errors", "shapes"}


def test_package_files_import_nothing():
    assert [name for name in FILES if name.endswith("/__init__") and FILES[name].read_text(encoding="utf-8")] == []
