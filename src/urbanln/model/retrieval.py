"""Who finds whom: how many wrong answers stand before the nearest right one, exactly and in small memory.

One implementation for validation in training and for ``urbanln retrieve``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from urbanln.base.config import RANKS

_ROWS, _COLUMNS = 1024, 8192  # similarities held at once
_TIE = 1e-6  # rounding of a product of two unit vectors in fp32, some times over


class Found(NamedTuple):
    """What Q queries find among K keys.

    Attributes:
        ahead: (Q,) wrong keys that stand before the nearest right one; ties stand before it, so that a model
            that tells nothing apart finds nothing. Where no key is right, more than K.
        right: (Q,) right keys.
    """

    ahead: Tensor
    right: Tensor


def find(query: Tensor, key: Tensor, query_ids: Tensor, key_ids: Tensor) -> Found:
    """Hold every query against every key.

    Args:
        query: (Q, D), L2-normalised.
        key: (K, D), L2-normalised. Keys nearer to one another than 1e-6, as seen by the query, are ties.
        query_ids: (Q, C) whole numbers; a negative one agrees with none.
        key_ids: (K, C) likewise: key j is right for query i where they agree in any column.

    Returns:
        See :class:`Found`; what is no number stands before everything.
    """
    ahead, right = [], []
    columns = torch.arange(len(key), device=query.device).split(_COLUMNS)
    for rows in torch.arange(len(query), device=query.device).split(_ROWS):
        best = torch.full((len(rows), 1), -torch.inf, device=query.device)
        own_count = torch.zeros(len(rows), dtype=torch.int64, device=query.device)
        for part in columns:
            own = _agree(query_ids[rows], key_ids[part])
            nearest = (query[rows] @ key[part].T).masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)
            best = torch.maximum(best, nearest)
            own_count += own.sum(dim=1)
        before = torch.zeros_like(own_count)
        for part in columns:
            own = _agree(query_ids[rows], key_ids[part])
            farther = query[rows] @ key[part].T < best - _TIE
            before += (~farther & ~own).sum(dim=1)
        ahead.append(torch.where(own_count > 0, before, len(key) + max(RANKS)))
        right.append(own_count)
    return Found(torch.cat(ahead), torch.cat(right))


def recall(ahead: Tensor) -> dict[int, float]:
    """Share of queries with a right answer among the first k, for k = 1, 5, 10.

    Args:
        ahead: (Q,) of :class:`Found`.
    """
    # In Python's numbers: Apple's MPS has no fp64.
    return {k: int((ahead < k).sum()) / len(ahead) for k in RANKS}


def _agree(query_ids: Tensor, key_ids: Tensor) -> Tensor:
    """(R, C) whether any of the ids agrees."""
    own = torch.zeros(len(query_ids), len(key_ids), dtype=torch.bool, device=query_ids.device)
    for one, other in zip(query_ids.T, key_ids.T, strict=True):
        own |= (one[:, None] == other[None]) & (one[:, None] >= 0)
    return own
