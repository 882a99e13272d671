"""Recall against a slow, obvious count; ties, what is no number, and memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.oracles.retrieval import slow_places
from torch.nn.functional import normalize

from urbanln.model import retrieval
from urbanln.model.retrieval import find, find_by_rules, recall


def test_places_are_those_of_a_slow_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_BLOCK", 50)
    rng = np.random.default_rng(0)
    for trial in range(30):
        q, k = int(rng.integers(1, 30)), int(rng.integers(1, 30))
        # Few directions, so that there are ties.
        query = np.array([0.3, 0, 0]) + rng.integers(-1, 2, (q, 3))
        key = np.array([0.3, 0, 0]) + rng.integers(-1, 2, (k, 3))
        query, key = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, key))
        query_ids, key_ids = rng.integers(-1, 6, (q, 2)), rng.integers(-1, 6, (k, 2))
        vectors = [torch.tensor(x, dtype=torch.float32) for x in (query, key)]
        ids = [torch.tensor(x) for x in (query_ids, key_ids)]
        for columns, found in zip((1, 2), find_by_rules(*vectors, *ids, (1, 2)), strict=True):
            ahead, right = slow_places(query, key, query_ids[:, :columns], key_ids[:, :columns])
            assert found.right.tolist() == right, trial
            assert found.ahead.tolist() == [n if r else k + 10 for n, r in zip(ahead, right, strict=True)]
        assert torch.equal(find(*vectors, *ids).ahead, found.ahead)


def test_ties_count_against_the_query_and_equal_ids_for_it() -> None:
    same = normalize(torch.ones(20, 4), dim=1)
    own = torch.arange(20)[:, None]
    assert recall(find(same, same, own, own).ahead) == {1: 0.0, 5: 0.0, 10: 0.0}
    eye, own = torch.eye(12), torch.arange(12)[:, None]
    assert recall(find(eye, eye.roll(1, 0), own, own).ahead)[1] == 0.0
    assert recall(find(eye, eye.roll(1, 0), own * 0, own * 0).ahead)[1] == 1.0
    ranked = torch.linspace(0, 1, 12)[:, None]
    found = recall(find(torch.ones(12, 1), ranked, own, own).ahead)
    assert (found[1], found[5], found[10]) == pytest.approx((1 / 12, 5 / 12, 10 / 12))


def test_a_model_that_tells_nothing_apart_finds_nothing_whatever_the_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    one = normalize(torch.randn(1, 512, generator=generator), dim=1).expand(300, -1)
    noisy = normalize(one + 2e-8 * torch.randn(300, 512, generator=generator), dim=1)
    own = torch.arange(300)[:, None]
    assert recall(find(noisy, noisy, own, own).ahead) == {1: 0.0, 5: 0.0, 10: 0.0}
    nan = torch.full((300, 512), torch.nan)
    assert recall(find(nan, noisy, own, own).ahead) == {1: 0.0, 5: 0.0, 10: 0.0}
    assert recall(find(noisy, nan, own, own).ahead) == {1: 0.0, 5: 0.0, 10: 0.0}


def test_who_has_no_right_answer_finds_none_even_among_few() -> None:
    eye = torch.eye(3)
    found = find(eye, eye, torch.full((3, 1), -1), torch.arange(3)[:, None])
    assert found.right.tolist() == [0, 0, 0]
    assert recall(found.ahead) == {1: 0.0, 5: 0.0, 10: 0.0}
