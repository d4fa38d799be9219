"""What is minimised: balancing and teachers against other people's code and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from reslab.data.draws import balanced_order
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import ResLabError
from reslab.metrics.calibration import softmax
from reslab.model.file import read_model
from reslab.model.run import packaged_file, read_config, read_journal
from reslab.nn.zoo import build_named
from reslab.run.train import resume, train
from reslab.tasks.table import TASKS
from reslab.tasks.task import Validation
from reslab.train.config import BALANCES, TrainConfig
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.plan.choices import Choices, choose_loss
from reslab.train.plan.resolve import cautions, resolve
from reslab.train.probe import fit_head
from reslab.train.session import fresh_training, loader_of, objective_of
from reslab.train.step.loss import Objective, Teacher, class_weights, log_prior
from tests.pictures import colour_folder

NAME = "cifar10_resnet20"
LABELS = np.array([0] * 40 + [1] * 3 + [2] * 7)
DICE = np.random.default_rng(0)


def test_class_weights_are_scikit_learns():
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    assert np.allclose(class_weights(np.bincount(LABELS)), theirs)


def drawn(*shape):
    return torch.from_numpy(DICE.normal(size=shape))


def test_weights_are_a_mean_over_classes():
    """The weighted sum over all pictures is n times the mean over classes of each class's mean loss."""
    logits, targets = drawn(50, 3), F.one_hot(torch.from_numpy(LABELS), 3).double()
    loss = Objective(weights=torch.from_numpy(class_weights(np.bincount(LABELS))))(logits, targets, torch.empty(0))
    each = F.cross_entropy(logits, torch.from_numpy(LABELS), reduction="none").numpy()
    assert float(loss) == pytest.approx(50 * np.mean([each[k == LABELS].mean() for k in range(3)]))


def test_a_logit_adjustment_takes_the_prior_out_of_the_answers():
    """Where pictures say nothing, the least loss is reached by equal logits: the prior is not learnt."""
    logits = torch.zeros(50, 3, dtype=torch.float64, requires_grad=True)
    objective = Objective(prior=torch.from_numpy(log_prior(np.bincount(LABELS))))
    objective(logits, F.one_hot(torch.from_numpy(LABELS), 3).double(), torch.empty(0)).backward()
    assert torch.allclose(logits.grad.sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    plain = torch.zeros(50, 3, dtype=torch.float64, requires_grad=True)
    Objective()(plain, F.one_hot(torch.from_numpy(LABELS), 3).double(), torch.empty(0)).backward()
    assert plain.grad.sum(0).abs().max() > 10


def by_its_authors(logits, targets, temperature):
    """Wei et al. 2022, equation 5, as their repository computes it."""
    norms = torch.norm(logits, p=2, dim=-1, keepdim=True) + 1e-7
    return F.cross_entropy(torch.div(logits, norms) / temperature, targets, reduction="sum")


def test_logit_norm_is_the_papers():
    labels, logits = torch.from_numpy(LABELS), drawn(50, 3).requires_grad_()
    targets, theirs = F.one_hot(labels, 3).double(), logits.detach().clone().requires_grad_()
    loss, other = Objective(logit_norm=0.04)(logits, targets, torch.empty(0)), by_its_authors(theirs, labels, 0.04)
    loss.backward()
    other.backward()
    assert loss.item() == pytest.approx(other.item(), rel=1e-5)  # they add 1e-7 to each norm
    assert torch.allclose(logits.grad, theirs.grad, rtol=1e-5, atol=1e-6)
    exact = logits.detach().numpy()
    powers = np.exp(exact / (0.04 * np.sqrt((exact**2).sum(1, keepdims=True))))
    assert loss.item() == pytest.approx(-np.log(powers[np.arange(50), LABELS] / powers.sum(1)).sum())
    assert (logits.grad * logits).sum(1).abs().max() < 1e-9  # no step changes a norm, to first order
    larger = Objective(logit_norm=0.04)(logits.detach() * torch.linspace(0.1, 50, 50)[:, None], targets, torch.empty(0))
    assert larger.item() == pytest.approx(loss.item())


def test_logit_norm_goes_together_with_what_changes_the_targets_or_the_prior():
    prior, weights = torch.from_numpy(log_prior(np.bincount(LABELS))), torch.tensor([0.5, 3.0, 1.5]).double()
    logits, soft = drawn(50, 3), F.softmax(drawn(50, 3), 1)  # as Mixup blends them
    adjusted = logits / logits.norm(dim=1, keepdim=True) / 0.1 + prior
    theirs = F.cross_entropy(adjusted, soft, weights, label_smoothing=0.2, reduction="sum")
    ours = Objective(0.2, weights=weights, prior=prior, logit_norm=0.1)(logits, soft, torch.empty(0))
    assert ours.item() == pytest.approx(theirs.item())


def test_logits_of_zero_have_a_finite_loss():
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = Objective(logit_norm=0.04)(logits, torch.eye(3)[:2], torch.empty(0))
    loss.backward()
    assert loss.item() == pytest.approx(2 * np.log(3)) and logits.grad.isfinite().all()


def teacher(columns, temperature=3.0, share=1.0):
    network = build_named("resnet20", num_classes=3, seed=1).eval()
    return network, Teacher(network, torch.tensor(columns), share, temperature, "float32")


def test_a_teacher_is_agreed_with_by_name():
    network, made = teacher([2, 0, 1])
    images = torch.rand(4, 3, 16, 16)
    theirs = network(images).detach()
    same = theirs[:, [2, 0, 1]].requires_grad_()
    loss = Objective(teacher=made)(same, torch.eye(3)[[0, 1, 2, 0]], images)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-5) and same.grad.abs().max() < 1e-5
    mine = torch.randn(4, 3, requires_grad=True)
    mixed = Objective(teacher=replace(made, share=0.25))(mine, torch.eye(3)[[0, 1, 2, 0]], images)
    soft = F.softmax(theirs[:, [2, 0, 1]] / 3, 1)
    divergence = (soft * (soft.log() - F.log_softmax(mine / 3, 1))).sum() * 9
    labels = F.cross_entropy(mine, torch.tensor([0, 1, 2, 0]), reduction="sum")
    assert float(mixed.detach()) == pytest.approx(float((0.25 * divergence + 0.75 * labels).detach()), rel=1e-5)


