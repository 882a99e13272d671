"""Score one table of vectors against one label, beside the floors it has to beat.

Example:
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> lonlat = 116 + rng.random((200, 2)) / 5 - [0, 76]
    >>> vectors = rng.normal(size=(200, 3))
    >>> probe(vectors, np.exp(vectors[:, 0]), lonlat=lonlat, seeds=1).vs["coordinates"].low > 0
    True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from urbanln.base.autocorrelation import morans_i
from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints, check_lonlat, square_blocks
from urbanln.probe.held_out import (
    AnyHead,
    check_name,
    check_vectors,
    floor_held_out,
    held_out,
    map_held_out,
)
from urbanln.probe.labels import Labels, Transform, prepare_labels
from urbanln.probe.metrics import (
    Resamples,
    bootstrap_r2,
    conformal_intervals,
    coverage,
    draw_resamples,
    interval,
    mae,
    r2,
    rmse,
    spearman,
)
from urbanln.probe.splits import Fold, block_split, city_split, district_split, random_split

Split = Literal["random", "block", "district", "city"] | Callable[[int], list[Fold]]
MAP_FLOORS = ("coordinates", "coordinates-boosting", "coordinates-gp")
LEVEL = 0.9


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
        dropped_zeros: Rows left out because 0 has no logarithm (only under the transform ``"log"``).
        transform: ``"log1p"``, ``"log"`` or ``"none"``; "log" below means this scale.
        r2: R² in log, against the mean of the pooled held-out rows.
        r2_sd: Its standard deviation over seeds (0 with one seed).
        r2_low: Lower end of the 95 % interval by block bootstrap; NaN with a single block.
        r2_high: Upper end.
        r2_seeds: R² of each seed.
        r2_unit: R² in the label's own unit.
        rmse_log: Root mean squared error in log.
        mae_log: Mean absolute error in log.
        rmse: Root mean squared error in the label's own unit.
        mae: Mean absolute error in the label's own unit.
        spearman: Rank correlation; NaN for constant predictions.
        morans_i: Moran's I of the residuals in log, meaned over seeds: what the map still holds.
        morans_p: Its pseudo p-value.
        coverage: Share of truths inside their conformal intervals; NaN where there are none.
        coverage_low: Lower end of its 95 % interval by block bootstrap.
        coverage_high: Upper end.
        width: Median width of the conformal intervals in the label's own unit.
        n_blocks: Blocks the intervals of scores are made from.
        rows: (n,) rows of the input that have a label.
        truth: (n,) labels in their own unit.
        predictions: (seeds, n) held-out predictions in the label's own unit.
        low: (seeds, n) lower ends of the conformal intervals in the label's own unit.
        high: (seeds, n) upper ends.
        samples: (R,) R² of every resample.
        vs: Paired differences by name of the other predictor.
        adds: What the vectors add to the map: R² of both together less that of the map alone, paired,
            under the same head. None where it was not asked for.
    """

    n: int
    missing: int
    dropped_zeros: int
    transform: Transform
    r2: float
    r2_sd: float
    r2_low: float
    r2_high: float
    r2_seeds: tuple[float, ...]
    r2_unit: float
    rmse_log: float
    mae_log: float
    rmse: float
    mae: float
    spearman: float
    morans_i: float
    morans_p: float
    coverage: float
    coverage_low: float
    coverage_high: float
    width: float
    n_blocks: int
    rows: Ints = field(repr=False)
    truth: Floats = field(repr=False)
    predictions: Floats = field(repr=False)
    low: Floats = field(repr=False)
    high: Floats = field(repr=False)
    samples: Floats = field(repr=False)
    vs: dict[str, Difference] = field(default_factory=dict)
    adds: Difference | None = None


def make_folds(
    labels: Labels,
    split: Split,
    seed: int,
    *,
    folds: int,
    edge_km: float,
    buffer_km: float,
    blocks: Literal["square", "h3"] = "square",
    district_folds: int = 0,
) -> list[Fold]:
    """Folds over the labelled rows for one seed; a function as ``split`` makes its own.

    Districts and cities are left out one by one, unless ``district_folds`` deals them to fewer folds.

    Raises:
        InputError: Unknown split, no districts or cities to hold out, folds of one's own that name a row
            there is not, learn from a held-out row or hold one out twice, or an error of
            :mod:`urbanln.probe.splits`.
    """
    if callable(split):
        made = split(seed)
        _check_folds(made, len(labels.rows))
        return made
    common: dict[str, Any] = {"folds": folds, "seed": seed, "groups": labels.groups}
    whole = common | {"folds": district_folds or None}
    if split == "random":
        return random_split(labels.lonlat, **common)
    if split == "block":
        return block_split(
            labels.lonlat,
            edge_km=edge_km,
            buffer_km=buffer_km,
            blocks=blocks,
            cities=labels.cities,
            **common,
        )
    if split == "district":
        if labels.districts is None:
            what = "no district is known of any region"
            raise InputError(what, remedy="give positions a column 'district'", where="positions")
        return district_split(
            labels.lonlat, labels.districts, buffer_km=buffer_km, cities=labels.cities, **whole
        )
    if split == "city":
        if labels.cities is None:
            raise InputError(
                "there is one city only", remedy="give several cities, or another split", where="split 'city'"
            )
        return city_split(labels.lonlat, labels.cities, **whole)
    raise InputError(
        "no such split", value=split, remedy="there are: random, block, district, city", where="probe.splits"
    )


