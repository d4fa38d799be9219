"""The axis names of all tensor annotations, so that one word means one thing.

    def forward(self, images: Float[Tensor, IMAGES]) -> Float[Tensor, LOGITS]: ...

The annotations are checked by beartype in the tests only.
"""

PIXELS = "batch height width 3"
"""uint8 RGB pictures of the network's input size, 0..255: the input of every engine."""

PICTURE = "height width 3"
"""One decoded RGB picture, uint8."""

RESIZED = "new_height new_width 3"
"""The same at another size."""

LABELS = " batch"
"""The number of each picture's class."""

IMAGES = "batch channels height width"
"""float pictures in [0, 1], channels first: the input of a network, whose first operation is normalisation."""

FEATURES = "batch features map_height map_width"
"""The last feature map, before pooling."""

ANY_MAP = "batch _ _ _"
"""The map of one stage among several, each of a size of its own."""

LOGITS = "batch classes"
"""Scores before softmax."""

TARGETS = "batch classes"
"""The probability that a picture is of each class: one-hot unless smoothed or mixed."""

OUTPUT = "batch out_channels out_height out_width"
"""The output of a layer on IMAGES."""

FILTERS = "out_channels channels 3 3"
"""The weights of a 3x3 convolution on IMAGES with OUTPUT."""
