"""Weights of the Hugging Face hub by name, against a local server with files as timm and transformers write them."""

import functools
import hashlib
import http.server
import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from reslab.cli.app import run
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import ResLabError
from reslab.nn.weights import to_torchvision
from reslab.nn.zoo import build_named
from reslab.train.config import TrainConfig
from reslab.train.hub import describe
from reslab.train.plan.resolve import resolve
from reslab.train.start import open_start
from tests.pictures import colour_folder

TIMM = "timm/resnet18.ours_in7"
PEOPLE = "people/resnet-18"
CLASSES = tuple(f"animal {k}" for k in range(7))
MEAN, STD = (0.4, 0.5, 0.6), (0.3, 0.2, 0.1)
CUT = 100_000


def transformers_files(folder):
    """As transformers' ResNetForImageClassification writes itself (its keys, config.json, preprocessor_config.json)."""
    names = {"conv1.": "layer.0.convolution.", "bn1.": "layer.0.normalization.", "conv2.": "layer.1.convolution.",
             "bn2.": "layer.1.normalization.", "downsample.0.": "shortcut.convolution.",
             "downsample.1.": "shortcut.normalization."}  # fmt: skip
    state = {}
    for name, tensor in to_torchvision(build_named("resnet18", seed=3, num_classes=7)).items():
        inside = re.fullmatch(r"layer(\d)\.(\d)\.(\w+\.(?:\d\.)?)(.+)", name)
        if inside:
            name = f"resnet.encoder.stages.{int(inside[1]) - 1}.layers.{inside[2]}.{names[inside[3]]}{inside[4]}"
        for old, new in (("conv1.", "convolution."), ("bn1.", "normalization.")):
            name = name.replace(old, f"resnet.embedder.embedder.{new}") if name.startswith(old) else name
        state[name.replace("fc.", "classifier.1.")] = tensor.contiguous()
    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["ResNetForImageClassification"], "depths": [2, 2, 2, 2], "downsample_in_first_stage": False,
        "embedding_size": 64, "hidden_act": "relu", "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic",
        "id2label": {str(k): label for k, label in enumerate(CLASSES)}, "model_type": "resnet", "num_channels": 3,
        "label2id": {label: k for k, label in enumerate(CLASSES)}, "torch_dtype": "float32",
    }  # fmt: skip
    prepared = {"crop_pct": 0.875, "do_normalize": True, "do_resize": True, "image_mean": MEAN, "image_std": STD,
                "feature_extractor_type": "ConvNextFeatureExtractor", "resample": 3, "size": 64}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))


