"""Score one table of vectors against one label, beside the floors it has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from urbanln.errors import InputError
from urbanln.probe.floors import coordinate_knn, mean_floor
from urbanln.probe.heads import Head, find_head
from urbanln.probe.metrics import Resamples, bootstrap_r2, draw_resamples, interval, mae, r2, rmse, spearman
from urbanln.probe.space import Floats, Ints, check_lonlat, square_blocks, to_metres
from urbanln.probe.splits import Fold, block_split, random_split

Split = Literal["random", "block"] | Callable[[int], list[Fold]]
Transform = Literal["log1p", "identity"]
FLOORS = ("mean", "coordinates")
CLIP_MARGIN = 0.05


@dataclass(frozen=True)
class Difference:
    """R² (log) minus that of another predictor, on the same folds and the same resamples, 95 % interval."""

    diff: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Scores:
    """What a predictor reaches on held-out rows; means over seeds of scores on all rows pooled.

    Args:
        n: Rows scored.
        missing: Rows left out because they have no label.
        transform: ``"log1p"``, or ``"identity"`` where a label is negative; "log" below means this scale.
        r2: R² in log, against the mean of the pooled held-out rows.
        r2_sd: Its standard deviation over seeds (0 with one seed).
        r2_low: Lower end of the 95 % interval by block bootstrap; NaN with a single block.
        r2_high: Upper end.
        r2_seeds: R² of each seed.
        rmse_log: Root mean squared error in log.
        mae_log: Mean absolute error in log.
        rmse: Root mean squared error in the label's own unit.
        mae: Mean absolute error in the label's own unit.
        spearman: Rank correlation; NaN for constant predictions.
        n_blocks: Blocks the interval is made from.
        rows: (n,) rows of the input that have a label.
        truth: (n,) labels in their own unit.
        predictions: (seeds, n) held-out predictions in the label's own unit.
        samples: (R,) R² of every resample.
        vs: Paired differences by name of the other predictor.
    """

    n: int
    missing: int
    transform: Transform
    r2: float
    r2_sd: float
    r2_low: float
    r2_high: float
    r2_seeds: tuple[float, ...]
    rmse_log: float
    mae_log: float
    rmse: float
    mae: float
    spearman: float
    n_blocks: int
    rows: Ints = field(repr=False)
    truth: Floats = field(repr=False)
    predictions: Floats = field(repr=False)
    samples: Floats = field(repr=False)
    vs: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Labels:
    """The labelled rows of one indicator, made ready: see :func:`prepare_labels`."""

    rows: Ints
    truth: Floats
    y: Floats
    transform: Transform
    missing: int
    lonlat: Floats
    groups: npt.NDArray[Any] | None

    def restore(self, y: Floats) -> Floats:
        """Back from the scale of ``y`` to the label's own unit; an amount is never below 0."""
        return np.expm1(np.maximum(y, 0)) if self.transform == "log1p" else y


