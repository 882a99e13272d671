"""One optimiser step of momentum self-distillation, in one process or several, and how many there are.

The teacher moves towards the student; both encode the batch; the loss contrasts the student with the
teacher's live and queued features and distils the teacher's opinion; the teacher's features enter the queue;
the gradient is clipped and AdamW steps (UrbanLN, MSD; ALBEF). Where the activations of a batch do not fit
into memory, ``train.micro_batch`` lets the towers work through it in parts, with the same gradient
(:mod:`urbanln.train.grad_cache`).

Several processes take slices of one batch, ``batch_size`` pairs each. Keys are gathered from all of them,
so the gradient is that of one process on the whole batch, and all queues are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, distributed

from urbanln.base.config import TrainSettings
from urbanln.base.errors import InputError, UrbanLNError
from urbanln.model.adapters import adapt
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device, pick_precision
from urbanln.model.objective import LossParts, clamp_logit_scale_, distilled_contrastive_loss, mu_at
from urbanln.model.queue import FeatureQueue
from urbanln.model.teacher import MomentumTeacher
from urbanln.train.batches import Pictures, Texts, mirror
from urbanln.train.frozen import freeze
from urbanln.train.grad_cache import backward_all, encode_all, feature_gradients, micro_batches
from urbanln.train.groups import SHARE, parameter_groups
from urbanln.train.pairs import Pairs, Plan

_BETAS, _EPS = (0.9, 0.999), 1e-8  # Long-CLIP


@dataclass(frozen=True)
class Data:
    """What a run reads: pairs, pixels by picture, token ids by text, and counts to log."""

    pairs: Pairs
    pictures: Pictures
    texts: Texts
    facts: dict[str, Any]


@dataclass(frozen=True)
class Learner:
    """What a step changes. ``towers`` is the student as accelerate wrapped it: (pixels, ids) to (v, t)."""

    engine: Accelerator
    student: LongClip
    towers: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    teacher: MomentumTeacher
    queue: FeatureQueue
    optimizer: Any


@dataclass(frozen=True)
class Batch:
    """One process's pairs of a step. Pixels and token ids stay on the CPU until their micro-batch is due.

    Attributes:
        pixels: uint8, (B, 3, S, S).
        token_ids: int64, (m, T) per micro-batch, T its longest text.
        ids: int64, (B, C), what makes two pairs the same; on the device.
        micro: The rows of each micro-batch, from :func:`urbanln.train.grad_cache.micro_batches`.
    """

    pixels: Tensor
    token_ids: list[Tensor]
    ids: Tensor
    micro: list[slice]


@dataclass(frozen=True)
class Schedule:
    """Steps of a run and its learning rate.

    Attributes:
        per_epoch: Optimiser steps per epoch; pairs short of a batch wait for the next epoch.
        total: Optimiser steps of the run.
        warmup: Steps of linear warm-up: the setting, and at most a quarter of all steps.
        ramp: Steps over which mu grows from 0.
        peak: Peak learning rate.
    """

    per_epoch: int
    total: int
    warmup: int
    ramp: int
    peak: float

    def lr(self, step: int) -> float:
        """Learning rate of the step after ``step`` others: linear up, then a cosine to 0 (Long-CLIP)."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.total - self.warmup)
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def make_schedule(pairs: int, processes: int, train: TrainSettings) -> Schedule:
    """Count the steps.

    Args:
        pairs: Pairs per epoch.
        processes: Processes that share each batch.
        train: Batch size per process, epochs, warm-up, ramp and learning rate.

    Raises:
        InputError: Fewer pairs than one batch.
    """
    batch = train.batch_size * processes
    per_epoch = pairs // batch
    if per_epoch == 0:
        shared = f" ({train.batch_size} in each of {processes} processes)" if processes > 1 else ""
        raise InputError(
            f"there are {pairs} pairs to train on, fewer than one batch of {batch}{shared}",
            value=pairs,
            where="train.batch_size",
            remedy=f"lower train.batch_size to {max(2, pairs // processes // 4)} or so, or add pictures",
        )
    total = per_epoch * train.epochs
    return Schedule(
        per_epoch=per_epoch,
        total=total,
        warmup=min(train.warmup_steps, total // 4),
        ramp=round(train.mu_ramp_epochs * per_epoch),
        peak=train.lr,
    )


def start_engine(train: TrainSettings) -> Accelerator:
    """accelerate for this process, in the precision of the settings."""
    device = pick_device()
    precision = pick_precision(train.precision, device)
    # accelerate keeps the precision of the first run of a process; each run here has its own.
    AcceleratorState._reset_state()
    # DDP syncs buffers: the model's are a few constants, and the queue is none of them.
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=device.type == "cpu")