def timm_files(folder):
    """As timm itself pushes a model to the hub."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=7)
    model.pretrained_cfg |= {"mean": MEAN, "std": STD, "input_size": (3, 64, 64), "license": "mit"}
    labels = {"label_names": list(CLASSES)}
    save_for_hf(model, folder, model_config={"pretrained_cfg": model.pretrained_cfg} | labels, safe_serialization=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    timm_files(root / TIMM)
    transformers_files(root / PEOPLE)
    return root


class Hub(http.server.BaseHTTPRequestHandler):
    """The two addresses of the hub that matter; `server.change` may spoil an answer."""

    def do_GET(self):
        server, path = self.server, self.path.strip("/")
        server.asked.append(path)
        if refused := server.refused:
            self.send_response(refused[0])
            self.send_header("X-Error-Code", refused[1])
            self.end_headers()
            return
        if tree := re.fullmatch(r"api/models/(.+?)/tree/(.+)", path):
            folder, revision = server.root / tree[1], tree[2]
        elif file := re.fullmatch(r"([^/]+/[^/]+)/resolve/(\w+)/(.+)", path):
            folder, revision = server.root / file[1], file[2]
        if not folder.is_dir() or revision not in ("main", "v1"):
            self.send_response(401 if not folder.is_dir() else 404)
            self.send_header("X-Error-Code", "RevisionNotFound" if folder.is_dir() else "RepoNotFound")
            self.end_headers()
            return
        content = json.dumps([row(p) for p in sorted(folder.iterdir())]).encode() if tree else None
        content = server.change(path, content or (folder / file[3]).read_bytes())
        begin = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = CUT if server.cuts and path.endswith("safetensors") else None
        server.cuts = server.cuts and end is None
        self.wfile.write(content[begin:end])

    def log_message(self, *words):
        pass


def row(path):
    """A file in the hub's list; large ones carry the digest of their content."""
    content = path.read_bytes()
    made = {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": path.name}
    if path.suffix != ".json":
        made["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return made


@pytest.fixture
def hub(files, tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.root, server.asked, server.refused, server.cuts = files, [], None, False
        server.change = lambda path, content: content
        threading.Thread(target=functools.partial(server.serve_forever, 0.01), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}/")
        yield server
        server.shutdown()


@pytest.mark.parametrize("name", [TIMM, PEOPLE])
def test_a_network_of_the_hub_is_opened_as_its_author_says(name, hub):
    start = open_start(f"hf:{name}", "auto")
    assert (start.name, start.size, start.classes) == ("resnet18", 64, CLASSES)
    assert start.network.config.mean == MEAN and start.network.config.std == STD
    theirs = load_file(hub.root / name / "model.safetensors")
    head = theirs["fc.weight" if name == TIMM else "classifier.1.weight"]
    assert torch.equal(start.network.head.weight, head)
    assert start.licence == ("mit" if name == TIMM else f"as huggingface.co/{name} says")


def test_its_answers_are_those_of_timm(hub):
    start = open_start(f"hf:{TIMM}", "auto")
    theirs = timm.create_model("resnet18", num_classes=7)
    theirs.load_state_dict(load_file(hub.root / TIMM / "model.safetensors"))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    normalized = (images - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(start.network.eval()(images), theirs.eval()(normalized), atol=1e-5)


def test_a_run_starts_from_it_at_its_size_with_its_statistics(hub, tmp_path):
    data = colour_folder(tmp_path / "data")
    for path in data.rglob("*.png"):
        Image.open(path).resize((80, 70)).save(path)
    config = TrainConfig(data=str(data), weights=f"hf:{PEOPLE}@v1", epochs=1, precision="float32", accumulate=1)
    plan = resolve(config, assign_splits(read_data(data), 0.2).only(("train", "val")))
    assert (plan.config.model, plan.config.size, plan.config.normalize) == ("resnet18", 64, "weights")
    assert np.allclose(plan.network["mean"], MEAN) and np.allclose(plan.network["std"], STD)
    small = resolve(config, assign_splits(read_data(colour_folder(tmp_path / "small")), 0.2).only(("train", "val")))
    assert small.config.size < 64  # never enlarged


def test_it_is_fetched_once_and_known_without_network(hub, monkeypatch):
    first = open_start(f"hf:{TIMM}", "auto")
    hub.shutdown()
    hub.server_close()
    describe.__globals__["_read_description"].cache_clear()
    assert torch.equal(open_start(f"hf:{TIMM}", "auto").network.head.weight, first.network.head.weight)
    assert sum(path.endswith("safetensors") for path in hub.asked) == 1


def test_a_download_that_was_cut_goes_on(hub):
    hub.cuts = True
    with pytest.raises(ResLabError, match=f"was lost after {CUT:,} of"):
        open_start(f"hf:{TIMM}", "auto")
    assert open_start(f"hf:{TIMM}", "auto").name == "resnet18"


def test_the_mirror_for_all_files_is_asked_too(hub, monkeypatch):
    import os

    monkeypatch.setenv("RESLAB_MIRROR", os.environ["HF_ENDPOINT"])
    monkeypatch.delenv("HF_ENDPOINT")
    assert open_start(f"hf:{TIMM}", "auto").name == "resnet18"


# ------------------------------------------------------------------ what is wrong is one sentence


def refuse(weights):
    with pytest.raises(ResLabError) as caught:
        open_start(weights, "auto")
    assert caught.value.exit_code == 2 and caught.value.hint
    return f"{caught.value.message} | {caught.value.hint}"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "RepoNotFound", "no such model"),
        (404, "RepoNotFound", "no such model"),
        (404, "", "no such model"),
        (404, "RevisionNotFound", "no such revision"),
        (401, "GatedRepo", "not open to everyone"),
        (401, "", "not open to everyone"),
        (403, "GatedRepo", "accept its terms"),
        (500, "", "it answers 500"),
        (429, "", "it answers 429"),
    ],
)
def test_what_the_hub_refuses(hub, status, code, words):
    hub.refused = (status, code)
    assert words in refuse(f"hf:{TIMM}")


def test_names(hub):
    assert "no such model" in refuse("hf:nobody/nothing")
    assert "no such revision" in refuse(f"hf:{TIMM}@v2")
    for name in ("hf:", "hf:resnet18", "hf:a/b/c", "hf:a b/c", "hf:../x", "hf:a/b@", "hf:a/b?x"):
        assert "OWNER/NAME" in refuse(name) or "no such" in refuse(name)


def test_no_network(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot reach http://127.0.0.1:9 for" in refuse(f"hf:{TIMM}")
    monkeypatch.setenv("HF_ENDPOINT", f"file://{Path('/').absolute()}")
    assert "not an address" in refuse(f"hf:{TIMM}")


def test_another_content_than_the_hub_names(hub):
    hub.change = lambda path, content: content[:-1] + b"?" if path.endswith("safetensors") else content
    assert "its checksum is wrong" in refuse(f"hf:{TIMM}")
    assert not list(Path(describe(f"hf:{TIMM}").remote.place).parent.glob("*.safetensors"))


def test_only_a_pickle(hub):
    hub.change = lambda path, content: (
        content.replace(b"model.safetensors", b"pytorch_model.bin") if "/tree/" in path else content
    )
    assert "only pytorch_model.bin, a pickle" in refuse(f"hf:{TIMM}")
    assert not any(path.endswith(".bin") for path in hub.asked)


def spoiled(**changes):
    def change(path, content):
        if not path.endswith("/config.json"):
            return content
        return json.dumps(json.loads(content) | changes).encode()

    return change


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (TIMM, {"architecture": "vit_base_patch16_224"}, "is vit_base_patch16_224, none of our ResNets"),
        (TIMM, {"architecture": "resnetv2_50x1_bit"}, "seresnet50"),
        (TIMM, {"model_args": {"act_layer": "silu"}}, "none of our ResNets"),
        (TIMM, {"architecture": "resnet34"}, "do not fit"),
        (PEOPLE, {"model_type": "convnext"}, "is convnext, none of our ResNets"),
        (PEOPLE, {"downsample_in_bottleneck": True}, "none of our ResNets"),
        (PEOPLE, {"downsample_in_first_stage": True}, "none of our ResNets"),
        (PEOPLE, {"depths": [9, 9, 9, 9]}, "none of our ResNets"),
        (PEOPLE, {"id2label": {"0": "cat", "1": "dog"}}, "names 2 classes, but its head has 7"),
        (PEOPLE, {"id2label": {"0": "cat", "2": "dog"}}, "cannot be read"),
        (PEOPLE, {"id2label": [1, 2]}, "cannot be read"),
        (TIMM, {"pretrained_cfg": None}, "cannot be read"),
        (TIMM, {"pretrained_cfg": {"mean": [0, 0]}}, "cannot be read"),
        (TIMM, {"pretrained_cfg": {"std": [0, 1, 1]}}, "cannot be read"),
        (TIMM, {"pretrained_cfg": {"mean": [float("nan"), 0, 0]}}, "cannot be read"),
        (TIMM, {"pretrained_cfg": {"input_size": [3, "x", -1]}}, "cannot be read"),
        (TIMM, {"pretrained_cfg": {"input_size": []}}, "cannot be read"),
        (TIMM, {"architecture": ["resnet18"]}, "none of our ResNets"),
        (TIMM, {"label_names": {"a": 1}}, "cannot be read"),
    ],
)
def test_what_the_configuration_says(hub, name, changes, words):
    hub.change = spoiled(**changes)
    assert words in refuse(f"hf:{name}")


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", "[" * 100_000, '"x"', '{"architecture": 1e999}', "\xff"])
@pytest.mark.parametrize("which", ["/tree/main", "config.json"])
def test_answers_that_are_no_json_or_another_one(hub, which, text):
    hub.change = lambda path, content: text.encode("latin-1") if path.endswith(which) else content
    said = refuse(f"hf:{PEOPLE}")
    assert any(words in said for words in ("cannot be read", "none of our ResNets", "no model.safetensors"))


def test_the_terminal_says_it_in_one_sentence(hub, tmp_path, capsys):
    assert run(["train", str(colour_folder(tmp_path / "data")), "--weights", "hf:nobody/nothing"]) == 2
    said = capsys.readouterr().err
    assert "error: the hub has no such model" in said and "hint: " in said and "Traceback" not in said
