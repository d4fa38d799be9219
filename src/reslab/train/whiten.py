"""Whitening filters: the first layer of some networks, computed from the training pictures instead of trained."""

import numpy as np
import torch
from torch import Tensor

from reslab.data.store import Store
from reslab.nn.layers import Whitening, to_images
from reslab.nn.resnet import ResNet
from reslab.pixels.preprocess import Preprocess
from reslab.system.sampling import evenly_spaced

_PICTURES = 5000
_SOFTEN = 5e-4  # added to the variances: directions without variation are left small


def whiten(network: ResNet, store: Store, preprocess: Preprocess) -> None:
    """Set the filters of a whitening stem: the eigenvectors of the 2x2 patches, over their standard deviation.

    With S = E diag(v) E^T the second moments of the patches, the filters are diag(v + e)^(-1/2) E^T and their negatives
    (Page 2019, "How to train your ResNet 8: bag of tricks"). Other stems are left alone.
    """
    if not isinstance(network.stem, Whitening):
        return
    chosen = evenly_spaced(len(store), _PICTURES)
    pixels = torch.from_numpy(np.stack([preprocess(store[int(i)]) for i in chosen]))
    weight = network.stem.conv.weight
    with torch.no_grad():
        filters = whitening_filters(network.normalize(to_images(pixels).to(weight)).cpu())
        weight.copy_(torch.cat([filters, -filters]))


def whitening_filters(images: Tensor) -> Tensor:
    """float32 `[4 channels, channels, 2, 2]` for images `[n, channels, height, width]`."""
    channels = images.shape[1]
    patches = torch.nn.functional.unfold(images, 2).transpose(1, 2).reshape(-1, 4 * channels).double()
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    rows = directions.T
    rows *= rows.gather(
        1, rows.abs().argmax(1, keepdim=True)
    ).sign()  # the sign of an eigenvector is arbitrary: its largest entry is made positive
    rows /= (variances[:, None] + _SOFTEN).sqrt()
    return rows.float().view(-1, channels, 2, 2)
