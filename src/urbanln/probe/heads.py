"""Heads: small regressors on frozen vectors. Everything they fit or choose comes from the fold's own rows."""

from __future__ import annotations

from typing import Protocol

import numpy.typing as npt
from sklearn.base import BaseEstimator

from urbanln.base.errors import InputError
from urbanln.base.space import Floats
from urbanln.probe.boosting import boosting
from urbanln.probe.network import mlp
from urbanln.probe.regressors import load_regressor, regressor_head
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold


class Head(Protocol):
    """A regressor as the probe sees it; a function of one's own can stand in."""

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int) -> Floats:
        """Fit on ``fold.train`` and ``fold.val`` alone and predict ``fold.test``.

        Args:
            X: (N, D) vectors of all rows.
            y: (N,) labels; the probe shows those of ``fold.train`` and ``fold.val`` alone, NaN elsewhere.
            fold: Row numbers.
            seed: Of anything drawn at random.

        Returns:
            One finite number per row of ``fold.test``, in its order.
        """
        ...


HEADS: dict[str, Head] = {"ridge": ridge, "mlp": mlp, "boosting": boosting}


def find_head(head: str | Head | BaseEstimator | type) -> tuple[str, Head]:
    """Name and function of a head.

    Args:
        head: One of ``HEADS`` by name; ``"module:Class"``, a scikit-learn regressor or its class, fitted on
            standardised known rows (:class:`urbanln.probe.regressors.RegressorHead`); or a function.

    Raises:
        InputError: No head of that name, no such class, or neither a regressor nor a function.
    """
    if isinstance(head, str):
        if head in HEADS:
            return head, HEADS[head]
        if ":" in head:
            made = load_regressor(head)
            return made.__name__, made
        raise InputError(
            "no such head",
            value=head,
            remedy=f"there are: {', '.join(HEADS)}; or module:Class of a scikit-learn regressor",
        )
    if isinstance(head, BaseEstimator | type) or not callable(head):
        made = regressor_head(head)
        return made.__name__, made
    return getattr(head, "__name__", type(head).__name__), head
