"""What training a network takes, measured on the network itself without computing anything."""

import torch

from reslab.nn.config import ResNetConfig
from reslab.nn.resnet import ResNet


def activation_bytes(config: ResNetConfig, size: int) -> int:
    """What one `size` x `size` picture leaves in memory between its way forward and its way back, in float32."""
    with torch.device("meta"):
        network = ResNet(config)
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    pair = torch.zeros(2, config.in_channels, size, size, device="meta")  # batch norm needs two
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = network(pair)  # held until all is counted: it keeps the storages, and so their numbers, apart
    weights = {p.untyped_storage()._cdata for p in network.parameters()}
    del output
    return sum(count for storage, count in kept.items() if storage not in weights) // 2
