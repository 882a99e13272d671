"""What a pre-training step costs, beside the way the field's published code takes it.

    python -m benchmarks step [--model b16] [--batch 16] [--steps 5] [--precision bf16] [--device auto]
        [--variants] [--json FILE]

Both start from the same weights and a full queue, and see the same batches in the same order: captions of
120 ± 30 tokens, 248 positions, momentum teacher, queues of 4096. They alternate, step by step; medians, and
the median and range of the ratios. How far the losses differ is said in the same run. The matrix-product
peak is measured in between.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.models import SIZES, model_of
from benchmarks.plain_step import PlainStep
from urbanln.base.config import TrainSettings
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device
from urbanln.train import step as step_module
from urbanln.train.pairs import Plan
from urbanln.train.step import Data, assemble, make_schedule, start_engine, train_step

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
QUEUE = 4096
LR, MU = 1e-6, 0.5


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print; with ``--json`` also write the named figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks step", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", choices=SIZES, default="b16")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each kind, after one to warm up")
    parser.add_argument("--precision", choices=tuple(DTYPES), default="bf16")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument(
        "--tokens", type=int, default=120, help="mean tokens of a caption; spread is a quarter"
    )
    parser.add_argument("--no-fp32", action="store_true", help="leave out the plain step in fp32")
    parser.add_argument(
        "--variants",
        action="store_true",
        help="also the plain step's attention unfused, and half our patches",
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    chosen = (args.model, args.batch, args.steps, args.precision)
    with training_on(args.device):
        found = measure(*chosen, tokens=args.tokens, fp32=not args.no_fp32, variants=args.variants)
    for name, value in found.items():
        print(f"{name:<28} {value:.4g}" if isinstance(value, float) else f"{name:<28} {value}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


@contextmanager
def training_on(device: str) -> Iterator[None]:
    """Training takes the best device it finds; here, where told, the CPU beside a GPU."""
    with mock.patch.object(step_module, "pick_device", partial(pick_device, device)):
        yield


def measure(
    size: str,
    batch: int,
    steps: int,
    precision: str,
    *,
    tokens: int = 120,
    fp32: bool = True,
    variants: bool = False,
) -> dict[str, Any]:
    """All figures of one run, times in milliseconds per pair."""
    model = model_of(size)
    data, queue = made_up_data(model, batch * (steps + 1), tokens), random_queue(model.dim)
    order = np.arange(batch * (steps + 1))
    takers = {"plain": plain_taker(model, data, queue, order, batch, precision)}
    if fp32:
        takers["plain fp32"] = plain_taker(model, data, queue, order, batch, "fp32")
    if variants:
        takers["plain eager"] = plain_taker(model, data, queue, order, batch, precision, attention="eager")
        half = OurStep(model, data, queue, order, batch, precision, patch_dropout=0.5)
        takers["half patches"] = half.take
    ours = OurStep(model, data, queue, order, batch, precision)
    takers["ours"] = ours.take
    seconds: dict[str, list[float]] = {name: [] for name in takers}
    losses: dict[str, list[float]] = {name: [] for name in takers}
    peaks = []
    for i in range(steps + 1):
        for name, take in takers.items():
            start = time.perf_counter()
            losses[name].append(take(i))
            seconds[name].append(time.perf_counter() - start)
        peaks.append(matrix_product_rate(ours.device, DTYPES[precision]))
    per_pair = {name: [1e3 * s / batch for s in times[1:]] for name, times in seconds.items()}
    lengths = [len(row) for row in data.texts.rows]
    return {
        **_facts(ours.device, size, batch, steps, precision, lengths),
        **_ratios(per_pair),
        **_shares(model, lengths, statistics.median(per_pair["ours"]), max(peaks)),
        "largest_loss_difference": max(
            abs(a - b) for a, b in zip(losses["ours"], losses["plain"], strict=True)
        ),
        "first_loss": losses["plain"][0],
        "last_loss": losses["plain"][-1],
        "where_time_goes_ms_per_pair": ours.where_time_goes(),
    }


def _facts(
    device: torch.device, size: str, batch: int, steps: int, precision: str, lengths: list[int]
) -> dict[str, Any]:
    return {
        "model": size,
        "batch": batch,
        "steps": steps,
        "precision": precision,
        "mean_tokens": statistics.mean(lengths),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _ratios(per_pair: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{name.replace(' ', '_')}_ms_per_pair": statistics.median(times) for name, times in per_pair.items()
    }
    for name in per_pair:
        if name != "ours":
            ratios = [a / b for a, b in zip(per_pair["ours"], per_pair[name], strict=True)]
            key = f"ours_to_{name.replace(' ', '_')}"
            found |= {key: statistics.median(ratios), f"{key}_range": [min(ratios), max(ratios)]}
    return found


def _shares(model: LongClip, lengths: list[int], ms_per_pair: float, peak: float) -> dict[str, float]:
    """Arithmetic of the real tokens, student forward × 3 and teacher forward × 1, over the measured peak.

    ``peak_share`` counts what is needed: of the last layer the one token that is read. With the whole of it,
    as a plain forward pass computes it, it is ``peak_share_whole_forward``.
    """
    rate = [4 * forward_flops(model, lengths, whole=whole) / (ms_per_pair / 1e3) for whole in (False, True)]
    return {
        "peak_gflops": peak / 1e9,
        "peak_share": rate[0] / peak,
        "peak_share_whole_forward": rate[1] / peak,
    }


@dataclass
class _Pictures:
    """Pixels in memory, handed out as :class:`urbanln.train.batches.Pictures` does."""

    all: Tensor

    def pixels(self, index: Any) -> Tensor:
        return self.all[torch.as_tensor(index)]

    def prefetch(self, index: Any) -> None:
        pass


@dataclass
class _Texts:
    rows: list[np.ndarray]
    eot: int

    def ids(self, index: Any) -> Tensor:
        rows = [self.rows[int(i)] for i in index]
        out = np.full((len(rows), max(map(len, rows))), self.eot, dtype=np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return torch.from_numpy(out)


class _Pairs:
    @staticmethod
    def ids(picture: Any, text: Any, _same: bool = True) -> np.ndarray:
        return np.stack([picture, text], axis=1)


def made_up_data(model: LongClip, count: int, tokens: int) -> Data:
    """Pairs that all differ: noise for pictures, random words, about as many tokens as long captions have."""
    rng = np.random.default_rng(0)
    bos, eot = model.tokenizer.bos_token_id, model.tokenizer.eos_token_id
    lengths = np.clip(rng.normal(tokens, tokens / 4, count).round().astype(int), 8, model.context)
    words = [rng.integers(0, min(bos, eot), size=n - 2) for n in lengths]
    rows = [np.concatenate([[bos], row, [eot]]).astype(np.int32) for row in words]
    edge = model.image_size
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 3, edge, edge), dtype=np.uint8))
    return Data(_Pairs(), _Pictures(pixels), _Texts(rows, eot), {})  # type: ignore[arg-type]


def random_queue(dim: int) -> tuple[Tensor, Tensor]:
    """A full queue, (K, D) of pictures and of texts: the state that a run spends nearly all its steps in."""
    generator = torch.Generator().manual_seed(3)
    image, text = (torch.randn(QUEUE, dim, generator=generator) for _ in range(2))
    return functional.normalize(image, dim=1), functional.normalize(text, dim=1)


def plain_taker(
    model: LongClip,
    data: Data,
    queue: tuple[Tensor, Tensor],
    order: np.ndarray,
    batch: int,
    precision: str,
    lr: float = LR,
    attention: str = "sdpa",
) -> Callable[[int], float]:
    """Takes the plain step on batch i of the pairs in this order; its loss."""
    device = start_engine(TrainSettings(precision="fp32")).device
    model = model.to(device)
    image, text = (part.to(device) for part in queue)
    plain = PlainStep(model, (image, text), lr=lr, mu=MU, dtype=DTYPES[precision], attention=attention)

    def take(i: int) -> float:
        index = order[i * batch : (i + 1) * batch]
        return plain.step(data.pictures.pixels(index), data.texts.ids(index))

    return take


class OurStep:
    """The real ``train_step`` on made-up pairs, in the order given."""

    def __init__(
        self,
        model: LongClip,
        data: Data,
        queue: tuple[Tensor, Tensor],
        order: np.ndarray,
        batch: int,
        precision: str,
        **train: Any,
    ) -> None:
        chosen = {
            "batch_size": batch,
            "epochs": 1,
            "lr": LR,
            "mu": MU,
            "mu_ramp_epochs": 0,
            "queue_size": QUEUE,
        }
        self.train = TrainSettings(**{**chosen, "precision": precision, "warmup_steps": 0, **train})
        self.data, self.batch = data, batch
        self.schedule = replace(make_schedule(len(order), 1, self.train), total=10**9)  # lr stays
        engine = start_engine(self.train)
        self.device = engine.device
        self.parts = assemble(engine, _copy(model), self.train)
        index = torch.arange(QUEUE)
        self.parts.queue.push(queue[0].to(self.device), queue[1].to(self.device),
                              torch.stack([index, index], dim=1).to(self.device) + 10**6)  # fmt: skip
        self.plan = Plan(order, order, np.zeros(len(order), dtype=bool))

    def take(self, i: int) -> float:
        """Our step on batch i; ALBEF's loss of it."""
        facts = train_step(self.parts, self.data, self.plan, i, i, self.schedule, self.train)
        return facts["loss"] + MU * facts["H_teacher"]

    def where_time_goes(self) -> dict[str, float]:
        """Milliseconds per pair of each part of one more step; what is left is the rest of it."""
        spent: dict[str, float] = {}
        parts, engine = self.parts, self.parts.engine
        timed_parts = replace(parts, towers=_clocked(spent, "student forward", parts.towers, self.device))
        watched = [
            (step_module, "_read", "data"),
            (parts.teacher, "update", "moving the teacher"),
            (parts.teacher.model, "forward", "teacher forward"),
            (step_module, "distilled_contrastive_loss", "loss"),
            (engine, "backward", "backward"),
            (engine, "clip_grad_norm_", "clipping"),
            (parts.optimizer, "step", "optimiser"),
        ]
        with _patched(spent, watched, self.device):
            start = time.perf_counter()
            train_step(timed_parts, self.data, self.plan, 0, 0, self.schedule, self.train)
            _wait(self.device)
            spent["rest"] = time.perf_counter() - start - sum(spent.values())
        return {name: round(1e3 * seconds / self.batch, 3) for name, seconds in spent.items()}