def prepare_labels(
    target: npt.ArrayLike,
    lonlat: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    where: str | None = None,
) -> Labels:
    """Drop rows without a label and take log1p, unless a label is negative.

    City labels span orders of magnitude, hence the logarithm; log1p keeps the zeros, which the literature
    deletes. One negative label means that the quantity is no amount: it is then left as it is.

    Args:
        target: (N,) labels, NaN where missing.
        lonlat: (N, 2) longitude, latitude in degrees.
        groups: (N,) labels; a row is never predicted from rows that share its label.
        where: Name of the indicator, for errors.

    Raises:
        InputError: Labels are text, infinite, all missing or all equal; positions do not fit them.
    """
    points = check_lonlat(lonlat)
    try:
        values = np.asarray(target, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("labels are not numbers", value=str(error), where=where) from error
    if values.shape != (len(points),):
        raise InputError("labels and positions differ in number", value=values.shape, where=where)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise InputError(
            "a label is infinite", where=f"{where or 'labels'}, row {row}", remedy="leave it empty"
        )
    rows = np.flatnonzero(~np.isnan(values)).astype(np.int64)
    if len(rows) == 0:
        raise InputError("no region has a label", where=where)
    truth = values[rows]
    if len(rows) == 1:
        raise InputError("only one region has a label", where=where, remedy="probing needs many")
    if truth.min() == truth.max():
        raise InputError(
            f"all {len(rows)} labels are equal: there is nothing to predict",
            value=float(truth[0]),
            where=where,
            remedy="leave this indicator out",
        )
    transform: Transform = "identity" if truth.min() < 0 else "log1p"
    kept = None if groups is None else np.asarray(groups)[rows]
    y = np.log1p(truth) if transform == "log1p" else truth
    return Labels(rows, truth, y, transform, len(values) - len(rows), points[rows], kept)


def make_folds(
    labels: Labels, split: Split, seed: int, *, folds: int, edge_km: float, buffer_km: float
) -> list[Fold]:
    """Folds over the labelled rows for one seed; a function as ``split`` makes its own.

    Raises:
        InputError: Unknown split, or one of :mod:`urbanln.probe.splits`' own.
    """
    if not isinstance(split, str):
        return split(seed)
    if split == "random":
        return random_split(labels.lonlat, folds=folds, seed=seed, groups=labels.groups)
    if split == "block":
        return block_split(
            labels.lonlat, edge_km=edge_km, buffer_km=buffer_km, folds=folds, seed=seed, groups=labels.groups
        )
    raise InputError("no such split", value=split, remedy="there are: random, block")


def label_resamples(labels: Labels, *, edge_km: float, seeds: int, count: int) -> Resamples:
    """Block resamples for the labelled rows; the same grid serves every split."""
    return draw_resamples(square_blocks(to_metres(labels.lonlat), edge_km), seeds, count)


def held_out(head: str | Head, X: npt.NDArray, y: Floats, folds: Sequence[Fold], seed: int) -> Floats:
    """Held-out predictions of all rows, (N,), NaN where never held out.

    Predictions are cut to the range of the labels learned from, widened by 5 % on both sides: one vector
    far from all others would else give an absurd number after expm1. One thread, so that results do not
    depend on the number of cores.
    """
    _, fit = find_head(head)
    predicted = np.full(len(y), np.nan)
    with threadpool_limits(1):
        for fold in folds:
            known = y[fold.known]
            margin = CLIP_MARGIN * (known.max() - known.min())
            predicted[fold.test] = np.clip(fit(X, y, fold, seed), known.min() - margin, known.max() + margin)
    return predicted


def floor_predictions(labels: Labels, folds_by_seed: Sequence[Sequence[Fold]]) -> dict[str, Floats]:
    """Held-out predictions (S, n) of the floors that always stand beside a score."""
    return {
        "mean": np.stack([mean_floor(labels.y, folds) for folds in folds_by_seed]),
        "coordinates": np.stack([coordinate_knn(labels.lonlat, labels.y, folds) for folds in folds_by_seed]),
    }


def measure(labels: Labels, predictions: Floats, resamples: Resamples) -> Scores:
    """Scores of held-out predictions.

    Args:
        labels: The labelled rows.
        predictions: (S, n) on the scale of ``labels.y``; a row that is NaN in one seed is left out.
        resamples: From :func:`label_resamples`.

    Raises:
        InputError: Fewer than two rows were held out.
    """
    held = np.isfinite(predictions).all(axis=0)
    if held.sum() < 2:
        raise InputError("fewer than two rows were held out", value=int(held.sum()))
    y, truth = labels.y[held], labels.truth[held]
    restored = labels.restore(predictions)
    seeds = tuple(r2(y, p[held]) for p in predictions)
    samples = bootstrap_r2(labels.y, predictions, resamples)
    low, high = interval(samples)
    return Scores(
        n=int(held.sum()),
        missing=labels.missing,
        transform=labels.transform,
        r2=float(np.mean(seeds)),
        r2_sd=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0,
        r2_low=low,
        r2_high=high,
        r2_seeds=seeds,
        rmse_log=float(np.mean([rmse(y, p[held]) for p in predictions])),
        mae_log=float(np.mean([mae(y, p[held]) for p in predictions])),
        rmse=float(np.mean([rmse(truth, p[held]) for p in restored])),
        mae=float(np.mean([mae(truth, p[held]) for p in restored])),
        spearman=float(np.mean([spearman(y, p[held]) for p in predictions])),
        n_blocks=resamples.n_blocks,
        rows=labels.rows,
        truth=labels.truth,
        predictions=restored,
        samples=samples,
    )


def difference(scores: Scores, other: Scores) -> Difference:
    """Paired difference in R² (log): same rows, same folds, same resamples."""
    low, high = interval(scores.samples - other.samples)
    return Difference(scores.r2 - other.r2, low, high)


def check_vectors(
    vectors: npt.ArrayLike, rows: int, where: str | None = None, ids: Sequence[Any] | None = None
) -> npt.NDArray[np.float32]:
    """Vectors as (N, D) float32.

    Args:
        vectors: What should be (N, D).
        rows: N.
        where: Name of the table, for errors.
        ids: (N,) region ids, for errors; without them the row is named.

    Raises:
        InputError: Another shape, or a value that is not finite.
    """
    X = np.asarray(vectors, dtype=np.float32)
    if X.ndim != 2 or len(X) != rows or X.shape[1] == 0:
        raise InputError(f"vectors are a table of {rows} rows", value=X.shape, where=where)
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(bad):
        place = f"row {bad[0]}" if ids is None else f"region {ids[bad[0]]}"
        raise InputError("a vector has values that are not finite", where=f"{where or 'vectors'}, {place}")
    return X


def probe(
    vectors: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    lonlat: npt.ArrayLike,
    split: Split = "block",
    head: str | Head = "ridge",
    seeds: int = 5,
    folds: int = 5,
    edge_km: float = 5.0,
    buffer_km: float = 1.0,
    bootstrap: int = 1000,
    groups: npt.ArrayLike | None = None,
    against: Mapping[str, npt.ArrayLike] | None = None,
) -> Scores:
    """Score frozen region vectors against one label, beside the mean and the coordinates.

    Args:
        vectors: (N, D), finite.
        target: (N,) labels in their own unit; NaN rows are left out and counted.
        lonlat: (N, 2) longitude, latitude in degrees.
        split: ``"block"``, ``"random"``, or a function from a seed to folds over the labelled rows.
        head: ``"ridge"``, ``"mlp"`` or a function like :class:`urbanln.probe.heads.Head`.
        seeds: Repetitions, each with folds of its own.
        folds: Folds per repetition.
        edge_km: Edge of a block in km, of the block split and of the bootstrap (also under other splits).
        buffer_km: Training rows this near to a test row leave the training.
        bootstrap: Resamples of blocks.
        groups: (N,) labels; a row is never predicted from rows that share its label.
        against: Further tables of vectors (N, D) by name, to be compared with under the same head.

    Returns:
        Scores whose ``vs`` holds the differences to ``"mean"``, ``"coordinates"`` and ``against``.

    Raises:
        InputError: Vectors, labels, positions or the split cannot be used.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> lonlat = 116 + rng.random((200, 2)) / 5 - [0, 76]
        >>> vectors = rng.normal(size=(200, 3))
        >>> probe(vectors, np.exp(vectors[:, 0]), lonlat=lonlat, seeds=1).vs["coordinates"].low > 0
        True
    """
    points = check_lonlat(lonlat)
    tables = {"": vectors, **(against or {})}
    checked = {name: check_vectors(table, len(points), name or None) for name, table in tables.items()}
    labels = prepare_labels(target, points, groups)
    options = {"folds": folds, "edge_km": edge_km, "buffer_km": buffer_km}
    made = [make_folds(labels, split, seed, **options) for seed in range(seeds)]  # type: ignore[arg-type]
    resamples = label_resamples(labels, edge_km=edge_km, seeds=seeds, count=bootstrap)
    predictions = floor_predictions(labels, made)
    for name, X in checked.items():
        known = X[labels.rows]
        predictions[name] = np.stack([held_out(head, known, labels.y, f, s) for s, f in enumerate(made)])
    scores = {name: measure(labels, values, resamples) for name, values in predictions.items()}
    own = scores.pop("")
    return replace(own, vs={name: difference(own, other) for name, other in scores.items()})
