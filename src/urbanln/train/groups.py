"""What the optimiser steps, in groups of one weight decay and one share of the learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from urbanln.model.clip import LongClip

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
    steps = _steps_from_the_end(model)
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for weight in model.parameters():
        if weight.requires_grad:
            share = layer_decay ** steps.get(id(weight), 0)
            groups.setdefault((weight.ndim >= 2, share), []).append(weight)
    return [
        {"params": weights, "weight_decay": weight_decay if decays else 0.0, SHARE: share}
        for (decays, share), weights in groups.items()
    ]


def _steps_from_the_end(model: LongClip) -> dict[int, int]:
    """How often the rate of a weight is lowered, by its identity; none of what stands behind the layers."""
    found: dict[int, int] = {}
    for tower in model.towers:
        depth = len(tower.layers)
        for steps, parts in (
            (depth + 1, tower.first),
            *((depth - i, [one]) for i, one in enumerate(tower.layers)),
        ):
            found |= {id(weight): steps for part in parts for weight in part.parameters()}
    return found
