"""Who finds whom: how many wrong answers stand before the nearest right one, exactly and in small memory.

One implementation for validation in training and for ``urbanln retrieve``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from urbanln.base.config import RANKS

_BLOCK = 4_000_000  # similarities held at once
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
    """Hold every query against every key; see :func:`find_by_rules`."""
    return find_by_rules(query, key, query_ids, key_ids, (query_ids.shape[1],))[0]


def find_by_rules(
    query: Tensor, key: Tensor, query_ids: Tensor, key_ids: Tensor, rules: Sequence[int]
) -> list[Found]:
    """Hold every query against every key, under several rules of what is right.

    Args:
        query: (Q, D), L2-normalised.
        key: (K, D), L2-normalised. Keys nearer to one another than 1e-6, as seen by the query, are ties.
        query_ids: (Q, C) whole numbers; a negative one agrees with none.
        key_ids: (K, C) likewise.
        rules: How many of the columns count: under a rule c, key j is right for query i where they agree in
            any of the first c.

    Returns:
        See :class:`Found`, by rule; what is no number stands before everything.
    """
    query_ids, key_ids = query_ids.cpu(), key_ids.cpu()
    sorted_keys = [torch.sort(column, stable=True) for column in key_ids.T.contiguous()]
    found: list[list[Found]] = [[] for _ in rules]
    for rows in torch.arange(len(query)).split(max(1, _BLOCK // len(key))):
        near = query[rows.to(query.device)] @ key.T  # (R, K)
        ids = query_ids[rows].T.contiguous()
        # Few keys are right, so these are listed; all are compared with the nearest of them.
        right = [_agreeing(one, *keys) for one, keys in zip(ids, sorted_keys, strict=True)]
        for part, count in zip(found, rules, strict=True):
            part.append(_place(near, torch.unique(torch.cat(right[:count]))))
    return [Found(*(torch.cat(column) for column in zip(*part, strict=True))) for part in found]


def _agreeing(ids: Tensor, key_ids: Tensor, order: Tensor) -> Tensor:
    """Where ids agree with those of keys, as positions in (R, K) laid out in a row.

    Args:
        ids: (R,) of queries.
        key_ids: (K,) of keys, ascending.
        order: (K,) which keys these are.
    """
    first = torch.searchsorted(key_ids, ids)
    count = torch.searchsorted(key_ids, ids, right=True) - first
    count[ids < 0] = 0
    row = torch.arange(len(ids)).repeat_interleave(count)
    within = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
    return row * len(order) + order[first[row] + within]


def _place(near: Tensor, right: Tensor) -> Found:
    """What a block of queries finds, from (R, K) similarities and the positions of the right ones in it."""
    rows, keys = near.shape
    row, own = right // keys, near.reshape(-1)[right.to(near.device)].cpu()
    count = torch.bincount(row, minlength=rows)
    best = torch.full((rows,), -torch.inf, dtype=own.dtype).scatter_reduce(0, row, own, "amax")
    line = best - _TIE
    # What is no number is not farther than anything.
    at_least = (~(near < line[:, None].to(near.device))).sum(dim=1).cpu()
    at_least -= torch.bincount(row[~(own < line[row])], minlength=rows)
    return Found(torch.where(count > 0, at_least, keys + max(RANKS)), count)


def recall(ahead: Tensor) -> dict[int, float]:
    """Share of queries with a right answer among the first k, for k = 1, 5, 10.

    Args:
        ahead: (Q,) of :class:`Found`.
    """
    # In Python's numbers: Apple's MPS has no fp64.
    return {k: int((ahead < k).sum()) / len(ahead) for k in RANKS}
