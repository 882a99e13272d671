"""A head of one's own: a scikit-learn model, given or named as ``module:Class``, fitted on each fold anew."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints
from urbanln.probe.columns import check_validation, column_scale
from urbanln.probe.splits import Fold

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class OwnHead:
    """A scikit-learn model as the probe sees it; a copy of it is fitted on each fold's known rows.

    Columns are standardised by the known rows; labels stay as they are. Where the model has a
    ``random_state`` that is None, the probe's seed is put in. What it chooses by itself it chooses as it
    was told to: with random inner folds, if those are scikit-learn's default.

    Args:
        model: An estimator, not fitted: of classes a classifier with ``predict_proba``, else a regressor. Of
            shares it is fitted on one after the other.
        name: What it is called in scores and errors.
        kind: Of the labels.
    """

    def __init__(self, model: BaseEstimator, name: str, kind: Kind = "number") -> None:
        self.model, self.__name__, self.kind = model, name, kind

    def __call__(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
        """Fit on the known rows and predict the held-out ones; see :class:`urbanln.probe.heads.Head`.

        Raises:
            InputError: The model failed.
        """
        check_validation(fold)
        if self.kind == "shares":
            return np.column_stack([self._predicted(X, part, fold, seed) for part in y.T])
        return (
            self._classes(X, y, fold, seed) if self.kind == "classes" else self._predicted(X, y, fold, seed)
        )

    def _predicted(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int) -> Floats:
        return np.asarray(self._asked(X, y, fold, seed, "predict")[1], dtype=np.float64).reshape(-1)

    def _classes(self, X: npt.NDArray, y: Floats, fold: Fold, seed: int) -> Floats:
        known = y[fold.known].argmax(axis=1)
        if len(np.unique(known)) == 1:  # which many classifiers refuse
            return np.tile(y[fold.known][0], (len(fold.test), 1))
        classes, made = self._asked(X, y.argmax(axis=1), fold, seed, "predict_proba")
        parts = np.zeros((len(fold.test), y.shape[1]))
        parts[:, classes] = made
        return parts

    def _asked(
        self, X: npt.NDArray, y: Floats | Ints, fold: Fold, seed: int, method: str
    ) -> tuple[Any, npt.NDArray]:
        """Classes of a copy that is fitted, and what its method says of the held-out rows."""
        from sklearn.base import clone

        known = fold.known
        scale = column_scale(X, known)
        model = clone(self.model)
        open_states = [
            name
            for name, value in model.get_params().items()
            if name.rpartition("__")[2] == "random_state" and value is None
        ]
        model.set_params(**dict.fromkeys(open_states, seed))
        try:
            model.fit(scale.rows(X, known), y[known])
            return getattr(model, "classes_", None), getattr(model, method)(scale.rows(X, fold.test))
        except Exception as error:
            text = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
            raise InputError(
                f"the {_wanted(self.kind)} failed",
                value=text,
                where=self.__name__,
                remedy="try it alone on these labels, or leave this head out",
            ) from error


def own_head(model: object, name: str | None = None, kind: Kind = "number") -> OwnHead:
    """The head made from a scikit-learn estimator or its class.

    Args:
        model: An estimator, or a class that needs no arguments.
        name: What it is called; by default as its class.
        kind: Of the labels: classes want a classifier that gives probabilities, the others a regressor.

    Raises:
        InputError: It is no scikit-learn model of that kind, or its class needs arguments.
    """
    from sklearn.base import BaseEstimator, is_classifier, is_regressor

    given = model if isinstance(model, type) else type(model)
    name, wanted = name or given.__name__, _wanted(kind)
    remedy = f"a head is a name, a function (X, y, fold, seed), or a scikit-learn {wanted}"
    if kind == "classes":
        remedy += " with predict_proba, since these labels are classes"
    refused = InputError(f"this is no scikit-learn {wanted}", value=name, remedy=remedy, where="probe.heads")
    if not issubclass(given, BaseEstimator):
        raise refused
    if isinstance(model, type):
        try:
            model = model()
        except TypeError as error:
            raise InputError(
                f"the {wanted} cannot be made without arguments",
                value=str(error),
                where=name,
                remedy="pass it made, from Python",
            ) from error
    fits = (
        is_classifier(model) and hasattr(model, "predict_proba") if kind == "classes" else is_regressor(model)
    )
    if not fits:
        raise refused
    return OwnHead(model, name, kind)


def _wanted(kind: Kind) -> str:
    return "classifier" if kind == "classes" else "regressor"


def load_head(text: str, kind: Kind = "number") -> OwnHead:
    """The head named by ``module:Class``, for example ``sklearn.svm:SVR``.

    Raises:
        InputError: No such module, no such class in it, or no model for this kind of labels.
    """
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, TypeError, ValueError) as error:
        raise InputError(
            "the module of this head cannot be imported",
            value=text,
            where=str(error),
            remedy="check the name, and install its package",
        ) from error
    except AttributeError as error:
        raise InputError(
            "no such class in the module of this head",
            value=text,
            where=str(error),
            remedy="check the name: module:Class",
        ) from error
    return own_head(found, text, kind)
