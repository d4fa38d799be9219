"""The head alone: features of frozen layers are computed once, and the best linear layer on them is found to convergence.

That is linear probing (Kornblith et al. 2019, section 3), by multinomial logistic regression with an L2 penalty; where a
picture may have several labels, by one regression for each of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from reslab.data.augment import MIRRORS
from reslab.data.reader import BLOCK
from reslab.data.store import Store
from reslab.metrics.calibration import log_softmax
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet
from reslab.system import device
from reslab.tasks.table import TASKS, task_named
from reslab.tasks.task import Task
from reslab.train.config import Plan
from reslab.train.inputs import Stores, preprocess_of
from reslab.train.step.loss import class_weights, log_prior

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""scikit-learn's C: the inverse of the penalty; the first of the best on the validation pictures is taken."""

_USUAL = 1e-1  # where nothing validates
_NEVER = 20.0  # how far below the others the logit of a class without pictures lies
_ROUNDS = 500
_BATCH = 128


@dataclass(frozen=True, slots=True)
class Probe:
    """A fitted head."""

    weight: np.ndarray
    """float32 `[classes, features]`."""
    bias: np.ndarray
    """float32 `[classes]`."""
    penalty: float
    logits: np.ndarray
    """`[n, classes]`, on the features that it was fitted to."""
    loss: float
    """Their mean cross-entropy."""
    hits: int
    n: int


def embeddings(network: ResNet, batches: Sequence[np.ndarray] | Callable[[int], np.ndarray], count: int) -> np.ndarray:
    """What the layers below the head make of pictures: float32 `[n, features]`, computed once, norms frozen.

    Args:
        batches: uint8 `[batch, size, size, 3]`, by number.
        count: how many there are.
    """
    network.eval()
    where = next(network.parameters()).device
    rows = []
    with torch.inference_mode():
        for number in range(count):
            pixels = batches(number) if callable(batches) else batches[number]
            images = device.to_layout(to_images(torch.from_numpy(pixels).to(where)), "channels-last")
            rows.append(network.features(images).mean(dim=(2, 3)).float().cpu().numpy())
    return np.concatenate(rows)


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    balance: str = "none",
    task: Task = TASKS["single"],
) -> Probe:
    """The linear layer with the least penalised loss on these features.

    Args:
        features: float32 `[n, features]`; standardised inside, so that one penalty suits every network.
        labels: as `Task.targets` gives them.
        validation: features and labels that choose the penalty.
        balance: one of `loss.BALANCES`. To a fit that converges, a weight and a repeated picture are the same; the
            logit adjustment moves the bias by the log prior, and every class counts the same when the penalty is chosen.
    """
    counts = [] if balance == "none" else np.bincount(labels, minlength=classes).tolist()
    weights = class_weights(counts) if counts else None
    shift = log_prior(counts) if balance == "logit-adjust" else 0.0
    mean, std = features.mean(0), features.std(0) + 1e-6
    scaled = (features - mean) / std
    from sklearn.linear_model import LogisticRegression  # a second, for those who compute a head

    best: tuple[float, Probe] | None = None
    for penalty in PENALTIES if validation else (_USUAL,):
        model = LogisticRegression(C=penalty, max_iter=_ROUNDS, tol=1e-5)
        fit_weights = None if weights is None or balance == "logit-adjust" else weights[labels]
        weight, bias = REGRESSIONS[task.name](model, scaled, labels, classes, fit_weights)
        probe = _probe(weight / std, bias - (weight / std) @ mean - shift, penalty, features, labels, task)
        loss = _loss(validation[0] @ probe.weight.T + probe.bias, validation[1], task, weights) if validation else 0.0
        if best is None or loss < best[0]:
            best = (loss, probe)
    assert best is not None
    return best[1]


def _loss(logits: np.ndarray, labels: np.ndarray, task: Task, weights: np.ndarray | None = None) -> float:
    """Mean over pictures, each weighed by its class where `weights` says so."""
    if weights is None:
        return task.likelihood(logits, labels)
    return float(np.average(-log_softmax(logits)[np.arange(len(labels)), labels], weights=weights[labels]))


def _probe(
    weight: np.ndarray, bias: np.ndarray, penalty: float, features: np.ndarray, labels: np.ndarray, task: Task
) -> Probe:
    logits = features @ weight.T + bias
    loss, hits = task.likelihood(logits, labels), int(task.correct(logits, labels).sum())
    return Probe(weight.astype(np.float32), bias.astype(np.float32), penalty, logits, loss, hits, len(labels))


def _one_per_label(
    model: "LogisticRegression", features: np.ndarray, labels: np.ndarray, classes: int, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of each of several labels, one regression after the other."""
    weight = np.zeros((classes, features.shape[1]))
    bias = np.where(labels.all(0), _NEVER, -_NEVER)
    for k, present in enumerate(labels.T):
        if present.any() and not present.all():
            model.fit(features, present)
            weight[k], bias[k] = model.coef_[0], model.intercept_[0]
    return weight, bias


def _multinomial(
    model: "LogisticRegression", features: np.ndarray, labels: np.ndarray, classes: int, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of one regression over all classes."""
    return _rows(model.fit(features, labels, weights), classes)


REGRESSIONS = {"single": _multinomial, "multi": _one_per_label}
"""Task -> the regression of its labels: weight `[classes, features]` and bias `[classes]`."""


def set_head(probe: Probe, head: nn.Linear) -> None:
    """Make it the network's head."""
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(probe.weight))
        head.bias.copy_(torch.from_numpy(probe.bias))


def _rows(model: "LogisticRegression", classes: int) -> tuple[np.ndarray, np.ndarray]:
    """One row per class: of two classes scikit-learn keeps the difference only; one without pictures never wins."""
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    if len(weight) == classes:
        return weight, bias
    all_weight, all_bias = np.zeros((classes, weight.shape[1])), np.full(classes, bias.min() - _NEVER)
    all_weight[model.classes_], all_bias[model.classes_] = weight, bias
    return all_weight, all_bias


def compute_head(network: ResNet, plan: Plan, stores: Stores) -> Probe:
    """The best linear layer on frozen features: of each training picture and its mirror image, if that keeps the label."""
    fit_to = preprocess_of(plan)

    def blocks(store: Store, turned: bool) -> Callable[[int], np.ndarray]:
        def block(number: int) -> np.ndarray:
            rows = range(number * BLOCK, min((number + 1) * BLOCK, len(store)))
            pixels = np.stack([fit_to(store[i]) for i in rows])
            return np.ascontiguousarray(pixels[:, :, ::-1]) if turned else pixels

        return block

    def seen(store: Store, turned: bool = False) -> np.ndarray:
        return embeddings(network, blocks(store, turned), -(-len(store) // BLOCK))

    task = task_named(plan.task)
    labels = task.targets(stores.train.pictures, plan.classes, "train")
    features = seen(stores.train)
    if set(plan.changes) & set(MIRRORS):
        features, labels = np.concatenate([features, seen(stores.train, True)]), np.concatenate([labels, labels])
    validation = None
    if len(stores.val) and not plan.config.folds:
        validation = seen(stores.val), task.targets(stores.val.pictures, plan.classes, "val")
    return fit_head(features, labels, len(plan.classes), validation, plan.config.balance, task)
