"""The size limits of files and functions, and the lazy imports of the package."""

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "reslab"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_FILE, MAX_FUNCTION, MAX_LOOP, MAX_ARGUMENTS = 400, 60, 80, 8


def functions():
    return [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]


def test_files_and_functions_stay_small():
    found = functions()
    assert len(found) > 200
    files = [path for path in FILES if path.parent.name != "words"]  # a table of words has as many lines as texts
    long_files = {p.name: n for p in files if (n := len(p.read_text(encoding="utf-8").splitlines())) > MAX_FILE}
    long_functions = {
        node.name: node.end_lineno - node.lineno + 1
        for path, node in found
        if node.end_lineno - node.lineno + 1 > (MAX_LOOP if path.name == "loop.py" else MAX_FUNCTION)
    }
    wide = {n.name for _, n in found if len(n.args.args) + len(n.args.kwonlyargs) > MAX_ARGUMENTS + 1}  # self is free
    assert (long_files, long_functions, wide) == ({}, {}, set())


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_importing_the_package_loads_nothing():
    loaded = "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'numpy', 'PIL', 'onnxruntime', 'rich'}))"
    assert run_python(f"import sys, reslab; {loaded}").stdout.strip() == "[]"


def test_every_public_name_is_there():
    import reslab

    assert len(dir(reslab)) > 8
    assert all(getattr(reslab, name) is not None for name in dir(reslab))
    assert not {name for name in dir(reslab) if (SOURCE / name).exists() or (SOURCE / f"{name}.py").exists()}
