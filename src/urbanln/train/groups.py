"""What the optimiser steps, in groups of one weight decay and one share of the learning rate."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from urbanln.model.clip import LongClip

# Layers are numbered behind such a name in CLIP, SigLIP, ViT, DINOv2 and BERT alike.
_LAYER = re.compile(r"\.layers?\.(\d+)\.")
# Of a tower, what comes before its first layer.
_BEFORE = re.compile(r"\bembeddings\b|\bpre_")
SHARE = "share"
"""Key of a group: its learning rate over that of the run."""


def parameter_groups(model: LongClip, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
    """Optimiser groups of what trains; biases, norms and the logit scale do not decay.

    With ``layer_decay`` d below 1, a tower of L layers learns its last one at d times the rate, the one
    before at d², …, its first at d to the L and what comes before at d to the L + 1. What comes after (norm
    and projection) and the logit scale learn at the rate itself.

    Args:
        model: What is frozen is left out.
        weight_decay: Decoupled weight decay of the matrices.
        layer_decay: Factor per layer, above 0 and up to 1, which is no decay.

    Returns:
        As AdamW takes them, with ``share`` of the learning rate in each.

    Source:
        BEiT (arXiv 2106.08254) and ELECTRA (arXiv 2003.10555).
    """
    names = [name for name, _ in model.named_parameters()]
    depth = {tower: 1 + max(map(_number, of), default=-1) for tower, of in _towers(names).items()}
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            share = layer_decay ** _layers_above(name, depth)
            groups.setdefault((weight.ndim >= 2, share), []).append(weight)
    return [
        {"params": weights, "weight_decay": weight_decay if decays else 0.0, SHARE: share}
        for (decays, share), weights in groups.items()
    ]


def _towers(names: list[str]) -> dict[str, list[str]]:
    towers: dict[str, list[str]] = {}
    for name in names:
        towers.setdefault(_tower(name), []).append(name)
    return towers


def _tower(name: str) -> str:
    return next((tower for tower in ("vision_model", "text_model") if f".{tower}." in name), "")


def _number(name: str) -> int:
    found = _LAYER.search(name)
    return int(found[1]) if found else -1


def _layers_above(name: str, depth: dict[str, int]) -> int:
    """How often the rate of a weight is lowered: once per layer from the end, its own counted."""
    tower = _tower(name)
    if not tower:
        return 0
    if _number(name) >= 0:
        return depth[tower] - _number(name)
    return depth[tower] + 1 if _BEFORE.search(name) else 0
