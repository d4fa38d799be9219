"""The drawn blocks of the family have the convolutions of the networks that they name."""

from dataclasses import replace

import pytest
from torch import nn

from reslab.figures.family import FAMILY
from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO


def block_of(name, stage, number):
    config = ZOO["resnet50"] if name == "resnet50 v1" else ZOO[name]
    config = replace(config, depths=(2, 2), widths=(64, 128), stride_in_1x1=name.endswith("v1"))
    return build(config).stages[stage][number]


def drawn(label):
    size, _, rest = label.partition("×")[2].partition(",")
    words = f"{size} {rest}".split()
    return int(words[0]), next((int(w) for w in words[1:] if w.isdigit()), None), words.count("/2"), words.count("g32")


@pytest.mark.parametrize(("sketch", "name", "stage", "number"), FAMILY, ids=[each[0].name for each in FAMILY])
def test_a_drawn_block_is_the_block_of_its_network(sketch, name, stage, number):
    block = block_of(name, stage, number)
    built = [
        (m.kernel_size[0], m.out_channels, int(m.stride[0] == 2), int(m.groups == 32))
        for n, m in block.named_modules()
        if isinstance(m, nn.Conv2d) and not n.startswith(("shortcut", "gate"))
    ]
    assert [drawn(label) for label in sketch.residual if label[0].isdigit()] == built
    assert bool(sketch.shortcut) == any(isinstance(m, nn.Conv2d) for m in block.shortcut.modules())
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in block.modules())
    assert sum("BN" in label for label in (*sketch.residual, *sketch.shortcut)) == norms
    assert (sketch.after == ()) == block.preact
    assert ("× σ(…)" in sketch.residual) == hasattr(block.gate, "squeeze")