def _check_folds(folds: Sequence[Fold], rows: int) -> None:
    held = np.zeros(rows, dtype=np.int64)
    for number, fold in enumerate(folds):
        where = f"fold {number} (from 0)"
        if not isinstance(fold, Fold):
            remedy = "a split is a name or a function from seed to a list of urbanln.probe.splits.Fold"
            raise InputError("this is no fold", value=type(fold).__name__, where=where, remedy=remedy)
        named = np.concatenate([fold.train, fold.val, fold.test])
        if len(named) and not 0 <= named.min() <= named.max() < rows:
            what = "a fold names a row that there is not"
            raise InputError(
                what,
                where=where,
                value=f"{rows} rows",
                remedy="name rows from 0 to the number of labels less one",
            )
        if np.isin(fold.test, fold.known).any():
            what = "a fold learns from a row that it holds out"
            raise InputError(what, where=where, remedy="keep train and val apart from test")
        np.add.at(held, fold.test, 1)
    if held.max(initial=0) > 1:
        what = "a row is held out twice under one seed"
        raise InputError(
            what,
            value=f"row {int(held.argmax())}",
            where="the folds of a split",
            remedy="hold each row out once at most",
        )


def measure(
    labels: Labels,
    predictions: Floats,
    resamples: Resamples,
    folds_by_seed: Sequence[Sequence[Fold]],
    level: float = LEVEL,
) -> Scores:
    """Scores of held-out predictions.

    Args:
        labels: The labelled rows.
        predictions: (S, n) on the scale of ``labels.y``; a row that is NaN in one seed is left out.
        resamples: Blocks drawn, the same for everything that is compared.
        folds_by_seed: Folds behind the predictions, for the conformal intervals.
        level: Share of truths that an interval shall hold.

    Raises:
        InputError: Fewer than two rows were held out.
    """
    held = np.asarray(np.isfinite(predictions).all(axis=0))
    if held.sum() < 2:
        what = "fewer than two rows were held out"
        raise InputError(
            what, value=int(held.sum()), where="predictions", remedy="label more regions, or use fewer folds"
        )
    samples = bootstrap_r2(labels.y, predictions, resamples)
    r2_low, r2_high = interval(samples)
    residuals = (labels.y - predictions.mean(axis=0))[held]
    moran = morans_i(residuals, labels.metres[held])
    # Ends are turned back before they are counted: a share does not change by it, and the width is in units.
    low, high = (
        labels.restore(end) for end in conformal_intervals(labels.y, predictions, folds_by_seed, level)
    )
    reached = coverage(labels.truth, low, high, resamples.blocks)
    return Scores(
        n=int(held.sum()),
        missing=labels.missing,
        dropped_zeros=labels.dropped_zeros,
        transform=labels.transform,
        r2_low=r2_low,
        r2_high=r2_high,
        morans_i=moran.i,
        morans_p=moran.p,
        coverage=reached["coverage"],
        coverage_low=reached["coverage_low"],
        coverage_high=reached["coverage_high"],
        width=reached["width_median"],
        n_blocks=resamples.n_blocks,
        rows=labels.rows,
        truth=labels.truth,
        predictions=labels.restore(predictions),
        low=low,
        high=high,
        samples=samples,
        **_errors(labels, predictions, held),
    )


