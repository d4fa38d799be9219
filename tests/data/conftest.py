"""Small real folders of pictures, and somebody without rights to read them."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def plant(tmp_path):
    """Write a tree: path -> None (a picture of its own), an array, or the bytes of a file. Gives its root."""

    def write(tree, root="data"):
        base = tmp_path / root
        base.mkdir(parents=True, exist_ok=True)
        for number, (name, content) in enumerate((tree if isinstance(tree, dict) else dict.fromkeys(tree)).items()):
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None and path.suffix.lower() in (".txt", ".csv", "", ".json"):
                content = b"no picture"
            if content is None:
                content = np.random.default_rng(number).integers(0, 256, (6, 8, 3)).astype(np.uint8)
            if isinstance(content, np.ndarray):
                Image.fromarray(content).save(path)
            else:
                path.write_bytes(content)
        return base

    return write
