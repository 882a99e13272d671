"""Held-out predictions of whatever predicts: a floor, a head on vectors, a head on the map with vectors.

Labels are (n,), or (n, L) of several labels of the same rows, and predictions have their shape: labels that
share rows and folds are predicted together, since most of the work depends on no label. Of classes and
shares they are (n, C) parts that sum to one, of one label alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats, Ints
from urbanln.probe.columns import map_columns
from urbanln.probe.floors import FLOORS
from urbanln.probe.heads import HEADS, Head, find_head
from urbanln.probe.labels import Labels
from urbanln.probe.names import MAP, OLDER, joint_name
from urbanln.probe.part_floors import part_floor
from urbanln.probe.simplex import evened, on_simplex, one_more
from urbanln.probe.splits import Fold
from urbanln.probe.threads import one_thread

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

CLIP_MARGIN = 0.05
AnyHead: TypeAlias = "str | Head | BaseEstimator | type"


def check_name(name: str) -> None:
    """Refuse a table of vectors that is called like something else in the scores.

    Raises:
        InputError: It has no name, or that of a floor, of the map, or of both together.
    """
    if not name or name in (*FLOORS, OLDER, MAP) or name.startswith(joint_name("")):
        raise InputError(
            "a table of vectors has the name of a floor", value=name, remedy="rename it", where="--vectors"
        )


def check_vectors(
    vectors: npt.ArrayLike, rows: int, where: str = "vectors", ids: Sequence[object] | None = None
) -> npt.NDArray[np.float32]:
    """Vectors as (N, D) float32; a table that is float32 already is not copied.

    Args:
        vectors: What should be (N, D).
        rows: N.
        where: Name of the table, for errors.
        ids: (N,) region ids, for errors; without them the row is named.

    Raises:
        InputError: Not numbers, another shape, or a value that is not finite.
    """
    try:
        X = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            "vectors are not numbers of one length",
            value=str(error),
            where=where,
            remedy="give vectors of one length",
        ) from error
    if X.ndim != 2 or len(X) != rows or X.shape[1] == 0:
        raise InputError(
            f"vectors are a table of {rows} rows",
            value=X.shape,
            where=where,
            remedy="give one vector for each row",
        )
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(bad):
        place = f"row {bad[0]}" if ids is None else f"region {ids[bad[0]]}"
        row = X[bad[0]]
        raise InputError(
            "a vector has values that are not finite",
            value=float(row[~np.isfinite(row)][0]),
            where=f"{where}, {place}",
            remedy="leave it out, or make its vector again",
        )
    return X


def floor_held_out(name: str, labels: Labels, folds: Sequence[Fold], seed: int) -> Floats:
    """Held-out predictions of a floor, of the shape and on the scale of ``labels.y``.

    Args:
        name: One of :data:`urbanln.probe.floors.FLOORS`.
        labels: The labelled rows.
        folds: Over these rows.
        seed: Of anything drawn at random.

    Raises:
        InputError: No floor of that name.
    """
    if name not in FLOORS:
        raise InputError(
            "no such floor", value=name, remedy=f"there are: {', '.join(FLOORS)}", where="probe.floors"
        )
    with one_thread():
        if labels.kind != "number":
            return part_floor(name, labels.metres, labels.y, folds, seed, labels.kind == "classes")
        return FLOORS[name](labels.metres, labels.y, folds, seed)


def held_out(
    head: AnyHead,
    X: npt.NDArray,
    y: Floats,
    folds: Sequence[Fold],
    seed: int,
    rows: Ints | None = None,
    kind: Kind = "number",
) -> Floats:
    """Held-out predictions of a head on vectors, NaN where a row is never held out.

    Numbers are cut to the range of the labels learned from, widened by 5 % on both sides: one vector
    far from all others would else give an absurd number after the logarithm is undone. Parts are cut at 0,
    brought to a sum of 1, and mixed with equal ones as of one row more, so that a class that a fold has not
    seen has a chance above 0. One thread, so that results do not depend on the number of cores.

    Args:
        head: See :func:`urbanln.probe.heads.find_head`.
        X: (N, D) vectors. The table is handed on as it is, never copied here.
        y: (n,) labels, or (n, L) of several; of classes and shares (n, C) parts that sum to one.
        folds: Over the n labelled rows.
        seed: Of anything drawn at random.
        rows: (n,) which rows of ``X`` have a label, ascending; None: all of them.
        kind: Of the labels.

    Raises:
        InputError: No such head, it cannot be fitted, or it did not predict one finite number per row.
    """
    if rows is None or len(rows) == len(X):
        rows, everywhere = np.arange(len(y)), y
    else:
        everywhere = np.full((len(X), *y.shape[1:]), np.nan)
        everywhere[rows] = y
    predicted = np.full(y.shape, np.nan)
    with one_thread():
        for fold in folds:
            # Rows are ascending, so that the inner folds keep their order.
            placed = Fold(rows[fold.train], rows[fold.val], rows[fold.test], fold.inner)
            predicted[fold.test] = _predict(head, X, everywhere, placed, seed, kind)
    return predicted


def map_held_out(
    head: AnyHead,
    X: npt.NDArray | None,
    labels: Labels,
    folds: Sequence[Fold],
    seed: int,
) -> Floats:
    """Held-out predictions of a head on the map alone, or on the map and vectors side by side.

    The same head on the same columns of the map with and without the vectors is the fair question whether
    they add anything to where a region lies.

    Args:
        head: See :func:`urbanln.probe.heads.find_head`.
        X: (N, D) vectors of all rows of the input, or None for the map alone.
        labels: The n labelled rows among them.
        folds: Over the labelled rows.
        seed: Of anything drawn at random.

    Raises:
        InputError: No such head, it cannot be fitted, or it did not predict one finite number per row.
    """
    predicted = np.full(labels.y.shape, np.nan)
    with one_thread():
        for fold in folds:
            seen = map_columns(labels.metres, fold)
            if X is not None:
                seen = _beside(seen, X, labels)
            predicted[fold.test] = _predict(head, seen, labels.y, fold, seed, labels.kind)
    return predicted


def _predict(head: AnyHead, X: npt.NDArray, y: Floats, fold: Fold, seed: int, kind: Kind) -> Floats:
    """Predictions of ``fold.test``, checked and cut.

    The head is shown the labels of the known rows alone, NaN elsewhere, so that one written by hand cannot
    read those it is judged by. Predictions must be finite: rows left out would be scored on fewer regions
    than the floors are.
    """
    name, fit = find_head(head, kind)
    known = y[fold.known]
    shown = np.full(y.shape, np.nan)
    shown[fold.known] = known
    if kind != "number":
        made = _checked(name, fit(X, shown, fold, seed), fold, y.shape[1:])
        return evened(on_simplex(made), one_more(len(known)))
    if y.ndim == 2 and fit not in HEADS.values():  # a head of one's own is shown one label at a time
        made = np.column_stack([_checked(name, fit(X, label, fold, seed), fold) for label in shown.T])
    else:
        made = _checked(name, fit(X, shown, fold, seed), fold, y.shape[1:])
    margin = CLIP_MARGIN * (known.max(axis=0) - known.min(axis=0))
    return np.clip(made, known.min(axis=0) - margin, known.max(axis=0) + margin)


def _checked(name: str, predicted: Floats, fold: Fold, labels: tuple[int, ...] = ()) -> Floats:
    made = np.asarray(predicted, dtype=np.float64)
    if made.shape != (len(fold.test), *labels) or not np.isfinite(made).all():
        raise InputError(
            f"a head has to predict {len(fold.test)} finite numbers",
            value=made.shape if made.shape != (len(fold.test), *labels) else "not finite",
            where=f"head {name}",
            remedy="mend the head: a prediction for each row of fold.test",
        )
    return made


def _beside(columns: npt.NDArray, X: npt.NDArray, labels: Labels) -> npt.NDArray[np.float32]:
    """Both tables side by side, (n, C + D), without a second copy on the way."""
    width = columns.shape[1]
    both = np.empty((len(columns), width + X.shape[1]), dtype=np.float32)
    both[:, :width] = columns
    both[:, width:] = X if len(X) == len(columns) else X[labels.rows]
    return both
