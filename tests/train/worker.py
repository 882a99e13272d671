"""Training runs in a process of their own: ``python -m tests.train.worker CITY CLIP JSON``.

JSON maps each run folder to its settings of the section ``train``. Also writes what cannot be seen from
outside, the first gradient and the last queue of each process, into ``<run folder>-seen``. With ``"stop_at"``
among the settings, the last process is told to stop in that step, and all of them go on afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from tests.train.fake_city import tiny_settings

from urbanln.base.stopping import StopRequested
from urbanln.city.store import City
from urbanln.train import loop
from urbanln.train.step import Learner, assemble


def train_and_look(city: City, clip: Path, out: Path, train: dict[str, Any]) -> None:
    """Train and write ``grad-<rank>.safetensors`` and ``queue-<rank>.safetensors``."""
    seen = Path(f"{out}-seen")
    seen.mkdir(exist_ok=True)
    parts: list[Learner] = []
    grads: dict[str, torch.Tensor] = {}
    clip_norm = Accelerator.clip_grad_norm_

    def keep_parts(*args: Any) -> Learner:
        parts.append(assemble(*args))
        return parts[0]

    def keep_grads(self: Accelerator, *args: Any) -> Any:
        if not grads:
            for name, p in parts[0].student.named_parameters():
                if p.grad is not None:
                    grads[name] = p.grad.clone()
        return clip_norm(self, *args)

    loop.assemble, Accelerator.clip_grad_norm_ = keep_parts, keep_grads  # type: ignore[method-assign]
    try:
        loop.pretrain(city, tiny_settings(clip, **train), out)
    finally:
        loop.assemble, Accelerator.clip_grad_norm_ = assemble, clip_norm  # type: ignore[method-assign]
    rank = parts[0].engine.process_index
    save_file(grads, seen / f"grad-{rank}.safetensors")
    save_file(parts[0].queue.state_dict(), seen / f"queue-{rank}.safetensors")


def train_and_stop(city: City, clip: Path, out: Path, train: dict[str, Any], at: int) -> None:
    """Train until the last process is told to stop, which stops them all, and then to the end."""
    train_step, last = loop.train_step, int(os.environ["WORLD_SIZE"]) - 1

    def told_in_one(*args: Any) -> dict[str, float]:
        if args[4] == at and args[0].engine.process_index == last:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(*args)

    loop.train_step = told_in_one  # type: ignore[assignment]
    try:
        loop.pretrain(city, tiny_settings(clip, **train), out)
    except StopRequested:
        loop.train_step = train_step
        loop.pretrain(city, tiny_settings(clip, **train), out)
    else:
        raise AssertionError("nobody stopped")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for folder, train in json.loads(sys.argv[3]).items():
        if (at := train.pop("stop_at", None)) is not None:
            train_and_stop(City.open(sys.argv[1]), Path(sys.argv[2]), Path(folder), train, at)
            continue
        train_and_look(City.open(sys.argv[1]), Path(sys.argv[2]), Path(folder), train)
