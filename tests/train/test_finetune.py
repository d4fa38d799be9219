"""Fine-tuning: what learns when, how fast, and that a head on cached features is the best linear layer there is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from reslab.errors import ResLabError
from reslab.metrics.calibration import log_softmax
from reslab.model.file import read_model
from reslab.model.run import packaged_file, read_journal
from reslab.nn.zoo import build_named
from reslab.run.train import resume, train
from reslab.tasks.table import TASKS
from reslab.train.config import MODES, OptimConfig, TrainConfig
from reslab.train.plan.choices import chosen
from reslab.train.probe import embeddings, fit_head
from reslab.train.step.finetune import by_depth, lr_factors, unfreeze
from reslab.train.step.optim import build_optimizer, set_rate
from tests.pictures import colour_folder

NAME = "cifar10_resnet20"


@pytest.mark.parametrize(
    ("mode", "done", "learning"),
    [("head", 0.9, 1), ("last", 0.0, 2), ("all", 0.0, 5), ("gradual", 0.29, 2), ("gradual", 0.3, 5), ("", 0.0, 5)],
)
def test_what_learns_when(mode, done, learning):
    network = build_named("resnet20")
    unfreeze(network, mode, done)
    groups = by_depth(network)
    assert len(groups) == 5 and sum(len(list(g.parameters())) for g in groups) == len(list(network.parameters()))
    for depth, group in enumerate(groups):
        assert all(p.requires_grad == (depth < learning) for p in group.parameters())
        assert all(m.training == (depth < learning) for m in group.modules() if isinstance(m, torch.nn.BatchNorm2d))
    unfreeze(network, "all", 1.0)
    assert all(p.requires_grad for p in network.parameters())


def test_the_rate_halves_from_group_to_group():
    network = build_named("resnet20")
    optimizer = build_optimizer(network, OptimConfig("sgd", lr=0.1), lr_factors(network, "all"))
    set_rate(optimizer, 0.8)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(network.parameters()))
    for depth, group in enumerate(by_depth(network)):
        assert {rates[id(p)] for p in group.parameters()} == {0.8 / 2**depth}


def test_auto_goes_by_the_pictures():
    assert [chosen(n)[0] for n in (1, 19, 20, 500)] == ["head", "head", "all", "all"]


def objective(weight, bias, features, labels, penalty):
    logits = features @ weight.T + bias
    return -log_softmax(logits)[np.arange(len(labels)), labels].sum() + (weight**2).sum() / 2 / penalty


@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_is_scikit_learns_regression(classes):
    dice = np.random.default_rng(0)
    labels = np.arange(90) % classes
    features = (dice.normal(size=(90, 6)) + labels[:, None] * 0.7).astype(np.float32) * 3 + 5
    found = fit_head(features, labels, classes)
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    theirs = LogisticRegression(C=found.penalty, max_iter=2000, tol=1e-8).fit(scaled, labels)
    expected = theirs.predict_proba(scaled)
    logits = features @ found.weight.T + found.bias
    assert np.allclose(np.exp(log_softmax(logits.astype(np.float64))), expected, atol=2e-3)
    assert found.hits == (expected.argmax(1) == labels).sum() and found.n == 90


def test_a_probe_for_several_labels_is_one_regression_each():
    dice = np.random.default_rng(0)
    marks = dice.random((120, 4)) < np.array([0.5, 0.2, 0.5, 0.5])
    marks[:, 2], marks[:, 3] = True, False  # one that all bear and one that nobody does
    features = (dice.normal(size=(120, 6)) + marks[:, :1] - marks[:, 1:2] * 2).astype(np.float32) * 3 + 5
    found = fit_head(features, marks, 4, task=TASKS["multi"])
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    logits = features @ found.weight.T + found.bias
    for k in range(2):
        theirs = LogisticRegression(C=found.penalty, max_iter=2000, tol=1e-8).fit(scaled, marks[:, k])
        assert np.allclose(logits[:, k], theirs.decision_function(scaled), atol=5e-3)
    assert (logits[:, 2] > 10).all() and (logits[:, 3] < -10).all()
    assert found.hits == ((logits > 0) == marks).all(1).sum() and found.n == 120
    assert found.loss == pytest.approx(np.logaddexp(0, np.where(marks, -logits, logits)).sum(1).mean(), rel=1e-4)


def test_a_class_without_pictures_never_wins():
    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    found = fit_head(features, np.arange(20) % 2 * 2, 3)
    assert found.weight.shape == (3, 4) and 1 not in (features @ found.weight.T + found.bias).argmax(1)


def test_validation_chooses_the_penalty():
    dice = np.random.default_rng(1)
    features, labels = dice.normal(size=(60, 40)).astype(np.float32), dice.integers(0, 3, 60)
    noise = dice.normal(size=(300, 40)).astype(np.float32), dice.integers(0, 3, 300)
    assert fit_head(features, labels, 3, noise).penalty == 1e-3  # nothing to learn: the strongest


def test_embeddings_are_pooled_features_and_leave_the_norms_alone():
    network = build_named("resnet20")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    pixels = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    found = embeddings(network, [pixels[:3], pixels[3:]], 2)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        assert np.allclose(found, network.eval().features(images).mean((2, 3)), atol=1e-5)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", each=20)


def config(data, mode, **fields):
    return TrainConfig(
        data=str(data),
        weights=NAME,
        finetune=mode,
        size=32,
        precision="float32",
        layout="channels-last",
        **{"epochs": 2} | fields,
    )


def backbone(model):
    return {name: tensor for name, tensor in model.tensors.items() if not name.startswith("head.")}


def test_the_head_alone_changes_nothing_below_it(data, tmp_path):
    runs = [train(config(data, "head"), tmp_path / name) for name in ("one", "two")]
    model, start = read_model(runs[0].model), read_model(packaged_file(NAME, ".safetensors"))
    for name, tensor in backbone(model).items():
        assert np.array_equal(tensor, start.tensors[name]), name
    assert runs[0].model.read_bytes() == runs[1].model.read_bytes()
    (epoch,) = (event for event in read_journal(runs[0].folder) if event["event"] == "epoch")
    assert epoch["step"] == 0 and epoch["best"] and epoch["train_accuracy"] > 0.9
    assert runs[0].evaluation.score.top1.value >= 0.75
    again = resume(runs[0].folder)
    assert again.model.read_bytes() == runs[1].model.read_bytes()


@pytest.mark.parametrize("mode", ["last", "all", "gradual"])
def test_a_fine_tuned_run_is_exact(data, tmp_path, mode):
    first, second = (train(config(data, mode), tmp_path / name) for name in ("one", "two"))
    assert first.model.read_bytes() == second.model.read_bytes()
    model, start = read_model(first.model), read_model(packaged_file(NAME, ".safetensors"))
    changed = {
        name.split(".")[0] for name in backbone(model) if not np.array_equal(model.tensors[name], start.tensors[name])
    }
    moved = {name for name, t in backbone(model).items() if not np.array_equal(t, start.tensors[name])}
    stages = {name.split(".")[1] for name in moved if name.startswith("stages")}
    assert (changed, stages) == (({"stages"}, {"2"}) if mode == "last" else ({"stem", "stages"}, {"0", "1", "2"}))


def test_bad_input(data, tmp_path):
    with pytest.raises(ResLabError, match="--finetune heads is unknown") as caught:
        train(config(data, "heads"), tmp_path / "a")
    assert "'head'" in caught.value.hint
    with pytest.raises(ResLabError, match="needs trained weights"):
        train(replace(config(data, "head"), weights="none"), tmp_path / "b")
    assert set(MODES) == {"head", "last", "all", "gradual"} and not (tmp_path / "a").exists()
