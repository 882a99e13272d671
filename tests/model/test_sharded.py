"""Towers whose weights are spread over processes give the vectors and gradients of one process."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from urbanln.model.clip import load_clip

TEXTS = ["a park", "a school beside a river"]


def _share(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model, plain = load_clip("tiny"), load_clip("tiny")
    mesh = init_device_mesh("cpu", (2,))
    for tower in (model.clip.vision_model, model.clip.text_model):
        for layer in tower.encoder.layers:
            fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params={model.logit_scale})  # it takes no scalars
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, model.image_size, model.image_size, generator=generator)
    ids = model.tokenize(TEXTS)
    ours, theirs = model(pixels, ids), plain(pixels, ids)
    sum(part.sum() for part in ours).backward()
    sum(part.sum() for part in theirs).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    wanted = dict(plain.named_parameters())
    largest = max(float(p.grad.abs().max()) for p in wanted.values() if p.grad is not None)
    for name, parameter in model.named_parameters():
        if isinstance(parameter.grad, torch.distributed.tensor.DTensor):
            whole = parameter.grad.full_tensor()
            torch.testing.assert_close(whole, wanted[name].grad, rtol=1e-3, atol=1e-5 * largest, msg=name)
    Path(folder, f"done-{rank}").touch()
    dist.destroy_process_group()


@pytest.mark.skipif(
    "ignored_params" not in inspect.signature(fully_shard).parameters,
    reason="this torch cannot leave the scale out, which is a scalar",
)
def test_fully_sharded_towers_run_through_their_own_layers(tmp_path: Path) -> None:
    multiprocessing.spawn(_share, args=(str(tmp_path),), nprocs=2)
    assert sorted(file.name for file in tmp_path.glob("done-*")) == ["done-0", "done-1"]
