"""Our networks give torchvision's logits with torchvision's weights, and the weights come back unchanged."""

import pytest
import timm
import torch
import torchvision

from reslab.errors import ResLabError
from reslab.nn.resnet import ResNet
from reslab.nn.weights import load_foreign, to_torchvision, torchvision_name, translate_names
from reslab.nn.zoo import ZOO, build_named

RELATIVE = 1e-5  # two orders of the same sums in float32
TIMM = {"resnet50d": "resnet50d", "seresnet50": "seresnet50", "preact_resnet50": "resnetv2_50"}
NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d"]
NAMES += ["resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2", *TIMM]


def fresh(name):
    torch.manual_seed(0)
    return timm.create_model(TIMM[name]) if name in TIMM else torchvision.models.get_model(name, weights=None)


def theirs(name):
    """Random weights, and running statistics that a pass in training mode has set: otherwise deep logits explode."""
    network = fresh(name)
    network.train()(torch.rand(8, 3, 64, 64))
    return network.eval()


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_same_weights_same_logits(name):
    opponent = theirs(name)
    ours = load_foreign(build_named(name), opponent.state_dict()).eval()
    images = torch.rand(2, 3, 64, 64)
    expected, got = opponent(images), ours(images)
    assert (got - expected).abs().max() <= RELATIVE * max(1.0, expected.abs().max())


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@torch.no_grad()
def test_the_maps_of_all_stages_are_theirs(name):
    opponent = theirs(name)
    ours = load_foreign(build_named(name), opponent.state_dict()).eval()
    layers = {f"layer{stage}": str(stage) for stage in (1, 2, 3, 4)}
    images = torch.rand(2, 3, 64, 96)
    expected = torchvision.models._utils.IntermediateLayerGetter(opponent, layers)(images)
    maps = ours.stage_maps(images)
    assert [m.shape[2:] for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    for got, wanted in zip(maps, expected.values(), strict=True):
        assert (got - wanted).abs().max() <= RELATIVE * max(1.0, wanted.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_weights_there_and_back(name):
    opponent = fresh(name)
    back = to_torchvision(load_foreign(build_named(name), opponent.state_dict()))
    state = opponent.state_dict()
    assert list(back) != [] and back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


@pytest.mark.parametrize("name", [name for name, config in ZOO.items() if config.entry == "block"])
def test_the_name_table_is_a_bijection(name):
    """No two names become one, and what reads by structure finds each of ours again."""
    with torch.device("meta"):
        network = ResNet(ZOO[name])
    ours = list(network.state_dict())
    assert len({torchvision_name(key, network.config) for key in ours}) == len(ours) > 60
    assert list(translate_names(to_torchvision(network))[0]) == ours


def test_a_network_of_our_own_has_no_other_names():
    with pytest.raises(ResLabError, match="neither has this network"):
        to_torchvision(build_named("fast_resnet8"))


def test_old_files_lack_the_batch_counters():
    """torchvision's norms fill them in as they load; nothing else may be missing."""
    opponent = theirs("resnet18")
    old = {key: tensor for key, tensor in opponent.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert len(opponent.state_dict()) - len(old) == 20
    ours = load_foreign(build_named("resnet18"), old).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, got = opponent(images), ours(images)
    assert (got - expected).abs().max() <= RELATIVE * max(1.0, expected.abs().max())
    with pytest.raises(ResLabError, match="lacks bn1.running_var$"):
        load_foreign(ours, {key: tensor for key, tensor in old.items() if key != "bn1.running_var"})


def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded():
    network = build_named("resnet18")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    state = torchvision.models.resnet18(num_classes=7).state_dict()
    del state["conv1.weight"]
    state["extra"] = torch.zeros(1)
    with pytest.raises(
        ResLabError, match=r"lacks conv1.weight; has extra too many; .*fc.weight is \(7, 512\), not \(1000, 512\)"
    ):
        load_foreign(network, state)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
