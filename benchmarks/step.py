"""What a pre-training step costs, beside the way the field's published code takes it.

    python -m benchmarks step [--model b16] [--batch 16] [--steps 5] [--no-fp32] [--variants] [--json FILE]

Both start from the same weights and a full queue, and see the same batches in the same order: captions of
120 ± 30 tokens, 248 positions, momentum teacher, queues of 4096, bf16. They alternate, step by step, the
first of which warms up; medians, and the median and range of the ratios. How far the losses differ is said
in the same run. The matrix-product peak is measured in between. ``--no-fp32`` leaves out the plain step in
fp32; ``--variants`` adds the plain step's attention unfused, and ours with half of the patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.harness import clock, clocks, facts, options, ratio, timed, write
from benchmarks.models import QUEUE, SIZES, made_up_data, model_of, random_queue
from benchmarks.plain_step import plain_step
from urbanln.base.config import TrainSettings
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_device
from urbanln.train import step as step_module
from urbanln.train.pairs import Plan
from urbanln.train.step import Data, assemble, make_schedule, start_engine, train_step

LR, MU = 1e-6, 0.5
_PRECISION, _TOKENS = "bf16", 120


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print; with ``--json`` also write the named figures."""
    asked = options(__doc__, argv, model=SIZES, batch=16, steps=5, no_fp32=False, variants=False, json=None)
    found = measure(asked.model, asked.batch, asked.steps, fp32=not asked.no_fp32, variants=asked.variants)
    for name, value in found.items():
        print(f"{name:<28} {value:.4g}" if isinstance(value, float) else f"{name:<28} {value}")
    write(asked.json, found)


def measure(size: str, batch: int, steps: int, *, fp32: bool, variants: bool) -> dict[str, Any]:
    """All figures of one run, times in milliseconds per pair."""
    model = model_of(size)
    count = batch * (steps + 1)
    data = made_up_data(model, count, _TOKENS)
    chosen = (model, data, random_queue(model.dim), np.arange(count), batch)
    takers = {"plain": plain_taker(*chosen, _PRECISION)}
    if fp32:
        takers["plain_fp32"] = plain_taker(*chosen, "fp32")
    if variants:
        takers["plain_eager"] = plain_taker(*chosen, _PRECISION, attention="eager")
        takers["half_patches"] = OurStep(*chosen, _PRECISION, patch_dropout=0.5).take
    ours = OurStep(*chosen, _PRECISION)
    takers["ours"] = ours.take
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in takers}
    peaks = []
    for i in range(steps + 1):
        for name, take in takers.items():
            taken[name].append(timed(take, i))
        peaks.append(matrix_product_rate(ours.device))
    per_pair = {name: [1e3 * s / batch for s, _ in found[1:]] for name, found in taken.items()}
    losses = {name: [loss for _, loss in found] for name, found in taken.items()}
    lengths = [len(row) for row in data.texts.rows]
    return {
        "model": size,
        "batch": batch,
        "steps": steps,
        "precision": _PRECISION,
        "mean_tokens": float(np.mean(lengths)),
        "device": facts()["machine"],
        **facts(),
        **_ratios(per_pair),
        **_shares(model, lengths, float(np.median(per_pair["ours"])), max(peaks)),
        "largest_loss_difference": float(np.abs(np.subtract(losses["ours"], losses["plain"])).max()),
        "first_loss": losses["plain"][0],
        "last_loss": losses["plain"][-1],
        "where_time_goes_ms_per_pair": ours.where_time_goes(),
    }


def _ratios(per_pair: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{name}_ms_per_pair": float(np.median(times)) for name, times in per_pair.items()
    }
    for name, times in per_pair.items():
        if name != "ours":
            beside = ratio(per_pair["ours"], times)
            found |= {f"ours_to_{name}": beside["ratio"], f"ours_to_{name}_range": beside["range"]}
    return found


