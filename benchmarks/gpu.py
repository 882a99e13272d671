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

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import embed
from benchmarks.models import model_of
from benchmarks.plain_step import PlainStep
from benchmarks.step import LR, MU, OurStep, forward_flops, made_up_data, matrix_product_rate, random_queue
from urbanln.base.config import TrainSettings
from urbanln.base.errors import UrbanLNError
from urbanln.embed.stream import Job
from urbanln.model import clip as clip_module
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device
from urbanln.model.towers import image_features
from urbanln.train.batches import Pictures
from urbanln.train.step import Data

GOALS = {"training": 0.45, "embedding": 0.60}
_MEAN_TOKENS = 120
_FULL = 10**6  # a mean far over the model's length: every caption is cut to it
_PLAIN, _OURS = "plain step", "ours"
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu-trial", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    device = pick_device()
    if device.type != "cuda" and not args.cpu_trial:
        print("there is no CUDA GPU here, and this benchmark measures nothing else", file=sys.stderr)
        raise SystemExit(2)
    found = measure(_TRIAL if args.cpu_trial else Sizes(), device)
    print(_table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    apart = [d for row in found["rows"] if not (d := row.get("loss_difference", 0.0)) <= _TOLERANCE]  # or NaN
    if apart:
        print(f"ways that should be one differ in their losses: by {apart}", file=sys.stderr)
        raise SystemExit(1)


def measure(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """All rows, the device and the peak of a matrix product that shares refer to."""
    start = time.perf_counter()
    model = model_of(sizes.model).to(device)
    rates = [matrix_product_rate(device, torch.bfloat16)]
    rows: list[dict[str, Any]] = []
    bench = Training(model, sizes, device)
    for case in sizes.cases():
        late = time.perf_counter() - start > sizes.most_seconds
        taken = {"failed": "no time left"} if late else _guarded(partial(bench.take, case))
        rows.append(_told(case) | taken)
        _say(rows[-1])
    del bench
    _compare_losses(rows)
    rates.append(matrix_product_rate(device, torch.bfloat16))
    with tempfile.TemporaryDirectory() as folder:
        late = time.perf_counter() - start > sizes.most_seconds
        rows += _embedding(model, Path(folder), sizes, device, compiled=not late)
    rates.append(matrix_product_rate(device, torch.bfloat16))
    for row in rows:
        if "flops_per_s" in row:
            row["peak_share"] = row["flops_per_s"] / max(rates)
    return {
        "device": embed.machine(device),
        "model": sizes.model,
        "torch": torch.__version__,
        "peak_tflops": max(rates) / 1e12,
        "rows": rows,
        "seconds": time.perf_counter() - start,
    }


def _guarded(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` found, or why it could not: one case that does not fit must not lose the others."""
    try:
        return work()
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}
    except (RuntimeError, UrbanLNError) as error:  # of a compiler, of libraries out of memory, a loss of NaN
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    finally:
        _free()


def _free() -> None:
    """The last case's memory, before the next one is measured."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


class Training:
    """Takes the cases of training, all on the same pairs.

    Args:
        model: Whose weights every case starts from, on the device.
        sizes: Batches and steps.
        device: Where to.
    """

    def __init__(self, model: LongClip, sizes: Sizes, device: torch.device) -> None:
        self.model, self.sizes, self.device = model, sizes, device
        self.count = 2 * sizes.large
        self.queue = random_queue(model.dim)
        self.data = {full: self._data(_FULL if full else _MEAN_TOKENS) for full in (False, True)}

    def _data(self, tokens: int) -> Data:
        """Made-up pairs whose pictures are fetched ahead by threads, as a run fetches them."""
        data = made_up_data(self.model, self.count, tokens)
        pixels = data.pictures.pixels(np.arange(self.count)).numpy()
        settings = TrainSettings(workers=self.sizes.workers)
        return replace(data, pictures=Pictures([], self.model, settings, pixels))  # type: ignore[arg-type]

    def take(self, case: Case) -> dict[str, Any]:
        """Milliseconds and memory of a case's steps, and where the time of one goes."""
        order = np.resize(np.arange(self.count), case.batch * (self.sizes.steps + self.sizes.warm_up))
        data = self.data[case.full]
        _forget_peak(self.device)
        ours = None
        if case.plain:
            step = self._plain(data, order, case.batch)
        else:
            chosen = (self.model, data, self.queue, order, case.batch, "bf16")
            ours = OurStep(*chosen, micro_batch=case.micro)
            step = ours.take
        with _compiled(self.sizes.backend) if case.compiled else nullcontext():
            taken = [self._timed(step, i) for i in range(self.sizes.steps + self.sizes.warm_up)]
            memory = _peak_gb(self.device)
            parts = ours.where_time_goes() if ours else None
        seconds, losses = zip(*taken, strict=True)
        typical = statistics.median(seconds[self.sizes.warm_up :])
        lengths = [len(data.texts.rows[i]) for i in order[self.sizes.warm_up * case.batch :]]
        flops = 4 * forward_flops(self.model, lengths, whole=False)  # student forward × 3, teacher forward
        return {
            "ms": 1e3 * typical,
            "per_s": case.batch / typical,
            "first_step_s": seconds[0],
            "mean_tokens": statistics.mean(lengths),
            "flops_per_s": flops * case.batch / typical,
            "memory_gb": memory,
            "losses": losses,
            "where_time_goes_ms_per_pair": parts,
        }

    def _plain(self, data: Data, order: np.ndarray, batch: int) -> Callable[[int], float]:
        """The plain step; its batches lie ready, as a loader's would."""
        image, text = (part.to(self.device) for part in self.queue)
        plain = PlainStep(self.model, (image, text), lr=LR, mu=MU, dtype=torch.bfloat16)
        parts = order.reshape(-1, batch)
        batches = [(data.pictures.pixels(part), data.texts.ids(part)) for part in parts]
        return lambda i: plain.step(*batches[i])

    def _timed(self, step: Callable[[int], float], i: int) -> tuple[float, float]:
        """Seconds and loss."""
        _wait(self.device)
        start = time.perf_counter()
        loss = step(i)
        _wait(self.device)
        return time.perf_counter() - start, loss


def _compare_losses(rows: Sequence[dict[str, Any]]) -> None:
    """Note how far each way's losses are from those of the first one on the same pairs."""
    first: dict[tuple[int, str], Sequence[float]] = {}
    for row in rows:
        if "losses" in row:
            expected = first.setdefault((row["batch"], row["tokens"]), row["losses"])
            row["loss_difference"] = max(abs(a - b) for a, b in zip(row["losses"], expected, strict=True))


def _told(case: Case) -> dict[str, Any]:
    return {
        "what": "training",
        "way": _PLAIN if case.plain else _OURS,
        "batch": case.batch,
        "micro_batch": case.micro,
        "tokens": "all 248" if case.full else f"{_MEAN_TOKENS} on average",
        "compiled": case.compiled,
    }


@contextmanager
def _compiled(backend: str) -> Iterator[None]:
    """The vision tower compiled, for every model."""
    fast = torch.compile(image_features, dynamic=False, backend=backend)
    with mock.patch.object(clip_module, "image_features", fast):
        yield


def _embedding(
    model: LongClip, folder: Path, sizes: Sizes, device: torch.device, *, compiled: bool
) -> list[dict[str, Any]]:
    """The image encoder alone on pixels on the device, plain and, if wanted, compiled; from JPEG files."""
    city = embed.tiles(folder / "city", sizes.images)
    paths = list(city.images["path"])
    job = Job(model, city, paths, "crop", False, sizes.small, "bf16", sizes.workers)
    pixels = torch.stack([model.preprocess(Image.open(city.folder / path)) for path in paths]).to(device)
    rows = []
    for fast in (False, True) if compiled else (False,):
        way = {"what": "embedding", "way": "encoder alone", "batch": sizes.small, "compiled": fast}
        with _compiled(sizes.backend) if fast else nullcontext():
            rows.append(way | _guarded(partial(_alone, job, pixels, sizes, device)))
        _say(rows[-1])
    args = argparse.Namespace(batch=sizes.small, workers=sizes.workers, repeat=sizes.steps, size=sizes.model)
    way = {"what": "embedding", "way": "from JPEG files", "batch": sizes.small, "compiled": False}
    rows.append(way | _guarded(partial(_from_files, model, city, args)))
    _say(rows[-1])
    return rows


def _alone(job: Job, pixels: Tensor, sizes: Sizes, device: torch.device) -> dict[str, Any]:
    _forget_peak(device)
    seconds = []
    for _ in range(sizes.steps + sizes.warm_up):
        start = time.perf_counter()
        embed.encoder_alone(job, pixels)  # fetches the vectors, so it ends when the device has ended
        seconds.append(time.perf_counter() - start)
    typical = statistics.median(seconds[sizes.warm_up :]) / len(pixels)
    model = job.encoder
    # A text without tokens leaves the pictures' share, but for 0.02 % of it.
    flops = forward_flops(model, [0], whole=False)  # type: ignore[arg-type]
    return {
        "ms": 1e3 * typical * job.batch_size,
        "per_s": 1 / typical,
        "flops_per_s": flops / typical,
        "memory_gb": _peak_gb(device),
    }


def _from_files(model: LongClip, city: Any, args: argparse.Namespace) -> dict[str, Any]:
    found = embed.measure(model, city, args, "bf16")
    return {
        "ms": 1e3 * args.batch / found["images_per_s"],
        "per_s": found["images_per_s"],
        "of_encoder": found["ratio"],
        "of_encoder_range": found["range"],
        "workers": args.workers,
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak_gb(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None


def _say(row: dict[str, Any]) -> None:
    told = row.get("failed") or f"{row['ms']:.1f} ms"
    print(f"{row['what']}, {row['way']}, batch {row['batch']}: {told}", file=sys.stderr, flush=True)


def _table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['device']}, torch {found['torch']}, {found['model']}, bf16; peak of a matrix product "
        f"{found['peak_tflops']:.3g} TFLOP/s; {found['seconds']:.0f} s in all\n",
        "| what | batch | micro | tokens | compiled | ms | pairs or pictures/s | of the peak | GB | Δ loss |",
        "|---|---:|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        compiled = "vision tower" if row["compiled"] else "no"
        head = f"| {row['what']}: {row['way']} | {row['batch']:,} | {row.get('micro_batch') or '–'} "
        head += f"| {row.get('tokens', '–')} | {compiled} "
        lines.append(head + (f"| {row['failed']} | – | – | – | – |" if "failed" in row else _numbers(row)))
    return "\n".join([*lines, "", *_goals(found["rows"])])


def _numbers(row: dict[str, Any]) -> str:
    share, memory = row.get("peak_share"), row.get("memory_gb")
    told = f"| {row['ms']:.1f} | {row['per_s']:,.0f} | {'–' if share is None else f'{share:.0%}'} "
    told += f"| {'–' if memory is None else f'{memory:.1f}'} "
    return told + (f"| {row['loss_difference']:.1g} |" if "loss_difference" in row else "| – |")


def _goals(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for what, goal in GOALS.items():
        own = [row for row in rows if row["what"] == what and row["way"] != _PLAIN]
        shares = [row["peak_share"] for row in own if "peak_share" in row]
        if shares:
            lines.append(f"{what}: at best {max(shares):.0%} of the peak; goal {goal:.0%}")
    files = next((row for row in rows if "of_encoder" in row), None)
    if files:
        told = f"{files['workers']} threads: {files['of_encoder']:.2f} of the encoder alone; goal 0.9"
        lines.append(f"from JPEG files with {told}")
    return lines
