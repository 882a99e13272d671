"""One pre-training step in the way the field's published code writes it: what ours has to beat.

Long-CLIP's recipe (248 positions for every text, autocast, AdamW as it comes) with ALBEF's momentum
distillation (teacher rebound each step, queues as (D, K), the whole of it one function), on the same
transformers CLIP and torch's own attention. Nothing is slowed down on purpose: no loop that they do not
have, no check, no logging; where their code would hurt the result (a queue of random numbers, an own stale
copy as negative), the benchmark keeps such cases out of both steps.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_MOMENTUM, _BETAS, _EPS, _WEIGHT_DECAY = 0.995, (0.9, 0.999), 1e-8, 1e-2


def plain_step(
    clip: Any, queue: tuple[Tensor, Tensor], *, lr: float, mu: float, dtype: torch.dtype, attention: str
) -> Callable[[Tensor, Tensor, int], float]:
    """Student, teacher, queues and optimiser of their own, behind a function that takes a step.

    Args:
        clip: A CLIP of transformers, whose weights are copied.
        queue: Image features, text features: (K, D) each, normalised.
        lr: Learning rate.
        mu: Weight of distillation.
        dtype: Of autocast; float32 for none.
        attention: As transformers names it: torch's own, or ``"eager"``, step by step.

    Returns:
        Trains on a batch, pictures (B, 3, S, S) and token ids (B, T), written into the queue from a place on.
        It returns ALBEF's loss, cross-entropy with soft labels: ours and mu times the teacher's entropy,
        which has no gradient.
    """
    model, teacher = deepcopy(clip).train(), deepcopy(clip).eval()
    teacher.requires_grad_(False)
    for one in (model, teacher):
        one.set_attn_implementation(attention)
    image_queue, text_queue = (part.T.clone() for part in queue)  # (D, K)
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=_BETAS, eps=_EPS)

    def step(image: Tensor, ids: Tensor, pointer: int) -> float:
        with torch.autocast(image.device.type, dtype, enabled=dtype != torch.float32):
            v, t = _encode(model, image, ids)
            with torch.no_grad():
                for ours, theirs in zip(teacher.parameters(), model.parameters(), strict=True):
                    ours.data = ours.data * _MOMENTUM + theirs.data * (1 - _MOMENTUM)
                v_m, t_m = _encode(teacher, image, ids)
        scale = model.logit_scale.exp()
        with torch.no_grad():
            v_all = torch.cat([v_m.T, image_queue.clone()], dim=1)
            t_all = torch.cat([t_m.T, text_queue.clone()], dim=1)
            label = torch.zeros(len(v), v_all.shape[1], device=v.device).fill_diagonal_(1)
            soft_i2t = mu * functional.softmax(scale * v_m @ t_all, dim=1) + (1 - mu) * label
            soft_t2i = mu * functional.softmax(scale * t_m @ v_all, dim=1) + (1 - mu) * label
        i2t = -(functional.log_softmax(scale * v @ t_all, dim=1) * soft_i2t).sum(dim=1).mean()
        t2i = -(functional.log_softmax(scale * t @ v_all, dim=1) * soft_t2i).sum(dim=1).mean()
        loss = (i2t + t2i) / 2
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        image_queue[:, pointer : pointer + len(v)] = v_m.T
        text_queue[:, pointer : pointer + len(v)] = t_m.T
        return float(loss.detach())

    return step


def _encode(model: Any, image: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    v = model.get_image_features(pixel_values=image).pooler_output.float()
    t = model.get_text_features(input_ids=ids).pooler_output.float()
    return functional.normalize(v, dim=-1), functional.normalize(t, dim=-1)
