"""Training starts from somebody's weights: the backbone is theirs, the head new but for classes known by name."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import ResLabError
from reslab.model.file import read_model
from reslab.model.run import packaged_file, read_config
from reslab.nn.zoo import build_named
from reslab.run.train import train
from reslab.system.fetch import Remote
from reslab.train.config import TrainConfig
from reslab.train.inputs import open_stores
from reslab.train.plan import choices
from reslab.train.plan.resolve import cautions, resolve
from reslab.train.session import fresh_training
from reslab.train.start import IMAGENET, copy_weights, open_start
from tests.pictures import colour_folder

NAME = "cifar10_resnet20"


def photographs(folder):
    """Pictures that are large enough to be taken for photographs."""
    for path in colour_folder(folder).rglob("*.png"):
        Image.open(path).resize((80, 70)).save(path)
    return folder


def planned(data, **fields):
    config = TrainConfig(data=str(data), epochs=1, batch_size=8, precision="float32", **fields)
    catalog = assign_splits(read_data(data, None), 0.2, 0, None).only(("train", "val"))
    return resolve(config, catalog), catalog


def fresh(plan, catalog):
    return fresh_training(plan, open_stores(plan, catalog)).network


def test_a_packaged_start(tmp_path):
    plan, catalog = planned(colour_folder(tmp_path / "data"), weights=NAME, size=16, finetune="all")
    assert plan.config.model == "resnet20" and plan.config.normalize == "weights"
    assert plan.weights_licence == "Apache-2.0" and "Apache-2.0" in str(plan.origins["weights"].reason)
    theirs = read_model(packaged_file(NAME, ".safetensors"))
    assert list(plan.network["mean"]) == list(theirs.header.network["mean"])
    network = fresh(plan, catalog)
    for name, tensor in theirs.tensors.items():
        if not name.startswith("head."):
            assert np.array_equal(network.state_dict()[name].numpy(), tensor)
    assert not network.head.weight.any() and not network.head.bias.any()
    assert plan.config.optim.lr == pytest.approx(0.3 * TrainConfig().optim.lr * 8 / 128)


def test_the_head_keeps_classes_that_both_know():
    start = open_start(NAME, "auto")
    network = build_named("resnet20", num_classes=3)
    copy_weights(start, network, ("cat", "unicorn", "airplane"))
    theirs = start.network.head
    assert torch.equal(network.head.weight[0], theirs.weight[start.classes.index("cat")])
    assert torch.equal(network.head.weight[2], theirs.weight[start.classes.index("airplane")])
    assert network.head.bias[2] == theirs.bias[start.classes.index("airplane")]
    assert not network.head.weight[1].any() and network.head.bias[1] == 0


def test_another_network_is_refused_before_anything_is_copied(tmp_path):
    network = build_named("resnet32", num_classes=3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(
        ResLabError, match=r"of resnet20: stages.0.3.first.conv.weight is missing there .* and \d+ more"
    ):
        copy_weights(open_start(NAME, "auto"), network, ("a", "b", "c"))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    with pytest.raises(ResLabError, match="are of resnet20, not of resnet18"):
        planned(colour_folder(tmp_path / "data"), weights=NAME, model="resnet18")
    with pytest.raises(ResLabError, match="there are no weights cifar10_resnet21") as caught:
        planned(tmp_path / "data", weights="cifar10_resnet21")
    assert "cifar10_resnet20" in caught.value.hint
    with pytest.raises(ResLabError, match="there are no ImageNet weights for resnet20"):
        open_start("imagenet", "resnet20")


@pytest.mark.parametrize("channels, words", [(1, "1 channel,"), (4, "4 channels,")])
def test_weights_for_other_channels_are_refused_before_a_run_begins(tmp_path, channels, words):
    theirs = models.resnet18()
    theirs.conv1 = torch.nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    with pytest.raises(ResLabError, match=f"of resnet18 are for pictures of {words} and ours have 3"):
        planned(colour_folder(tmp_path / "data"), weights=str(tmp_path / "theirs.pth"))


@pytest.fixture
def published(tmp_path, monkeypatch):
    """torchvision's resnet18 with random weights, as a file of that name and hash that lies in the cache."""
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(3)
    theirs = models.resnet18()
    path = tmp_path / "resnet18.pth"
    torch.save(theirs.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    remote = Remote(f"http://127.0.0.1:9/resnet18-{digest}.pth", digest, path.stat().st_size, "test licence")
    monkeypatch.setitem(IMAGENET, "resnet18", remote)
    remote.place.parent.mkdir(parents=True)
    path.rename(remote.place)
    return theirs


def test_photographs_start_from_imagenet_where_it_is_here(tmp_path, published):
    data = photographs(tmp_path / "data")
    plan, catalog = planned(data, model="resnet18", size=32)
    assert plan.config.weights == "imagenet" and "test licence" in str(plan.origins["weights"].reason)
    assert plan.config.normalize == "imagenet" and plan.weights_licence == "test licence"
    network = fresh(plan, catalog)
    assert torch.equal(network.stem.first.conv.weight, published.conv1.weight)
    assert torch.equal(network.stages[3][1].second.norm.running_var, published.layer4[1].bn2.running_var)


def test_without_network_the_plan_says_what_to_fetch(tmp_path, monkeypatch):
    plan, _ = planned(photographs(tmp_path / "data"), model="resnet18", size=32)
    reason = str(plan.origins["weights"].reason)
    assert (
        plan.config.weights == "none" and "resnet18-f37072fd.pth (45 MB)" in reason and "cannot be downloaded" in reason
    )
    monkeypatch.setattr(choices, "reachable", lambda address: True)
    plan, _ = planned(tmp_path / "data", model="resnet18", size=32)
    assert plan.config.weights == "imagenet" and "can be downloaded" in str(plan.origins["weights"].reason)


def test_an_unsuitable_size_is_said(tmp_path):
    data = photographs(tmp_path / "data")
    assert "one-pixel map at 32 px" in cautions(planned(data, model="resnet18", size=32, weights="none")[0])[0]
    assert "designed for 32 px" in cautions(planned(data, model="resnet20", size=160)[0])[0]
    assert not cautions(planned(data, model="resnet18", size=64)[0])


def test_small_pictures_start_from_scratch(tmp_path):
    plan, _ = planned(colour_folder(tmp_path / "data"))
    assert plan.config.weights == "none" and "small pictures" in str(plan.origins["weights"].reason)


def test_a_run_starts_from_a_run(tmp_path):
    """And the model says whose weights it began with, but no path."""
    data = colour_folder(tmp_path / "data")
    first = train(TrainConfig(data=str(data), epochs=1, batch_size=8, size=16, weights=NAME), tmp_path / "first")
    second = train(TrainConfig(data=str(data), epochs=1, batch_size=8, weights=str(first.folder)), tmp_path / "second")
    assert read_config(second.folder)["config"]["model"] == "resnet20"
    header = read_model(second.model).header
    assert header.training["weights"] == "first" and header.training["weights_licence"] == "Apache-2.0"


# ------------------------------------------------------------------ augmentation that may change a label


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("light", "vflip, rot90, blur, grey are not used: they can change a label"),
        ("any-way-up", "vflip, rot90: only for pictures whose label they do not change"),
        ("crop,grey,blur", "blur, grey: only for pictures whose label they do not change"),
        ("none", ""),
    ],
)
def test_the_plan_says_what_may_change_a_label(tmp_path, asked, reason):
    plan, _ = planned(photographs(tmp_path / "data"), augment=asked, weights="none")
    assert str(plan.origins["augment"].reason or "") == reason


def test_letters_are_not_turned_by_a_named_set():
    config = TrainConfig(data="digits", epochs=1, augment="any-way-up", accumulate=1)
    plan = resolve(config, assign_splits(read_data("digits")).only(("train", "val")))
    assert plan.changes == ("crop",) and "a mirror would change these labels" in str(plan.origins["augment"].reason)
