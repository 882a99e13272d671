"""Exact search: what it finds is what the whole product finds, however the vectors lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.explore.search import VectorSearch


def oracle(vectors: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray) -> list[int]:
    """All cosines in fp64, sorted; earlier rows first among equals."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    with np.errstate(invalid="ignore"):
        scores = wide @ (query / np.linalg.norm(query)) / lengths
    rows = [row for row in range(len(wide)) if allowed[row] and lengths[row] > 0]
    return sorted(rows, key=lambda row: (-scores[row], row))[:k]


def spread(n: int, width: int, kind: str, seed: int) -> np.ndarray:
    """Vectors that lie in few directions, in all alike, around one, or in heaps of equal ones."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, width))
    if kind == "few":
        table *= 0.7 ** np.arange(width)
    if kind == "cone":
        table = 5 + 0.1 * table
    if kind == "equal":
        table = table[rng.integers(0, min(5, n), n)]
    return table.astype(np.float32)


@given(
    n=st.integers(1, 3000), width=st.integers(1, 40), k=st.integers(1, 120), seed=st.integers(0, 9),
    kind=st.sampled_from(["few", "all", "cone", "equal"]), share=st.sampled_from([0.0, 0.25, 1.0]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_best_are_those_of_the_whole_product(
    n: int, width: int, k: int, seed: int, kind: str, share: float
) -> None:
    vectors = spread(n, width, kind, seed)
    vectors[seed % n] = 0
    search = VectorSearch(vectors, share)
    rng = np.random.default_rng(seed + 1)
    query = rng.normal(size=width) + vectors[rng.integers(n)]
    allowed = rng.random(n) < 0.8
    hits = search.top(query, k, allowed)
    wanted = oracle(vectors, query, k, allowed)
    assert len(hits.rows) == len(wanted)
    exact = search.scores(query)
    # Rows whose cosines are equal but for rounding may change places; what is found may not.
    np.testing.assert_allclose(hits.scores, exact[wanted], atol=2e-6)
    np.testing.assert_allclose(hits.scores, exact[hits.rows], atol=2e-6)
    assert allowed[hits.rows].all()
    assert len(set(hits.rows.tolist())) == len(hits.rows)
    assert seed % n not in hits.rows


def test_equal_ones_stand_in_the_order_of_the_table() -> None:
    vectors = np.tile(np.array([[1.0, 2.0, 3.0]], np.float32), (5000, 1))
    assert VectorSearch(vectors).top([1, 2, 3], 50).rows.tolist() == list(range(50))


def test_vectors_of_few_directions_are_hardly_read() -> None:
    vectors = spread(60_000, 64, "few", 0)
    hits = VectorSearch(vectors).top(vectors[7], 100)
    assert hits.rows[0] == 7
    assert hits.read < 0.1 * len(vectors), "the bound rules the others out"
    wanted = oracle(vectors, vectors[7], 100, np.ones(len(vectors), bool))
    assert set(hits.rows.tolist()) == set(wanted)


def test_vectors_on_disk_are_searched_where_they_lie(tmp_path: object) -> None:
    path = f"{tmp_path}/v.npy"
    np.save(path, spread(2000, 16, "all", 1))
    mapped = np.load(path, mmap_mode="r")
    assert VectorSearch(mapped).vectors is mapped


def test_the_mean_of_rows_is_of_their_directions() -> None:
    search = VectorSearch(np.array([[10, 0], [0, 0.1], [0, 0]], np.float32))
    np.testing.assert_allclose(search.unit(np.array([0, 1])), [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert np.isnan(search.scores([1, 0])[2])
    with pytest.raises(InputError, match="no vector to search with"):
        search.unit(np.array([2]))


@pytest.mark.parametrize("query", [[0, 0], [1, 2, 3], [np.nan, 1], [np.inf, 1]])
def test_what_is_no_query_is_refused(query: list[float]) -> None:
    with pytest.raises(InputError, match="no vector to search with"):
        VectorSearch(np.ones((3, 2), np.float32)).top(query)


@pytest.mark.parametrize("table", [np.empty((0, 3)), np.array([[1.0, np.nan]]), np.array([[1.0, np.inf]])])
def test_what_are_no_vectors_is_refused(table: np.ndarray) -> None:
    with pytest.raises(InputError, match="vector"):
        VectorSearch(table.astype(np.float32))
