"""What GradCache costs in time and saves in memory.

    python -m benchmarks grad_cache [--model b16] [--batch 128] [--micro 16] [--repeat 5]
        [--memory 64 1024] [--json FILE]

Time: forward and backward of student and teacher by GradCache, against the same micro-batches one by one,
each with its own loss: the same work but for the extra forward pass, and the negatives of the whole batch
lost. Both ways alternate; the median of the ratios and their range are printed. No rounds, no times.

Memory: the peak of a process that takes one gradient by GradCache, at several batch sizes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import alone, ends, facts, options, peak_mb, ratio, timed, turns, write
from benchmarks.models import SIZES, made_up_data, model_of, random_queue
from benchmarks.step import OurStep
from urbanln.train import step as step_module
from urbanln.train.grad_cache import micro_batches
from urbanln.train.step import Batch, forward_backward

_TOKENS = 85
_MB = 1e6


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    asked = options(__doc__, argv, model=SIZES, batch=128, micro=16, repeat=5, memory=[64, 1024], json=None)
    result: dict[str, Any] = {"facts": {**facts(), **vars(asked), "json": None}, "memory": []}
    for batch in asked.memory:  # first, while this process is small
        row = alone(gradient_peak, asked.model, batch, asked.micro)[0]
        result["memory"].append(row)
        print(
            f"{batch} pairs: peak {row['peak_mb']:.0f} MB, of which {row['before_mb']:.0f} before the step "
            f"and {row['pixels_mb']:.0f} pixels; the rest {row['rest_mb']:.0f} MB; {row['seconds']:.0f} s",
            flush=True,
        )
    if asked.repeat:
        result["time"] = found = time_ratio(asked.model, asked.batch, asked.micro, asked.repeat)
        print(
            f"{asked.batch} pairs in micro-batches of {asked.micro}, ms a pair: {found['plain_ms']:.1f} one "
            f"by one, {found['cached_ms']:.1f} by GradCache; ratio {found['ratio']:.2f} "
            f"({ends(found['range'])})",
            flush=True,
        )
    write(asked.json, result)


def time_ratio(size: str, batch: int, micro: int, repeat: int) -> dict[str, Any]:
    """GradCache's time over that of the same micro-batches one by one.

    Args:
        size: A name in :data:`benchmarks.models.SIZES`.
        batch: Pairs.
        micro: Pairs of a micro-batch.
        repeat: Rounds of both, after a micro-batch that warms up.
    """
    ours = _our_step(size, batch, micro)
    whole = _read(ours, batch, micro)
    cut = [
        Batch(whole.pixels[rows], [ids], whole.ids[rows], micro_batches(rows.stop - rows.start, 0))
        for rows, ids in zip(whole.micro, whole.token_ids, strict=True)
    ]

    def one_by_one() -> None:
        for part in cut:
            _gradient(ours, part)

    _gradient(ours, cut[0])
    (plain, cached), _ = turns(repeat, one_by_one, partial(_gradient, ours, whole), warm_up=0)
    return {
        "plain_ms": 1e3 * float(np.median(plain)) / batch,
        "cached_ms": 1e3 * float(np.median(cached)) / batch,
        **ratio(cached, plain),
    }


def gradient_peak(size: str, batch: int, micro: int) -> dict[str, float]:
    """Memory before and in one gradient of a batch, in this process; MB."""
    ours = _our_step(size, batch, micro)
    _gradient(ours, _read(ours, 2, 2))  # gradients are there, code is loaded
    inputs = _read(ours, batch, micro)
    del ours.data  # the inputs hold their own pixels
    pixels = inputs.pixels.nbytes / _MB
    before = _memory()[0] - pixels
    seconds, _ = timed(_gradient, ours, inputs)
    peak = _memory()[1]
    return {
        "batch": batch,
        "peak_mb": peak,
        "before_mb": before,
        "pixels_mb": pixels,
        "rest_mb": peak - before - pixels,
        "seconds": seconds,
    }


def _memory() -> tuple[float, float]:
    """MB held now and at most so far, on the GPU where there is one."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / _MB, torch.cuda.max_memory_allocated() / _MB
    lines = Path("/proc/self/status").read_text().splitlines()
    now = next(float(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return now * 1024 / _MB, peak_mb() * 2**20 / _MB


def _our_step(size: str, batch: int, micro: int) -> OurStep:
    """A step on texts of 85 tokens, about as long as captions are; no second model lies in memory.

    Lengths repeat from one micro-batch to the next, so that the peak is the same wherever it is reached.
    """
    model = model_of(size)
    data, queue = made_up_data(model, batch, _TOKENS, period=micro), random_queue(model.dim)
    return OurStep(model, data, queue, np.arange(batch), batch, "bf16", own=True, micro_batch=micro)


def _read(ours: OurStep, count: int, micro: int) -> Batch:
    train = ours.train.model_copy(update={"batch_size": count, "micro_batch": micro})
    return step_module._read(ours.parts.engine, ours.data, ours.plan, 0, train)


def _gradient(ours: OurStep, batch: Batch) -> None:
    forward_backward(ours.parts, batch, (0,), 0.5, ours.train)
