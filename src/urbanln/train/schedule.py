"""How many steps there are, and the learning rate at each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from urbanln.base.config import TrainSettings
from urbanln.base.errors import InputError


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
