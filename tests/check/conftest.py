"""Small real data folders with one thing wrong, and a witness that nothing in them changes."""

import hashlib
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from small_pictures import picture


@pytest.fixture
def plant(tmp_path):
    """Write a tree: path -> a seed, an array, a Pillow image, or the bytes of a file. Gives its root."""

    def write(tree, root="data"):
        base = tmp_path / root
        for name, content in tree.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
                continue
            content = picture(content) if isinstance(content, int) else content
            (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(path)
        return base

    return write


@pytest.fixture
def untouched():
    """A context over whose end a folder must be what it was: names, contents, times of change."""

    def state(root):
        paths = [root, *sorted(root.rglob("*"))]
        return [
            (
                path,
                path.lstat().st_mtime_ns,
                path.lstat().st_mode,
                hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
            )
            for path in paths
        ]

    @contextmanager
    def watch(root):
        before = state(Path(root))
        assert len(before) > 1
        yield
        assert state(Path(root)) == before

    return watch
