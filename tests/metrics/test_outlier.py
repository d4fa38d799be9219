"""Outlier scores against their formulas written out, and against scikit-learn."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from reslab.metrics import neighbours, outlier
from reslab.metrics.rejection import auroc, false_positive_rate

N, D, K = 40, 7, 5


@pytest.fixture(scope="module")
def network():
    """Features, weight, bias and logits of a linear layer."""
    draw = np.random.default_rng(3)
    features = draw.gamma(1.0, size=(N, D)).astype(np.float32)
    weight, bias = draw.normal(size=(K, D)).astype(np.float32), draw.normal(size=K).astype(np.float32)
    return features, weight, bias, features @ weight.T + bias


def test_boundary_distance_is_the_mean_distance_to_hyperplanes(network):
    """Each boundary is the plane on which two logits are equal; the distance to it by projection onto its normal."""
    features, weight, bias, logits = network
    mean = features.mean(0)
    found = outlier.boundary_distance(logits, features, outlier.class_gaps(weight), mean)
    for z, row, score in zip(features.astype(float), logits, found, strict=True):
        f = int(row.argmax())
        distances = []
        for c in set(range(K)) - {f}:
            normal, offset = (weight[f] - weight[c]).astype(float), float(bias[f]) - float(bias[c])
            foot = z - normal * (normal @ z + offset) / (normal @ normal)
            assert abs(normal @ foot + offset) < 1e-4  # the foot lies on the boundary
            distances.append(np.linalg.norm(z - foot))
        assert score == pytest.approx(-np.mean(distances) / np.linalg.norm(z - mean), rel=1e-4)


def test_energy_and_entropy_are_their_formulas(network):
    logits = network[3].astype(float)
    assert np.allclose(outlier.energy(logits), -logsumexp(logits, axis=1))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    best = np.sort(p, axis=1)[:, -3:]
    assert np.allclose(outlier.generalized_entropy(logits, top=3), (best**0.1 * (1 - best) ** 0.1).sum(1))
    assert np.allclose(outlier.max_softmax(logits), -p.max(1))


def test_neighbour_distance_is_that_of_scikit_learn(network, monkeypatch):
    features = network[0]
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    expected = NearestNeighbors(n_neighbors=4).fit(rows[:30]).kneighbors(rows[30:])[0][:, -1]
    for block in (neighbours._BLOCK, 60):  # in one product, and two pictures at a time
        monkeypatch.setattr(neighbours, "_BLOCK", block)
        assert np.allclose(outlier.neighbour_distance(features[30:], features[:30], k=4), expected, atol=1e-5)


def test_virtual_logit_sees_what_leaves_the_principal_space(network):
    """Features of a plane through the origin of the space have no residual; the virtual logit is then the energy."""
    _, weight, bias, _ = network
    draw = np.random.default_rng(0)
    origin = -np.linalg.pinv(weight.astype(float)) @ bias
    plane = origin + draw.normal(size=(200, D // 2)) @ draw.normal(size=(D // 2, D))
    logits = plane @ weight.T + bias
    space = outlier.fit_residual_space(plane + 1e-9 * draw.normal(size=plane.shape), logits, weight, bias)
    assert space.directions.shape == (D, D - D // 2)
    assert np.abs((plane - space.origin) @ space.directions).max() < 1e-6
    outside = plane + 3 * space.directions[:, 0]
    far = outlier.virtual_logit(outside, outside @ weight.T + bias, space) - outlier.energy(outside @ weight.T + bias)
    assert np.allclose(far, 3 * space.scale)


def test_auroc_is_that_of_scikit_learn_with_ties():
    draw = np.random.default_rng(1)
    known, unknown = draw.integers(0, 20, 300).astype(float), draw.integers(5, 25, 200).astype(float)
    expected = roc_auc_score([0] * 300 + [1] * 200, np.concatenate([known, unknown]))
    assert auroc(known, unknown) == pytest.approx(expected)
    assert auroc(known, known) == pytest.approx(0.5)


def test_false_positive_rate_keeps_what_it_promises():
    known = np.arange(100.0)
    assert false_positive_rate(known, np.array([93.0, 94.0, 95.0, 1000.0])) == 0.5  # 94 is the 95th of 100
    assert false_positive_rate(known, known) == 0.95
