"""Retrieval on held-out regions: does a picture find its caption among all, and a caption its picture?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from urbanln.model.clip import LongClip
from urbanln.train.batches import Pictures, Texts
from urbanln.train.pairs import Pairs

RANKS = (1, 5, 10)
_ROWS = 1024


def recall(query: Tensor, key: Tensor, ids: Tensor) -> dict[int, float]:
    """Share of queries with one of their own among the best k keys.

    Ties count against the query, so constant features score nothing.

    Args:
        query: (N, D), L2-normalised.
        key: (N, D), L2-normalised.
        ids: (N, C), key j is right for query i when any of their ids agrees.

    Returns:
        Recall for k = 1, 5, 10.
    """
    ranks = []
    for rows in torch.arange(len(query), device=query.device).split(_ROWS):
        similarity = query[rows] @ key.T  # (R, N)
        own = (ids[rows, None] == ids[None]).any(dim=2)  # (R, N)
        best = similarity.masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)
        ranks.append(((similarity >= best) & ~own).sum(dim=1))
    rank = torch.cat(ranks)
    # In Python's numbers: Apple's MPS has no fp64.
    return {k: int((rank < k).sum()) / len(rank) for k in RANKS}


@torch.no_grad()
def retrieval(
    model: LongClip,
    pairs: Pairs,
    pictures: Pictures,
    texts: Texts,
    *,
    batch_size: int,
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> dict[str, float]:
    """R@1, R@5, R@10 over the validation pictures and their selected captions, both ways.

    Args:
        model: The student; its mode is left as it was.
        pairs: Pairs with an id in common (views of a region, equal captions) are right answers alike.
        pictures: Pixels by picture.
        texts: Token ids by text.
        batch_size: Pictures and texts per forward pass.
        autocast: Context of the training's precision.

    Returns:
        ``i2t_r1, …, t2i_r10`` (shares) and ``n``, the number of pairs they were taken over.
    """
    training = model.training
    model.eval()
    image, text = [], []
    for part in _parts(pairs.val, batch_size):
        with autocast():
            image.append(model.encode_image(pictures.pixels(part)))
            text.append(model.encode_text(texts.ids(pairs.selected[part])))
    model.train(training)
    image_ND, text_ND = torch.cat(image).float(), torch.cat(text).float()
    ids = torch.from_numpy(pairs.ids(pairs.val, pairs.selected[pairs.val])).to(image_ND.device)
    scores = {f"i2t_r{k}": share for k, share in recall(image_ND, text_ND, ids).items()}
    scores |= {f"t2i_r{k}": share for k, share in recall(text_ND, image_ND, ids).items()}
    return {**scores, "n": len(pairs.val)}


def _parts(index: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    return [index[start : start + size] for start in range(0, len(index), size)]
