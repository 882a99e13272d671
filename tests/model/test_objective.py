from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tests.oracles.objective import Ring, distilled
from torch.nn import functional

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.objective import (
    MAX_LOG_SCALE,
    LossParts,
    clamp_logit_scale_,
    distilled_contrastive_loss,
    mu_at,
)
from urbanln.model.queue import FeatureQueue

DIM = 5
Batch = dict[str, torch.Tensor]


def unit(count: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    numbers = torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(numbers, dim=1).to(dtype)


def batch(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
    return {name: unit(count, 10 * seed + i, dtype) for i, name in enumerate(("v", "t", "v_m", "t_m"))}


def filled_queue(size: int, ids: list[int], seed: int = 7) -> tuple[FeatureQueue, Ring]:
    queue, ring = FeatureQueue(size, DIM), Ring(size)
    image, text = unit(len(ids), seed).float(), unit(len(ids), seed + 1).float()
    queue.push(image, text, torch.tensor(ids, dtype=torch.int64))
    ring.push(image.double().numpy(), text.double().numpy(), ids)
    return queue, ring


def loss(b: Batch, queue: FeatureQueue, ids: list[Any], mu: float = 0.5, **more: object) -> LossParts:
    scale = torch.tensor(math.log(9.0), dtype=b["v"].dtype)
    arguments = {"queue": queue, "ids": torch.tensor(ids), "log_scale": scale, "mu": mu, **more}
    return distilled_contrastive_loss(b["v"], b["t"], b["v_m"], b["t_m"], **arguments)


@pytest.mark.parametrize("mode", ["batch", "batch+queue"])
def test_one_agreeing_id_of_several_is_enough_and_not_transitive(mode: str) -> None:
    # Pair 0 shares its first id with pair 1 and with a queued pair, pair 1 its second with pair 2: 0 and 2
    # stay each other's negatives.
    ids, queued = [(0, 10), (0, 11), (2, 11), (3, 13)], [(0, 14), (5, 13), (6, 16)]
    queue, ring = FeatureQueue(4, DIM, marks=2), Ring(4)
    image, text = unit(3, 7).float(), unit(3, 8).float()
    queue.push(image, text, torch.tensor(queued))
    ring.push(image.double().numpy(), text.double().numpy(), queued)
    b = batch(4)
    parts = loss(b, queue, ids, mu=0.3, contrast_keys=mode)
    plain = (b[name].numpy() for name in ("v", "t", "v_m", "t_m"))
    contrast, divergence, entropy = distilled(*plain, ring, ids, 9.0, mode)
    assert float(parts.contrastive) == pytest.approx(contrast, rel=1e-6)
    assert float(parts.distillation) == pytest.approx(divergence, rel=1e-6)
    assert float(parts.teacher_entropy) == pytest.approx(entropy, rel=1e-6)
    merged = loss(b, queue, [(0, 10), (0, 10), (0, 10), (3, 13)], mu=0.3, contrast_keys=mode)
    assert float(merged.frac_masked) > float(parts.frac_masked)


@pytest.mark.parametrize("mode", ["batch", "batch+queue"])
@pytest.mark.parametrize(
    ("ids", "queued"),
    [
        ([0, 1, 2, 3], []),
        ([0, 1, 2, 3], [9, 8]),
        ([0, 1, 2, 3], [0, 3, 9, 0, 5, 6, 7]),
        ([4, 4, 2, 4], [4, 9, 2]),
        ([1, 1, 1, 1], [1, 1, 1, 1, 1, 1]),
        ([0], [0, 5]),
    ],
    ids=["empty queue", "part", "wrapped, stale copies", "views of one region", "all alike", "one"],
)
def test_equals_the_oracle(mode: str, ids: list[int], queued: list[int]) -> None:
    queue, ring = filled_queue(6, queued)
    b = batch(len(ids))
    parts = loss(b, queue, ids, mu=0.3, contrast_keys=mode)
    plain = [b[name].numpy() for name in ("v", "t", "v_m", "t_m")]
    contrast, divergence, entropy = distilled(*plain, ring, ids, 9.0, mode)
    found = [parts.contrastive, parts.distillation, parts.teacher_entropy, parts.total]
    wanted = [contrast, divergence, entropy, 0.7 * contrast + 0.3 * divergence]
    np.testing.assert_allclose([float(x) for x in found], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("mode", ["batch", "batch+queue"])
def test_without_the_mask_every_other_key_is_a_negative(mode: str) -> None:
    queue, _ = filled_queue(6, [0, 3, 9, 4])
    free, _ = filled_queue(6, [90, 91, 92, 93])
    b = batch(4)
    unmasked = loss(b, queue, [0, 1, 1, 3], contrast_keys=mode, mask_same=False)
    apart = loss(b, free, [0, 1, 2, 3], contrast_keys=mode)
    assert float(unmasked.total) == float(apart.total)
    assert float(unmasked.frac_masked) == 0
    assert float(unmasked.total) != float(loss(b, queue, [0, 1, 1, 3], contrast_keys=mode).total)


def test_mu_zero_is_cross_entropy_and_batch_keys_are_clips_loss() -> None:
    b, queue = batch(6), FeatureQueue(0, DIM)
    label = torch.arange(6)
    logits = 9 * b["v"] @ b["t"].T
    clip = (functional.cross_entropy(logits, label) + functional.cross_entropy(logits.T, label)) / 2
    assert torch.allclose(loss(b, queue, list(range(6)), mu=0, contrast_keys="batch").total, clip)
    i2t = functional.cross_entropy(9 * b["v"] @ b["t_m"].T, label)
    t2i = functional.cross_entropy(9 * b["t"] @ b["v_m"].T, label)
    assert torch.allclose(loss(b, queue, list(range(6)), mu=0).total, (i2t + t2i) / 2)


def test_a_teacher_equal_to_the_student_teaches_nothing() -> None:
    queue, _ = filled_queue(8, [1, 20, 21])
    v, t = unit(4, 1).requires_grad_(), unit(4, 2).requires_grad_()
    same = {"v": v, "t": t, "v_m": v.detach(), "t_m": t.detach()}
    parts = loss(same, queue, [1, 2, 3, 4], mu=1)
    parts.total.backward()
    assert abs(float(parts.distillation)) < 1e-12
    assert v.grad is not None
    assert float(v.grad.abs().max()) < 1e-12
    assert float(t.grad.abs().max()) < 1e-12  # type: ignore[union-attr]


@pytest.mark.parametrize("mu", [0.0, 0.4, 1.0])
def test_soft_labels_are_the_sum_up_to_the_teachers_entropy(mu: float) -> None:
    """Cross-entropy with (1 - mu) y + mu q equals (1 - mu) L_C + mu L_D + mu H(q)."""
    queue, _ = filled_queue(4, [0, 9, 8])
    ids, b = [0, 1, 2], batch(3)
    parts = loss(b, queue, ids, mu=mu)
    image, text, queued_ids, valid = queue.view()
    total = 0.0
    for student, teacher, keys in (
        (b["v"], b["v_m"], torch.cat([b["t_m"], text.double()])),
        (b["t"], b["t_m"], torch.cat([b["v_m"], image.double()])),
    ):
        hidden = torch.cat([torch.zeros(3, 3, dtype=torch.bool), ~valid.expand(3, -1)], dim=1)
        hidden[0, 3 + queued_ids[:, 0].tolist().index(0)] = True
        q = (9 * teacher @ keys.T).masked_fill(hidden, -torch.inf).softmax(dim=1)
        label = (1 - mu) * torch.eye(3, 7, dtype=torch.float64) + mu * q
        log_p = (9 * student @ keys.T).masked_fill(hidden, -torch.inf).log_softmax(dim=1)
        total += float(-(label * log_p.masked_fill(hidden, 0)).sum(dim=1).mean()) / 2
    assert total == pytest.approx(float(parts.total + mu * parts.teacher_entropy), rel=1e-9)


def test_keys_that_must_not_count_have_no_effect() -> None:
    """A stale copy and an empty slot may hold anything."""
    b, ids = batch(3), [0, 1, 2]
    queue, _ = filled_queue(5, [0, 9])
    before = loss(b, queue, [0, 0, 0])
    first = loss(b, queue, ids)
    queue.image[2:], queue.text[2:] = 1e3, 1e3
    assert torch.equal(loss(b, queue, ids).total, first.total), "empty slots"
    queue.text[0] = b["v"][0].float()
    changed = loss(b, queue, ids)
    assert not torch.equal(changed.total, first.total), "another query still meets that key"
    queue.text[1], queue.image[1] = 0, 0
    queue.ids[1] = 0
    alone = loss(b, queue, [0, 0, 0])
    queue.text[:2], queue.image[:2] = 0.5, 0.5
    assert torch.equal(loss(b, queue, [0, 0, 0]).total, alone.total), "every filled slot is a stale copy"
    assert float(before.frac_masked) == pytest.approx((2 + 1) / 4), "two in the batch and one queued, of four"


def test_the_teacher_and_its_temperature_get_no_gradient() -> None:
    queue, _ = filled_queue(4, [7, 8])
    b = {name: x.requires_grad_() for name, x in batch(4).items()}
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    parts = loss(b, queue, [0, 1, 2, 3], log_scale=scale)
    assert not parts.teacher_entropy.requires_grad
    parts.total.backward()
    assert b["v_m"].grad is None
    assert b["t_m"].grad is None
    assert b["v"].grad is not None
    # With the teacher's temperature held, the gradient is the finite difference of the student's alone.
    held = parts.distillation

    def at(value: float) -> float:
        with torch.no_grad():
            student = {**b, "v": b["v"] * math.exp(value - 2), "t": b["t"] * math.exp(value - 2)}
            return float(loss(student, queue, [0, 1, 2, 3], log_scale=torch.tensor(2.0).double()).total)

    assert held > 0
    assert float(scale.grad) == pytest.approx((at(2.001) - at(1.999)) / 0.002, rel=1e-4)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["batch", "batch+queue"])
def test_two_halves_with_gathered_keys_equal_the_whole_batch(mode: str) -> None:
    queue, _ = filled_queue(6, [0, 30, 31])
    ids, b = [0, 1, 2, 1, 4, 5], batch(6)

    def gradients(ranks: int) -> tuple[float, list[torch.Tensor]]:
        v, t = b["v"].clone().requires_grad_(), b["t"].clone().requires_grad_()
        scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
        size, total = 6 // ranks, torch.zeros((), dtype=torch.float64)
        for rank in range(ranks):
            own = slice(rank * size, (rank + 1) * size)
            parts = loss(
                {**b, "v": v[own], "t": t[own]},
                queue,
                ids[own],
                contrast_keys=mode,
                log_scale=scale,
                ids_all=torch.tensor(ids),
                offset=rank * size,
                v_all=v,
                t_all=t,
            )
            total = total + parts.total / ranks
        total.backward()
        return float(total.detach()), [x.grad for x in (v, t, scale)]  # type: ignore[misc]

    (whole, whole_gradients), (halves, half_gradients) = gradients(1), gradients(2)
    assert halves == pytest.approx(whole, rel=1e-12)
    for one, other in zip(whole_gradients, half_gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-13)


def test_bf16_under_autocast_is_computed_in_fp32() -> None:
    queue, _ = filled_queue(6, [20, 21])
    b = batch(4, dtype=torch.bfloat16)
    scale = torch.tensor(MAX_LOG_SCALE, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = loss(b, queue, [0, 1, 2, 3], log_scale=scale)
    wide = loss({n: x.double() for n, x in b.items()}, queue, [0, 1, 2, 3], log_scale=scale.detach().double())
    assert parts.total.dtype == torch.float32
    assert parts.floats()["loss"] == pytest.approx(float(wide.total), rel=1e-5)
    assert set(parts.floats()) == {"loss", "L_C", "L_D", "H_teacher", "top1_i2t", "top1_t2i", "frac_masked"}


def test_top1_counts_rows_won_by_their_own_pair() -> None:
    eye = torch.eye(DIM, dtype=torch.float64)
    b = {"v": eye[:4], "t": eye[[0, 1, 3, 2]], "v_m": eye[:4], "t_m": eye[:4]}
    parts = loss(b, FeatureQueue(0, DIM), [0, 1, 2, 3])
    assert (float(parts.top1_i2t), float(parts.top1_t2i)) == (1.0, 0.5)


def test_bad_shapes_and_settings_are_named() -> None:
    b, queue = batch(4), FeatureQueue(2, DIM)
    for more, word in [
        ({"contrast_keys": "queue"}, "contrast_keys"),
        ({"mu": 1.5}, "mu"),
        ({"offset": 1}, "offset"),
        ({"ids_all": torch.arange(5)}, "fit"),
        ({"contrast_keys": "batch", "v_all": b["v"][:2]}, "fit"),
    ]:
        with pytest.raises(InputError) as caught:
            loss(b, queue, [0, 1, 2, 3], **more)  # type: ignore[arg-type]
        assert word in str(caught.value)


def test_mu_ramp_and_scale_clamp() -> None:
    ramp = [mu_at(step, 0.5, 4) for step in range(7)]
    assert ramp == [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert mu_at(0, 0.5, 0) == 0.5
    for before, after in [(9.0, math.log(100)), (-1.0, 0.0), (2.5, 2.5)]:
        scale = torch.nn.Parameter(torch.tensor(before))
        clamp_logit_scale_(scale)
        assert float(scale) == pytest.approx(after)


@pytest.mark.parametrize("sizes", [[2, 2, 2], [3, 3, 3], [5], [4, 4], [1, 13, 2], [0, 3]])
def test_the_queue_wraps_for_any_batch(sizes: list[int]) -> None:
    queue, ring = FeatureQueue(5, DIM), Ring(5)
    edges = np.cumsum([0, *sizes])
    for step, (start, stop) in enumerate(pairwise(edges.tolist())):
        image, text = unit(stop - start, step).float(), unit(stop - start, 50 + step).float()
        ids = list(range(start, stop))
        queue.push(image, text, torch.tensor(ids, dtype=torch.int64))
        ring.push(image.numpy(), text.numpy(), ids)
    image, text, ids, valid = queue.view()
    assert int(valid.sum()) == min(5, sum(sizes)) == queue.filled
    assert queue.pointer == ring.pointer
    for slot, held in enumerate(ring.slots):
        assert bool(valid[slot]) == (held is not None)
        if held is not None:
            assert np.array_equal(image[slot], held[0])
            assert np.array_equal(text[slot], held[1])
            assert int(ids[slot]) == held[2]


def test_the_queue_detaches_and_is_restored() -> None:
    queue, _ = filled_queue(4, [1, 2, 3, 4, 5, 6])
    queue.push(unit(1, 1).requires_grad_(), unit(1, 2).requires_grad_(), torch.tensor([9]))
    assert not queue.image.requires_grad
    copy, state = FeatureQueue(4, DIM), queue.state_dict()
    queue.push(unit(2, 3), unit(2, 4), torch.tensor([10, 11]))
    copy.load_state_dict(state)
    copy.push(unit(2, 3), unit(2, 4), torch.tensor([10, 11]))
    assert copy.pointer == queue.pointer
    for one, other in zip(copy.view(), queue.view(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ArtefactError, match="does not fit"):
        FeatureQueue(5, DIM).load_state_dict(state)
    with pytest.raises(InputError):
        queue.push(unit(2, 3), unit(3, 4), torch.tensor([1, 2]))
