"""Foreign checkpoints: read their tensors and recognise the network that these belong to."""

import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reslab.errors import ResLabError
from reslab.nn.config import ResNetConfig
from reslab.nn.count import refuse_larger
from reslab.nn.resnet import ResNet
from reslab.nn.weights import load_foreign, translate_names
from reslab.nn.zoo import ZOO, configuration

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "resnet.")
_MOST_WRAPPERS = 8
_MOST_UNPACKED, _ALWAYS_UNPACKED = 4, 2**24
"""Limits of the unpacked size: a multiple of the file's bytes (weights hardly compress), or this many bytes."""
_DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "EXT1", "EXT2", "EXT4"}
"""The opcodes by which a pickle calls something."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth`, `.pt`, `.th` or `.safetensors` file, unwrapped, without common prefixes.

    Raises:
        ResLabError: it is missing, damaged, holds no tensors, or is a pickle that would run code.
    """
    try:
        content: Any = _sort_tensors(load_file(path)) if path.suffix == ".safetensors" else _load_pickle(path)
    except FileNotFoundError:
        raise ResLabError(f"there is no file {path}") from None
    except SafetensorError as error:
        raise ResLabError(f"{path} is damaged: {error}", "copy it again from where it came from") from None
    for _ in range(_MOST_WRAPPERS):
        inner = [
            content[key] for key in _WRAPPERS if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)
        ]
        if not inner or _tensors(content):
            break
        content = inner[0]
    found = _tensors(content) if isinstance(content, Mapping) else {}
    if not found:
        raise ResLabError(f"{path} holds no tensors by name", "save the network's state_dict()")
    _check_tensors(path, found)
    while prefix := next((p for p in _PREFIXES if any(name.startswith(p) for name in found)), None):
        found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def identify_network(state: Mapping[str, Tensor], model: str | None = None) -> tuple[str, ResNetConfig]:
    """Name and configuration of the network that these tensors belong to: `model`, else inferred from their shapes."""
    tensors, theirs = translate_names(state)
    if model is None:
        return infer_config({name: tuple(tensor.shape) for name, tensor in tensors.items()}, theirs)
    head = tensors.get("head.weight")
    known = configuration(model)
    return model, known if head is None else replace(known, num_classes=len(head))


