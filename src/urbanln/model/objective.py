"""The loss of UrbanLN: contrast with a queue of teacher features, and distillation of the teacher's opinion.

With s the student's and sₘ the teacher's logits over the live batch and the queue, p = softmax(s) and
q = softmax(sₘ), the loss is L = (1 - mu) L_C + mu L_D with L_D = KL(q ‖ p). Up to mu H(q), which has no
gradient, that is cross-entropy with the labels (1 - mu) y + mu q.

A key with the id of its query (an older copy of the pair, another view of the region) is left out of s and of
sₘ, except the live pair itself; so are empty slots of the queue. All of it is computed in fp32 (fp64 stays),
also under autocast.

In several processes, each hands over its own B queries and the G live pairs gathered from all, and takes the
mean over its own; averaging the gradients of equal batches then gives that of the whole batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from urbanln.base.errors import InputError
from urbanln.model.queue import FeatureQueue

ContrastKeys = Literal["batch", "batch+queue"]

MAX_LOG_SCALE = math.log(100)
# Logits lie within ±100. A finite number, because 0 * -inf would be NaN in the divergence.
_MASKED = -1e4


@dataclass(frozen=True)
class LossParts:
    """The loss and what to log of it, each a scalar tensor; only ``total`` is meant for ``backward``.

    Args:
        total: (1 - mu) ``contrastive`` + mu ``distillation``.
        contrastive: L_C, cross-entropy with the own pair, mean of both directions, in nats.
        distillation: L_D, KL(teacher || student), mean of both directions, in nats.
        teacher_entropy: H of the teacher's distribution, mean of both directions, in nats. Below .05 the
            teacher says what the label says, and distillation does little.
        top1_i2t: Share of pictures whose own text scores highest among the keys of L_C.
        top1_t2i: The same from texts to pictures.
        frac_masked: Share of filled keys, the own pair aside, left out for having the id of the query.
    """

    total: Tensor
    contrastive: Tensor
    distillation: Tensor
    teacher_entropy: Tensor
    top1_i2t: Tensor
    top1_t2i: Tensor
    frac_masked: Tensor

    def floats(self) -> dict[str, float]:
        """The parts as plain numbers, under the names the papers give them."""
        names = ("loss", "L_C", "L_D", "H_teacher", "top1_i2t", "top1_t2i", "frac_masked")
        stacked = torch.stack([getattr(self, name).detach() for name in self.__dataclass_fields__])
        return dict(zip(names, stacked.tolist(), strict=True))


def distilled_contrastive_loss(
    v: Tensor,
    t: Tensor,
    v_m: Tensor,
    t_m: Tensor,
    *,
    queue: FeatureQueue,
    ids: Tensor,
    log_scale: Tensor,
    mu: float,
    contrast_keys: ContrastKeys = "batch+queue",
    mask_same: bool = True,
    ids_all: Tensor | None = None,
    offset: int = 0,
    v_all: Tensor | None = None,
    t_all: Tensor | None = None,
) -> LossParts:
    """Momentum self-distillation of L2-normalised features: L = (1 - mu) L_C + mu L_D, see the module.

    Args:
        v: Student's picture vectors, (B, D).
        t: Student's text vectors, (B, D).
        v_m: Teacher's picture vectors of the live batch, (G, D); G = B in one process.
        t_m: Teacher's text vectors of the live batch, (G, D).
        queue: Earlier teacher vectors; push this batch after the loss, not before.
        ids: int64, (B,) or (B, C): the picture, or the region where several views of one region train; more
            columns for other ways to be the same, such as an equal caption. One agreement is enough; it is
            not passed on: if a agrees with b and b with c, a and c may still be negatives.
        log_scale: The natural logarithm of the factor on cosines; detached for the teacher.
        mu: Weight of distillation, 0..1 (paper .5); see :func:`mu_at`.
        contrast_keys: Keys of L_C. ``"batch+queue"``: the teacher's, live and queued, with gradients on the
            query side alone (ALBEF). ``"batch"``: the student's live batch, gradients on both sides (CLIP).
        mask_same: Off, keys with the id of their query are negatives too, as in ALBEF's pre-training.
        ids_all: (G,) or (G, C), the ids of the live pairs; ``ids`` in one process.
        offset: Row of the live pairs at which this process's own begin: rank * B.
        v_all: Student's picture vectors gathered with gradient, (G, D), for ``"batch"``; default ``v``.
        t_all: The same of texts.

    Returns:
        The parts. Check that ``total`` is finite before the optimiser's step, the teacher's update, the push.

    Raises:
        InputError: Shapes that do not fit, an unknown ``contrast_keys``, or mu outside 0..1.

    Source:
        UrbanLN (arXiv 2511.07062), MSD; ALBEF (arXiv 2107.07651), equations 1 and 6 and its code; masks by id
        as in ALBEF's retrieval fine-tuning, here for single positives.
    """
    ids, ids_all = (x if x.ndim == 2 else x[..., None] for x in (ids, ids if ids_all is None else ids_all))
    v_all, t_all = (v if v_all is None else v_all), (t if t_all is None else t_all)
    student = (
        {"v": v, "t": t, "v_all": v_all, "t_all": t_all} if contrast_keys == "batch" else {"v": v, "t": t}
    )
    _check(mu, contrast_keys, student, {"v_m": v_m, "t_m": t_m}, ids, ids_all, queue.dim, offset)
    with torch.autocast(v.device.type, enabled=False):
        v, t, v_m, t_m = _wide(v), _wide(t), _wide(v_m.detach()), _wide(t_m.detach())
        live_keys = (_wide(v_all), _wide(t_all)) if contrast_keys == "batch" else None
        scale = _wide(log_scale).exp()
        return _parts(v, t, v_m, t_m, scale, mu, queue, ids, ids_all, mask_same, offset, live_keys)


def _parts(
    v: Tensor,
    t: Tensor,
    v_m: Tensor,
    t_m: Tensor,
    scale: Tensor,
    mu: float,
    queue: FeatureQueue,
    ids: Tensor,
    ids_all: Tensor,
    mask_same: bool,
    offset: int,
    live_keys: tuple[Tensor, Tensor] | None,
) -> LossParts:
    """The loss in wide numbers; ``live_keys``, if given, are L_C's in place of the teacher's."""
    queued_v, queued_t, queued_ids, valid = queue.view()
    keys_v = torch.cat([v_m, queued_v.to(v_m)])  # (G + K, D)
    keys_t = torch.cat([t_m, queued_t.to(t_m)])
    target = torch.arange(offset, offset + len(v), device=v.device)
    # Which keys have the id of the query, (B, G + K); the own pair does not count.
    same = (ids[:, None] == torch.cat([ids_all, queued_ids])).any(dim=2) & mask_same
    same = same.scatter(1, target[:, None], False)
    filled = torch.cat([valid.new_ones(len(v_m)), valid])
    mask = same | ~filled

    i2t = _log_softmax(scale * v @ keys_t.T, mask)
    t2i = _log_softmax(scale * t @ keys_v.T, mask)
    with torch.no_grad():
        i2t_m = _log_softmax(scale * v_m[target] @ keys_t.T, mask)
        t2i_m = _log_softmax(scale * t_m[target] @ keys_v.T, mask)
    distillation = (_divergence(i2t_m, i2t) + _divergence(t2i_m, t2i)) / 2
    if live_keys is not None:
        live = mask[:, : len(v_m)]
        i2t = _log_softmax(scale * v @ live_keys[1].T, live)
        t2i = _log_softmax(scale * t @ live_keys[0].T, live)
    contrastive = -(_of_own(i2t, target) + _of_own(t2i, target)).mean() / 2
    return LossParts(
        total=(1 - mu) * contrastive + mu * distillation,
        contrastive=contrastive.detach(),
        distillation=distillation.detach(),
        teacher_entropy=(_entropy(i2t_m) + _entropy(t2i_m)) / 2,
        top1_i2t=(i2t.argmax(dim=1) == target).to(v.dtype).mean(),
        top1_t2i=(t2i.argmax(dim=1) == target).to(v.dtype).mean(),
        frac_masked=(same & filled).to(v.dtype).sum() / (len(v) * (filled.sum() - 1)).clamp(min=1),
    )


def mu_at(step: int, mu: float, ramp_steps: int) -> float:
    """The weight of distillation at an optimiser step: linear from 0 to ``mu`` over ``ramp_steps``.

    Args:
        step: Optimiser steps done so far.
        mu: Final weight.
        ramp_steps: Length of the ramp, one epoch in ALBEF; 0 for none, as the paper is written.

    Example:
        >>> mu_at(5, 0.5, 10)
        0.25
    """
    return mu if ramp_steps <= 0 else mu * min(1.0, step / ramp_steps)


@torch.no_grad()
def clamp_logit_scale_(log_scale: Tensor) -> None:
    """Bring the logarithm of the scale back into 0..ln 100, in place; call it after the optimiser's step."""
    log_scale.clamp_(0, MAX_LOG_SCALE)


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _log_softmax(logits: Tensor, mask: Tensor) -> Tensor:
    return logits.masked_fill(mask, _MASKED).log_softmax(dim=1)


