"""Somebody else's file: read without running code, understood by structure, refused in a sentence."""

import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reslab.engine.base import CheckpointAssumptions
from reslab.engine.checkpoint import open_foreign
from reslab.errors import ResLabError
from reslab.model.checkpoint import identify_network, read_checkpoint
from reslab.nn.resnet import ResNet, build
from reslab.nn.weights import for_channels, load_foreign, to_torchvision
from reslab.nn.zoo import ZOO, build_named
from reslab.train.start import IMAGENET

LOOK_ALIKE = {"plain18": None, "plain34": None} | {f"plain{n}": f"resnet{n}" for n in (20, 32, 44, 56, 110)}
"""A plain network's tensors are those of a residual one without projections."""


class ArticleBlock(nn.Module):
    """As the article writes it: convolutions with a bias, `shortcut.0`."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1)
        self.bn1 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class ArticleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = 64
        for number, width in enumerate((64, 128, 256, 512), 1):
            stage = nn.Sequential(ArticleBlock(before, width, 1 if number == 1 else 2), ArticleBlock(width, width, 1))
            setattr(self, f"layer{number}", stage)
            before = width
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def settled(network):
    """Norms that have seen pictures, biases that are not zero."""
    torch.manual_seed(0)
    network.train()(torch.rand(8, 3, 64, 64))
    return network.eval()


@torch.no_grad()
def test_the_articles_own_network_gives_its_logits():
    article = settled(ArticleNet())
    assert article.conv1.bias.abs().max() > 0.01
    name, config = identify_network(article.state_dict())
    assert name == "resnet18" and config.num_classes == 10
    ours = load_foreign(ResNet(config), article.state_dict()).eval()
    images = torch.rand(4, 3, 64, 64)
    expected = article(images)
    assert (ours(images) - expected).abs().max() <= 1e-5 * max(1.0, expected.abs().max())


@pytest.mark.parametrize("name", [name for name in ZOO if not name.startswith("fast_")])
def test_what_the_tensors_look_like(name):
    with torch.device("meta"):
        network = ResNet(ZOO[name])
    found, config = identify_network(to_torchvision(network))
    assert found == (LOOK_ALIKE.get(name, name) or "unnamed")
    with torch.device("meta"):
        again = ResNet(config)
    if name not in LOOK_ALIKE or LOOK_ALIKE[name]:
        assert {k: v.shape for k, v in again.state_dict().items()} == {
            k: v.shape for k, v in network.state_dict().items()
        }


def renamed(state, *changes):
    for old, new in changes:
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    return state


@pytest.mark.parametrize(
    "changes",
    [
        [("", "module.")],
        [("fc.", "linear.")],
        [("fc.", "classifier.1.")],
        [("downsample.", "shortcut.")],
        [("downsample.", "skip_connection.")],
        [("layer1", "conv2_x"), ("layer2", "conv3_x"), ("layer3", "conv4_x"), ("layer4", "conv5_x"), ("bn1", "norm_a")],
        [(f"layer{n + 1}.", f"encoder.stages.{n}.layers.") for n in range(4)] + [("conv1.", "layer.0.convolution.")],
        [(".conv1.", ".left.0."), (".bn1.", ".left.1."), (".conv2.", ".left.3."), (".bn2.", ".left.4.")],
    ],
    ids=["module", "linear", "classifier", "shortcut", "skip", "conv2_x", "stages", "left"],
)
def test_names_that_people_give(changes):
    source = build_named("resnet18", seed=1, num_classes=7)
    if changes[0][0] == "":
        state = {f"module.{name}": tensor for name, tensor in to_torchvision(source).items()}
    else:
        state = renamed(to_torchvision(source), *changes)
    if any("module" in name for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    name, config = identify_network(state)
    assert name == "resnet18" and config.num_classes == 7
    loaded = load_foreign(build(config), state).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.state_dict().items())


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"net": {"model": s}}]
)
@pytest.mark.parametrize("prefix", ["", "module.", "module.model."])
def test_files_are_unwrapped(tmp_path, wrap, prefix):
    state = to_torchvision(build_named("resnet20"))
    path = tmp_path / "a.pth"
    torch.save(wrap(OrderedDict((prefix + name, tensor) for name, tensor in state.items())), path)
    found = read_checkpoint(path)
    assert found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "resnet50d", "seresnet50", "preact_resnet50", "preact110"])
def test_safetensors_forget_the_order(tmp_path, name):
    source = build_named(name, seed=1)
    save_file({n: tensor.contiguous() for n, tensor in to_torchvision(source).items()}, tmp_path / "a.safetensors")
    state = read_checkpoint(tmp_path / "a.safetensors")
    found, config = identify_network(state)
    assert found == name
    loaded = load_foreign(build(config), state).state_dict()
    assert all(torch.equal(loaded[n], tensor) for n, tensor in source.state_dict().items())


class Evil:
    def __reduce__(self):
        return os.mkdir, ("EXECUTED",)


def test_a_pickle_that_wants_code_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, tmp_path / "zip.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Evil()))
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pth")
    for name in ("zip.pth", "old.pth", "whole.pth"):
        with pytest.raises(ResLabError, match="would run code, and is not opened"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "EXECUTED").exists()


def test_what_is_no_checkpoint_says_so(tmp_path):
    state = to_torchvision(build_named("resnet20"))
    torch.save(state, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    for name in ("cut.pth", "empty.pth", "text.pth", "cut.safetensors"):
        with pytest.raises(ResLabError, match="damaged"):
            read_checkpoint(tmp_path / name)
    for name in ("list.pth", "numbers.pth"):
        with pytest.raises(ResLabError, match="holds no tensors by name"):
            read_checkpoint(tmp_path / name)
    with pytest.raises(ResLabError, match="there is no file"):
        read_checkpoint(tmp_path / "absent.pth")
    with pytest.raises(ResLabError, match="not those of a residual network"):
        identify_network({"features.0.weight": torch.zeros(64, 3, 11, 11), "classifier.weight": torch.zeros(10, 64)})


def test_another_architecture_is_named_by_its_tensors():
    state = to_torchvision(build_named("resnet50"))
    name, config = identify_network(state, "resnet18")
    assert name == "resnet18"
    with pytest.raises(ResLabError, match=r"do not fit .*has layer1.0.bn3.bias, .* too many; layer1.0.conv1.weight is"):
        load_foreign(ResNet(config), state)


def test_the_first_convolution_for_other_channels():
    weight = torch.randn(8, 3, 3, 3)
    grey = torch.rand(1, 1, 6, 6)
    convolve = torch.nn.functional.conv2d
    assert torch.allclose(convolve(grey, for_channels(weight, 1)), convolve(grey.repeat(1, 3, 1, 1), weight), atol=1e-5)
    assert torch.equal(for_channels(weight, 3), weight)
    six = for_channels(weight, 6)
    assert torch.allclose(six, torch.cat([weight, weight], 1) / 2)
    twice = torch.rand(1, 3, 6, 6)
    assert torch.allclose(convolve(torch.cat([twice, twice], 1), six), convolve(twice, weight), atol=1e-5)
    source = build_named("resnet18")
    loaded = load_foreign(build_named("resnet18", in_channels=5, mean=(0.5,), std=(0.5,)), to_torchvision(source))
    assert torch.equal(loaded.stem.first.conv.weight, for_channels(source.stem.first.conv.weight, 5))


@pytest.mark.parametrize("name", IMAGENET)
def test_the_table_of_files_is_torchvisions(name):
    import torchvision

    weights = torchvision.models.get_model_weights(name).DEFAULT
    remote = IMAGENET[name]
    assert remote.url == weights.url and remote.name.split("-")[1] == f"{remote.sha256}.pth"
    assert remote.size == pytest.approx(weights.meta["_file_size"] * 1e6, rel=1e-3)


def test_what_is_no_honest_checkpoint_is_one_sentence(tmp_path):
    import zipfile

    circle, mutual, deep = {}, {"model": {}}, {"w": torch.zeros(2)}
    circle["state_dict"], mutual["model"]["net"] = circle, mutual
    for _ in range(9):
        deep = {"state_dict": deep}
    weight = torch.zeros(4, 4)
    state = to_torchvision(build_named("resnet20", num_classes=2))
    contents = {
        "holds no tensors by name": [circle, mutual, deep],
        "as float8_e4m3fn": [{"w": weight.to(torch.float8_e4m3fn)}],
        "as sparse_coo": [{"w": weight.to_sparse()}],
        "claims to hold": [{"w": torch.zeros(1).expand(2**20, 2**12)}],
        "its tensor w holds numbers": [{"w": weight / 0}],
        "not those of a residual network": [
            {"fc.weight": torch.tensor(1.0)},
            {"layer1.0.conv1.weight": torch.tensor(1.0)},
        ],
        "do not fit": [{**state, "layer1.99999999.conv1.weight": state["layer1.0.conv1.weight"]}],
    }
    path = tmp_path / "c.pth"
    for sentence, cases in contents.items():
        for content in cases:
            torch.save(content, path)
            with pytest.raises(ResLabError, match=sentence):
                open_foreign(path, CheckpointAssumptions())
    torch.save({"w": weight}, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2**26))
    with pytest.raises(ResLabError, match="claims to hold"):
        open_foreign(path, CheckpointAssumptions())
    texts = {
        b"<!DOCTYPE html><p>404": "a web page",
        b"version https://git-lfs.github.com/spec/v1\n": "a Git LFS pointer",
    }
    for content, sentence in texts.items():
        path.write_bytes(content)
        with pytest.raises(ResLabError, match=f"is {sentence}"):
            open_foreign(path, CheckpointAssumptions())
    path.write_bytes(b"import os\nprint('no pickle')\n")
    with pytest.raises(ResLabError, match="is damaged or no checkpoint"):
        open_foreign(path, CheckpointAssumptions())


def test_two_classes_of_one_name_are_refused_by_their_lines(tmp_path):
    from reslab.cli.foreign import class_names

    (tmp_path / "names.txt").write_text("tench\n\ncrane\ndog\ncrane\n")
    with pytest.raises(ResLabError, match="two classes are named 'crane': lines 3 and 5"):
        class_names(tmp_path / "names.txt")
    torch.save(to_torchvision(build_named("resnet20", num_classes=2)), tmp_path / "c.pth")
    with pytest.raises(ResLabError, match="two classes are named 'a': number 1 and number 2"):
        open_foreign(tmp_path / "c.pth", CheckpointAssumptions(model="resnet20", classes=("a", "a")))
