"""One optimiser step of momentum self-distillation, in one process or several.

The teacher moves towards the student; both encode the micro-batch; the loss contrasts the student with the
teacher's live and queued features and distils the teacher's opinion; the teacher's features enter the queue;
after the last micro-batch the gradient is clipped and AdamW steps (UrbanLN, MSD; ALBEF). So the teacher moves
once per optimiser step and the queue once per micro-batch.

Several processes take slices of one batch, ``batch_size`` pairs each. Keys are gathered from all of them,
so the gradient is that of one process on the whole batch, and all queues are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, distributed

from urbanln.config import TrainSettings
from urbanln.errors import UrbanLNError
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device, pick_precision
from urbanln.model.objective import (
    FeatureQueue,
    MomentumTeacher,
    clamp_logit_scale_,
    distilled_contrastive_loss,
    mu_at,
)
from urbanln.train.batches import Pictures, Texts, mirror
from urbanln.train.pairs import Pairs, Plan
from urbanln.train.schedule import Schedule

_BETAS, _EPS = (0.9, 0.999), 1e-8  # Long-CLIP


@dataclass(frozen=True)
class Data:
    """What a run reads: pairs, pixels by picture, token ids by text, and counts to log."""

    pairs: Pairs
    pictures: Pictures
    texts: Texts
    facts: dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """What a step changes. ``towers`` is the student as accelerate wrapped it: (pixels, ids) to (v, t)."""

    engine: Accelerator
    student: LongClip
    towers: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    teacher: MomentumTeacher
    queue: FeatureQueue
    optimizer: Any


def start_engine(train: TrainSettings) -> Accelerator:
    """accelerate for this process, in the precision of the settings."""
    device = pick_device()
    precision = pick_precision(train.precision, device)
    # accelerate keeps the precision of the first run of a process; each run here has its own.
    AcceleratorState._reset_state()
    # DDP syncs buffers: the model's are a few constants, and the queue is none of them.
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=device.type == "cpu")


def assemble(engine: Accelerator, student: LongClip, train: TrainSettings) -> Parts:
    """Student, teacher (a copy made after stretching), queue and AdamW, on the engine's device."""
    student.to(engine.device).train()
    teacher = MomentumTeacher(student, train.momentum)
    if engine.device.type == "cpu" and engine.mixed_precision == "bf16":
        # torch's fused attention is slow backwards there: unfused, a student's step takes 15 to 70 % less.
        student.clip.set_attn_implementation("eager")
    marks = 2 if train.same_caption_is_same else 1  # as many as Pairs.ids gives
    queue = FeatureQueue(train.queue_size, student.dim, engine.device, marks)
    optimizer = torch.optim.AdamW(
        student.trainable_parameter_groups(train.weight_decay),
        lr=train.lr,
        betas=_BETAS,
        eps=_EPS,
        fused=engine.device.type == "cuda",
    )
    towers, prepared = engine.prepare(student, optimizer)
    return Parts(engine, student, towers, teacher, queue, prepared)


def train_step(
    parts: Parts,
    data: Data,
    plan: Plan,
    position: int,
    step: int,
    schedule: Schedule,
    train: TrainSettings,
) -> dict[str, float]:
    """Take one optimiser step.

    Args:
        parts: Changed in place.
        data: Read.
        plan: The epoch's pairs in order.
        position: Which batch of the plan.
        step: Optimiser steps done so far; decides learning rate, mu and all random numbers.
        schedule: Learning rate and ramp.
        train: Settings.

    Returns:
        What to log: the loss and its parts, mu, lr, scale, gradient norm (None where fp16 overflowed).

    Raises:
        UrbanLNError: Loss or gradient is not finite; neither weights nor queue took it in.
    """
    engine, optimizer = parts.engine, parts.optimizer
    _seed(train.seed, step, engine.process_index)
    lr, mu = schedule.lr(step), mu_at(step, train.mu, schedule.ramp)
    for group in optimizer.param_groups:
        group["lr"] = lr
    parts.teacher.update()
    slices = _slices(plan, position, train, engine)
    sums: dict[str, float] = {}
    for i, rows in enumerate(slices):
        last = i == len(slices) - 1
        with nullcontext() if last else engine.no_sync(parts.towers):
            facts, keys = _forward_backward(parts, data, plan, rows, mu, train)
        _stop_unless_finite("loss", facts["loss"], step)
        parts.queue.push(*keys)
        sums = {name: sums.get(name, 0.0) + value / len(slices) for name, value in facts.items()}
    trained = [p for p in parts.student.parameters() if p.requires_grad]
    norm = float(engine.clip_grad_norm_(trained, train.clip_grad or math.inf))
    if engine.mixed_precision != "fp16":  # there the scaler skips such a step and lowers its scale
        _stop_unless_finite("gradient", norm, step)
    optimizer.step()
    optimizer.zero_grad()
    clamp_logit_scale_(parts.student.logit_scale)
    scale = float(parts.student.logit_scale.detach().exp())
    return {**sums, "mu": mu, "lr": lr, "scale": scale, "grad_norm": norm}


