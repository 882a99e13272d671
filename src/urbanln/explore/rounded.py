"""Unit vectors for a page from disk: 16 bits a number, and what that can shift a cosine by."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.explore.content import Vectors

_CHUNK = 8192
_LARGEST = 32_767
_SLACK = 1e-6  # what sums of float32 may be off by, on the server's side


@dataclass(frozen=True, eq=False)
class Rounded:
    """Directions of regions in whole steps. One step for all numbers is finer than a half float where it
    counts: the large components of a vector, which carry its cosines.

    Attributes:
        rows: (M,) region of each; regions whose vector has no direction are not among them.
        steps: (M, D) int16.
        step: Length of a step.
        error: Largest distance of a rounded vector from its unit vector.
    """

    rows: npt.NDArray[np.int32]
    steps: npt.NDArray[np.int16]
    step: float
    error: float

    @property
    def bound(self) -> float:
        """What a cosine of two of them may differ by from the exact one. Where one of the two is the mean of
        several of length L: (1 + 1/L)/2 times as much."""
        return 2 * self.error + _SLACK

    def packed(self, metres: npt.NDArray[np.float64]) -> dict[str, object]:
        """As JSON values for the page, which looks for what is alike itself.

        Args:
            metres: (N, 2) middles of all regions, by which near ones are left out.
        """
        return {
            "width": self.steps.shape[1], "step": self.step, "bound": self.bound,
            "rows": as_base64(self.rows.astype("<i4")), "steps": as_base64(self.steps.astype("<i2")),
            "metres": as_base64(metres.astype("<f8")),
        }  # fmt: skip


def rounded(vectors: Vectors) -> Rounded:
    """The unit vectors of regions in 16 bits a number.

    Args:
        vectors: Of M regions, read in pieces.
    """
    known = np.flatnonzero(vectors.search.lengths > 0)
    pieces = np.array_split(known, max(1, -(-len(known) // _CHUNK)))
    largest = max((float(np.abs(vectors.search.units(one)).max()) for one in pieces if len(one)), default=1.0)
    step = largest / _LARGEST
    steps = np.empty((len(known), vectors.search.vectors.shape[1]), np.int16)
    error, at = 0.0, 0
    for one in pieces:
        unit = vectors.search.units(one).astype(np.float64)
        part = np.rint(unit / step).astype(np.int16)
        steps[at : at + len(one)] = part
        at += len(one)
        off = np.linalg.norm(part * step - unit, axis=1)
        error = max(error, float(off.max(initial=0.0)))
    return Rounded(vectors.rows[known].astype(np.int32), steps, step, error)


def as_base64(values: npt.NDArray[np.generic]) -> str:
    """The bytes of an array as text that a page reads back."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
