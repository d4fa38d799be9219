"""The engine for model files: our network in PyTorch."""

from pathlib import Path

import numpy as np
import torch

from reslab.engine.base import Outputs
from reslab.errors import ResLabError
from reslab.model.file import Header, ModelFile, read_model
from reslab.nn.config import member_configs
from reslab.nn.count import refuse_larger
from reslab.nn.ensemble import Ensemble
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet, fold_batch_norm
from reslab.system import device


class TorchEngine:
    """Runs a copy of a network with its norms folded."""

    name = "torch"
    explains = True

    def __init__(self, network: ResNet, header: Header, sha256: str = "", seen: np.ndarray | None = None) -> None:
        self.device = device.fastest()
        self.network = device.to_device(fold_batch_norm(network))
        self.header = header
        self.sha256 = sha256
        self.seen = np.zeros((0, 5), np.uint8) if seen is None else seen

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = to_images(torch.from_numpy(pixels).to(self.device))
            return self.network(images).float().cpu().numpy()

    def embed(self, pixels: np.ndarray) -> Outputs:
        with torch.inference_mode():
            maps = self.network.features(to_images(torch.from_numpy(pixels).to(self.device)))
            logits = self.network.classify(maps).float().cpu().numpy()
            return Outputs(logits, maps.mean((2, 3)).float().cpu().numpy())

    def features(self, pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            images = to_images(torch.from_numpy(pixels).to(self.device))
            return self.network.features(images).float().cpu().numpy()

    @property
    def head(self) -> tuple[np.ndarray, np.ndarray]:
        weight, bias = self.network.head.weight, self.network.head.bias
        return weight.detach().float().cpu().numpy(), bias.detach().float().cpu().numpy()


def open_torch(path: Path) -> TorchEngine:
    """The engine of a model file."""
    device.keep_memory()
    model = read_model(path)
    return TorchEngine(network_from_file(model, path), model.header, model.sha256, model.seen)


def network_from_file(model: ModelFile, path: Path) -> ResNet:
    """The network, or the ensemble of several, that is stored in a model file.

    Raises:
        ResLabError: its tensors are not those of the network that its header describes.
    """
    configs = member_configs(model.header.network)
    config, members = configs[0], len(configs)
    if config.num_classes != len(model.header.classes):
        raise ResLabError(
            f"{path} is damaged: its network has {config.num_classes} outputs, and it names "
            f"{len(model.header.classes)} classes"
        )
    numbers = sum(tensor.size for tensor in model.tensors.values())
    refuse_larger(config, len(model.tensors) // members, numbers // members)
    network = ResNet(config) if members == 1 else Ensemble(configs)
    try:
        network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in model.tensors.items()})
    except RuntimeError as error:
        raise ResLabError(f"the tensors of {path} do not fit the network that its header describes: {error}") from None
    return network
