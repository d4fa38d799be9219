import pytest

import reslab
from tests.examples.scripts import SIZE, script


def shrunk(module, monkeypatch):
    """The example with the smallest network of its shape: two stages of one block."""
    build = reslab.build

    def small(*words, **shape):
        return build(*words, **shape, depths=(1,) * len(shape["widths"]))

    monkeypatch.setattr(reslab, "build", small)
    monkeypatch.setattr(module, "WIDTHS", (4, 4))
    monkeypatch.setattr(module, "CHANNELS", 4)
    return module


@pytest.fixture
def dense():
    script("examples/detection/train.py")  # puts the folder of dense on the path
    import dense

    return dense


@pytest.fixture
def detection(monkeypatch):
    module = script("examples/detection/train.py")
    monkeypatch.setattr(module, "SIZE", SIZE)
    return shrunk(module, monkeypatch)


@pytest.fixture
def segmentation(monkeypatch):
    return shrunk(script("examples/segmentation/train.py"), monkeypatch)
