"""The text tower's position table, split into rows that stay and rows that train."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


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
