"""Pre-training and embedding with ViT-B/16 on a CUDA GPU, in under eight minutes.

    python -m benchmarks gpu [--json FILE]

Training steps in bf16 with batches of 256 and 1,024, captions of 120 tokens on average and all of 248, whole
and in micro-batches, with ``torch.compile`` and without, beside the plain step; then the image encoder alone
and embedding from JPEG files. ``of the peak`` is the arithmetic that is needed (real tokens; student forward
three times, teacher once) over the best rate of a matrix product measured in the same run.

Compiled is the vision tower, of student and teacher: its shapes never change. The text tower packs the real
tokens of a batch, another number in each, and stays as it is. Every case starts from the same weights and a
full queue; what does not fit into memory is a row that says so. Ways on the same pairs must find the same
losses: the largest difference to the first such row stands in the table, and beyond 0.02 the exit code is 1.
Without a GPU it is 2.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks import embed
from benchmarks.harness import facts, markdown, options, timed, turns, write
from benchmarks.models import made_up_data, model_of, random_queue
from benchmarks.step import OurStep, forward_flops, matrix_product_rate, plain_taker
from urbanln.base.errors import UrbanLNError
from urbanln.city.store import City
from urbanln.embed.stream import Job
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device
from urbanln.model.families import clip as clip_module
from urbanln.model.towers import image_features

GOALS = {"training": 0.45, "embedding": 0.60}
_MEAN_TOKENS = 120
_FULL = 10**6  # a mean far over the model's length: every caption is cut to it
_PLAIN = "plain step"
_NUMBERS = {"per_s": ",.0f", "peak_share": ".0%", "memory_gb": ".1f", "loss_difference": ".1g"}
# bf16 moves a loss of about 8 by a thousandth; a step that computes something else by more than this.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Case:
    """A way to take training steps. ``micro`` 0 takes the batch in one piece."""

    batch: int
    full: bool = False
    micro: int = 0
    compiled: bool = False
    plain: bool = False

    def told(self) -> dict[str, Any]:
        """What a row says of it."""
        return {
            "what": "training",
            "way": _PLAIN if self.plain else "ours",
            "batch": self.batch,
            "micro_batch": self.micro,
            "tokens": "all 248" if self.full else f"{_MEAN_TOKENS} on average",
            "compiled": self.compiled,
        }


@dataclass(frozen=True)
class Sizes:
    """How large everything is: as it is meant, or to try the script without a GPU."""

    model: str = "b16"
    small: int = 256
    large: int = 1024
    steps: int = 5
    warm_up: int = 2
    images: int = 4096
    workers: int = 16
    backend: str = "inductor"
    most_seconds: float = 400.0

    def cases(self) -> list[Case]:
        """The cases of training, those that matter most first."""
        small, large = self.small, self.large
        return [
            Case(small, plain=True),
            Case(small),
            Case(small, full=True),
            Case(large, micro=small),
            Case(large),
            Case(small, compiled=True),
            Case(small, full=True, compiled=True),
            Case(large, micro=small, compiled=True),  # the same shapes: nothing new to compile
            Case(large, full=True, micro=small),
            Case(large, full=True),
        ]


_TRIAL = Sizes("tiny", small=2, large=4, steps=1, warm_up=1, images=4, workers=2, backend="eager")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print a table; with ``--json`` also write the rows."""
    asked = options(__doc__, argv, json=None, cpu_trial=False)
    device = pick_device()
    if device.type != "cuda" and not asked.cpu_trial:
        print("there is no CUDA GPU here, and this benchmark measures nothing else", file=sys.stderr)
        raise SystemExit(2)
    found = measure(_TRIAL if asked.cpu_trial else Sizes(), device)
    print(_table(found))
    write(asked.json, found)
    apart = [d for row in found["rows"] if not (d := row.get("loss_difference", 0.0)) <= _TOLERANCE]  # or NaN
    if apart:
        print(f"ways that should be one differ in their losses: by {apart}", file=sys.stderr)
        raise SystemExit(1)


