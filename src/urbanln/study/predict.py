"""Held-out predictions of one variant in one city: the probe's folds, heads and floors, one seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.space import Floats, square_blocks, to_metres
from urbanln.city.near_duplicates import shared_pictures
from urbanln.city.store import City
from urbanln.probe.held_out import floor_held_out, held_out
from urbanln.probe.labels import Labels, prepare_labels
from urbanln.probe.names import NO_HEAD
from urbanln.probe.part_scores import mean_share
from urbanln.probe.splits import MIN_TRAIN, Fold, block_split, district_split, random_split
from urbanln.probe.tables import label_values
from urbanln.stages.embed import PIXELS
from urbanln.study.spec import INDUCTIVE_SPLIT

Predict = Callable[[Labels, Sequence[Fold]], Floats]
LEFT_OUT, NAMES = "left_out", "names"
"""Attributes of a table of predictions: labels that could not be scored, and names of the parts of others."""


def scored_regions(city: City, views: Sequence[str]) -> pd.DataFrame:
    """Regions with pictures of all views: ``region_id, lon, lat, group``, and ``district`` if there are any.

    Equal regions for all variants make their scores comparable; they do not depend on labels.

    Raises:
        InputError: No region has all views.
    """
    lonlat = city.centroids()
    frame = pd.DataFrame(
        {"region_id": city.regions["region_id"].astype(str), "lon": lonlat[:, 0], "lat": lonlat[:, 1]}
    )
    if "district" in city.regions.columns:
        district = city.regions["district"]
        frame["district"] = district.astype(str).where(district.notna(), None)
    for view in views:
        seen = city.images.loc[city.images["view"] == view, "region_id"]
        frame = frame[frame["region_id"].isin(seen)]
    if frame.empty:
        raise InputError(
            "no region has pictures of all views",
            value=" + ".join(views),
            where=city.folder,
            remedy="add the missing pictures, or embed one view",
        )
    shared = shared_pictures(city.images)
    frame["group"] = [str(shared.get(name, f"own {name}")) for name in frame["region_id"]]
    return frame.reset_index(drop=True)


def region_folds(regions: pd.DataFrame, split: str, probe: ProbeSettings, seed: int) -> list[Fold]:
    """Folds over all scored regions, labelled or not, so that pre-training can keep to them.

    Args:
        regions: From :func:`scored_regions`.
        split: ``"random"``, ``"block"`` or ``"district"``.
        probe: Folds, blocks and buffer.
        seed: Of the folds.

    Raises:
        InputError: The split cannot be made of these regions.
    """
    lonlat, groups = regions[["lon", "lat"]].to_numpy(), regions["group"].to_numpy()
    if split == "random":
        return random_split(lonlat, folds=probe.folds, seed=seed, groups=groups)
    if split == "district":
        if "district" not in regions.columns:
            raise InputError(
                "the district split needs a column 'district' of the regions",
                where="probe.splits",
                remedy="add the column, or leave the split out",
            )
        return district_split(
            lonlat, regions["district"].to_numpy(), buffer_km=probe.buffer_km,
            folds=probe.district_folds or None, seed=seed, groups=groups,
        )  # fmt: skip
    return block_split(
        lonlat, edge_km=probe.block_km, buffer_km=probe.buffer_km, folds=probe.folds, seed=seed,
        groups=groups, blocks=probe.blocks,
    )  # fmt: skip


def known_regions(city: City, views: Sequence[str], probe: ProbeSettings, seed: int, fold: int) -> pd.Series:
    """Regions that inductive pre-training may see for a fold of the block split."""
    regions = scored_regions(city, views)
    folds = region_folds(regions, INDUCTIVE_SPLIT, probe, seed)
    return regions["region_id"].iloc[folds[fold].known]


def region_blocks(regions: pd.DataFrame, probe: ProbeSettings) -> pd.DataFrame:
    """``region_id`` and ``block``: what the bootstrap resamples."""
    metres = to_metres(regions[["lon", "lat"]].to_numpy())
    return regions[["region_id"]].assign(block=square_blocks(metres, probe.block_km))


def predict_vectors(
    city: City,
    tables: Sequence[pd.DataFrame],
    probe: ProbeSettings,
    *,
    seed: int,
    views: Sequence[str],
    by_fold: bool = False,
) -> pd.DataFrame:
    """Held-out predictions of every head from region vectors.

    Args:
        city: Gives labels and places.
        tables: ``region_id`` and ``vector``: one table, or with ``by_fold`` one per fold of the block split.
        probe: Heads, splits and folds.
        seed: Of folds and heads.
        views: Views a scored region has pictures of.
        by_fold: The vectors of a fold come from an encoder that never saw its test regions: the block split
            alone is scored.

    Returns:
        ``split, indicator, head, region_id, fold, truth, prediction``; truth and prediction on the scale
        that the probe scores (log1p where it makes a label less skewed). With classes or shares also
        ``kind``, missing for numbers, and lists in the order of the parts: ``truth_parts``, ``parts`` as
        predicted, and ``mean_parts``, the mean share of the regions known to this fold, which KL skill is
        measured from. Attributes: ``left_out`` lists what could not be scored (``indicator``, ``split``,
        empty where under none, ``reason``), ``names`` has the names of the parts by indicator.
    """
    regions = scored_regions(city, views)
    vectors = [_aligned(table, regions) for table in tables]
    splits = [INDUCTIVE_SPLIT] if by_fold else list(probe.splits)

    def predict(labels: Labels, folds: Sequence[Fold], head: str) -> Floats:
        y, rows = labels.y, labels.rows
        if not by_fold:
            return held_out(head, vectors[0], y, folds, seed, rows, labels.kind)
        predicted = np.full(y.shape, np.nan)
        for X, fold in zip(vectors, folds, strict=True):
            predicted[fold.test] = held_out(head, X, y, [fold], seed, rows, labels.kind)[fold.test]
        return predicted

    ways = {head: partial(predict, head=head) for head in probe.heads}
    return _over_labels(city, regions, probe, splits, seed, ways)


def predict_floors(
    city: City, pixels: pd.DataFrame, probe: ProbeSettings, *, seed: int, views: Sequence[str]
) -> pd.DataFrame:
    """Held-out predictions of the floors, as :func:`predict_vectors` gives them, with a column ``name``.

    Args:
        city: Gives labels and places.
        pixels: What is measured in the pictures, as one more table of vectors.
        probe: Floors, splits and folds.
        seed: Of folds and heads.
        views: Views a scored region has pictures of.
    """
    regions = scored_regions(city, views)
    frames = [predict_vectors(city, [pixels], probe, seed=seed, views=views).assign(name=PIXELS)]
    for name in dict.fromkeys(("mean", *probe.floors)):
        floor = partial(floor_held_out, name, seed=seed)
        found = _over_labels(city, regions, probe, probe.splits, seed, {NO_HEAD: floor})
        frames.append(found.assign(name=name))
    names = frames[0].attrs[NAMES]  # those of the city's labels
    left_out = [one for frame in frames for one in frame.attrs[LEFT_OUT]]
    return _joined(frames, [one for k, one in enumerate(left_out) if one not in left_out[:k]], names)


def _joined(
    frames: Sequence[pd.DataFrame], left_out: list[dict[str, str]], names: dict[str, list[str]]
) -> pd.DataFrame:
    for frame in frames:
        frame.attrs = {}  # which are compared when frames are joined
    found = pd.concat(frames, ignore_index=True)
    found.attrs = {LEFT_OUT: left_out, NAMES: names}
    return found


class _Ready(NamedTuple):
    """Labels that can be scored, by name, and why others cannot."""

    labels: dict[str, Labels]
    faults: dict[str, InputError]


def _prepare(city: City, regions: pd.DataFrame, probe: ProbeSettings) -> _Ready:
    values = city.indicators.set_index("region_id").reindex(regions["region_id"])
    lonlat = regions[["lon", "lat"]].to_numpy()
    ready = _Ready({}, {})
    for name, label in city.kinds().items():
        try:
            ready.labels[name] = prepare_labels(
                label_values(values, label).to_numpy(), lonlat, where=f"indicator {name}",
                transform=probe.transform, kind=label.kind,
                names=label.columns if label.kind == "shares" else (),
            )  # fmt: skip
        except InputError as error:
            ready.faults[name] = error
    return ready


def _over_labels(
    city: City,
    regions: pd.DataFrame,
    probe: ProbeSettings,
    splits: Sequence[str],
    seed: int,
    ways: Mapping[str, Predict],
) -> pd.DataFrame:
    """Every split, indicator and way to predict; one that cannot be scored is left out, and listed.

    Numbers with a label at the same regions share their folds and are predicted together; classes and
    shares, which are several columns by themselves, are predicted alone.
    """
    ready = _prepare(city, regions, probe)
    left_out = [_left_out(name, "", error) for name, error in ready.faults.items()]
    reason = next(reversed(ready.faults.values()), None)
    alike: dict[tuple[bytes, str], list[str]] = {}
    for name, labels in ready.labels.items():
        alone = "" if labels.kind == "number" else name
        alike.setdefault((labels.rows.tobytes(), alone), []).append(name)
    frames = []
    for split in splits:
        folds = region_folds(regions, split, probe, seed)
        found: dict[str, list[pd.DataFrame]] = {}
        for names in alike.values():
            try:
                found |= _together({name: ready.labels[name] for name in names}, folds, regions, ways)
            except InputError as error:
                reason = error
                left_out += [_left_out(name, split, error) for name in names]
        frames += [
            frame.assign(split=split, indicator=name)[["split", "indicator", *frame.columns]]
            for name in ready.labels
            for frame in found.get(name, [])
        ]
    if not frames:
        raise reason or InputError(
            "there is no label to score", where=city.folder, remedy="ingest the city with --label"
        )
    return _joined(
        frames, left_out, {name: list(labels.names) for name, labels in ready.labels.items() if labels.names}
    )


def _left_out(indicator: str, split: str, error: InputError) -> dict[str, str]:
    reason = "; ".join(" ".join(line.split()) for line in str(error).splitlines())
    return {"indicator": indicator, "split": split, "reason": reason}


def _together(
    ready: Mapping[str, Labels], folds: Sequence[Fold], regions: pd.DataFrame, ways: Mapping[str, Predict]
) -> dict[str, list[pd.DataFrame]]:
    """A frame per way to predict for each of several labels that stand at the same regions."""
    first = next(iter(ready.values()))
    own = labelled_folds(folds, first.rows, len(regions))
    fold = np.full(len(first.rows), -1)
    for number, part in enumerate(own):
        fold[part.test] = number
    about = {"region_id": regions["region_id"].to_numpy()[first.rows], "fold": fold}
    if first.kind != "number":
        truths = {
            "kind": first.kind,
            "truth_parts": list(first.y),
            "mean_parts": list(mean_share(first, [own])[0]),
        }
        made = {head: predict(first, own) for head, predict in ways.items()}
        (name,) = ready
        frames = [_frame(head, about, truths | {"parts": list(parts)}) for head, parts in made.items()]
        return {name: frames}
    several = replace(first, y=np.column_stack([labels.y for labels in ready.values()]))
    made = {head: predict(several, own) for head, predict in ways.items()}
    return {
        name: [
            _frame(head, about, {"truth": labels.y, "prediction": values[:, number]})
            for head, values in made.items()
        ]
        for number, (name, labels) in enumerate(ready.items())
    }


def _frame(head: str, about: Mapping[str, Any], values: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"head": head, **about, **values})


def labelled_folds(folds: Sequence[Fold], rows: npt.NDArray[np.int64], count: int) -> list[Fold]:
    """The folds of ``count`` regions, over the labelled ones among them.

    Args:
        folds: Over all regions.
        rows: (n,) the labelled regions, ascending.
        count: Number of all regions.

    Returns:
        Folds over 0 … n - 1.

    Raises:
        InputError: Too few labels are left to learn from in a fold.
    """
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    found = []
    for fold in folds:
        inner = None if fold.inner is None else fold.inner[place[fold.known] >= 0]
        places = (place[part] for part in (fold.train, fold.val, fold.test))
        train, val, test = (part[part >= 0] for part in places)
        own = Fold(train, val, test, inner)
        if len(own.train) < MIN_TRAIN or not len(own.val):
            raise InputError(
                "too few labels are left to learn from in a fold",
                value=len(own.train),
                where="probe.folds",
                remedy="use fewer folds, or label more regions",
            )
        found.append(own)
    return found


def _aligned(table: pd.DataFrame, regions: pd.DataFrame) -> npt.NDArray[np.float32]:
    found = table.set_index(table["region_id"].astype(str))["vector"].reindex(regions["region_id"])
    if found.isna().any():
        raise InputError(
            "a region has no vector: its pictures cannot be read",
            value=found.index[found.isna()][0],
            where="vectors",
            remedy="make its pictures readable again",
        )
    return np.stack([np.asarray(vector, dtype=np.float32) for vector in found])
