"""From held-out predictions to one table: R² per variant with intervals, and paired differences.

Within a city, spatial blocks and training seeds are drawn with replacement; the draws are shared by all
variants, so differences are paired. Cities are not drawn: the intervals speak of these cities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.errors import UrbanLNError
from urbanln.base.files import SCHEMA_VERSION, read_table
from urbanln.base.space import Floats
from urbanln.probe.held_out import NO_HEAD
from urbanln.probe.metrics import bootstrap_r2, draw_resamples, interval, r2
from urbanln.study.spec import Study
from urbanln.study.stages import SYNTHETIC, Work
from urbanln.study.work import PREDICTIONS, REGIONS

COVERED = (
    "R² on the scale the probe scores (log1p where it makes a label less skewed) of pooled held-out "
    "regions, mean over indicators, training seeds and cities. Intervals: 95 %, by drawing spatial blocks "
    "and training seeds with replacement within each city; draws are shared, so differences are paired. "
    "They cover the spread over blocks and seeds of these cities; they say nothing about other cities, "
    "other captioners or other base models."
)


@dataclass(frozen=True)
class _Place:
    """One city: its regions in order, their blocks, and its number among the cities."""

    ids: pd.Index
    blocks: npt.NDArray[np.int64]
    number: int


@dataclass(frozen=True)
class _Cell:
    """Predictions (S, N) and truths (N,) of a predictor, city, split, head and indicator; NaN where none."""

    seeds: tuple[int, ...]
    truth: Floats
    predictions: Floats


@dataclass(frozen=True)
class _Found:
    """A score and its resamples (R,)."""

    value: float
    samples: Floats


Key = tuple[str, str, str, str]  # predictor, split, head, city
Cells = dict[Key, dict[str, _Cell]]


def collect(study: Study, work: Work, cache: Path, failed: Mapping[str, str]) -> dict[str, Any]:
    """The content of ``study.json``.

    Args:
        study: From :func:`urbanln.study.spec.load_study`.
        work: Its stages.
        cache: Their folder.
        failed: Reasons of stages that failed.

    Raises:
        UrbanLNError: Nothing was scored at all.
    """
    cells, places = _read(study, work, cache)
    if not cells:
        reason, remedy = min(failed.values(), default=None), "put that right, and run the same command again"
        what = "nothing of this study could be scored"
        raise UrbanLNError(what, value=reason, where=study.name, remedy=remedy)
    probe = study.first.settings.probe
    about = {variant.name: variant.about for variant in study.variants}
    rows = []
    predictors = list(dict.fromkeys([*about, *(name for name, *_ in cells)]))
    for split in probe.splits:
        for head in probe.heads:
            make = _Rows(study, cells, places, split, head)
            rows += [row for name in predictors if (row := make.row(name, about)) is not None]
    faults = [
        {"variant": score.variant or "floors", "city": score.city, "seed": score.seed, "reason": failed[name]}
        for score in work.scores
        if (name := score.stage) in failed
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "study",
        "name": study.name,
        "about": study.about,
        "synthetic": any(city.startswith(f"{SYNTHETIC}:") for city in study.cities),
        "reference": study.reference,
        "cities": list(study.cities),
        "seeds": list(study.seeds),
        "splits": list(probe.splits),
        "heads": list(probe.heads),
        "indicators": list(dict.fromkeys(name for found in cells.values() for name in found)),
        "regions": {city: len(place.ids) for city, place in places.items()},
        "blocks": {city: int(place.blocks.max()) + 1 for city, place in places.items()},
        "covered": COVERED,
        "settings": {
            variant.name: {
                "captions": variant.captions,
                "pretrain": variant.pretrain,
                **variant.settings.model_dump(mode="json", include={"model", "train", "embed"}),
                **variant.captioning.model_dump(mode="json", include={"describe", "clean", "refine", "vote"}),
            }
            for variant in study.variants
        },
        "probe": probe.model_dump(mode="json"),
        "rows": rows,
        "scored": len(work.scores) - len(faults),
        "failed": faults,
    }


def _read(study: Study, work: Work, cache: Path) -> tuple[Cells, dict[str, _Place]]:
    frames: dict[Key, dict[str, list[tuple[int, pd.DataFrame]]]] = {}
    places: dict[str, _Place] = {}
    for score in work.scores:
        stage = work.stages[score.stage]
        if not stage.done(cache):
            continue
        folder = stage.folder(cache)
        frame = read_table(folder / PREDICTIONS, kind="study-predictions")
        if score.variant is None:
            regions = read_table(folder / REGIONS, kind="study-regions")
            ids, blocks = pd.Index(regions["region_id"]), regions["block"].to_numpy(np.int64)
            places.setdefault(score.city, _Place(ids, blocks, study.cities.index(score.city)))
        else:
            frame = frame.assign(name=score.variant)
        for names, part in frame.groupby(["name", "split", "head", "indicator"], sort=False):
            name, split, head, indicator = map(str, names)
            cell = frames.setdefault((name, split, head, score.city), {}).setdefault(indicator, [])
            cell.append((score.seed, part.set_index("region_id")[["truth", "prediction"]]))
    cells = {
        key: {indicator: _cell(parts, places[key[3]].ids) for indicator, parts in found.items()}
        for key, found in frames.items()
        if key[3] in places
    }
    return cells, places


def _cell(parts: Sequence[tuple[int, pd.DataFrame]], ids: pd.Index) -> _Cell:
    """A cell from a frame by region per seed."""
    placed = [part.reindex(ids) for _, part in parts]
    return _Cell(
        tuple(seed for seed, _ in parts),
        placed[0]["truth"].to_numpy(np.float64),
        np.stack([part["prediction"].to_numpy(np.float64) for part in placed]),
    )


class _Rows:
    """Makes the lines of one split and head."""

    def __init__(
        self, study: Study, cells: Cells, places: Mapping[str, _Place], split: str, head: str
    ) -> None:
        self.study, self.cells, self.places, self.split, self.head = study, cells, places, split, head
        self.count = study.first.settings.probe.bootstrap
        self.headed = {name for name, *place, _ in cells if place == [split, head]}

    def row(self, name: str, about: Mapping[str, str]) -> dict[str, Any] | None:
        """One line, or None where the predictor has no score under this split and head."""
        own = self.of(name)
        if not own:
            return None
        reference = self.of(self.study.reference)
        alone = {key: self.score(key, cell) for key, cell in own.items()}
        pairs = {key: self.paired(key, own[key], reference[key]) for key in own if key in reference}
        row: dict[str, Any] = {
            "name": name,
            "kind": "variant" if name in about else "floor",
            "about": about.get(name, ""),
            "split": self.split,
            "head": self.head if name in self.headed else NO_HEAD,
            "cities": sorted({city for city, _ in own}),
            "seeds": max(len(cell.seeds) for cell in own.values()),
            **_told("r2", _mean_over(alone)),
            **_told("diff", None if name == self.study.reference else _mean_over(pairs)),
        }
        for part, place in (("by_city", 0), ("by_indicator", 1)):
            row[part] = {
                value: {
                    **_told("r2", _mean_over(_where(alone, place, value))),
                    **_told("diff", _mean_over(_where(pairs, place, value))),
                }
                for value in dict.fromkeys(key[place] for key in own)
            }
        return row

    def of(self, name: str) -> dict[tuple[str, str], _Cell]:
        """Cells of a predictor by (city, indicator); a floor without a head stands beside every head."""
        found: dict[tuple[str, str], _Cell] = {}
        for city in self.places:
            for head in (self.head, NO_HEAD):
                for indicator, cell in self.cells.get((name, self.split, head, city), {}).items():
                    found.setdefault((city, indicator), cell)
        return found

    def score(self, key: tuple[str, str], cell: _Cell) -> _Found:
        held = np.isfinite(cell.truth) & np.isfinite(cell.predictions).all(axis=0)
        value = float(np.mean([r2(cell.truth[held], row[held]) for row in cell.predictions]))
        place = self.places[key[0]]
        # Draws depend on city and number of seeds alone, so those of two predictors are paired.
        resamples = draw_resamples(place.blocks, len(cell.seeds), self.count, seed=place.number)
        truth = np.where(held, cell.truth, 0.0)  # where no prediction is finite, nothing is read
        return _Found(value, bootstrap_r2(truth, np.where(held, cell.predictions, np.nan), resamples))

    def paired(self, key: tuple[str, str], own: _Cell, reference: _Cell) -> _Found:
        """Own less the reference's, on the seeds and regions that both have."""
        seeds = tuple(seed for seed in own.seeds if seed in reference.seeds)
        if not seeds:
            return _Found(math.nan, np.full(self.count, np.nan))
        a, b = (cell.predictions[[cell.seeds.index(s) for s in seeds]] for cell in (own, reference))
        both = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
        ours, theirs = (self.score(key, _Cell(seeds, own.truth, np.where(both, p, np.nan))) for p in (a, b))
        return _Found(ours.value - theirs.value, ours.samples - theirs.samples)


def _where(found: Mapping[tuple[str, str], _Found], place: int, value: str) -> dict[tuple[str, str], _Found]:
    return {key: score for key, score in found.items() if key[place] == value}


def _mean_over(found: Mapping[tuple[str, str], _Found]) -> _Found | None:
    """Mean over indicators within each city, then over cities."""
    if not found:
        return None
    cities = [
        [score for (city, _), score in found.items() if city == name]
        for name in dict.fromkeys(city for city, _ in found)
    ]
    means = [(np.mean([s.value for s in own]), np.mean([s.samples for s in own], axis=0)) for own in cities]
    return _Found(float(np.mean([value for value, _ in means])), np.mean([s for _, s in means], axis=0))


def _told(name: str, found: _Found | None) -> dict[str, float | None]:
    low, high = (math.nan, math.nan) if found is None else interval(found.samples)
    values = {name: math.nan if found is None else found.value, f"{name}_low": low, f"{name}_high": high}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
