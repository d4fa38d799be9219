"""ResNets of timm and transformers on the Hugging Face hub, by name: what they are, and their safetensors file."""

import functools
import json
import math
import os
import re
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from reslab.errors import ResLabError
from reslab.nn.zoo import ZOO
from reslab.pixels.preprocess import IMAGENET_MEAN, IMAGENET_STD
from reslab.system.fetch import Remote, cache_folder
from reslab.system.files import write_json

PREFIX = "hf:"
_NAME = re.compile(r"hf:([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
_HUB = "https://huggingface.co"
_FILE, _CONFIG, _PREPROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"
_SECONDS, _LARGEST = 10.0, 2**22  # a list of files or a configuration has at most 4 MiB
_TIMM = tuple(n for n, c in ZOO.items() if c.stem in ("7x7", "deep") and not c.preact and c.shortcut != "plain")
_IGNORED = {"num_classes", "in_chans", "global_pool", "drop_rate", "drop_path_rate", "pretrained"}
"""Arguments of timm's networks that the tensors show, or that only matter in training."""

_OURS = f"ours are timm's {', '.join(_TIMM)} (e.g. hf:timm/resnet50.a1_in1k) and transformers' hf:microsoft/resnet-18 to -152"


@dataclass(frozen=True, slots=True)
class HubFile(Remote):
    """A model on the hub; its file is kept under the name of the model and the digits of its content."""

    repository: str

    @property
    def name(self) -> str:
        return f"{self.repository.replace('/', '--')}-{self.sha256[:16]}.safetensors"

    @property
    def address(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model as the hub describes it."""

    remote: HubFile
    architecture: str | None
    """Its name in the zoo; None where the tensors show it."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int
    """Side of the pictures that it was trained on; 0 if unknown."""
    classes: tuple[str, ...]
    """Empty if unknown."""


def endpoint() -> str:
    """The hub's address, or that of the mirror in HF_ENDPOINT or RESLAB_MIRROR, which has the hub's paths."""
    address = (os.environ.get("HF_ENDPOINT") or os.environ.get("RESLAB_MIRROR") or _HUB).rstrip("/")
    if not address.startswith(("https://", "http://")):
        raise ResLabError(f"HF_ENDPOINT or RESLAB_MIRROR is not an address: {address}", f"an address looks like {_HUB}")
    return address


def describe(weights: str) -> HubModel:
    """The model that `hf:OWNER/NAME[@REVISION]` names. Without network the last answer is used.

    Raises:
        ResLabError: no such model or revision, not open to everyone, no safetensors file, none of our ResNets, or no network.
    """
    found = _NAME.fullmatch(weights)
    if not found:
        raise ResLabError(f"{weights} is not the name of a model on the hub", "hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    return _read_description(found[1], found[2] or "main", endpoint())


@functools.cache
def _read_description(repository: str, revision: str, hub: str) -> HubModel:
    note = cache_folder("weights") / f"{repository.replace('/', '--')}@{revision.replace('/', '--')}.json"
    base = f"{hub}/{repository}/resolve/{revision}"
    try:
        try:
            files = {
                row["path"]: row for row in _get_json(repository, f"{hub}/api/models/{repository}/tree/{revision}")
            }
            document = {"files": files}
            for name in (_CONFIG, _PREPROCESSOR):
                document[name] = _get_json(repository, f"{base}/{name}") if name in files else {}
        except (OSError, HTTPException) as error:
            if not note.is_file():
                raise ResLabError(
                    f"cannot reach {hub} for {repository}: {getattr(error, 'reason', None) or error}",
                    "without network, give a file to --weights; HF_ENDPOINT names a mirror of the hub",
                ) from None
            document = json.loads(note.read_bytes())
        model = _parse_description(repository, f"{base}/{_FILE}", document)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise ResLabError(
            f"the hub's description of {repository} cannot be read",
            f"download {_FILE} and give the file to --weights",
        ) from None
    with suppress(OSError, ValueError):  # a disk that cannot be written is reported when the weights are fetched
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, document)
    return model


def _get_json(repository: str, url: str) -> Any:
    """A JSON document of the hub."""
    try:
        with urllib.request.build_opener().open(url, timeout=_SECONDS) as answer:
            return json.loads(answer.read(_LARGEST).decode("utf-8"))
    except urllib.error.HTTPError as error:
        error.close()
        code = error.headers.get("X-Error-Code", "")
        if error.code in (401, 403) and code != "RepoNotFound":
            raise ResLabError(
                f"{repository} is not open to everyone ({error.code})",
                f"accept its terms in a browser, download {_FILE}, and give the file to --weights",
            ) from None
        if error.code in (401, 404):
            what = "revision" if code == "RevisionNotFound" else "model"
            raise ResLabError(f"the hub has no such {what}: {url}", "copy the name from the top of its page") from None
        raise OSError(f"it answers {error.code}") from None


def _parse_description(repository: str, url: str, document: dict[str, Any]) -> HubModel:
    """The model that the hub's answers describe."""
    files, config = document["files"], document[_CONFIG]
    if _FILE not in files:
        pickles = [name for name in files if name.endswith((".bin", ".pth", ".pt", ".ckpt"))]
        has = f"only {pickles[0]}, a pickle, which can run code" if pickles else "no weights that can be read"
        raise ResLabError(f"{repository} has no {_FILE}, {has}", "ask its author for a safetensors file")
    known = _parse_timm(config) if "architecture" in config else _parse_transformers(config, document[_PREPROCESSOR])
    if known is None:
        what = config.get("architecture") or config.get("model_type") or "of an unknown kind"
        raise ResLabError(f"{repository} is {what}, none of our ResNets", _OURS)
    size, digest, licence = files[_FILE]["lfs"]["size"], files[_FILE]["lfs"]["oid"], known.pop("licence")
    if not re.fullmatch("[0-9a-f]{64}", digest) or not 0 < size < 2**40:
        raise ValueError(digest)
    return HubModel(HubFile(url, digest, size, licence or f"as huggingface.co/{repository} says", repository), **known)


def _parse_timm(config: dict[str, Any]) -> dict[str, Any] | None:
    """What timm writes: an architecture, and how it was trained."""
    changed = (config.get("model_args") or {}).keys() - _IGNORED
    if config["architecture"] not in _TIMM or changed or config.get("global_pool", "avg") != "avg":
        return None
    trained = config["pretrained_cfg"]
    return {
        "architecture": config["architecture"],
        "mean": _three_numbers(trained.get("mean", IMAGENET_MEAN)),
        "std": _three_numbers(trained.get("std", IMAGENET_STD), positive=True),
        "size": _input_side(trained.get("input_size", [3, 0, 0])[-1]),
        "classes": _class_names(config.get("label_names") or trained.get("label_names") or []),
        "licence": trained.get("license"),
    }


def _parse_transformers(config: dict[str, Any], preprocessor: dict[str, Any]) -> dict[str, Any] | None:
    """What transformers writes: the shape of the network, and beside it how pictures are prepared."""
    alike = [c for c in ZOO.values() if list(c.depths) == config.get("depths") and c.block == config.get("layer_type")]
    odd = config.get("downsample_in_first_stage") or config.get("downsample_in_bottleneck")
    if config.get("model_type") != "resnet" or not alike or odd or config.get("hidden_act", "relu") != "relu":
        return None
    size, labels = preprocessor.get("size", 0), config.get("id2label", {})
    return {
        "architecture": None,
        "mean": _three_numbers(preprocessor.get("image_mean", IMAGENET_MEAN)),
        "std": _three_numbers(preprocessor.get("image_std", IMAGENET_STD), positive=True),
        "size": _input_side(next(iter(size.values())) if isinstance(size, dict) else size),
        "classes": _class_names([labels[str(number)] for number in range(len(labels))]),
        "licence": None,
    }


def _three_numbers(numbers: Any, positive: bool = False) -> tuple[float, ...]:
    found = tuple(float(number) for number in numbers)
    if len(found) != 3 or not all(math.isfinite(n) and (n > 0 or not positive) for n in found):
        raise ValueError(numbers)
    return found


def _input_side(number: Any) -> int:
    if not isinstance(number, int) or not 0 <= number <= 2**12:
        raise ValueError(number)
    return number


def _class_names(labels: Any) -> tuple[str, ...]:
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(labels)
    return tuple(labels)