def build_network(
    state: Mapping[str, Tensor], model: str | None, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[str, ResNet]:
    """Name of the network that these tensors belong to, and the network with them loaded.

    Raises:
        ResLabError: they are not those of a residual network, or of `model`; the message says what differs.
    """
    try:
        name, config = identify_network(state, model)
        config = replace(config, mean=mean, std=std)
        refuse_larger(config, len(state), sum(tensor.numel() for tensor in state.values()))
        return name, load_foreign(ResNet(config), state)
    except (LookupError, TypeError, ValueError, RuntimeError):  # tensors of other ranks than a network's
        raise _unrecognised() from None


def infer_config(shapes: Mapping[str, tuple[int, ...]], theirs: Mapping[str, str]) -> tuple[str, ResNetConfig]:
    """Name in the zoo and configuration of the network that tensors of these shapes belong to.

    Shapes do not show where a bottleneck strides, nor whether a network without projections has shortcuts: option A is
    assumed. Average pooling in the shortcuts is recognised by timm's numbering only.

    Args:
        shapes: of each tensor, by our names.
        theirs: our name -> the file's.

    Raises:
        ResLabError: they are not those of a residual network.
    """
    places = [tuple(map(int, name.split(".")[1:3])) for name in shapes if name.startswith("stages.")]
    depths = tuple(1 + max(b for s, b in places if s == stage) for stage in sorted({s for s, _ in places}))
    preact, bottleneck = "stages.0.0.norm.weight" in shapes, "stages.0.0.third.conv.weight" in shapes
    ends = [f"stages.{stage}.0.{'third' if bottleneck else 'second'}.conv.weight" for stage in range(len(depths))]
    first = "stem.first.weight" if preact else "stem.first.conv.weight"
    needed = [first, "head.weight", *ends]
    if not depths or not all(name in shapes for name in needed):
        raise _unrecognised()
    widths = tuple(shapes[name][0] // (4 if bottleneck else 1) for name in ends)
    inner, per_group = shapes["stages.0.0.second.conv.weight"][:2]
    groups = inner // per_group if bottleneck else 1
    stem, deep = shapes[first], "stem.third.conv.weight" in shapes
    stem_width = 2 * stem[0] if deep else stem[0]
    config = ResNetConfig(
        depths=depths,
        widths=widths,
        block="bottleneck" if bottleneck else "basic",
        preact=preact,
        stem="deep" if deep else "7x7" if stem[2] == 7 else "3x3",
        stem_width=0 if stem_width == widths[0] else stem_width,
        shortcut=_shortcut(theirs, sum(depths)),
        groups=groups,
        group_width=inner * 64 // (widths[0] * groups) if bottleneck else 64,
        squeeze="stages.0.0.gate.squeeze.weight" in shapes,
        in_channels=stem[1],
        num_classes=shapes["head.weight"][0],
    )
    alike = [name for name, known in ZOO.items() if _shape(known) == _shape(config)]
    return (alike[0] if alike else "unnamed"), config


def _unrecognised() -> ResLabError:
    return ResLabError(
        "the tensors are not those of a residual network that this version supports",
        "name it with --model, e.g. --model resnet50, to see what is missing",
    )


def _shortcut(theirs: Mapping[str, str], blocks: int) -> Any:
    projections = [name for name in theirs if name.endswith(("shortcut.conv.weight", "shortcut.weight"))]
    if len(projections) == blocks:
        return "C"
    if any(theirs[name].endswith("downsample.1.weight") for name in projections):
        return "D"
    return "B" if projections else "A"


def _shape(config: ResNetConfig) -> ResNetConfig:
    """What tensors show of a configuration; a stem's width can be written in two ways."""
    width = config.stem_width or config.widths[0]
    return replace(config, stem_width=width, num_classes=1, in_channels=3, stride_in_1x1=False)


def _sort_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Restore an order, which safetensors loses: by name, numbers by value, a stem's convolutions before its norms."""

    def rank(name: str) -> tuple[bool, list[str]]:
        words = [word.zfill(4) if word.isdigit() else word for word in re.split(r"(\d+)", name)]
        return not name.startswith(("conv", "stem", "embed")), words

    return {name: state[name] for name in sorted(state, key=rank)}


def _load_pickle(path: Path) -> Any:
    """Load tensors and plain containers only: anything else would run code."""
    try:
        _refuse_bomb(path)
        with warnings.catch_warnings(action="ignore"):  # it also warns about what it cannot read
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, ResLabError):
        raise
    except Exception as error:  # a damaged file fails in any way
        with path.open("rb") as file:
            begins = file.read(64).lstrip()
        if begins.startswith((b"<", b"version https://git-lfs", b"{")):
            what = "a Git LFS pointer" if begins.startswith(b"v") else "a web page or another text"
            raise ResLabError(f"{path} is {what}, not a checkpoint", "fetch the file itself") from None
        if "GLOBAL" in str(error) or _runs_code(path):
            raise ResLabError(
                f"{path} is a pickle that would run code, and is not opened",
                "ask its author for a safetensors file, or for torch.save(network.state_dict(), …)",
            ) from None
        raise ResLabError(f"{path} is damaged or no checkpoint", "copy it again from where it came from") from None


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _runs_code(path: Path) -> bool:
    """Whether a file is one complete pickle that calls something."""
    with path.open("rb") as file:
        try:
            return bool({operation.name for operation, _, _ in pickletools.genops(file)} & _CALLS)
        except Exception:  # not a pickle, or a damaged one
            return False


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive whose contents are many times larger than itself."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    _refuse_unpacked(path, unpacked)


def _refuse_unpacked(path: Path, unpacked: int) -> None:
    size = path.stat().st_size
    if unpacked > max(_ALWAYS_UNPACKED, _MOST_UNPACKED * size):
        raise ResLabError(f"{path} has {size:,} bytes and claims to hold {unpacked:,}", "it is not a real checkpoint")


def _check_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors of an unsupported type, larger than their file, or with numbers that are not finite."""
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype if tensor.layout is torch.strided else tensor.layout).removeprefix("torch.")
            raise ResLabError(f"{path} holds {name} as {kind}, which is not supported", "save it as float32")
    _refuse_unpacked(path, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    odd = next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), None)
    if odd is not None:
        raise ResLabError(f"{path} is no trained network: its tensor {odd} holds numbers that are not finite")
