"""The Gaussian process on the map against densities and kriging written out, and its shortcuts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from tests.oracles import gaussian_process as oracle

from urbanln.base.space import CITY_GAP_M
from urbanln.probe import gp


def drawn(n: int, range_m: float, smooth: bool, noise: float, seed: int = 0, extent_m: float = 20_000):
    rng = np.random.default_rng(seed)
    metres = rng.random((n, 2)) * extent_m
    left = gp.covariance(cdist(metres, metres), range_m, smooth) + 1e-9 * np.eye(n)
    return metres, 5 + np.linalg.cholesky(left) @ rng.normal(size=n) + np.sqrt(noise) * rng.normal(size=n)


def fit_field(metres: np.ndarray, y: np.ndarray, seed: int = 0) -> gp.Field:
    return gp.fit_fields(metres, y[:, None], seed)[0]


def predict_field(field: gp.Field, metres: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    return gp.predict_fields([field], metres, y[:, None], new)[:, 0]


@pytest.mark.parametrize("smooth", [False, True])
def test_the_likelihood_is_that_of_the_density_at_its_best_variance(smooth: bool) -> None:
    metres, y = drawn(30, 3000, smooth, 0.1)
    distance = cdist(metres, metres)
    ours, means = gp._likelihood([gp.covariance(distance, 2500, smooth)], [y[:, None]])
    noises = [0, 8, 16, 24]
    slow = [oracle.best_log_density(metres, y, 2500, smooth, gp.NOISES[i]) for i in noises]
    # Up to one constant, n/2 (1 + log 2π).
    np.testing.assert_allclose(ours[noises, 0] - slow, 15 * (1 + np.log(2 * np.pi)), atol=1e-3)
    for i in noises:
        np.testing.assert_allclose(
            means[i, 0], oracle.mean_of(metres, y, 2500, smooth, gp.NOISES[i]), rtol=1e-6
        )


def test_the_field_found_is_the_best_of_the_grid() -> None:
    metres, y = drawn(40, 4000, False, 0.1)
    found = fit_field(metres, y)
    best = oracle.best_log_density(metres, y, found.range_m, found.smooth, found.noise)
    for range_m in np.geomspace(300, 40_000, 6):
        for noise in (0.001, 0.1, 10):
            for smooth in (False, True):
                assert oracle.best_log_density(metres, y, range_m, smooth, noise) < best + 0.5


@pytest.mark.parametrize("smooth", [False, True])
def test_prediction_is_kriging_written_out(smooth: bool) -> None:
    metres, y = drawn(40, 3000, smooth, 0.1)
    new = np.random.default_rng(9).random((7, 2)) * 20_000
    mean = oracle.mean_of(metres, y, 2000, smooth, 0.2)
    field = gp.Field(smooth, 2000.0, 0.2, float(mean), 0.0)
    expected = oracle.krige(metres, y, new, 2000, smooth, 0.2)
    np.testing.assert_allclose(predict_field(field, metres, y, new), expected, rtol=1e-8)
    far = predict_field(field, metres, y, new + np.array([CITY_GAP_M, 0.0]))
    np.testing.assert_allclose(far, mean)


def test_neighbours_alone_tell_nearly_the_same_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    metres, y = drawn(700, 3000, False, 0.1)
    new = np.random.default_rng(9).random((200, 2)) * 20_000
    field = gp.Field(False, 3000.0, 0.1, 5.0, 0.0)
    exact = predict_field(field, metres, y, new)
    monkeypatch.setattr(gp, "EXACT_ROWS", 600)
    monkeypatch.setattr(gp, "TESTS_AT_ONCE", 64)
    local = predict_field(field, metres, y, new)
    assert np.abs(local - exact).max() > 0
    assert np.sqrt(((local - exact) ** 2).mean()) < 0.02 * exact.std()


@pytest.mark.parametrize("n", [300, 1400])
def test_the_range_of_a_drawn_field_is_found(n: int) -> None:
    """Exact below FIT_ROWS, by parts above; the grid has a point per factor of about 2.5."""
    logs = [np.log(fit_field(*drawn(n, 2000, False, 0.2, seed), seed).range_m / 2000) for seed in range(5)]
    assert abs(np.mean(logs)) < np.log(2)


def test_parts_of_many_rows_are_spread_and_close() -> None:
    metres, _ = drawn(1000, 2000, False, 0.1)
    wide, *patches = gp._parts(metres, 0)
    assert sum(map(len, (wide, *patches))) == gp.FIT_ROWS
    assert np.ptp(metres[wide], axis=0).min() > 15_000
    for patch in patches:
        assert np.ptp(metres[patch], axis=0).max() < 10_000
    assert [part.tolist() for part in gp._parts(metres[:300], 0)] == [list(range(300))]


def test_places_are_predicted_in_parts_and_none_at_all_is_fine(monkeypatch) -> None:
    metres, y = drawn(60, 3000, False, 0.1)
    field = fit_field(metres, y)
    new = metres[:23] + 100
    whole = predict_field(field, metres, y, new)
    monkeypatch.setattr(gp, "TESTS_AT_ONCE", 5)
    widest = []
    plain = gp.covariance
    monkeypatch.setattr(gp, "covariance", lambda d, *kind: widest.append(d.shape) or plain(d, *kind))
    np.testing.assert_allclose(predict_field(field, metres, y, new), whole, rtol=1e-12)
    assert sorted({shape[0] for shape in widest}) == [3, 5, 60]
    assert predict_field(field, metres, y, new[:0]).shape == (0,)
