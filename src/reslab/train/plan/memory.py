"""Memory that training a network takes, computed from its layers."""

from math import prod

from reslab.nn.config import ResNetConfig
from reslab.nn.count import layer_table

_FLOAT = 4


def activation_bytes(config: ResNetConfig, size: int) -> int:
    """Bytes that one `size` x `size` picture keeps in memory from the forward pass to the backward pass, in float32.

    A convolution keeps its input, a norm its input, a ReLU its output, a GELU both; max pooling also keeps the position of
    each maximum, in eight bytes. Each map is counted where it is made; in a pre-activation network the sum takes the place
    of its residual.
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