def _of_own(log_p: Tensor, target: Tensor) -> Tensor:
    return log_p.gather(1, target[:, None]).squeeze(1)


def _divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q ‖ p), summed over keys, mean over rows."""
    return (log_q.exp() * (log_q - log_p)).sum(dim=1).mean()


def _entropy(log_q: Tensor) -> Tensor:
    return -(log_q.exp() * log_q).sum(dim=1).mean()


def _check(
    mu: float,
    contrast_keys: str,
    student: dict[str, Tensor],
    teacher: dict[str, Tensor],
    ids: Tensor,
    ids_all: Tensor,
    dim: int,
    offset: int,
) -> None:
    if contrast_keys not in ("batch", "batch+queue"):
        raise InputError(
            "contrast_keys must be 'batch' or 'batch+queue'",
            value=contrast_keys,
            where="train.contrast_keys",
            remedy="give one of them",
        )
    if not 0 <= mu <= 1:
        raise InputError(
            "mu must lie between 0 and 1", value=mu, where="train.mu", remedy="give a number from 0 to 1"
        )
    count, live = len(ids), len(ids_all)
    wanted = {name: (live if name.endswith("_all") else count, dim) for name in student}
    wanted |= dict.fromkeys(teacher, (live, dim))
    found = {name: tuple(x.shape) for name, x in {**student, **teacher}.items()}
    if found != wanted or ids.shape[1:] != ids_all.shape[1:] or ids.ndim != 2 or count == 0:
        raise InputError(
            f"features and ids do not fit each other: {count} queries, {live} live pairs, length {dim}",
            value=found,
            remedy="with v_m of G rows gathered from several processes, give ids_all (and v_all, t_all) too",
            where="features, ids",
        )
    if not 0 <= offset <= live - count:
        raise InputError(
            "the own pairs must lie among the live ones",
            value=f"offset={offset}",
            where="offset",
            remedy="give the place of this process's first pair",
        )
