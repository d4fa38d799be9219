"""Nearest rows and principal components are scikit-learn's, whatever the size of a block."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from reslab.metrics import neighbours
from reslab.metrics.components import principal_components
from reslab.metrics.neighbours import nearest_rows


def features(n, d=16, seed=0):
    return np.random.default_rng(seed).gamma(0.3, 2, (n, d)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 1000, 2**22])
@pytest.mark.parametrize("k", [1, 7])
def test_they_are_scikit_learns(block, k, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    known, queries = features(150), features(40, seed=1)
    distances, rows = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(known).kneighbors(queries)
    found = nearest_rows(queries, known, k)
    assert np.array_equal(found.rows, rows)
    assert np.allclose(found.similarity, 1 - distances, atol=1e-6)


@pytest.mark.parametrize("block", [1, 2**22])
def test_no_row_is_its_own_neighbour_where_that_is_asked(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    known = features(60)
    found, with_self = nearest_rows(known, known, 4, leave_out_self=True), nearest_rows(known, known, 5)
    assert np.array_equal(with_self.rows[:, 0], np.arange(60)) and np.array_equal(found.rows, with_self.rows[:, 1:])
    assert nearest_rows(known[:3], known[:3], 9, leave_out_self=True).rows.shape == (3, 2)
    assert nearest_rows(known[:1], known[:1], 9, leave_out_self=True).rows.shape == (1, 0)


def test_equally_near_rows_come_in_their_order_and_nothing_is_near_to_zeros():
    known = np.array([[0, 1], [1, 0], [2, 0], [0.5, 0], [3, 0]], np.float32)
    found = nearest_rows(np.array([[5, 0]], np.float32), known, 3)
    assert found.rows.tolist() == [[1, 2, 3]] and found.similarity.tolist() == [[1, 1, 1]]
    nothing = nearest_rows(np.zeros((1, 2), np.float32), known, 9)
    assert nothing.rows.tolist() == [[0, 1, 2, 3, 4]] and not nothing.similarity.any()


def test_rounding_never_makes_a_similarity_more_than_1():
    known = features(300, 64)
    assert nearest_rows(known, known, 1).similarity.max() == 1


def test_components_are_scikit_learns_with_their_signs():
    table = features(80) @ np.diag(np.linspace(3, 0.1, 16)).astype(np.float32) + 5
    theirs = PCA(2, svd_solver="full").fit(table.astype(np.float64))
    coordinates, explained = principal_components(table)
    assert np.allclose(coordinates, theirs.transform(table), atol=1e-8)
    assert explained == pytest.approx(theirs.explained_variance_ratio_)


def test_features_without_any_variance_lie_on_one_point():
    coordinates, explained = principal_components(np.full((9, 4), 2.5, np.float32))
    assert coordinates.shape == (9, 2) and not coordinates.any() and not explained.any()