def assemble(engine: Accelerator, student: LongClip, train: TrainSettings) -> Learner:
    """Student, teacher (a copy made after stretching), queue and AdamW, on the engine's device."""
    student.to(engine.device).train()
    freeze(student, train)
    teacher = MomentumTeacher(student, train.momentum)
    # After the copy: the teacher has no adapters and sees whole pictures.
    if train.lora_rank:
        adapt(student, train)
    student.patch_dropout = train.patch_dropout
    marks = 1 + train.same_caption_is_same + train.same_content_is_same  # as many as Pairs.ids gives
    queue = FeatureQueue(train.queue_size, student.dim, engine.device, marks)
    optimizer = torch.optim.AdamW(
        parameter_groups(student, train.weight_decay, train.layer_decay),
        lr=train.lr,
        betas=_BETAS,
        eps=_EPS,
        fused=engine.device.type in ("cpu", "cuda"),
    )
    towers, prepared = engine.prepare(student, optimizer)
    return Learner(engine, student, towers, teacher, queue, prepared)


def train_step(
    learner: Learner,
    data: Data,
    plan: Plan,
    position: int,
    step: int,
    schedule: Schedule,
    train: TrainSettings,
) -> dict[str, float]:
    """Take one optimiser step.

    Args:
        learner: Changed in place.
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
    engine, optimizer = learner.engine, learner.optimizer
    lr, mu = schedule.lr(step), mu_at(step, train.mu, schedule.ramp)
    for group in optimizer.param_groups:
        group["lr"] = lr * group[SHARE]
    learner.teacher.update()
    batch = _read(engine, data, plan, position, train)
    facts, keys = forward_backward(learner, batch, (train.seed, step, engine.process_index), mu, train)
    _stop_unless_finite("loss", facts["loss"], step)
    trained = [p for p in learner.student.parameters() if p.requires_grad]
    norm = float(engine.clip_grad_norm_(trained, train.clip_grad or math.inf))
    if engine.mixed_precision != "fp16":  # there the scaler skips such a step and lowers its scale
        _stop_unless_finite("gradient", norm, step)
    learner.queue.push(*keys)
    optimizer.step()
    optimizer.zero_grad()
    clamp_logit_scale_(learner.student.logit_scale)
    scale = float(learner.student.logit_scale.detach().exp())
    return {**facts, "mu": mu, "lr": lr, "scale": scale, "grad_norm": norm}


def _read(engine: Accelerator, data: Data, plan: Plan, position: int, train: TrainSettings) -> Batch:
    """This process's slice of a batch; its next one is decoded meanwhile."""
    first = (position * engine.num_processes + engine.process_index) * train.batch_size
    rows, ahead = (
        slice(start, start + train.batch_size)
        for start in (first, first + engine.num_processes * train.batch_size)
    )
    picture, text = plan.picture[rows], plan.text[rows]
    pixels = mirror(data.pictures.pixels(picture), plan.flip[rows])
    data.pictures.prefetch(plan.picture[ahead])
    micro = micro_batches(train.batch_size, train.micro_batch)
    same = train.same_caption_is_same, train.same_content_is_same
    ids = torch.from_numpy(data.pairs.ids(picture, text, *same)).to(engine.device)
    seed = plan.seed[rows]
    return Batch(pixels, [data.texts.drawn(text[part], seed[part]) for part in micro], ids, micro)


