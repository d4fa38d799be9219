"""What training a network takes, by arithmetic over its layers."""

from math import prod

from reslab.nn.config import ResNetConfig
from reslab.nn.count import layer_table

_FLOAT = 4


def activation_bytes(config: ResNetConfig, size: int) -> int:
    """What one `size` x `size` picture leaves in memory between its way forward and its way back, in float32.

    A convolution keeps what goes in, a norm what goes in, a ReLU what comes out, a GELU both; max pooling also keeps where
    each value came from, in eight bytes. Each map is counted where it is made; a sum in a pre-activation network takes
    the place of its residual.
    """
    numbers, out = config.in_channels * size**2, 0
    kept = 2 if config.activation == "gelu" else 1
    for layer in layer_table(config, size):
        n, beside = prod(layer.output), ".shortcut" in layer.name
        if layer.kind == "MaxPool2d":
            numbers += 3 * n
        elif layer.name == "stem.conv":  # fixed filters need no pictures; their activation does
            numbers += kept * n - config.in_channels * size**2
        elif layer.name.endswith(".excite"):  # what is multiplied, and the means and factors of its channels
            numbers += out + 2 * n
        elif layer.kind == "Conv2d" and not (beside and config.preact):
            numbers += n
        elif layer.kind == "BatchNorm2d" and not beside:
            pooled = config.entry == "pool" and layer.name.endswith(".0.norm")
            numbers += (kept + 3 * pooled) * n
        elif layer.kind == "NormRelu":
            numbers += n
        out = out if beside or ".gate." in layer.name else n
    return _FLOAT * numbers