def _seed(seed: int, step: int, process: int) -> None:
    """Dropout, where a model has any, depends on the step alone, so that no generator state is kept."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, process)).generate_state(1, np.uint64)[0]))


def _slices(plan: Plan, position: int, train: TrainSettings, engine: Accelerator) -> list[slice]:
    """This process's rows of each micro-batch: together the processes cover it in order."""
    micro = train.batch_size // train.accumulation
    start = (position * train.batch_size) * engine.num_processes
    firsts = [
        start + (i * engine.num_processes + engine.process_index) * micro for i in range(train.accumulation)
    ]
    return [slice(first, first + micro) for first in firsts]


def _forward_backward(
    parts: Parts, data: Data, plan: Plan, rows: slice, mu: float, train: TrainSettings
) -> tuple[dict[str, float], tuple[Tensor, Tensor, Tensor]]:
    """Loss and gradient of one micro-batch; what to log, and the gathered features for the queue."""
    engine = parts.engine
    picture = plan.picture[rows]
    pixels = mirror(data.pictures.pixels(picture), plan.flip[rows]).to(engine.device, non_blocking=True)
    token_ids = data.texts.ids(plan.text[rows])
    data.pictures.prefetch(plan.picture[_following(rows, train, engine)])
    v, t = parts.towers(pixels, token_ids)  # (B, D) each
    with torch.no_grad(), engine.autocast():
        v_m, t_m = parts.teacher.model(pixels, token_ids)
    marks = data.pairs.ids(picture, plan.text[rows], train.same_caption_is_same)
    ids = torch.from_numpy(marks).to(engine.device)  # (B, C)
    gathered_v, gathered_t, gathered_ids = (engine.gather(x) for x in (v_m, t_m, ids))  # (G, …)
    alone = engine.num_processes == 1 or train.contrast_keys != "batch"
    loss = distilled_contrastive_loss(
        v,
        t,
        gathered_v,
        gathered_t,
        queue=parts.queue,
        ids=ids,
        log_scale=parts.student.logit_scale,
        mu=mu,
        contrast_keys=train.contrast_keys,
        mask_same=train.id_mask,
        ids_all=gathered_ids,
        offset=engine.process_index * len(ids),
        v_all=None if alone else _Gather.apply(v),
        t_all=None if alone else _Gather.apply(t),
    )
    facts = loss.floats()
    if engine.num_processes > 1:
        values = engine.reduce(torch.tensor(list(facts.values()), device=engine.device), "mean")
        facts = dict(zip(facts, values.tolist(), strict=True))
    if math.isfinite(facts["loss"]):
        engine.backward(loss.total / train.accumulation)
    return facts, (gathered_v, gathered_t, gathered_ids)


class _Gather(torch.autograd.Function):
    """Rows of all processes in order, (B, D) to (G, D); the gradients of its rows add up over all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, x.contiguous())
        ctx.first = distributed.get_rank() * len(x)
        ctx.count = len(x)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return gradient[ctx.first : ctx.first + ctx.count]


def _following(rows: slice, train: TrainSettings, engine: Accelerator) -> slice:
    ahead = (rows.stop - rows.start) * engine.num_processes
    return slice(rows.start + ahead, rows.stop + ahead)


def _stop_unless_finite(name: str, value: float, step: int) -> None:
    if math.isfinite(value):
        return
    raise UrbanLNError(
        f"the {name} is no longer finite at step {step + 1}; neither weights nor queue took it in",
        value=value,
        remedy="train again into another --out with a lower train.lr, or with train.precision=fp32",
    )
