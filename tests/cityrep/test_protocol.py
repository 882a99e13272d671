"""CityRep's protocol: its splits index for index, its head and metrics number for number.

What is expected here is what CityRep's own evaluator (MIT, commit 444bbff) gave once for the made clone:
SHA-256 of its split files, and its metrics under the second seed for the vectors of ``waves``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from urbanln.base.softmax import softmax
from urbanln.cityrep.head import head_held_out
from urbanln.cityrep.metrics import metrics
from urbanln.cityrep.payloads import Payload, read_payload, read_tasks, scaled
from urbanln.cityrep.splits import SEEDS, block_numbers, buffered_folds, split_digest, their_parts
from urbanln.cityrep.vectors import unit_length

TOLD = [
    ("atown.gdp.2024", "block", "029c3c50a737715fb223db30c9367c34",
     {"MSE": 1.062068, "MAE": 0.674137, "RMSE": 1.030567, "R2": 0.028377}),
    ("atown.gdp.2024", "random", "620bab08a4aaadedcd8f2d41f9f16035",
     {"MSE": 0.572449, "MAE": 0.5869, "RMSE": 0.756603, "R2": -0.165069}),
    ("atown.age_distribution.2024", "block", "e19c6aa461c38b4774f11af06d138c52",
     {"KL": 0.024595, "L1": 0.16295, "Chebyshev": 0.081475}),
    ("atown.age_distribution.2024", "random", "2ba72605dba0ec79482a2f5a4bdcff8c",
     {"KL": 0.016131, "L1": 0.132686, "Chebyshev": 0.066343}),
    ("atown.landuse.2026", "block", "9950969c6d2dd2b9520f637b9089480f",
     {"F1_macro": 0.149804, "precision_macro": 0.151843, "recall_macro": 0.180556}),
    ("atown.landuse.2026", "random", "03725d1b0117383f30f463746593868a",
     {"F1_macro": 0.288268, "precision_macro": 0.261905, "recall_macro": 0.326122}),
]  # fmt: skip


@pytest.fixture
def payloads(clone: Path) -> dict[str, Payload]:
    return {task.name: read_payload(task) for task in read_tasks(clone) if task.here}


def waves(payload: Payload) -> np.ndarray:
    x, y = payload.lonlat.T
    return unit_length(np.column_stack([np.sin(3 * k * x + 5 * k * y) for k in range(1, 9)]))


@pytest.mark.parametrize(("name", "split", "digest", "told"), TOLD, ids=lambda part: str(part)[:30])
def test_splits_head_and_metrics_are_cityreps(
    payloads: dict[str, Payload], name: str, split: str, digest: str, told: dict[str, float]
) -> None:
    payload = payloads[name]
    parts = their_parts(payload, split)
    assert [one.seed for one in parts] == list(SEEDS)
    assert split_digest(payload, split, parts)[:32] == digest
    made = head_held_out(waves(payload), payload, parts[1])
    made = made[:, 0] if payload.task.kind == "number" else softmax(made)
    found = metrics(payload.task.kind, payload.y[parts[1].test], made)
    assert found == pytest.approx(told, abs=2e-4)


def test_a_digest_sees_one_sample_elsewhere(payloads: dict[str, Payload]) -> None:
    payload = payloads["atown.gdp.2024"]
    parts = their_parts(payload, "block")
    moved = parts[0]._replace(train=np.append(parts[0].train[1:], parts[0].train[0]))
    assert split_digest(payload, "block", [moved, *parts[1:]])[:32] != TOLD[0][2]


def test_blocks_have_the_shape_of_the_city(payloads: dict[str, Payload]) -> None:
    """By cells of the raster, row by row from the north; the last row and column belong to the last block."""
    payload = payloads["atown.gdp.2024"]
    assert payload.cells is not None
    numbers = block_numbers(payload)
    column, row = payload.cells.T
    assert set(numbers[row == row.min()] // 10) == {0}
    assert set(numbers[column == column.max()] % 10) == {9}
    points = payloads["atown.landuse.2026"]
    south = points.lonlat[:, 1] == points.lonlat[:, 1].min()
    assert set(block_numbers(points)[south] // 10) == {0}, "without a raster, in degrees from the south"


def test_every_block_is_held_out_once_with_a_strip_around_it(payloads: dict[str, Payload]) -> None:
    payload = payloads["atown.gdp.2024"]
    folds = buffered_folds(payload, buffer_km=1.5)
    held = np.concatenate([fold.test for fold in folds])
    np.testing.assert_array_equal(np.sort(held), np.arange(len(payload)))
    numbers = block_numbers(payload)
    for fold in folds:
        assert not set(numbers[fold.test]) & set(numbers[fold.known])
        apart = np.linalg.norm(payload.metres[fold.test][:, None] - payload.metres[fold.known], axis=2)
        assert apart.min() > 1500


def test_labels_are_scaled_over_all_samples() -> None:
    values = np.array([1.0, 2.0, 6.0], dtype=np.float32)
    np.testing.assert_allclose(
        scaled(values, "zscore", "t"), (values - 3) / (np.std(values) + 1e-6), rtol=1e-6
    )
    bent = np.log1p(values)
    np.testing.assert_allclose(
        scaled(values, "log1p_zscore", "t"), (bent - bent.mean()) / (bent.std() + 1e-6), rtol=1e-5
    )


def test_metrics_of_classes_count_those_that_occur() -> None:
    """A class that is only predicted counts, with 0; one that nowhere occurs does not."""
    truth = np.array([0, 0, 1, 1])
    made = np.eye(5)[[0, 4, 1, 1]]
    found = metrics("classes", truth, made)
    assert found["F1_macro"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["precision_macro"] == pytest.approx((1 + 1 + 0) / 3)
    assert found["recall_macro"] == pytest.approx((0.5 + 1 + 0) / 3)
