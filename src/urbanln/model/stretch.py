"""Knowledge-preserved stretching of text positions, so that a 77-token CLIP reads 248 tokens.

And the table as a module whose first rows stay as they are in training.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from urbanln.base.errors import InputError

Tail = Literal["extrapolate", "clamp"]
Stretch = Literal["keep", "interpolate"]


def stretch_positions(weight: Tensor, keep: int = 20, ratio: int = 4, tail: Tail = "extrapolate") -> Tensor:
    """Stretch a table of position embeddings, leaving its first rows as they are.

    Output row ``j < keep`` is row ``j``. Later rows read the table at ``s = keep + (j - keep) / ratio``,
    linearly between two neighbours, so every ``ratio``-th of them is a source row again.

    Args:
        weight: The table, (L, D), any floating dtype.
        keep: First rows copied bit for bit. 20, because CLIP's short captions trained hardly any row beyond.
        ratio: Output rows per source row after the kept ones. 4 makes 77 rows 20 + 4 * 57 = 248.
        tail: The last ``ratio - 1`` rows lie past the last source row. ``"extrapolate"`` continues the last
            step, as Long-CLIP does; ``"clamp"`` repeats the last row.

    Returns:
        A new tensor, (keep + ratio * (L - keep), D), in the dtype of ``weight``, computed in at least fp32.
        A table of one row has no step to continue: it is repeated.

    Raises:
        InputError: Not a finite floating (L, D) table, or ``keep``, ``ratio`` or ``tail`` out of range.

    Source:
        UrbanLN (arXiv 2511.07062), IPSI; Long-CLIP (arXiv 2403.15378), section 3.1, as its code computes it.

    Example:
        >>> stretch_positions(torch.arange(3.0)[:, None], keep=1, ratio=2).squeeze(1).tolist()
        [0.0, 1.0, 1.5, 2.0, 2.5]
    """
    _check(weight, keep, ratio, tail)
    length = weight.shape[0]
    source = weight.detach()
    if ratio == 1 or keep == length:
        return source.clone()
    wide = source if source.dtype == torch.float64 else source.float()
    step = torch.arange(ratio * (length - keep), device=wide.device)
    # The place in the source table as a whole row and a fraction, in integers: no rounding for any ratio.
    row = keep + step // ratio
    below = row.clamp(max=max(length - 2, 0))
    fraction = (row - below) + (step % ratio).to(wide.dtype) / ratio
    if tail == "clamp":
        fraction = fraction.clamp(max=1)
    above = (below + 1).clamp(max=length - 1)
    fraction = fraction[:, None]
    stretched = (1 - fraction) * wide[below] + fraction * wide[above]  # (ratio * (L - keep), D)
    return torch.cat([source[:keep], stretched.to(source.dtype)])


def interpolate_positions(weight: Tensor, context: int) -> Tensor:
    """Resize a whole table of position embeddings linearly: the baseline that keeps no row.

    What other code does when a CLIP is asked for more positions; it moves the rows that short texts trained
    too. Knowledge-preserved stretching (:func:`stretch_positions`) is compared with it.

    Args:
        weight: The table, (L, D), any floating dtype.
        context: Rows wanted.

    Returns:
        A new tensor, (context, D), in the dtype of ``weight``, computed in at least fp32.

    Raises:
        InputError: Not a finite floating (L, D) table, or no row wanted.

    Source:
        "DF" of Long-CLIP (arXiv 2403.15378); linear with half-pixel centres, ``align_corners=False``.

    Example:
        >>> interpolate_positions(torch.arange(2.0)[:, None], 4).squeeze(1).tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    _check(weight, 0, 1, "extrapolate")
    if context < 1:
        raise InputError(
            "context must be at least 1", value=context, where="model.context", remedy="give 1 or more"
        )
    source = weight.detach()
    wide = source if source.dtype == torch.float64 else source.float()
    resized = functional.interpolate(wide.T[None], size=context, mode="linear", align_corners=False)
    return resized[0].T.to(source.dtype).contiguous()


