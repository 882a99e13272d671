"""Whatever is made faster, the loss takes the course of the plain step, and the one it always took."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.models import made_up_data, random_queue
from benchmarks.step import MU, OurStep, forward_flops, plain_taker

from urbanln.model.clip import LongClip, load_clip

CURVE = Path(__file__).with_name("loss_curve.json")
BATCH, STEPS, PAIRS, LR = 8, 40, 32, 1e-3


@pytest.fixture
def model(clip_folder: Path) -> LongClip:
    return load_clip(clip_folder, context=48, keep=8)


def _curves(model: LongClip, precision: str, **train: object) -> tuple[list[float], list[float]]:
    """Losses of ours and of the plain step over ten passes through 32 pairs."""
    data, queue = made_up_data(model, PAIRS, 24), random_queue(model.dim)
    rng = np.random.default_rng(1)
    order = np.concatenate([rng.permutation(PAIRS) for _ in range(BATCH * STEPS // PAIRS)])
    plain = plain_taker(model, data, queue, order, BATCH, precision, lr=LR)
    # The plain step knows no ids: an older copy of a pair is a negative to it.
    ours = OurStep(model, data, queue, order, BATCH, precision, lr=LR, id_mask=False, **train)
    return [ours.take(i) for i in range(STEPS)], [plain(i) for i in range(STEPS)]


def test_the_loss_curve_is_the_plain_steps_and_the_kept_one(model: LongClip) -> None:
    """fp32, within 1e-3: forty steps of lr 1e-3 let rounding grow that far."""
    ours, plain = _curves(model, "fp32")
    assert ours == pytest.approx(plain, rel=1e-3)
    assert ours == pytest.approx(json.loads(CURVE.read_text())["loss"], rel=2e-3)
    assert np.mean(ours[-4:]) < 0.95 * np.mean(ours[:4]), "it learns"


def test_in_bf16_the_curve_is_close(model: LongClip) -> None:
    ours, plain = _curves(model, "bf16")
    assert ours == pytest.approx(plain, rel=0.03)


def test_with_micro_batches_the_curve_is_the_same(model: LongClip) -> None:
    ours, plain = _curves(model, "fp32", micro_batch=3)
    assert ours == pytest.approx(plain, rel=1e-3)


def test_arithmetic_is_counted_as_known(model: LongClip) -> None:
    """One layer of width 32 on 5 patches-and-class tokens and one text of 10 tokens, by hand."""
    layer = 2 * (4 * 32**2 + 2 * 32 * 128)
    image = 2 * 4 * 3 * 64 * 32 + 5 * layer + 4 * 25 * 32
    text = 10 * layer + 2 * 100 * 32
    assert forward_flops(model, [10], whole=True) == image + text + 2 * 16 * 64
    assert forward_flops(model, [10], whole=False) < forward_flops(model, [10], whole=True)
    assert MU == 0.5
