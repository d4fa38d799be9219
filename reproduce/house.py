"""How large and how deep is the source tree? Figures for LOG.md, read from the imports of a checkout.

    python reproduce/house.py [CHECKOUT] [--trace]

Lines and files of `src/reslab/**/*.py`, loose modules, the longest chain of imports, arrows between rooms (pairs of a room and
one that it imports), and, with --trace, the calls of a small training that climb: from a file to one above it in the imports
(a callback), counted once per pair of files. The training is the same for every version: digits, one epoch.
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

TRACED = """
import json, sys, threading
from pathlib import Path
root = Path(sys.argv.pop(1))
edges = set()
def watch(frame, event, argument):
    if event == "call" and (caller := frame.f_back) is not None:
        names = caller.f_code.co_filename, frame.f_code.co_filename
        if all(name.startswith(str(root)) for name in names) and names[0] != names[1]:
            edges.add(names)
threading.setprofile(watch)
sys.setprofile(watch)
from reslab.cli.app import run
code = run(sys.argv[2:])
sys.setprofile(None)
Path(sys.argv[1]).write_text(json.dumps(sorted(edges)))
sys.exit(code)
"""


class Tree:
    """The modules of a checkout and what they import, anywhere but for type checkers."""

    def __init__(self, source: Path) -> None:
        self.source = source
        files = [path for path in source.rglob("*.py") if path.read_text(encoding="utf-8").strip()]
        self.files = {path.relative_to(source).with_suffix("").as_posix(): path for path in files}
        self.imports = {name: self._imported(path) for name, path in self.files.items()}

    def _imported(self, path: Path) -> set[str]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                node.body = []
        found = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reslab"):
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    found.add(name.removeprefix("reslab").lstrip(".").replace(".", "/"))
        return {name for name in found if name in self.files}

    def chain(self, name: str) -> tuple[str, ...]:
        """The longest chain of imports that begins at a module."""

        @cache
        def longest(module: str) -> tuple[str, ...]:
            return (module, *max((longest(needed) for needed in self.imports[module]), key=len, default=()))

        return longest(name)

    def room(self, name: str) -> str:
        return name.partition("/")[0]

    def figures(self) -> dict:
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in self.files.values())
        loose = sorted(name for name in self.files if "/" not in name)
        arrows = {(self.room(a), self.room(b)) for a, needed in self.imports.items() for b in needed}
        longest = max((self.chain(name) for name in self.files), key=len)
        entries = ("__init__", "__main__")
        return {
            "lines": lines,
            "files": len(self.files),
            "rooms": len({self.room(name) for name in self.files if "/" in name}),
            "loose": len([name for name in loose if name not in entries]),
            "imports": sum(map(len, self.imports.values())),
            "arrows": sum(a != b for a, b in arrows),
            "longest_chain": len(longest),
            "chain": " > ".join(longest),
        }

    def trace(self) -> dict:
        """The files that a training enters, and its calls from a file to one above it."""
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-c", TRACED, str(self.source), f"{folder}/edges.json"]
            words += ["train", "digits", "--epochs", "1", "--layout", "channels-last", "--out", f"{folder}/run"]
            environment = {**os.environ, "PYTHONPATH": str(self.source.parent)}
            subprocess.run(words, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            edges = json.loads(Path(folder, "edges.json").read_text())
        names = [[Path(file).relative_to(self.source).with_suffix("").as_posix() for file in edge] for edge in edges]
        pairs = [(a, b) for a, b in names if a in self.files and b in self.files]
        climbs = [f"{a} > {b}" for a, b in pairs if len(self.chain(b)) > len(self.chain(a))]
        return {
            "files_entered": len({b for _, b in pairs}), "calls_between_files": len(pairs), "climbs": len(climbs),
            "climbing": climbs,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--trace", action="store_true", help="train on digits and count the calls that climb")
    options = parser.parse_args()
    tree = Tree(options.checkout.resolve() / "src" / "reslab")
    found = tree.figures()
    if options.trace:
        found |= tree.trace()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
