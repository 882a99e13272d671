"""The momentum teacher: a slow copy of the student whose opinion softens the labels."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor

from urbanln.base.errors import InputError
from urbanln.model.adapters import merged_weight, plain_parameters
from urbanln.model.clip import LongClip

# The student's temperature is used for both (ALBEF), so the teacher holds a copy of it, not a mean.
_COPIED = "logit_scale"


class MomentumTeacher:
    """An exponential moving average of a student's weights, in fp32, eval mode and without gradients.

    Args:
        student: The bare model (not wrapped by DDP), after its positions were stretched and on its device.
        momentum: Share of the teacher kept at each update; .995 in the paper, a half-life of 138 updates.

    Attributes:
        model: The teacher, a model like the student.

    Raises:
        InputError: A momentum outside 0..1.

    Source:
        UrbanLN (arXiv 2511.07062), MSD; ALBEF (arXiv 2107.07651), section 3.4.
    """

    def __init__(self, student: LongClip, momentum: float = 0.995) -> None:
        if not 0 <= momentum <= 1:
            raise InputError(
                "momentum must lie between 0 and 1",
                value=momentum,
                where="train.momentum",
                remedy="give a number from 0 to 1",
            )
        self.momentum = momentum
        self.student = student
        # A tokenizer does not learn: both models share the one.
        self.model = deepcopy(student, {id(student.tokenizer): student.tokenizer})
        self.model.float().eval().requires_grad_(False)

    @torch.no_grad()
    def update(self) -> None:
        """Move the teacher towards the student: θₘ ← m θₘ + (1 − m) θ, in place.

        Parameters that train are averaged; the logit scale, frozen parameters and buffers are copied. Of a
        layer with an adapter it is the weight with the adapter merged. In fp32, because a step of .005 is
        rounded away in bf16.

        Look at the loss and the gradient first: one weight that is not finite spoils the teacher for good.
        """
        moving: tuple[list[Tensor], list[Tensor]] = ([], [])
        for (name, theirs, adapter), ours in zip(
            plain_parameters(self.student), self.model.parameters(), strict=True
        ):
            if adapter is not None:  # at once: all merged weights together are another network
                ours.lerp_(merged_weight(theirs, adapter), 1 - self.momentum)
            elif theirs.requires_grad and name.rsplit(".", 1)[-1] != _COPIED:
                moving[0].append(ours)
                moving[1].append(theirs.detach().float())
            else:
                ours.copy_(theirs)
        if moving[0]:
            torch._foreach_lerp_(moving[0], moving[1], 1 - self.momentum)
        for source, copy in zip(self.student.buffers(), self.model.buffers(), strict=True):
            copy.copy_(source)

    @torch.no_grad()
    def max_difference(self) -> float:
        """The largest absolute difference between a weight of the teacher and the student's; 0 at first."""
        pairs = zip(plain_parameters(self.student), self.model.parameters(), strict=True)
        merged = (
            (theirs.float() if adapter is None else merged_weight(theirs, adapter), ours)
            for (_, theirs, adapter), ours in pairs
        )
        return max((float((theirs - ours).abs().max()) for theirs, ours in merged), default=0.0)
