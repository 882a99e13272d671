"""What GradCache costs in time and saves in memory.

    python -m benchmarks grad_cache [--model b16] [--batch 128] [--micro 16] [--precision bf16]
        [--device auto] [--memory 64 1024] [--json FILE]

Time: forward and backward of student and teacher by GradCache, against the same micro-batches one by one,
each with its own loss: the same work but for the extra forward pass, and the negatives of the whole batch
lost. Both ways alternate; the median of the ratios and their range are printed.

Memory: the peak of a process that takes one gradient by GradCache, at several batch sizes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional

from benchmarks.models import SIZES, model_of
from benchmarks.step import training_on
from urbanln.base.config import TrainSettings
from urbanln.model.clip import LongClip
from urbanln.train.grad_cache import micro_batches
from urbanln.train.step import Batch, Learner, assemble, forward_backward, start_engine

_MB = 1e6


def main(argv: list[str]) -> None:
    """Measure and print.

    Args:
        argv: Flags, see ``--help``.
    """
    args = _arguments(argv)
    with training_on(args.device):
        _run(args)


def _run(args: argparse.Namespace) -> None:
    if args.peak_of:
        print(json.dumps(_peak(args.model, args.peak_of, args.micro, args.precision)))
        return
    facts = {"torch": torch.__version__, "threads": torch.get_num_threads(), **vars(args), "json": None}
    result: dict[str, Any] = {"facts": facts}
    result["memory"] = []  # first, while this process is small
    for batch in args.memory:
        result["memory"].append(row := _peak_elsewhere(args, batch))
        print(
            f"{batch} pairs: peak {row['peak_mb']:.0f} MB, of which {row['before_mb']:.0f} before the step "
            f"and {row['pixels_mb']:.0f} pixels; the rest {row['rest_mb']:.0f} MB; {row['seconds']:.0f} s",
            flush=True,
        )
    if args.repeat:
        result["time"] = found = time_ratio(args.model, args.batch, args.micro, args.precision, args.repeat)
        print(
            f"{args.batch} pairs in micro-batches of {args.micro}, ms a pair: {found['plain_ms']:.1f} one by "
            f"one, {found['cached_ms']:.1f} by GradCache; ratio {found['ratio']:.2f} "
            f"({found['range'][0]:.2f}–{found['range'][1]:.2f})",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


def time_ratio(size: str, batch: int, micro: int, precision: str, repeat: int) -> dict[str, Any]:
    """GradCache's time over that of the same micro-batches one by one.

    Args:
        size: A name in :data:`benchmarks.models.SIZES`.
        batch: Pairs.
        micro: Pairs of a micro-batch.
        precision: A value of ``train.precision``.
        repeat: Rounds of both, after a micro-batch that warms up.
    """
    parts, train, student = _parts(size, batch, micro, precision)
    whole = _batch(student, batch, micro, parts.engine.device)
    cut = [
        Batch(whole.pixels[rows], [ids], whole.ids[rows], micro_batches(rows.stop - rows.start, 0))
        for rows, ids in zip(whole.micro, whole.token_ids, strict=True)
    ]

    def one_by_one() -> None:
        for part in cut:
            forward_backward(parts, part, (0,), 0.5, train)

    def cached() -> None:
        forward_backward(parts, whole, (0,), 0.5, train)

    forward_backward(parts, cut[0], (0,), 0.5, train)
    seconds = np.array([[_time(parts, one_by_one), _time(parts, cached)] for _ in range(repeat)])
    ratios = seconds[:, 1] / seconds[:, 0]
    return {
        "plain_ms": 1e3 * statistics.median(seconds[:, 0]) / batch,
        "cached_ms": 1e3 * statistics.median(seconds[:, 1]) / batch,
        "ratio": statistics.median(ratios),
        "range": [float(ratios.min()), float(ratios.max())],
    }


def _peak_elsewhere(args: argparse.Namespace, batch: int) -> dict[str, float]:
    """In a process of its own: a peak never goes down again."""
    command = [sys.executable, "-m", "benchmarks.grad_cache", "--peak-of", str(batch)]
    for name in ("model", "micro", "precision", "device"):
        command += [f"--{name}", str(getattr(args, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _peak(size: str, batch: int, micro: int, precision: str) -> dict[str, float]:
    parts, train, student = _parts(size, batch, micro, precision)
    small = _batch(student, 2, 2, parts.engine.device)
    forward_backward(parts, small, (0,), 0.5, train)  # gradients are there, code is loaded
    inputs = _batch(student, batch, micro, parts.engine.device)
    pixels = inputs.pixels.nbytes / _MB
    before = _resident(parts, "VmRSS") - pixels
    seconds = _time(parts, lambda: forward_backward(parts, inputs, (0,), 0.5, train))
    peak = _resident(parts, "VmHWM")
    rest = peak - before - pixels
    return {
        "batch": batch,
        "peak_mb": peak,
        "before_mb": before,
        "pixels_mb": pixels,
        "rest_mb": rest,
        "seconds": seconds,
    }


def _resident(parts: Learner, name: str) -> float:
    """MB held now (``VmRSS``) or at most so far (``VmHWM``), on the GPU where there is one."""
    if parts.engine.device.type == "cuda":
        now, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
        return (now if name == "VmRSS" else peak) / _MB
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / _MB


def _parts(size: str, batch: int, micro: int, precision: str) -> tuple[Learner, TrainSettings, LongClip]:
    """What a step changes, with a full queue."""
    train = TrainSettings.model_validate(
        {"batch_size": batch, "micro_batch": micro, "precision": precision, "same_caption_is_same": False}
    )
    student = model_of(size)
    parts = assemble(start_engine(train), student, train)
    features = functional.normalize(torch.randn(2, train.queue_size, student.dim), dim=-1)
    parts.queue.push(features[0], features[1], torch.arange(train.queue_size)[:, None] + batch)
    return parts, train, student


def _batch(student: LongClip, count: int, micro: int, device: torch.device) -> Batch:
    """Random pictures, and texts as long as captions are: 85 tokens, give or take 25.

    Lengths repeat from one micro-batch to the next, so that the peak is the same wherever it is reached.
    """
    rng = np.random.default_rng(0)
    side = student.image_size
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8))
    lengths = np.resize(rng.normal(85, 25, micro).clip(20, student.context).astype(int), count)
    tokenizer = cast(Any, student.tokenizer)
    rows = micro_batches(count, micro)
    token_ids = []
    for part in rows:
        ids = np.full((part.stop - part.start, int(lengths[part].max())), tokenizer.eos_token_id)
        for row, length in zip(ids, lengths[part], strict=True):
            row[0] = tokenizer.bos_token_id
            row[1 : length - 1] = rng.integers(1, tokenizer.bos_token_id, length - 2)
        token_ids.append(torch.from_numpy(ids))
    return Batch(pixels, token_ids, torch.arange(count, device=device)[:, None], rows)


def _time(parts: Learner, work: Callable[[], object]) -> float:
    _finish(parts)
    start = time.perf_counter()
    work()
    _finish(parts)
    return time.perf_counter() - start


def _finish(parts: Learner) -> None:
    if parts.engine.device.type == "cuda":
        torch.cuda.synchronize()


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks grad_cache", description=__doc__)
    parser.add_argument("--model", choices=SIZES, default="b16")
    parser.add_argument("--batch", type=int, default=128, help="pairs of the batch that is timed")
    parser.add_argument("--micro", type=int, default=16)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--repeat", type=int, default=5, help="rounds timed; 0 for none")
    parser.add_argument("--memory", type=int, nargs="*", default=[64, 1024], metavar="B")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
