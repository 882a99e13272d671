"""A regressor of one's own as a head: a scikit-learn estimator, its class, or ``module:Class``."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone, is_regressor

from urbanln.base.errors import InputError
from urbanln.base.space import Floats
from urbanln.probe.columns import check_validation, column_scale
from urbanln.probe.splits import Fold


class RegressorHead:
    """A scikit-learn regressor as the probe sees it; a copy of it is fitted on each fold's known rows.

    Columns are standardised by the known rows; labels stay as they are. Where the regressor has a
    ``random_state`` that is None, the probe's seed is put in. What it chooses by itself it chooses as it
    was told to: with random inner folds, if those are scikit-learn's default.

    Args:
        regressor: An estimator, not fitted.
        name: What it is called in scores and errors.
    """

    def __init__(self, regressor: BaseEstimator, name: str) -> None:
        self.regressor, self.__name__ = regressor, name

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
        """Fit on the known rows and predict the held-out ones; see :class:`urbanln.probe.heads.Head`.

        Raises:
            InputError: The regressor failed.
        """
        check_validation(fold)
        known = fold.known
        scale = column_scale(X, known)
        model = _seeded(clone(self.regressor), seed)
        try:
            model.fit(scale.rows(X, known), y[known])
            return np.asarray(model.predict(scale.rows(X, fold.test)), dtype=np.float64).reshape(-1)
        except Exception as error:
            text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
            raise InputError("the regressor failed", value=text, where=self.__name__) from error


def regressor_head(regressor: object, name: str | None = None) -> RegressorHead:
    """The head made from a scikit-learn estimator or its class.

    Args:
        regressor: An estimator, or a class that needs no arguments.
        name: What it is called; by default as its class.

    Raises:
        InputError: It is no scikit-learn regressor, or its class needs arguments.
    """
    kind = regressor if isinstance(regressor, type) else type(regressor)
    name = name or kind.__name__
    remedy = "a head is a name, a function (X, y, fold, seed), or a scikit-learn regressor"
    if not issubclass(kind, BaseEstimator):
        raise InputError("this is no scikit-learn regressor", value=name, remedy=remedy)
    if isinstance(regressor, type):
        try:
            regressor = regressor()
        except TypeError as error:
            raise InputError(
                "the regressor cannot be made without arguments",
                value=str(error),
                where=name,
                remedy="pass it made, from Python",
            ) from error
    if not is_regressor(regressor):
        raise InputError("this is no scikit-learn regressor", value=name, remedy=remedy)
    return RegressorHead(regressor, name)


def load_regressor(text: str) -> RegressorHead:
    """The head named by ``module:Class``, for example ``sklearn.svm:SVR``.

    Raises:
        InputError: No such module, no such class in it, or no regressor.
    """
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, TypeError, ValueError) as error:
        raise InputError(
            "the module of this head cannot be imported", value=text, where=str(error)
        ) from error
    except AttributeError as error:
        raise InputError("no such class in the module of this head", value=text, where=str(error)) from error
    return regressor_head(found, text)


def _seeded(model: Any, seed: int) -> Any:
    open_states = [
        name
        for name, value in model.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    ]
    return model.set_params(**dict.fromkeys(open_states, seed))