def ratio_for(context: int, length: int, keep: int = 20) -> int:
    """The smallest ratio that stretches ``length`` positions to at least ``context``.

    Args:
        context: Positions wanted.
        length: Positions the checkpoint has.
        keep: First positions kept as they are.

    Raises:
        InputError: ``context`` is below ``length``, or there is no row left to stretch.

    Example:
        >>> ratio_for(248, 77, 20)
        4
    """
    if not 0 <= keep <= length:
        raise InputError(
            f"keep must lie between 0 and the {length} positions",
            value=keep,
            where="model.keep",
            remedy=f"give a number up to {length}",
        )
    if context < length:
        raise InputError(
            f"a context below the checkpoint's {length} positions would throw learnt rows away",
            value=context,
            remedy=f"ask for a context of {length} or more",
            where="model.context",
        )
    if context == length:
        return 1
    if keep == length:
        raise InputError(
            "every position is kept, so none is left to stretch",
            value=f"keep={keep}, context={context}",
            remedy=f"choose keep below {length}, or a context of {length}",
            where="model.keep",
        )
    return -(-(context - keep) // (length - keep))


class TextPositions(nn.Module):
    """Position embeddings whose first rows are frozen; stands in for CLIP's ``nn.Embedding``.

    The frozen rows are a buffer and the others a parameter. One parameter with a zeroed gradient would not
    do: AdamW's decoupled weight decay shrinks it all the same.

    Args:
        weight: The whole table, (T, D).
        frozen: First rows that do not train.

    Source:
        Long-CLIP (arXiv 2403.15378) freezes its first 20 rows with two full tables and two masks; this is the
        same function with one table.
    """

    head: Tensor
    tail: Tensor

    def __init__(self, weight: Tensor, frozen: int) -> None:
        super().__init__()
        self.register_buffer("head", weight[:frozen].detach().clone())
        tail = weight[frozen:].detach().clone()
        if len(tail):
            self.tail = nn.Parameter(tail)
        else:
            # Optimisers and DDP need not meet an empty parameter.
            self.register_buffer("tail", tail)

    @property
    def weight(self) -> Tensor:
        """The whole table, (T, D)."""
        return torch.cat([self.head, self.tail])

    def forward(self, position_ids: Tensor) -> Tensor:
        """Look positions up: (…) whole numbers to (…, D)."""
        return functional.embedding(position_ids, self.weight)


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """The weights of a network by transformers' names: the two halves of its positions are one table.

    Args:
        network: With or without :class:`TextPositions` in its text tower.
    """
    tables = {name: part for name, part in network.named_modules() if isinstance(part, TextPositions)}
    halves = {f"{place}.{half}" for place in tables for half in ("head", "tail")}
    state = {name: tensor for name, tensor in network.state_dict().items() if name not in halves}
    return {**state, **{f"{place}.weight": table.weight for place, table in tables.items()}}


def _check(weight: Tensor, keep: int, ratio: int, tail: str) -> None:
    if weight.ndim != 2 or weight.shape[0] < 1:
        raise InputError(
            "positions must be a table of shape (L, D)",
            value=tuple(weight.shape),
            where="weight",
            remedy="give an array (L, D)",
        )
    if not weight.is_floating_point():
        raise InputError(
            "positions must be floating-point numbers",
            value=str(weight.dtype),
            where="weight",
            remedy="convert it: weight.float()",
        )
    if not 0 <= keep <= weight.shape[0]:
        raise InputError(
            f"keep must lie between 0 and the {weight.shape[0]} positions",
            value=keep,
            where="model.keep",
            remedy=f"give a number up to {weight.shape[0]}",
        )
    if ratio < 1:
        raise InputError("ratio must be at least 1", value=ratio, where="ratio", remedy="give 1 or more")
    if tail not in ("extrapolate", "clamp"):
        raise InputError(
            "tail must be 'extrapolate' or 'clamp'", value=tail, where="model.tail", remedy="give one of them"
        )
    if not bool(torch.isfinite(weight).all()):
        raise InputError(
            "the position table holds NaN or infinite numbers",
            remedy="the checkpoint is damaged; get it again",
            where="weight",
        )