def test_every_class_is_visited_equally_often():
    orders = [balanced_order(7, epoch, LABELS) for epoch in range(40)]
    for order in orders:
        assert len(order) == 50 == len(set(order.tolist()))
        sizes = np.bincount(LABELS[order % 50])
        assert sizes.max() - sizes.min() <= 1
        for label in range(3):
            times = np.bincount(order % 50, minlength=50)[label == LABELS]
            assert times.max() - times.min() <= 1
    assert np.array_equal(orders[3], balanced_order(7, 3, LABELS)) and not np.array_equal(orders[0], orders[1])
    assert set(np.concatenate(orders) % 50) == set(range(50))  # large classes take turns
    assert len({tuple(np.bincount(LABELS[o % 50])) for o in orders}) == 3  # so do the classes, with what is left over


@pytest.mark.parametrize("balance", ["weights", "sampler"])
def test_a_balanced_probe_is_scikit_learns(balance):
    features = (DICE.normal(size=(50, 5)) + LABELS[:, None]).astype(np.float32)
    found = fit_head(features, LABELS, 3, None, balance)
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    theirs = LogisticRegression(C=found.penalty, max_iter=2000, tol=1e-8, class_weight="balanced").fit(scaled, LABELS)
    logits = features @ found.weight.T + found.bias
    assert np.allclose(softmax(logits.astype(np.float64)), theirs.predict_proba(scaled), atol=2e-3)


