"""Score one table of vectors against one label, beside the floors it has to beat.

Example:
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> lonlat = 116 + rng.random((200, 2)) / 5 - [0, 76]
    >>> vectors = rng.normal(size=(200, 3))
    >>> probe(vectors, np.exp(vectors[:, 0]), lonlat=lonlat, seeds=1).vs["coordinates-gp"].low > 0
    True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict, Unpack

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, square_blocks
from urbanln.probe.held_out import (
    AnyHead,
    check_name,
    check_vectors,
    floor_held_out,
    held_out,
    map_held_out,
)
from urbanln.probe.labels import Labels, prepare_labels
from urbanln.probe.measured import LEVEL, AnyScores, Scores, difference, measure
from urbanln.probe.metrics import Resamples, draw_resamples
from urbanln.probe.names import NEAREST
from urbanln.probe.part_scores import PartScores
from urbanln.probe.splits import Fold, block_split, city_split, district_split, random_split

Split = Literal["random", "block", "district", "city"] | Callable[[int], list[Fold]]
MAP_FLOORS = (NEAREST, "coordinates-boosting", "coordinates-gp")


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
    """Score frozen region vectors against one label of numbers, beside the floors.

    Args:
        vectors: (N, D), finite.
        target: (N,) labels in their own unit; NaN rows are left out and counted.
        lonlat: (N, 2) longitude, latitude in degrees.
        split: ``"block"``, ``"random"``, ``"district"``, ``"city"``, or a function from seed to folds.
        head: A name of ``HEADS``, a scikit-learn model, or a :class:`~urbanln.probe.heads.Head`.
        seeds, folds: Repetitions, and the folds that each has of its own.
        edge_km: Edge of a block in km, of the block split and of the bootstrap (also under other splits).
        buffer_km: Training rows this near to a test row leave the training.
        bootstrap: Resamples of blocks.
        transform: See :func:`urbanln.probe.labels.prepare_labels`, as for the three columns below.
        level: Share of truths that the conformal interval of a region shall hold.
        floors: Floors beside the mean; fewer of them are faster.
        joint: Also ask what the vectors add to the map (``adds``); twice more work for the head.
        groups, cities, districts: (N,) of each row; none is predicted from rows that share its group.
        against: Further tables of vectors (N, D) by name, to be compared with under the same head.

    Returns:
        Scores whose ``vs`` holds the differences to ``"mean"``, the floors and ``against``.

    Raises:
        InputError: Vectors, labels, positions, the split or a name in ``against`` cannot be used.
    """
    columns: dict[str, Any] = {"groups": groups, "cities": cities, "districts": districts}
    labels = prepare_labels(target, lonlat, transform=transform, **columns)
    return cast(
        "Scores",
        _probe(
            vectors, labels, against=against or {}, rows=len(np.asarray(lonlat)), split=split, head=head,
            seeds=seeds, folds=folds, edge_km=edge_km, buffer_km=buffer_km, bootstrap=bootstrap, level=level,
            floors=floors, joint=joint,
        ),
    )  # fmt: skip


class Options(TypedDict, total=False):
    """What :func:`probe_parts` takes besides; as of :func:`probe`, with its defaults."""

    split: Split
    head: AnyHead
    seeds: int
    folds: int
    edge_km: float
    buffer_km: float
    bootstrap: int
    level: float
    floors: Sequence[str]
    joint: bool


def probe_parts(
    vectors: npt.ArrayLike,
    target: npt.ArrayLike,
    kind: Literal["classes", "shares"],
    *,
    lonlat: npt.ArrayLike,
    names: Sequence[str] = (),
    groups: npt.ArrayLike | None = None,
    cities: npt.ArrayLike | None = None,
    districts: npt.ArrayLike | None = None,
    against: Mapping[str, npt.ArrayLike] | None = None,
    **options: Unpack[Options],
) -> PartScores:
    """:func:`probe` for classes or shares.

    Args:
        vectors: (N, D), finite.
        target: (N,) names of classes, None or NaN where missing; or (N, C) shares that sum to one.
        kind: Which of the two.
        lonlat: (N, 2) longitude, latitude in degrees.
        names: Of the C shares.
        groups, cities, districts, against: As of :func:`probe`.
        options: See :class:`Options`.

    Raises:
        InputError: As of :func:`probe`.
    """
    columns: dict[str, Any] = {"groups": groups, "cities": cities, "districts": districts}
    labels = prepare_labels(target, lonlat, kind=kind, names=tuple(names), **columns)
    return cast("PartScores", _probe(vectors, labels, against or {}, len(np.asarray(lonlat)), **options))


def _probe(
    vectors: npt.ArrayLike,
    labels: Labels,
    against: Mapping[str, npt.ArrayLike],
    rows: int,
    split: Split = "block",
    head: AnyHead = "ridge",
    seeds: int = 5,
    folds: int = 5,
    edge_km: float = 5.0,
    buffer_km: float = 1.0,
    bootstrap: int = 1000,
    level: float = LEVEL,
    floors: Sequence[str] = MAP_FLOORS,
    joint: bool = True,
) -> AnyScores:
    _check_counts(seeds, bootstrap)
    checked = _tables(vectors, against, rows)
    make = partial(make_folds, labels, split, folds=folds, edge_km=edge_km, buffer_km=buffer_km)
    made = [make(seed) for seed in range(seeds)]
    resamples = draw_resamples(square_blocks(labels.metres, edge_km), seeds, bootstrap)
    return _compare(checked, labels, made, resamples, head=head, floors=floors, joint=joint, level=level)


def _check_counts(seeds: int, bootstrap: int) -> None:
    if seeds < 1 or bootstrap < 1:
        what, given = "seeds and resamples: one or more", (seeds, bootstrap)
        raise InputError(what, value=given, where="seeds, bootstrap", remedy="give 1 or more of each")


def _tables(
    vectors: npt.ArrayLike, against: Mapping[str, npt.ArrayLike], rows: int
) -> dict[str, npt.NDArray[np.float32]]:
    """All tables by name; "" is the one that is scored."""
    list(map(check_name, against))
    tables = {"": vectors, **against}
    return {name: check_vectors(table, rows, name or "vectors") for name, table in tables.items()}


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
) -> AnyScores:
    """Scores of the table called "", with its differences to the floors and to the other tables."""

    def over_seeds(predict: Callable[[list[Fold], int], Floats]) -> AnyScores:
        held = np.stack([predict(parts, seed) for seed, parts in enumerate(made)])
        return measure(labels, held, resamples, made, level)

    scores = {name: over_seeds(partial(floor_held_out, name, labels)) for name in ("mean", *floors)}
    scores |= {
        name: over_seeds(partial(held_out, head, X, labels.y, rows=labels.rows, kind=labels.kind))
        for name, X in tables.items()
    }
    own = scores.pop("")
    adds = None
    if joint:
        both, alone = (over_seeds(partial(map_held_out, head, X, labels)) for X in (tables[""], None))
        adds = difference(both, alone)
    return replace(own, vs={name: difference(own, other) for name, other in scores.items()}, adds=adds)
