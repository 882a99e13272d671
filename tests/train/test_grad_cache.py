"""A batch cut into micro-batches trains as the whole one, on the memory of one micro-batch."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.train.fake_city import caption_of
from tests.train.worker import train_and_look
from torch import Tensor, nn
from torch.nn import functional

from urbanln.base.config import TrainSettings
from urbanln.base.errors import UrbanLNError
from urbanln.city.store import City
from urbanln.model.clip import load_clip
from urbanln.model.families import clip as clip_module
from urbanln.model.queue import FeatureQueue
from urbanln.train.batches import Texts
from urbanln.train.grad_cache import micro_batches
from urbanln.train.pairs import Plan
from urbanln.train.step import Data, Learner, Schedule, assemble, start_engine, train_step

# Softmax does not see what is added to all keys: the gradient is rounding alone, and AdamW steps along it.
FLAT = "k_proj.bias"


class Wide(nn.Module):
    """A stretched CLIP whose vectors stay in fp64, with dropout on its pictures where wanted."""

    def __init__(self, folder: Path, dropout: float = 0.0) -> None:
        super().__init__()
        model = load_clip(folder, context=48, keep=8).double()
        self.clip, self.dim, self.dropout, self.seen = model.clip, model.dim, dropout, []

    @property
    def logit_scale(self) -> nn.Parameter:
        return self.clip.logit_scale

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.dropout(pixels.double() / 255, self.dropout)
        v = functional.normalize(self.clip.get_image_features(pixel_values=x).pooler_output, dim=-1)
        t = functional.normalize(self.clip.get_text_features(input_ids=ids).pooler_output, dim=-1)
        self.seen.append((len(pixels), ids.shape[1], v.detach().clone()))
        return v, t


@dataclass
class Recorder:
    """In place of AdamW: keeps the gradients that it is to step along."""

    model: nn.Module
    param_groups: list[dict[str, Any]] = field(default_factory=list)
    grads: dict[str, Tensor] = field(default_factory=dict)

    def step(self) -> None:
        self.grads = {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}

    def zero_grad(self) -> None:
        self.model.zero_grad()


def settings(**train: Any) -> TrainSettings:
    return TrainSettings(**{"mu": 0.4, "mu_ramp_epochs": 0, "precision": "fp32", "clip_grad": 0, **train})


def scene(folder: Path, train: TrainSettings, *, dropout: float = 0.0) -> tuple[Learner, Data, Plan]:
    """Learner in fp64 with a filled queue, and random pictures of which some share an id with each other and
    with the queue."""
    count, rng = train.batch_size, np.random.default_rng(2)
    student = Wide(folder, dropout)
    teacher = deepcopy(student)
    generator = torch.Generator().manual_seed(3)
    for p in teacher.parameters():
        p.requires_grad_(False).add_(0.1 * torch.randn(p.shape, generator=generator) * p.std(correction=0))
    teacher.dropout = 0.0
    queue = FeatureQueue(12, student.dim, marks=2)
    queue.image, queue.text = queue.image.double(), queue.text.double()
    features = functional.normalize(torch.randn(2, 9, student.dim, generator=generator), dim=-1).double()
    queue.push(*features, torch.arange(18).view(2, 9).T % 7)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8))
    marks = np.stack([np.arange(count) % 5, 100 + np.arange(count) % 11], axis=1)
    data = Data(
        pairs=SimpleNamespace(ids=lambda picture, text, *same: marks[picture]),
        pictures=SimpleNamespace(pixels=lambda index: pixels[index], prefetch=lambda index: None),
        texts=Texts(load_clip(folder, context=48, keep=8), [caption_of(i, i % 3) for i in range(count)]),
        facts={},
    )  # type: ignore[arg-type]
    plan = Plan(
        rng.permutation(count), rng.permutation(count), rng.random(count) < 0.5, rng.permutation(count)
    )
    parts = Learner(
        engine=start_engine(train),
        student=student,  # type: ignore[arg-type]
        towers=student,
        teacher=SimpleNamespace(model=teacher, update=lambda: None),  # type: ignore[arg-type]
        queue=queue,
        optimizer=Recorder(student),
    )
    return parts, data, plan


def take_step(
    parts: Learner, data: Data, plan: Plan, train: TrainSettings, step: int = 0
) -> tuple[dict[str, float], dict[str, Tensor]]:
    facts = train_step(parts, data, plan, 0, step, Schedule(1, 1, 0, 0, train.lr), train)
    return facts, parts.optimizer.grads


@pytest.mark.parametrize("keys", ["batch", "batch+queue"])
@pytest.mark.parametrize("micro", [1, 3, 8])
def test_gradients_equal_those_of_the_whole_batch(clip_folder: Path, keys: str, micro: int) -> None:
    parts, expected, grads = {}, {}, {}
    for size in (0, micro):
        train = settings(batch_size=11, micro_batch=size, contrast_keys=keys)
        parts[size], data, plan = scene(clip_folder, train)
        expected[size], grads[size] = take_step(parts[size], data, plan, train)
    assert grads[micro].keys() == grads[0].keys()
    assert "clip.logit_scale" in grads[0]
    for name, whole in grads[0].items():
        size, difference = whole.abs().max(), (grads[micro][name] - whole).abs().max()
        if name.endswith(FLAT):
            assert max(size, difference) < 1e-14, name
        else:
            assert size > 1e-6, name
            assert difference <= 1e-10 * size, name
    assert expected[micro] == pytest.approx(expected[0], rel=1e-12)
    assert 0 < expected[0]["frac_masked"] < 1
    assert expected[0]["L_D"] > 0.001
    for name, held in parts[0].queue.state_dict().items():
        torch.testing.assert_close(parts[micro].queue.state_dict()[name], held, rtol=0, atol=1e-12)
    longest = [max(len(data.texts.rows[i]) for i in plan.text[cut]) for cut in micro_batches(11, micro)]
    assert [length for _, length, _ in parts[micro].student.seen] == 2 * longest


def test_a_micro_batch_as_large_as_the_batch_is_one_pass(clip_folder: Path) -> None:
    for size in (0, 6, 100):
        train = settings(batch_size=6, micro_batch=size)
        parts, data, plan = scene(clip_folder, train)
        take_step(parts, data, plan, train)
        assert [count for count, *_ in parts.student.seen] == [6]


def test_a_run_in_micro_batches_equals_one_without(city: City, clip_folder: Path, tmp_path: Path) -> None:
    rows = []
    for size in (0, 4):
        out = tmp_path / str(size)
        train_and_look(
            city, clip_folder, out, {"batch_size": 6, "micro_batch": size, "lr": 1e-4, "epochs": 3}
        )
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        rows.append([line for line in lines if line["event"] == "step"])
    assert len(rows[0]) == 9
    for whole, cached in zip(*rows, strict=True):
        for name in ("loss", "L_C", "L_D", "H_teacher", "frac_masked", "grad_norm", "scale"):
            assert cached[name] == pytest.approx(whole[name], rel=1e-4, abs=1e-5), name
    names = ("model/model", "teacher/model")
    saved = [[load_file(tmp_path / size / f"{name}.safetensors") for name in names] for size in ("0", "4")]
    for whole, cached in zip(*saved, strict=True):
        for name, weight in whole.items():
            if not name.endswith(FLAT):
                torch.testing.assert_close(cached[name], weight, rtol=0, atol=2e-5, msg=name)
    queues = [load_file(tmp_path / f"{size}-seen" / "queue-0.safetensors") for size in ("0", "4")]
    for name, held in queues[0].items():
        torch.testing.assert_close(queues[1][name], held, rtol=0, atol=1e-5, msg=name)


class Held:
    """A tensor that autograd holds on to, counted until it is let go."""

    now = peak = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.size = tensor, tensor.untyped_storage().nbytes()
        Held.now += self.size
        Held.peak = max(Held.peak, Held.now)

    def __del__(self) -> None:
        Held.now -= self.size


def peak_of(folder: Path, train: TrainSettings) -> int:
    """The most bytes that autograd holds at once during a step."""
    parts, data, plan = scene(folder, train)
    Held.now = Held.peak = 0
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        take_step(parts, data, plan, train)
    return Held.peak


def test_what_autograd_holds_does_not_grow_with_the_batch(clip_folder: Path) -> None:
    small, large = (peak_of(clip_folder, settings(batch_size=n, micro_batch=4)) for n in (8, 64))
    whole = peak_of(clip_folder, settings(batch_size=64))
    assert large < 1.1 * small
    assert whole > 4 * large


def test_both_passes_see_the_same_dropout(clip_folder: Path) -> None:
    train = settings(batch_size=6, micro_batch=2)
    parts, data, plan = scene(clip_folder, train, dropout=0.5)
    pixels = data.pictures.pixels(np.zeros(6, dtype=np.int64))  # one picture, six times
    data.pictures.pixels = lambda index: pixels  # type: ignore[method-assign]
    plan.flip[:] = False
    take_step(parts, data, plan, train)
    take_step(parts, data, plan, train, step=1)
    seen = [v for _, _, v in parts.student.seen]
    assert len(seen) == 12  # two steps of two passes over three micro-batches
    for first, second in ((0, 3), (1, 4), (2, 5), (6, 9)):
        assert torch.equal(seen[first], seen[second])
    for one, other in ((0, 1), (1, 2), (0, 6)):
        assert not torch.isclose(seen[one], seen[other]).all(dim=1).any()


def test_both_passes_drop_the_same_patches_and_the_teacher_none(
    clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Tensor | None] = []
    encode = clip_module.image_features

    def watched(clip: Any, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
        read.append(keep)
        return encode(clip, pixels, keep)

    monkeypatch.setattr(clip_module, "image_features", watched)
    train = settings(batch_size=6, micro_batch=2, patch_dropout=0.5)
    _, data, plan = scene(clip_folder, train)
    parts = assemble(start_engine(train), load_clip(clip_folder, context=48, keep=8), train)
    facts = train_step(parts, data, plan, 0, 0, Schedule(1, 1, 0, 0, train.lr), train)
    assert facts["grad_norm"] > 0
    student, teacher, again = read[0:6:2], read[1:6:2], read[6:]
    assert teacher == [None] * 3
    patches = parts.student.clip.vision_model.embeddings.num_patches
    for first, second in zip(student, again, strict=True):
        assert first is not None
        assert first.shape == (2, patches // 2)
        assert torch.equal(first, second)
    assert not torch.equal(student[0], student[1])


@pytest.mark.parametrize("micro", [0, 3])
def test_fp16_scales_the_gradient_once(clip_folder: Path, micro: int) -> None:
    found = []
    for scale in (1.0, 1024.0):
        train = settings(batch_size=7, micro_batch=micro)
        parts, data, plan = scene(clip_folder, train)
        parts.engine.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        found.append(take_step(parts, data, plan, train)[1])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], 1024 * gradient, rtol=1e-12, atol=1e-12, msg=name)


def test_a_loss_that_is_not_finite_reaches_neither_weights_nor_queue(clip_folder: Path) -> None:
    train = settings(batch_size=6, micro_batch=2)
    parts, data, plan = scene(clip_folder, train)
    student, before = parts.student, parts.queue.state_dict()

    def spoil(pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        v, t = student(pixels, ids)
        return v * (float("nan") if len(student.seen) == 2 else 1.0), t

    with pytest.raises(UrbanLNError, match="no longer finite at step 1"):
        take_step(Learner(**{**vars(parts), "towers": spoil}), data, plan, train)
    assert len(student.seen) == 3  # the second pass was not begun
    assert all(p.grad is None for p in student.parameters())
    for name, held in parts.queue.state_dict().items():
        assert torch.equal(held, before[name])


@given(count=st.integers(1, 60), size=st.integers(0, 70))
def test_micro_batches_hold_every_pair_once(count: int, size: int) -> None:
    cut = micro_batches(count, size)
    assert [i for rows in cut for i in range(count)[rows]] == list(range(count))
    assert all(rows.stop - rows.start == (size or count) for rows in cut[:-1])
    assert 0 < cut[-1].stop - cut[-1].start <= (size or count)