def _errors(labels: Labels, predictions: Floats, held: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Scores of the pooled held-out rows, in log and in the label's own unit, as means over seeds."""
    y, truth = labels.y[held], labels.truth[held]
    logs = [p[held] for p in predictions]
    units = [p[held] for p in labels.restore(predictions)]
    seeds = tuple(r2(y, p) for p in logs)
    return {
        "r2": float(np.mean(seeds)),
        "r2_sd": float(np.std(seeds, ddof=1)) if len(seeds) > 1 else 0.0,
        "r2_seeds": seeds,
        "r2_unit": float(np.mean([r2(truth, p) for p in units])),
        "rmse_log": float(np.mean([rmse(y, p) for p in logs])),
        "mae_log": float(np.mean([mae(y, p) for p in logs])),
        "rmse": float(np.mean([rmse(truth, p) for p in units])),
        "mae": float(np.mean([mae(truth, p) for p in units])),
        "spearman": float(np.mean([spearman(y, p) for p in logs])),
    }


def difference(scores: Scores, other: Scores) -> Difference:
    """Paired difference in R² (log): same rows, same folds, same resamples."""
    low, high = interval(scores.samples - other.samples)
    return Difference(scores.r2 - other.r2, low, high)


def probe(
    vectors: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    lonlat: npt.ArrayLike,
    split: Split = "block",
    head: AnyHead = "ridge",
    seeds: int = 5,
    folds: int = 5,
    edge_km: float = 5.0,
    buffer_km: float = 1.0,
    bootstrap: int = 1000,
    transform: Literal["auto", "log1p", "log", "none"] = "auto",
    level: float = LEVEL,
    floors: Sequence[str] = MAP_FLOORS,
    joint: bool = True,
    groups: npt.ArrayLike | None = None,
    cities: npt.ArrayLike | None = None,
    districts: npt.ArrayLike | None = None,
    against: Mapping[str, npt.ArrayLike] | None = None,
) -> Scores:
    """Score frozen region vectors against one label, beside the floors.

    Args:
        vectors: (N, D), finite.
        target: (N,) labels in their own unit; NaN rows are left out and counted.
        lonlat: (N, 2) longitude, latitude in degrees.
        split: ``"block"``, ``"random"``, ``"district"``, ``"city"``, or a function from seed to folds.
        head: A name of ``HEADS``, a scikit-learn regressor, or a :class:`~urbanln.probe.heads.Head`.
        seeds: Repetitions, each with folds of its own.
        folds: Folds per repetition.
        edge_km: Edge of a block in km, of the block split and of the bootstrap (also under other splits).
        buffer_km: Training rows this near to a test row leave the training.
        bootstrap: Resamples of blocks.
        transform: See :func:`urbanln.probe.labels.prepare_labels`, as for the three columns below.
        level: Share of truths that the conformal interval of a region shall hold.
        floors: Floors beside the mean; fewer of them are faster.
        joint: Also ask what the vectors add to the map (``adds``); twice more work for the head.
        groups: (N,) labels; a row is never predicted from rows that share its label.
        cities, districts: (N,) city and district of each row, where known.
        against: Further tables of vectors (N, D) by name, to be compared with under the same head.

    Returns:
        Scores whose ``vs`` holds the differences to ``"mean"``, the floors and ``against``.

    Raises:
        InputError: Vectors, labels, positions, the split or a name in ``against`` cannot be used.
    """
    if seeds < 1 or bootstrap < 1:
        what, given = "seeds and resamples: one or more", (seeds, bootstrap)
        raise InputError(what, value=given, where="seeds, bootstrap", remedy="give 1 or more of each")
    list(map(check_name, against or {}))
    points = check_lonlat(lonlat)
    tables = {"": vectors, **(against or {})}
    checked = {name: check_vectors(table, len(points), name or "vectors") for name, table in tables.items()}
    labels = prepare_labels(target, points, groups, transform=transform, cities=cities, districts=districts)
    make = partial(make_folds, labels, split, folds=folds, edge_km=edge_km, buffer_km=buffer_km)
    made = [make(seed) for seed in range(seeds)]
    resamples = draw_resamples(square_blocks(labels.metres, edge_km), seeds, bootstrap)
    return _compare(checked, labels, made, resamples, head=head, floors=floors, joint=joint, level=level)


def _compare(
    tables: Mapping[str, npt.NDArray],
    labels: Labels,
    made: Sequence[list[Fold]],
    resamples: Resamples,
    *,
    head: AnyHead,
    floors: Sequence[str],
    joint: bool,
    level: float,
) -> Scores:
    """Scores of the table called "", with its differences to the floors and to the other tables."""

    def over_seeds(predict: Callable[[list[Fold], int], Floats]) -> Scores:
        held = np.stack([predict(parts, seed) for seed, parts in enumerate(made)])
        return measure(labels, held, resamples, made, level)

    scores = {name: over_seeds(partial(floor_held_out, name, labels)) for name in ("mean", *floors)}
    scores |= {
        name: over_seeds(partial(held_out, head, X, labels.y, rows=labels.rows)) for name, X in tables.items()
    }
    own = scores.pop("")
    adds = None
    if joint:
        both, alone = (over_seeds(partial(map_held_out, head, X, labels)) for X in (tables[""], None))
        adds = difference(both, alone)
    return replace(own, vs={name: difference(own, other) for name, other in scores.items()}, adds=adds)
