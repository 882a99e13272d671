"""GradCache: the gradient of a large batch in the memory of a small one.

The loss sees features alone, and a pair's features depend on no other pair. So a batch passes the towers in
micro-batches, twice: first without a graph, for the features; then, when the loss has told each feature its
gradient, with one, to carry that on to the weights. The result is the gradient of the whole batch, up to
rounding, for one more forward pass of the student.

The logits come by micro-batch too: a query needs all keys, but no other query. So nothing but the inputs and
the features grows with the batch.

Source:
    GradCache (arXiv 2101.06983), here with the gradient of the logit scale and with keys of all processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from urbanln.model.objective import LossParts

Features = tuple[Tensor, Tensor]
"""Vectors of pictures and of texts, (B, D) each."""
LossOf = Callable[[slice, Features, Features | None, Tensor], LossParts]
"""The loss of some of a process's pairs: which, the features of all, those met as keys, the log scale."""


def micro_batches(count: int, size: int) -> list[slice]:
    """Cut a batch into micro-batches.

    Args:
        count: Pairs of the batch.
        size: Pairs of a micro-batch, the last may be smaller; 0 for the whole batch.

    Example:
        >>> micro_batches(5, 2)
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = size or count
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@torch.no_grad()
def encode_all(encode: Callable[[int], tuple[Tensor, ...]], micro: Sequence[slice]) -> list[Tensor]:
    """The first pass: features of all micro-batches, without a graph.

    Args:
        encode: Position of a micro-batch to its features, (m, D) each. What is random in it must depend on
            the position alone, since :func:`backward_all` comes by again.
        micro: The micro-batches.

    Returns:
        As many features as ``encode`` gives, (B, D) each.
    """
    seen = [encode(i) for i in range(len(micro))]
    return [torch.cat(features) for features in zip(*seen, strict=True)]


def feature_gradients(
    loss_of: LossOf,
    own: Features,
    log_scale: Tensor,
    gather: Callable[[Tensor], Tensor] | None,
    micro: Sequence[slice],
) -> tuple[LossParts, tuple[Tensor, Tensor, Tensor]]:
    """The loss of the whole batch, and its gradient at the features and the logarithm of the logit scale.

    Args:
        loss_of: The loss of a micro-batch's pairs, the mean over them.
        own: Features of this process's pairs, from :func:`encode_all`.
        log_scale: Not changed, and its ``grad`` neither.
        gather: Own features to those of all processes, with gradient; None where the own are the keys.
        micro: The micro-batches.

    Returns:
        The loss and its parts, without graph; the gradients at both features, (B, D), and at the scale.
    """
    v, t, scale = (x.detach().requires_grad_() for x in (*own, log_scale))
    keys = (gather(v), gather(t)) if gather else (v, t)
    # Leaves of their own, so that their gradient crosses the processes once, not once per micro-batch.
    key_v, key_t = (x.detach().requires_grad_() for x in keys)
    sums: dict[str, Tensor] = {}
    for rows in micro:
        loss = loss_of(rows, (v, t), (key_v, key_t), scale)
        share = (rows.stop - rows.start) / len(v)
        (loss.total * share).backward()
        for name in loss.__dataclass_fields__:
            sums[name] = sums.get(name, 0.0) + getattr(loss, name).detach() * share
    if key_v.grad is not None and key_t.grad is not None:
        torch.autograd.backward(keys, [key_v.grad, key_t.grad])
    return LossParts(**sums), (_gradient(v), _gradient(t), _gradient(scale))


def backward_all(
    engine: Accelerator,
    towers: Any,
    encode: Callable[[int], tuple[Tensor, ...]],
    gradients: tuple[Tensor, Tensor, Tensor],
    log_scale: Tensor,
    micro: Sequence[slice],
) -> None:
    """The second pass: encode again, and carry the features' gradients on to the weights.

    Args:
        engine: Scales (fp16) and runs each backward pass.
        towers: The student as accelerate wrapped it; processes share gradients in the last micro-batch.
        encode: Position of a micro-batch to the student's features, equal to those of the first pass.
        gradients: From :func:`feature_gradients`.
        log_scale: The student's own; its gradient joins the last backward pass, in which DDP awaits it.
        micro: The micro-batches.
    """
    at_v, at_t, at_scale = gradients
    for i, rows in enumerate(micro):
        last = i == len(micro) - 1
        with nullcontext() if last else engine.no_sync(towers):
            v, t = encode(i)
            # Its gradient at v and t is the one of the loss.
            stand_in = (v * at_v[rows]).sum() + (t * at_t[rows]).sum()
            engine.backward(stand_in + log_scale * at_scale if last else stand_in)


def _gradient(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.grad is None else x.grad
