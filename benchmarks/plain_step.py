"""One pre-training step in the way the field's published code writes it: what ours has to beat.

Long-CLIP's recipe (248 positions for every text, autocast, AdamW as it comes) with ALBEF's momentum
distillation (teacher rebound each step, queues as (D, K), the whole of it one function), on the same
transformers CLIP and torch's own attention. Nothing is slowed down on purpose: no loop that they do not
have, no check, no logging; where their code would hurt the result (a queue of random numbers, an own stale
copy as negative), the benchmark keeps such cases out of both steps.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_MOMENTUM, _BETAS, _EPS = 0.995, (0.9, 0.999), 1e-8


class PlainStep:
    """Student, teacher, queues and optimiser, and one method that takes a step.

    Args:
        model: A CLIP of ``urbanln``, whose weights are copied; its own forward pass is not used.
        queue: Image features, text features: (K, D) each, normalised.
        lr: Learning rate.
        mu: Weight of distillation.
        weight_decay: Of the matrices.
        dtype: Of autocast; float32 for none.
        attention: As transformers names it: torch's own, or ``"eager"``, step by step.
    """

    def __init__(
        self,
        model: Any,
        queue: tuple[Tensor, Tensor],
        *,
        lr: float,
        mu: float = 0.5,
        weight_decay: float = 1e-2,
        dtype: torch.dtype = torch.bfloat16,
        attention: str = "sdpa",
    ) -> None:
        self.mean, self.std = model.pixel_mean, model.pixel_std
        self.pad, self.length = model.tokenizer.eos_token_id, model.context
        self.model = deepcopy(model.clip).train()
        self.teacher = deepcopy(model.clip).eval()
        for parameter in self.teacher.parameters():
            parameter.requires_grad_(False)
        for clip in (self.model, self.teacher):
            clip.set_attn_implementation(attention)
        self.image_queue, self.text_queue = (part.T.clone() for part in queue)  # (D, K)
        self.pointer = 0
        self.mu, self.dtype = mu, dtype
        trained = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=_BETAS, eps=_EPS)

    def step(self, pixels: Tensor, ids: Tensor) -> float:
        """Train on a batch: uint8 pixels (B, 3, S, S) and token ids (B, T).

        Returns:
            ALBEF's loss, cross-entropy with soft labels: ours and mu times the teacher's entropy, which has
            no gradient.
        """
        ids = functional.pad(ids, (0, self.length - ids.shape[1]), value=self.pad).to(self.mean.device)
        image = (pixels.to(self.mean.device).float() / 255 - self.mean) / self.std
        with torch.autocast(image.device.type, self.dtype, enabled=self.dtype != torch.float32):
            v, t = self._encode(self.model, image, ids)
            with torch.no_grad():
                for ours, theirs in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
                    ours.data = ours.data * _MOMENTUM + theirs.data * (1 - _MOMENTUM)
                v_m, t_m = self._encode(self.teacher, image, ids)
        scale = self.model.logit_scale.exp()
        with torch.no_grad():
            v_all = torch.cat([v_m.T, self.image_queue.clone()], dim=1)
            t_all = torch.cat([t_m.T, self.text_queue.clone()], dim=1)
            label = torch.zeros(len(v), v_all.shape[1], device=v.device).fill_diagonal_(1)
            soft_i2t = self.mu * functional.softmax(scale * v_m @ t_all, dim=1) + (1 - self.mu) * label
            soft_t2i = self.mu * functional.softmax(scale * t_m @ v_all, dim=1) + (1 - self.mu) * label
        i2t = -(functional.log_softmax(scale * v @ t_all, dim=1) * soft_i2t).sum(dim=1).mean()
        t2i = -(functional.log_softmax(scale * t @ v_all, dim=1) * soft_t2i).sum(dim=1).mean()
        loss = (i2t + t2i) / 2
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, 4.6052)
        self._enqueue(v_m, t_m)
        return float(loss.detach())

    @staticmethod
    def _encode(model: Any, image: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        v = model.get_image_features(pixel_values=image).pooler_output.float()
        t = model.get_text_features(input_ids=ids).pooler_output.float()
        return functional.normalize(v, dim=-1), functional.normalize(t, dim=-1)

    def _enqueue(self, v_m: Tensor, t_m: Tensor) -> None:
        end = self.pointer + len(v_m)
        self.image_queue[:, self.pointer : end] = v_m.T
        self.text_queue[:, self.pointer : end] = t_m.T
        self.pointer = end % self.image_queue.shape[1]