def test_an_adjusted_probe_divides_by_the_prior():
    features = (DICE.normal(size=(50, 5)) + LABELS[:, None]).astype(np.float32)
    plain, adjusted = fit_head(features, LABELS, 3), fit_head(features, LABELS, 3, None, "logit-adjust")
    assert np.array_equal(plain.weight, adjusted.weight)
    assert np.allclose(plain.bias - adjusted.bias, log_prior(np.bincount(LABELS)), atol=1e-6)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty red pictures, twenty green ones, a single blue one to train on."""
    folder = colour_folder(tmp_path_factory.mktemp("data") / "colours", each=20)
    for path in sorted((folder / "blue").iterdir())[2:]:
        path.unlink()
    return folder


def planned(data, **fields):
    chosen = {"size": 32, "epochs": 2, "batch_size": 8, "layout": "channels-last", "precision": "float32"}
    config = TrainConfig(data=str(data), **chosen | fields)
    catalog = assign_splits(read_data(data, None), config.val, 0, None).only(("train", "val"))
    return resolve(config, catalog), catalog


def test_unequal_classes_are_pointed_out(data):
    plan, _ = planned(data)
    assert plan.counts[0] == 1 and min(plan.counts[1:]) > 10
    (text,) = cautions(plan)
    assert "'blue' 1" in text and "--balance logit-adjust" in text
    assert cautions(planned(data, balance="weights")[0]) == []


@pytest.mark.parametrize("balance", BALANCES)
def test_balancing_reaches_the_loop(data, balance):
    plan, catalog = planned(data, balance=balance, augment="none")
    loader = loader_of(plan, open_stores(plan, catalog).train)
    seen = np.concatenate([loader.indices(0, step) for step in range(loader.steps)])
    blues = (loader.labels[torch.from_numpy(seen)] == 0).sum()
    assert (blues > 8) == (balance == "sampler") and len(seen) == sum(plan.counts)
    objective = objective_of(plan)
    assert (objective.weights is not None, objective.prior is not None) == (
        balance == "weights",
        balance == "logit-adjust",
    )


def test_logit_norm_reaches_the_loop(data):
    assert objective_of(planned(data, logit_norm=0.04)[0]).logit_norm == 0.04
    assert objective_of(planned(data)[0]).logit_norm == 0.0


def test_balanced_accuracy_chooses_the_epoch(data, tmp_path):
    run = train(replace(planned(data)[0].config, balance="sampler", val=0.3), tmp_path / "run")
    epochs = [event for event in read_journal(run.folder) if event["event"] == "epoch"]
    assert all("val_balanced_accuracy" in event for event in epochs)
    best = max(epochs, key=lambda e: (e["val_balanced_accuracy"], -e["val_nll"]))
    assert best["best"] and run.evaluation.score.balanced_accuracy == pytest.approx(best["val_balanced_accuracy"])


def test_the_pull_towards_the_start(data):
    """The gradient gains strength * (w - start) below the head, the decay towards zero is gone there, and only there."""
    fields = {"weights": NAME, "finetune": "all", "augment": "none"}
    steps = {}
    for strength in (0.0, 0.5):
        plan, catalog = planned(data, start_decay=strength, **fields)
        plan = replace(plan, config=replace(plan.config, optim=replace(plan.config.optim, momentum=0.0, clip_norm=0.0)))
        stores = open_stores(plan, catalog)
        training, loader = fresh_training(plan, stores), loader_of(plan, stores.train)
        start = {n: p.detach().clone() for n, p in training.network.named_parameters()}
        assert set(training.anchor) == ({n for n in start if not n.startswith("head.")} if strength else set())
        with torch.no_grad():
            for p in training.network.parameters():
                p.add_(0.01)
        before = {n: p.detach().clone() for n, p in training.network.named_parameters()}
        update(training, loader.batch(0, 0), plan, 0.1)
        steps[strength] = {n: p.detach() - before[n] for n, p in training.network.named_parameters()}
        rates = {id(p): g["lr"] for g in training.optimizer.param_groups for p in g["params"]}
        rates = {n: rates[id(p)] for n, p in training.network.named_parameters()}
    decay = plan.config.optim.weight_decay
    for name, parameter in before.items():
        pulled = steps[0.5][name] - steps[0.0][name]
        below, decayed = not name.startswith("head."), parameter.ndim > 1
        expected = -rates[name] * (0.5 * 0.01 - (decay * parameter if decayed else 0)) if below else 0 * parameter
        assert torch.allclose(pulled, torch.as_tensor(expected).expand_as(pulled), atol=2e-6), name


def test_a_pulled_run_goes_on_exactly(data, tmp_path):
    config = replace(planned(data)[0].config, weights=NAME, finetune="all", start_decay=0.01)

    def stop(event):
        if event["event"] == "step" and event["epoch"] == 2:
            raise KeyboardInterrupt

    straight = train(config, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", on_event=stop)
    assert resume(tmp_path / "stopped").model.read_bytes() == straight.model.read_bytes()


def test_a_student_learns_from_its_teacher(data, tmp_path):
    first = train(replace(planned(data)[0].config, weights=NAME, finetune="head"), tmp_path / "teacher")
    config = replace(planned(data)[0].config, teacher=str(first.folder), teacher_share=1.0)
    runs = [train(config, tmp_path / name) for name in ("one", "two")]
    assert runs[0].model.read_bytes() == runs[1].model.read_bytes()
    assert read_config(runs[0].folder)["teacher_digest"] == read_model(first.model).sha256
    first.model.write_bytes(packaged_file(NAME, ".safetensors").read_bytes())
    with pytest.raises(ResLabError, match="teacher .* was changed"):
        resume(runs[0].folder, 3)


def test_bad_input(data, tmp_path):
    for fields, said in (
        ({"balance": "sample"}, "--balance sample is unknown"),
        ({"teacher": NAME}, "other classes: it does not know 'blue'"),
        ({"teacher": "nobody"}, "there are no weights nobody"),
        ({"teacher": NAME, "weights": NAME, "finetune": "head"}, "learns from labels only"),
        ({"teacher_share": 1.5}, "between 0 and 1"),
        ({"start_decay": -1.0, "weights": NAME}, "is negative"),
        ({"start_decay": 0.1}, "needs trained weights"),
        ({"logit_norm": -0.1}, "is negative"),
        ({"logit_norm": 0.04, "teacher": NAME}, "contradict each other"),
        ({"logit_norm": 0.04, "weights": NAME, "finetune": "head"}, "which has no LogitNorm"),
    ):
        with pytest.raises(ResLabError, match=said):
            train(TrainConfig(data=str(data), epochs=1, **fields), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_logit_norm_is_for_one_label():
    with pytest.raises(ResLabError, match="--logit-norm needs data that give each picture one label"):
        choose_loss(Choices(TrainConfig(logit_norm=0.04), ()), TASKS["multi"])


def test_what_counts_where_classes_are_balanced():
    assert Validation(0.9, 1.0).value == 0.9 and Validation(0.9, 1.0, "balanced_accuracy", 0.5).value == 0.5
