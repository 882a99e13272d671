"""The softmax of scores, in their own precision."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Real = TypeVar("Real", bound=np.floating[Any])


def softmax(scores: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """Probabilities (..., C) of scores of any size; each row sums to 1.

    Example:
        >>> softmax(np.array([[1e4, 1e4]])).tolist()
        [[0.5, 0.5]]
    """
    made: npt.NDArray[Real] = np.exp(scores - scores.max(axis=-1, keepdims=True))
    made /= made.sum(axis=-1, keepdims=True)
    return made