def _copy(model: LongClip) -> LongClip:
    """Another model with the same weights; tokenizer and preprocessing are shared."""
    from copy import deepcopy

    return deepcopy(model, {id(model.tokenizer): model.tokenizer})


def _clocked(spent: dict[str, float], name: str, work: Callable[..., Any], device: torch.device) -> Any:
    def timed(*args: Any, **kwargs: Any) -> Any:
        _wait(device)
        start = time.perf_counter()
        result = work(*args, **kwargs)
        _wait(device)
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
        return result

    return timed


@contextmanager
def _patched(
    spent: dict[str, float], watched: Sequence[tuple[Any, str, str]], device: torch.device
) -> Iterator[None]:
    patches = [
        mock.patch.object(owner, name, _clocked(spent, label, getattr(owner, name), device))
        for owner, name, label in watched
    ]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matrix_product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """The best rate of a matrix product here, operations per second: large ones, and those of ViT-B/16."""
    dtype = torch.bfloat16 if dtype == torch.float32 else dtype
    edge = 8192 if device.type == "cuda" else 2048
    best = 0.0
    for m, k, n in ((edge, edge, edge), (3152, 768, 3072), (3152, 3072, 768)):
        a, b = (torch.randn(shape, dtype=dtype, device=device) for shape in ((m, k), (n, k)))
        for _ in range(4):
            _wait(device)
            start = time.perf_counter()
            functional.linear(a, b)
            _wait(device)
            best = max(best, 2 * m * k * n / (time.perf_counter() - start))
    return best