def _shares(model: LongClip, lengths: list[int], ms_per_pair: float, peak: float) -> dict[str, float]:
    """Arithmetic of the real tokens, student forward × 3 and teacher forward × 1, over the measured peak.

    ``peak_share`` counts what is needed: of the last layer the one token that is read. With the whole of it,
    as a plain forward pass computes it, it is ``peak_share_whole_forward``.
    """
    needed, whole = (4 * forward_flops(model, lengths, whole=whole) for whole in (False, True))
    most = peak * ms_per_pair / 1e3
    return {"peak_gflops": peak / 1e9, "peak_share": needed / most, "peak_share_whole_forward": whole / most}


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
    device = pick_device()
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    model, on_device = model.to(device), (queue[0].to(device), queue[1].to(device))
    step = plain_step(model.clip, on_device, lr=lr, mu=MU, dtype=dtype, attention=attention)
    # The batches lie ready, as a loader's would.
    batches = [(data.pictures.pixels(part), data.texts.ids(part)) for part in order.reshape(-1, batch)]

    def take(i: int) -> float:
        pixels, ids = batches[i]
        padded = functional.pad(ids, (0, model.context - ids.shape[1]), value=model.tokenizer.eos_token_id)
        image = (pixels.to(device).float() / 255 - model.pixel_mean) / model.pixel_std
        return step(image, padded.to(device), i * batch % QUEUE)

    return take


class OurStep:
    """The real ``train_step`` on made-up pairs in this order; trains a copy, or with ``own`` the model."""

    def __init__(
        self,
        model: LongClip,
        data: Data,
        queue: tuple[Tensor, Tensor],
        order: np.ndarray,
        batch: int,
        precision: str,
        own: bool = False,
        **train: Any,
    ) -> None:
        chosen = {
            "lr": LR,
            "mu": MU,
            "mu_ramp_epochs": 0,
            "warmup_steps": 0,
            "queue_size": QUEUE,
            "epochs": 1,
        }
        self.train = TrainSettings(**{**chosen, "batch_size": batch, "precision": precision, **train})
        self.data, self.batch = data, batch
        self.schedule = replace(make_schedule(len(order), 1, self.train), total=10**9)  # lr stays
        engine = start_engine(self.train)
        self.device = engine.device
        # A copy shares the tokenizer.
        student = model if own else deepcopy(model, {id(model.tokenizer): model.tokenizer})
        self.parts = assemble(engine, student, self.train)
        marks = torch.arange(QUEUE, device=self.device)[:, None].expand(-1, 2) + 10**6
        self.parts.queue.push(*(part.to(self.device) for part in queue), marks)
        self.plan = Plan(order, order, np.zeros(len(order), dtype=bool), order)

    def take(self, i: int) -> float:
        """Our step on batch i; ALBEF's loss of it."""
        facts = train_step(self.parts, self.data, self.plan, i, i, self.schedule, self.train)
        return facts["loss"] + MU * facts["H_teacher"]

    def where_time_goes(self) -> dict[str, float]:
        """Milliseconds per pair of each part of one more step; what is left is the rest of it."""
        spent: dict[str, float] = {}
        parts, engine = self.parts, self.parts.engine
        towers = clock(spent, "student forward")(parts.towers)
        watched = [
            (step_module, "_read", "data"),
            (parts.teacher, "update", "moving the teacher"),
            (parts.teacher.model, "forward", "teacher forward"),
            (step_module, "distilled_contrastive_loss", "loss"),
            (engine, "backward", "backward"),
            (engine, "clip_grad_norm_", "clipping"),
            (parts.optimizer, "step", "optimiser"),
        ]
        step = (replace(parts, towers=towers), self.data, self.plan, 0, 0, self.schedule, self.train)
        with clocks(spent, watched):
            whole = timed(train_step, *step)[0]
        spent["rest"] = whole - sum(spent.values())
        return {name: round(1e3 * seconds / self.batch, 3) for name, seconds in spent.items()}


def matrix_product_rate(device: torch.device) -> float:
    """The best rate of a matrix product in bf16, operations per second: large ones, and those of ViT-B/16."""
    edge = 8192 if device.type == "cuda" else 2048
    best = 0.0
    for m, k, n in ((edge, edge, edge), (3152, 768, 3072), (3152, 3072, 768)):
        a, b = (torch.randn(shape, dtype=torch.bfloat16, device=device) for shape in ((m, k), (n, k)))
        fastest = min(timed(functional.linear, a, b)[0] for _ in range(4))
        best = max(best, 2 * m * k * n / fastest)
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
    tokens, token = np.array(lengths, dtype=float), 2 * (4 * width**2 + 2 * width * inner)
    layer = tokens * token + 4 * tokens**2 * width / (2 if causal else 1)
    last = tokens * 4 * width**2 + token - 4 * width**2 + 4 * tokens * width
    return float(np.mean((layers - 1) * layer + (layer if whole else last)))
