"""Transfer between cities: fit where there are labels, predict a city that has none, or only a few.

R² is about the target's own mean, which nobody knows who has no label there. It can therefore be far below
0 although the order of regions is met: Spearman's rank correlation stands beside it, and what a few labels
of the target repair.

Floors, each fitted on labels alone:

- ``mean``: the mean of the source's labels (log scale).
- ``nearest-distribution``, where there are several source cities: the mean of the one most like the
  target. Without target labels, likeness is that of the main vectors, which carry no label: Fréchet
  distance of Gaussians with diagonal covariance, columns scaled by the sources. With ``k`` labels, it is
  the 1-Wasserstein distance between them and each source's labels.
- ``target-mean`` (``k`` > 0): the mean of the ``k`` labels.
- ``coordinates-nearest`` (``k`` > 0): five nearest neighbours on the map among the ``k``.

One row per indicator, pair, table or floor, and ``k``: ``indicator``, ``source``, ``target``,
``features``, ``head``, ``k``, ``n`` (regions scored, mean over seeds), ``n_source``, ``transform``,
``r2`` (log scale, about the target's mean) with ``r2_low`` and ``r2_high`` (95 %, blocks of the
target and seeds resampled), ``rmse`` (the label's unit), ``rmse_log``, ``spearman`` (None for a
constant), ``level_shift`` (median of the target's labels less that of the source's, log scale),
``kind``, ``score_name``, ``score`` with its ends (the main score: of numbers R² again),
``vs`` (paired differences in R²: floors and other tables) and ``reason``: None, or why it could not
be scored; all numbers are None then.

Classes and shares have no level to repair: their ``k`` labels join the training as they are. KL skill is
about the target's own mean share, as R² about its mean; what only numbers have is None. Likeness of sources
by ``k`` labels is the distance of mean shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.files import SCHEMA_VERSION, write_json, write_table
from urbanln.base.kinds import LabelKind
from urbanln.base.progress import progress
from urbanln.base.space import Floats, Ints, nearest_metres
from urbanln.probe.columns import column_scale
from urbanln.probe.floors import nearest_neighbours
from urbanln.probe.held_out import held_out
from urbanln.probe.labels import Labels, prepare_labels
from urbanln.probe.metrics import draw_resamples
from urbanln.probe.names import NEAREST, NO_HEAD
from urbanln.probe.simplex import evened, one_more
from urbanln.probe.splits import BUFFER_TOLERANCE, Fold
from urbanln.probe.tables import Regions, common_regions
from urbanln.probe.transfer_scores import CONSTANT_FLOORS, MIN_ROWS, Pair, blank_row, pair_rows
from urbanln.probe.units import (
    block_units,
    city_numbers,
    enough_units,
    group_numbers,
    inner_folds,
    validation,
)

ALL_OTHERS = "all others"
FLOORS = (*CONSTANT_FLOORS, NEAREST)
VAL_SHARE = 0.2
PARALLEL_FITS = 400  # below this many fits a second process costs more than it saves
Copies = Mapping[str, Sequence[npt.NDArray[np.float32]]]
# (k, features): predictions (S, n) of the target's rows, NaN: not scored
Found = dict[tuple[int, str], Floats]


def transfer(
    tables: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    settings: ProbeSettings,
    main: str | None = None,
    *,
    groups: Mapping[str, Any] | None = None,
    kinds: Mapping[str, LabelKind] | None = None,
    jobs: int | None = None,
) -> list[dict[str, Any]]:
    """Fit on one city and predict another, for all ordered pairs and from all other cities together.

    With ``k`` = 0 nothing of the target's labels is used: columns and labels are scaled by the source's
    statistics, the head's strength is chosen by spatial folds inside the source (by whole cities where there
    are several). With ``k`` > 0 that many labelled regions of the target, drawn at random for each seed,
    repair the level first (the mean error of the source's fit on them is taken off) and then join the
    training; the other regions of the target farther than ``settings.buffer_km`` from all of them are
    scored. A larger ``k`` therefore leaves fewer regions, which ``n`` tells.

    Args:
        tables: Tables with ``region_id`` and ``vector`` by name, of all cities together; none at all scores
            the floors. Seeds take the copies of a table trained several times in turn.
        indicators: ``region_id`` and one column per indicator, NaN where missing; of shares one per part.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees and ``city``.
        settings: The first head, seeds, ``shots`` (the values of ``k``), block, buffer, transform, bootstrap.
        main: Table whose vectors tell which source is most like the target; by default the first.
        groups: Region to any label; what shares a label with a target region is not trained on.
        kinds: Indicators that are classes or shares, and their columns; every other column is a number.
        jobs: Processes; by default one per core when there is enough to do. Results do not depend on it.

    Returns:
        Rows as the module's head describes them.

    Raises:
        InputError: No city is given, there is one only, or a table is unusable.
    """
    main = main if main is not None else next(iter(tables), None)
    _check(tables, lonlat, main)
    regions = common_regions(tables, indicators, lonlat, groups, kinds)
    pairs, rows = _pairs(regions, settings)
    fits = len(pairs) * len(regions.vectors) * settings.seeds * len(settings.shots)
    if jobs is None:
        jobs = joblib.cpu_count() if fits >= PARALLEL_FITS else 1
    tasks = (joblib.delayed(_pair_rows)(pair, regions.vectors, settings, main) for pair in pairs)
    with progress("transfer", len(pairs)) as advance:
        made = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
        for pair, own in zip(pairs, made, strict=True):
            rows += own
            advance(1, pair.indicator)
    return rows


def save_transfer(
    folder: Path | str, rows: Sequence[Mapping[str, Any]], made_from: Mapping[str, str] | None = None
) -> None:
    """Write ``transfer.json`` and ``transfer.parquet`` (without the paired differences) beside the scores.

    Raises:
        StorageError: The folder cannot be written.
    """
    folder = Path(folder)
    flat = pd.DataFrame([{key: value for key, value in row.items() if key != "vs"} for row in rows])
    write_table(folder / "transfer.parquet", flat, kind="transfer", made_from=made_from)
    content = {"schema_version": SCHEMA_VERSION, "kind": "transfer", "made_from": dict(made_from or {})}
    write_json(folder / "transfer.json", content | {"rows": list(rows)})


def _check(tables: Mapping[str, Any], lonlat: pd.DataFrame, main: str | None) -> None:
    if main is not None and main not in tables:
        raise InputError(
            "the main table is not among the vectors",
            value=main,
            where="main",
            remedy=f"there are: {', '.join(tables)}",
        )
    if taken := [name for name in tables if name in FLOORS]:
        raise InputError(
            "a table of vectors has the name of a floor", value=taken[0], remedy="rename it", where="vectors"
        )
    if "city" not in lonlat.columns:
        raise InputError(
            "transfer needs the city of each region",
            remedy="give positions a column 'city'",
            where="positions",
        )
    if (lonlat["city"] == ALL_OTHERS).any():
        raise InputError(
            "a city has the name of all others together",
            value=ALL_OTHERS,
            remedy="rename it",
            where="positions",
        )


def _pairs(regions: Regions, settings: ProbeSettings) -> tuple[list[Pair], list[dict[str, Any]]]:
    """What can be fitted and scored, and a row with its reason for what cannot."""
    cities = np.asarray(regions.cities).astype(str)
    names = list(dict.fromkeys(cities.tolist()))
    if len(names) < 2:
        raise InputError(
            "transfer needs two cities or more", value=names, remedy="give several cities", where="positions"
        )
    pairs: list[Pair] = []
    refused: list[dict[str, Any]] = []
    for indicator, target in regions.targets.items():
        label = regions.kinds[indicator]
        try:
            labels = prepare_labels(
                target,
                regions.lonlat,
                regions.groups,
                f"indicator {indicator}",
                transform=settings.transform,
                cities=cities,
                kind=label.kind,
                names=label.columns if label.kind == "shares" else (),
            )
        except InputError as error:
            refused.append(blank_row(indicator, reason=str(error).replace("\n", ";")))
            continue
        rows = {name: np.flatnonzero(np.asarray(labels.cities) == name) for name in names}
        for to in names:
            others = [name for name in names if name != to]
            sources = {name: rows[name] for name in others}
            if len(others) > 1:
                sources[ALL_OTHERS] = np.sort(np.concatenate(list(sources.values())))
            for source, known in sources.items():
                pair = Pair(indicator, source, to, labels, _without_shared(labels, known, rows[to]), rows[to])
                if reason := _unusable(pair):
                    refused.append(blank_row(indicator, source, to, reason=reason))
                else:
                    pairs.append(pair)
    return pairs, refused


def _without_shared(labels: Labels, rows: Ints, others: Ints) -> Ints:
    """The rows that share no group with one of the others."""
    if labels.groups is None:
        return rows
    alike = group_numbers(labels.groups, len(labels.y))
    return rows[~np.isin(alike[rows], alike[others])]


def _unusable(pair: Pair) -> str | None:
    for city, rows in ((pair.source, pair.known), (pair.target, pair.test)):
        if len(rows) < MIN_ROWS:
            return f"{city} has {len(rows)} usable labelled regions, fewer than {MIN_ROWS}"
        if (pair.labels.y[rows] == pair.labels.y[rows[0]]).all():
            return f"all labels of {city} are equal"
    return None


def _pair_rows(
    pair: Pair, vectors: Copies, settings: ProbeSettings, main: str | None
) -> list[dict[str, Any]]:
    """The rows of one pair: fitted, then scored on the target."""
    found: Found = {}
    for seed in range(settings.seeds):
        for (k, name), predicted in _predict(pair, vectors, settings, main, seed):
            blank = np.full((settings.seeds, *predicted.shape), np.nan)
            found.setdefault((k, name), blank)[seed] = predicted
    units = block_units(pair.labels.lonlat[pair.test], edge_km=settings.block_km, blocks=settings.blocks)
    resamples = draw_resamples(units, settings.seeds, settings.bootstrap)
    rows = []
    for k in settings.shots:
        scored = {name: values for (shots, name), values in found.items() if shots == k}
        heads = {name: settings.heads[0] if name in vectors else NO_HEAD for name in scored}
        rows += pair_rows(pair, k, scored, heads, resamples)
    return rows


def _predict(
    pair: Pair, vectors: Copies, settings: ProbeSettings, main: str | None, seed: int
) -> Iterator[tuple[tuple[int, str], Floats]]:
    """Predictions (n,) of the target's rows by everything, for one seed; nothing for a ``k`` too large."""
    y, head, rows, kind = pair.labels.y, settings.heads[0], pair.labels.rows, pair.labels.kind
    base = _source_fold(pair, settings, seed)
    # Draws of one seed are nested: the regions of a small k are among those of a larger one.
    order = np.random.default_rng([seed, 7, len(pair.test)]).permutation(pair.test)
    columns = {name: copies[seed % len(copies)] for name, copies in vectors.items()}
    alone = {name: held_out(head, X, y, [base], seed, rows, kind) for name, X in columns.items()}
    for k in settings.shots:
        shots = np.sort(order[:k])
        test = _scored_rows(pair, shots, settings.buffer_km)
        if k >= len(order) or len(test) < MIN_ROWS or (y[test] == y[test[0]]).all():
            continue
        made = _floors(pair, base, shots, test, columns.get(main or ""))
        for name, X in columns.items():
            made[name] = alone[name]
            if k > 0:
                level = float((y[shots] - alone[name][shots]).mean()) if kind == "number" else 0.0
                fold, shifted = _with_shots(y, base, shots, test, level)
                made[name] = held_out(head, X, shifted, [fold], seed, rows, kind) + level
        scored = np.isin(pair.test, test).reshape(-1, *[1] * (y.ndim - 1))
        for name, values in made.items():
            yield (k, name), np.where(scored, values[pair.test], np.nan)


def _source_fold(pair: Pair, settings: ProbeSettings, seed: int) -> Fold:
    """The source's rows as training and validation, by whole cities or blocks; the target's as test."""
    labels, known = pair.labels, pair.known
    rng = np.random.default_rng([seed, 8])
    cities = np.asarray(labels.cities)[known]
    units = city_numbers(cities, len(known))
    if units.max() == 0:
        shift = rng.random(2)
        units = block_units(
            labels.lonlat[known],
            edge_km=settings.block_km,
            blocks=settings.blocks,
            shift=(shift[0], shift[1]),
        )
    pieces = enough_units(units, labels.metres[known])
    train, val = validation(known, pieces, VAL_SHARE, rng)
    return Fold(train, val, pair.test, inner_folds(pieces, rng))


def _scored_rows(pair: Pair, shots: Ints, buffer_km: float) -> Ints:
    """The target's rows that are neither labelled, nor near a labelled one, nor share a picture with one."""
    rest = pair.test[~np.isin(pair.test, shots)]
    if len(shots) == 0:
        return rest
    metres = pair.labels.metres
    rest = rest[nearest_metres(metres[rest], metres[shots]) > 1000 * BUFFER_TOLERANCE * buffer_km]
    return _without_shared(pair.labels, rest, shots)


def _with_shots(y: Floats, base: Fold, shots: Ints, test: Ints, level: float) -> tuple[Fold, Floats]:
    """The fold in which ``shots`` join the training, and labels (N,) with their level taken off.

    Few labels among thousands would hardly move a fit: what they tell best is the level of their city.
    """
    shifted = y.copy()
    shifted[shots] -= level
    train = np.sort(np.concatenate([base.train, shots]))
    parts = np.full(len(y), -1)
    if base.inner is not None:
        parts[base.known] = base.inner
        parts[shots] = np.arange(len(shots)) % (int(base.inner.max()) + 1)
    inner = None if base.inner is None else parts[np.sort(np.concatenate([train, base.val]))]
    return Fold(train, base.val, test, inner), shifted


def _floors(
    pair: Pair, base: Fold, shots: Ints, test: Ints, main: npt.NDArray[np.float32] | None
) -> dict[str, Floats]:
    from scipy.stats import wasserstein_distance  # here, since it takes a third of a second to import

    y, known = pair.labels.y, base.known
    constants = {"mean": y[known].mean(axis=0)}
    cities = np.asarray(pair.labels.cities)
    sources = [known[cities[known] == name] for name in dict.fromkeys(cities[known].tolist())]
    distance: list[float] = []
    if len(sources) > 1 and len(shots):
        apart = wasserstein_distance if y.ndim == 1 else _shares_apart
        distance = [apart(y[shots], y[rows]) for rows in sources]
    elif len(sources) > 1 and main is not None:
        at = pair.labels.rows
        distance = [_frechet(main, at[rows], at[pair.test], at[known]) for rows in sources]
    if distance:
        constants["nearest-distribution"] = y[sources[int(np.argmin(distance))]].mean(axis=0)
    if len(shots):
        constants["target-mean"] = y[shots].mean(axis=0)
    floors = {name: np.full(y.shape, value) for name, value in constants.items()}
    if len(shots):
        near = Fold(shots, np.zeros(0, dtype=np.int64), test)
        floors[NEAREST] = nearest_neighbours(pair.labels.metres, y, [near])
    if y.ndim == 1:
        return floors
    of_target = ("target-mean", NEAREST)
    seen = {name: len(shots) if name in of_target else len(known) for name in floors}
    return {name: evened(made, one_more(seen[name])) for name, made in floors.items()}


def _shares_apart(some: Floats, others: Floats) -> float:
    """Half the sum of differences between two mean shares."""
    return float(np.abs(some.mean(axis=0) - others.mean(axis=0)).sum() / 2)


def _frechet(X: npt.NDArray[np.float32], rows: Ints, others: Ints, known: Ints) -> float:
    """Squared Fréchet distance between two sets of vectors as Gaussians with diagonal covariance.

    Dowson and Landau 1982, J. Multivariate Analysis 12; columns are scaled by the rows ``known``.
    """
    scale = column_scale(X, known)
    a, b = scale.rows(X, rows), scale.rows(X, others)
    gap = (a.mean(axis=0) - b.mean(axis=0)) ** 2 + (a.std(axis=0) - b.std(axis=0)) ** 2
    return float(gap.sum())