def measure(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """All rows, the device and the peak of a matrix product that shares refer to."""
    start = time.perf_counter()
    model = model_of(sizes.model).to(device)
    rates = [matrix_product_rate(device)]
    rows: list[dict[str, Any]] = []
    bench = Training(model, sizes)
    for case in sizes.cases():
        if time.perf_counter() - start > sizes.most_seconds:
            rows.append(case.told() | {"failed": "no time left"})
        else:
            rows.append(_row(case.told(), partial(bench.take, case)))
    del bench
    _compare_losses(rows)
    rates.append(matrix_product_rate(device))
    late = time.perf_counter() - start > sizes.most_seconds
    rows += _embedding(model, sizes, compiled=not late)
    rates.append(matrix_product_rate(device))
    for row in rows:
        if "flops_per_s" in row:
            row["peak_share"] = row["flops_per_s"] / max(rates)
    return {
        "device": facts()["machine"],
        "model": sizes.model,
        "torch": torch.__version__,
        "peak_tflops": max(rates) / 1e12,
        "rows": rows,
        "seconds": time.perf_counter() - start,
    }


def _row(told: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` found, or why it could not: one case that does not fit must not lose the others."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        found = work()
    except torch.OutOfMemoryError:
        found = {"failed": "out of memory"}
    except (RuntimeError, UrbanLNError) as error:  # of a compiler, of libraries out of memory, a loss of NaN
        found = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    if torch.cuda.is_available():  # the case's memory is free before the next one is measured
        gc.collect()
        torch.cuda.empty_cache()
    said = found.get("failed") or f"{found['ms']:.1f} ms"
    print(f"{told['what']}, {told['way']}, batch {told['batch']}: {said}", file=sys.stderr, flush=True)
    return told | found


class Training:
    """Takes the cases of training, all on the same pairs.

    Args:
        model: Whose weights every case starts from, on the device.
        sizes: Batches and steps.
    """

    def __init__(self, model: LongClip, sizes: Sizes) -> None:
        self.model, self.sizes = model, sizes
        self.count = 2 * sizes.large
        self.queue = random_queue(model.dim)
        self.data = {
            full: made_up_data(model, self.count, tokens, workers=sizes.workers)
            for full, tokens in ((False, _MEAN_TOKENS), (True, _FULL))
        }

    def take(self, case: Case) -> dict[str, Any]:
        """Milliseconds and memory of a case's steps, and where the time of one goes."""
        steps, warm_up = self.sizes.steps, self.sizes.warm_up
        order = np.resize(np.arange(self.count), case.batch * (steps + warm_up))
        data = self.data[case.full]
        chosen = (self.model, data, self.queue, order, case.batch, "bf16")
        ours = None if case.plain else OurStep(*chosen, micro_batch=case.micro)
        step = ours.take if ours else plain_taker(*chosen)
        with _compiled(self.sizes.backend, case.compiled):
            taken = [timed(step, i) for i in range(steps + warm_up)]
            memory = _peak_gb()
            parts = ours.where_time_goes() if ours else None
        seconds, losses = zip(*taken, strict=True)
        typical = float(np.median(seconds[warm_up:]))
        lengths = [len(data.texts.rows[i]) for i in order[warm_up * case.batch :]]
        flops = 4 * forward_flops(self.model, lengths, whole=False)  # student forward × 3, teacher forward
        return {
            "ms": 1e3 * typical,
            "per_s": case.batch / typical,
            "first_step_s": seconds[0],
            "mean_tokens": float(np.mean(lengths)),
            "flops_per_s": flops * case.batch / typical,
            "memory_gb": memory,
            "losses": losses,
            "where_time_goes_ms_per_pair": parts,
        }


def _compare_losses(rows: Sequence[dict[str, Any]]) -> None:
    """Note how far each way's losses are from those of the first one on the same pairs."""
    first: dict[tuple[int, str], Sequence[float]] = {}
    for row in rows:
        if "losses" in row:
            expected = first.setdefault((row["batch"], row["tokens"]), row["losses"])
            row["loss_difference"] = max(abs(a - b) for a, b in zip(row["losses"], expected, strict=True))


@contextmanager
def _compiled(backend: str, wanted: bool) -> Iterator[None]:
    """The vision tower compiled, for every model, where that is wanted."""
    fast = torch.compile(image_features, dynamic=False, backend=backend) if wanted else image_features
    with mock.patch.object(clip_module, "image_features", fast):
        yield


def _embedding(model: LongClip, sizes: Sizes, *, compiled: bool) -> list[dict[str, Any]]:
    """The image encoder alone on pixels on the device, plain and, if wanted, compiled; from JPEG files."""
    told = {"what": "embedding", "way": "encoder alone", "batch": sizes.small, "compiled": False}
    with tempfile.TemporaryDirectory() as folder:
        city = embed.row_of_tiles(Path(folder) / "city", sizes.images)
        job, pixels = embed.job_of(model, city, sizes.small, sizes.workers)
        rows = []
        for fast in (False, True) if compiled else (False,):
            with _compiled(sizes.backend, fast):
                rows.append(_row(told | {"compiled": fast}, partial(_alone, job, pixels, sizes)))
        rows.append(_row(told | {"way": "from JPEG files"}, partial(_from_files, model, city, sizes)))
    return rows


def _alone(job: Job, pixels: Tensor, sizes: Sizes) -> dict[str, Any]:
    # It fetches the vectors, so it ends when the device has ended.
    seconds, _ = turns(sizes.steps, partial(embed.encoder_alone, job, pixels), warm_up=sizes.warm_up)
    typical = float(np.median(seconds)) / len(pixels)
    # A text without tokens leaves the pictures' share, but for 0.02 % of it.
    flops = forward_flops(job.encoder, [0], whole=False)  # type: ignore[arg-type]
    return {
        "ms": 1e3 * typical * job.batch_size,
        "per_s": 1 / typical,
        "flops_per_s": flops / typical,
        "memory_gb": _peak_gb(),
    }


def _from_files(model: LongClip, city: City, sizes: Sizes) -> dict[str, Any]:
    found = embed.measure(model, city, sizes.small, sizes.steps, sizes.workers)
    return {
        "ms": 1e3 * sizes.small / found["images_per_s"],
        "per_s": found["images_per_s"],
        "of_encoder": found["ratio"],
        "of_encoder_range": found["range"],
        "workers": sizes.workers,
    }


def _peak_gb() -> float | None:
    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None


def _table(found: dict[str, Any]) -> str:
    head = [
        "what",
        "batch",
        "micro",
        "tokens",
        "compiled",
        "ms",
        "pairs or pictures/s",
        "of the peak",
        "GB",
        "Δ loss",
    ]
    rows = [
        [
            f"{row['what']}: {row['way']}",
            f"{row['batch']:,}",
            f"{row.get('micro_batch') or '–'}",
            row.get("tokens", "–"),
            "vision tower" if row["compiled"] else "no",
            row.get("failed") or f"{row['ms']:.1f}",
            *(_told(row, key, how) for key, how in _NUMBERS.items()),
        ]
        for row in found["rows"]
    ]
    return (
        f"{found['device']}, torch {found['torch']}, {found['model']}, bf16; peak of a matrix product "
        f"{found['peak_tflops']:.3g} TFLOP/s; {found['seconds']:.0f} s in all\n\n"
        + "\n".join([markdown(head, rows), *_goals(found["rows"])])
    )


def _told(row: dict[str, Any], key: str, how: str) -> str:
    return "–" if row.get(key) is None else f"{row[key]:{how}}"


def _goals(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for what, goal in GOALS.items():
        own = [row for row in rows if row["what"] == what and row["way"] != _PLAIN]
        shares = [row["peak_share"] for row in own if "peak_share" in row]
        lines += [
            f"{what}: at best {share:.0%} of the peak; goal {goal:.0%}" for share in sorted(shares)[-1:]
        ]
    return lines + [
        f"from JPEG files with {row['workers']} threads: {row['of_encoder']:.2f} of the encoder alone; "
        "goal 0.9"
        for row in rows
        if "of_encoder" in row
    ]
