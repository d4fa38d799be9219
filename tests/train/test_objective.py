"""What is minimised: torch's own losses and closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from reslab.train.step.loss import Objective

IMAGES = torch.zeros(6, 3, 8, 8)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(6, 4, dtype=torch.float64), torch.rand(6, 4).double().round()


def test_several_labels_cost_the_sum_of_their_likelihoods(batch):
    logits, targets = batch
    loss = Objective(task="multi")(logits, targets, IMAGES)
    each = F.binary_cross_entropy(logits.sigmoid(), targets, reduction="none")
    assert loss.item() == pytest.approx(each.sum().item(), rel=1e-12)
    assert Objective(task="multi")(torch.zeros(6, 4), targets.float(), IMAGES).item() == pytest.approx(24 * math.log(2))


def test_its_gradient_is_probability_less_target_even_where_a_picture_is_blended(batch):
    logits, targets = batch
    targets = targets.lerp(targets.roll(1, 0), 0.3)
    logits.requires_grad_()
    Objective(task="multi")(logits, targets, IMAGES).backward()
    assert torch.allclose(logits.grad, logits.detach().sigmoid() - targets, atol=1e-12)


def test_one_label_costs_its_cross_entropy(batch):
    logits, _ = batch
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    targets = F.one_hot(labels, 4).double()
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum")
    assert Objective(0.1)(logits, targets, IMAGES).item() == pytest.approx(expected.item(), rel=1e-12)


def test_a_picture_is_right_with_all_of_its_labels():
    logits = torch.tensor([[2.0, -1.0, 0.5], [2.0, 1.0, -1.0], [-1.0, -2.0, -3.0], [-1.0, 3.0, -3.0]])
    targets = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert Objective(task="multi").hits(logits, targets) == 3
    assert (Objective().hits(logits, targets), Objective().hits(-logits, targets)) == (4, 0)