def forward_backward(
    learner: Learner, batch: Batch, seed: tuple[int, ...], mu: float, train: TrainSettings
) -> tuple[dict[str, float], tuple[Tensor, ...]]:
    """Loss and gradient of a batch: in one pass, or by GradCache where it is cut into micro-batches.

    Args:
        learner: Gradients are added to the student's; nothing else changes.
        batch: This process's pairs.
        seed: All random numbers depend on it and on the position of the micro-batch.
        mu: Weight of distillation.
        train: ``contrast_keys`` and ``id_mask`` are used.

    Returns:
        The loss and its parts, mean over all processes; without a gradient where the loss is not finite. And
        what the queue takes in after that: the teacher's features and the ids of all processes.
    """
    engine, log_scale = learner.engine, learner.student.logit_scale
    whole = len(batch.micro) == 1
    encode = partial(_encode, learner, batch, seed)
    v, t, v_m, t_m = encode(0) if whole else encode_all(encode, batch.micro)  # (B, D) each
    keys = tuple(engine.gather(x) for x in (v_m, t_m, batch.ids))  # (G, …)
    loss_of = partial(_loss, learner, batch.ids, keys, mu, train)
    shared = engine.num_processes > 1 and train.contrast_keys == "batch"
    gather = _Gather.apply if shared else None
    if whole:
        loss = loss_of(batch.micro[0], (v, t), (gather(v), gather(t)) if gather else None, log_scale)
    else:
        loss, gradients = feature_gradients(loss_of, (v, t), log_scale, gather, batch.micro)
    facts = loss.floats()
    if engine.num_processes > 1:
        values = engine.reduce(torch.tensor(list(facts.values()), device=engine.device), "mean")
        facts = dict(zip(facts, values.tolist(), strict=True))
    if math.isfinite(facts["loss"]):
        if whole:
            engine.backward(loss.total)
        else:
            again = partial(_encode, learner, batch, seed, teach=False)
            backward_all(engine, learner.towers, again, gradients, log_scale, batch.micro)
    return facts, keys


def _encode(
    learner: Learner, batch: Batch, seed: tuple[int, ...], i: int, *, teach: bool = True
) -> tuple[Tensor, ...]:
    """Features of a micro-batch: the student's v and t, and with ``teach`` the teacher's, (m, D) each."""
    # Dropout, where a model has any, depends on the step and the micro-batch alone: it is the same in both
    # passes over a micro-batch, and no generator state is kept.
    torch.manual_seed(int(np.random.SeedSequence((*seed, i)).generate_state(1, np.uint64)[0]))
    pixels = batch.pixels[batch.micro[i]].to(learner.engine.device, non_blocking=True)
    student = learner.towers(pixels, batch.token_ids[i])
    if not teach:
        return student
    with torch.no_grad(), learner.engine.autocast():
        return (*student, *learner.teacher.model(pixels, batch.token_ids[i]))


def _loss(
    learner: Learner,
    ids: Tensor,
    keys: tuple[Tensor, ...],
    mu: float,
    train: TrainSettings,
    rows: slice,
    own: tuple[Tensor, Tensor],
    gathered: tuple[Tensor, Tensor] | None,
    log_scale: Tensor,
) -> LossParts:
    """The loss of some rows of the own pairs (B, …), which meet the ``keys`` of all processes (G, …)."""
    v_m, t_m, ids_all = keys
    v_all, t_all = gathered or (None, None)
    return distilled_contrastive_loss(
        own[0][rows],
        own[1][rows],
        v_m,
        t_m,
        queue=learner.queue,
        ids=ids[rows],
        log_scale=log_scale,
        mu=mu,
        contrast_keys=train.contrast_keys,
        mask_same=train.id_mask,
        ids_all=ids_all,
        offset=learner.engine.process_index * len(ids) + rows.start,
        v_all=v_all,
        t_all=t_all,
    )


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


def _stop_unless_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise UrbanLNError(
            f"the {name} is no longer finite at step {step + 1}; neither weights nor queue took it in",
            value=value,
            remedy="train again into another --out with a lower train.lr, or with train.precision=fp32",
            where=f"step {step + 1}",
        )
