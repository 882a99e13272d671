"""Teacher features of past batches, as further keys to contrast with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from urbanln.base.errors import ArtefactError, InputError


class FeatureQueue:
    """The last K pairs of teacher features, in a ring.

    Args:
        size: Pairs kept, K; 0 for none. The paper keeps 4096, which holds most of one city: without the
            ids an anchor would meet its own earlier copy as a negative.
        dim: Length D of a feature.
        device: Where the features lie; the device of the model.
        marks: Ids per pair, C; two pairs are the same when any of them agrees.

    Attributes:
        filled: Pairs held so far, up to ``size``.
        pointer: Slot the next pair is written to.

    Raises:
        InputError: A negative size or a dimension below 1.

    Source:
        ALBEF (arXiv 2107.07651), section 3.2, with a count of filled slots in place of random first features.
    """

    def __init__(self, size: int, dim: int, device: torch.device | str = "cpu", marks: int = 1) -> None:
        if size < 0 or dim < 1:
            raise InputError(
                "a queue needs a size of 0 or more and features",
                value=f"size={size}, dim={dim}",
                where="train.queue_size",
                remedy="give a size of 0 or more",
            )
        self.size, self.dim = size, dim
        self.image = torch.zeros(size, dim, device=device)
        self.text = torch.zeros(size, dim, device=device)
        self.ids = torch.full((size, marks), -1, dtype=torch.int64, device=device)
        self.pointer = 0
        self.filled = 0

    @torch.no_grad()
    def push(self, image: Tensor, text: Tensor, ids: Tensor) -> None:
        """Write a batch over the oldest pairs; of a batch longer than the queue its last K stay.

        Call it after the loss: a batch that is in the queue already meets itself.

        Args:
            image: Teacher features of the pictures, (B, D), of all processes in the same order everywhere.
            text: Teacher features of the texts, (B, D).
            ids: int64, (B,) or (B, C), 0 or more.

        Raises:
            InputError: Shapes that do not fit.
        """
        count = len(ids)
        ids = ids if ids.ndim == 2 else ids[..., None]
        features = (count, self.dim)
        if image.shape != features or text.shape != features or ids.shape != (count, self.ids.shape[1]):
            raise InputError(
                f"a batch for this queue is two (B, {self.dim}) tables and (B, {self.ids.shape[1]}) ids",
                value=f"{tuple(image.shape)}, {tuple(text.shape)}, {tuple(ids.shape)}",
                where="batch",
                remedy="give features and ids of this length",
            )
        if self.size == 0 or count == 0:
            return
        first = max(0, count - self.size)
        slots = (self.pointer + torch.arange(first, count, device=self.ids.device)) % self.size
        for held, new in ((self.image, image), (self.text, text), (self.ids, ids)):
            held[slots] = new[first:].detach().to(held)
        self.pointer = (self.pointer + count) % self.size
        self.filled = min(self.size, self.filled + count)

    def view(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image features (K, D), text features (K, D), ids (K, C), and which slots are filled, bool (K,)."""
        valid = torch.arange(self.size, device=self.ids.device) < self.filled
        return self.image, self.text, self.ids, valid

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of everything, tensors only, for a checkpoint."""
        counters = torch.tensor([self.pointer, self.filled], dtype=torch.int64)
        held = {"image": self.image, "text": self.text, "ids": self.ids}
        return {**{name: tensor.clone() for name, tensor in held.items()}, "pointer_filled": counters}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave, onto the device of this queue.

        Raises:
            ArtefactError: It is of a queue of another size or dimension.
        """
        shapes = {"image": self.image.shape, "text": self.text.shape, "ids": self.ids.shape}
        found = {name: state[name].shape for name in shapes if name in state}
        if found != shapes or "pointer_filled" not in state:
            raise ArtefactError(
                f"the saved queue does not fit one of {self.size} features of length {self.dim}",
                value={name: tuple(shape) for name, shape in found.items()},
                remedy="resume with the settings the run was started with",
                where="queue.safetensors",
            )
        for name in shapes:
            getattr(self, name).copy_(state[name])
        self.pointer, self.filled = (int(value) for value in state["pointer_filled"])