def forward_flops(model: LongClip, lengths: Sequence[int], *, whole: bool) -> float:
    """Operations (two per multiply-add) of both towers' forward pass, mean per pair, over real tokens.

    Args:
        model: Whose sizes count.
        lengths: Tokens of each text.
        whole: Count all tokens in the last layer too, of which only one is needed.
    """
    vision, text = model.clip.config.vision_config, model.clip.config.text_config
    patches = (vision.image_size // vision.patch_size) ** 2
    image = 2 * patches * 3 * vision.patch_size**2 * vision.hidden_size
    image += _encoder_flops(vision, [patches + 1], causal=False, whole=whole)
    texts = _encoder_flops(text, lengths, causal=True, whole=whole)
    projections = 2 * model.dim * (vision.hidden_size + text.hidden_size)
    return image + texts + projections


def _encoder_flops(config: Any, lengths: Sequence[int], *, causal: bool, whole: bool) -> float:
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    total = 0.0
    for tokens in lengths:
        token = 2 * (4 * width**2 + 2 * width * inner)
        attention = 4 * tokens**2 * width / (2 if causal else 1)
        layer = tokens * token + attention
        last = tokens * 4 * width**2 + token - 4 * width**2 + 4 * tokens * width
        total += (layers - 1) * layer + (layer if whole else last)
    return total / len(lengths)
