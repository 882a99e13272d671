"""What a study's scores are made of: held-out predictions in cities, places of right answers in corpora.

Either is a value per region (or picture) and training seed, with a way to score it and to resample the score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import RANKS
from urbanln.base.files import read_table
from urbanln.base.space import Floats
from urbanln.probe.metrics import bootstrap_r2, draw_resamples, r2
from urbanln.stages.recalls import DIRECTIONS, RULES, SEED, resample, tally
from urbanln.study.spec import Study
from urbanln.study.stages import Work
from urbanln.study.work import PLACES, PREDICTIONS, REGIONS

CHANCE = "chance"


@dataclass(frozen=True)
class Place:
    """One city or corpus: its regions or pictures in order, their blocks, and its number among the others."""

    ids: pd.Index
    blocks: npt.NDArray[np.int64]
    number: int


@dataclass(frozen=True)
class Cell:
    """Values of a predictor in one city, under one split, head and indicator; NaN where there is none.

    Attributes:
        seeds: Training seeds (S).
        truth: (N,) labels; in a corpus the number of queries about each picture.
        predictions: (S, N) predictions; in a corpus the share of a picture's queries that hit.
    """

    seeds: tuple[int, ...]
    truth: Floats
    predictions: Floats


Key = tuple[str, str, str, str]  # predictor, split, head, city
Cells = dict[Key, dict[str, Cell]]


@dataclass(frozen=True)
class Measure:
    """How cells are scored.

    Attributes:
        key: Of the score in ``study.json``.
        name: For people.
        each: What it is a mean over, for people.
        digits: That are shown.
        covered: What score and interval are, and what they say.
        value: Truth (n,) and one seed's predictions (n,) to a score.
        resampled: Truth (N,), predictions (S, N), place and number of resamples R to (R,) scores.
    """

    key: str
    name: str
    each: str
    digits: int
    covered: str
    value: Callable[[Floats, Floats], float]
    resampled: Callable[[Floats, Floats, Place, int], Floats]


def _resampled_r2(truth: Floats, predictions: Floats, place: Place, count: int) -> Floats:
    # Draws depend on city and number of seeds alone, so those of two predictors are paired.
    resamples = draw_resamples(place.blocks, len(predictions), count, seed=place.number)
    return bootstrap_r2(truth, predictions, resamples)


def _recall(queries: Floats, shares: Floats) -> float:
    return float((queries * shares).sum() / queries.sum())


def _resampled_recall(queries: Floats, shares: Floats, place: Place, count: int) -> Floats:
    held = np.isfinite(shares).all(axis=0)
    number = np.where(held, queries, 0.0)
    hits = np.where(held, queries * shares, 0.0)  # (S, N)
    sums = resample(np.column_stack([number, *hits]), count, SEED + place.number)
    seeds = draw_resamples(np.zeros(1, dtype=np.int64), len(shares), count, seed=place.number).seed_draws
    return np.asarray((seeds * (sums[:, 1:] / sums[:, :1])).sum(axis=1))


R2 = Measure(
    "r2", "R²", "indicator", 2,
    "R² on the scale the probe scores (log1p where it makes a label less skewed) of pooled held-out "
    "regions, mean over indicators, training seeds and cities. Intervals: 95 %, by drawing spatial blocks "
    "and training seeds with replacement within each city; draws are shared, so differences are paired. "
    "They cover the spread over blocks and seeds of these cities; they say nothing about other cities, "
    "other captioners or other base models. Labels that are classes or shares are not in it: a mean over R² "
    "and scores of another kind would say nothing.",
    r2, _resampled_r2,
)  # fmt: skip
RECALL = Measure(
    "recall", "mean recall", "k", 3,
    "Recall at 1, 5 and 10 and its mean over the three, over training seeds and corpora; ties count against "
    "the model. All variants are asked the same texts. Chance is what a random order of as many right "
    "answers finds, exactly. Intervals: 95 %, by drawing pictures and training seeds with replacement within "
    "each corpus, what they are looked for among held fixed; draws are shared, so differences are paired. "
    "They say nothing about other corpora, other captioners or other base models.",
    _recall, _resampled_recall,
)  # fmt: skip


def read_cells(study: Study, work: Work, cache: Path) -> tuple[Cells, dict[str, Place]]:
    """Cells of all predictors that were scored, and the cities or corpora they are of."""
    return _recalls(study, work, cache) if work.corpora else _predictions(study, work, cache)


def _predictions(study: Study, work: Work, cache: Path) -> tuple[Cells, dict[str, Place]]:
    frames: dict[Key, dict[str, list[tuple[int, pd.DataFrame]]]] = {}
    places: dict[str, Place] = {}
    for score in work.scores:
        stage = work.stages[score.stage]
        if not stage.done(cache):
            continue
        folder = stage.folder(cache)
        frame = read_table(folder / PREDICTIONS, kind="study-predictions")
        if score.variant is None:
            regions = read_table(folder / REGIONS, kind="study-regions")
            ids, blocks = pd.Index(regions["region_id"]), regions["block"].to_numpy(np.int64)
            places.setdefault(score.city, Place(ids, blocks, study.cities.index(score.city)))
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


def _cell(parts: Sequence[tuple[int, pd.DataFrame]], ids: pd.Index) -> Cell:
    """A cell from a frame by region per seed."""
    placed = [part.reindex(ids) for _, part in parts]
    return Cell(
        tuple(seed for seed, _ in parts),
        placed[0]["truth"].to_numpy(np.float64),
        np.stack([part["prediction"].to_numpy(np.float64) for part in placed]),
    )


def _recalls(study: Study, work: Work, cache: Path) -> tuple[Cells, dict[str, Place]]:
    places: dict[str, Place] = {}
    parts: dict[Key, dict[str, list[tuple[int, Floats, Floats]]]] = {}
    for score in work.scores:
        stage = work.stages[score.stage]
        if not stage.done(cache):
            continue
        found = read_table(stage.folder(cache) / PLACES, kind="study-places")
        for direction in DIRECTIONS:
            for rule in RULES:
                one = tally(found, direction, rule)
                number = study.cities.index(score.city)
                place = places.setdefault(
                    score.city, Place(one.image_id, np.arange(len(one.image_id)), number)
                )
                order = one.image_id.get_indexer(place.ids)
                for name, counts in ((str(score.variant), one.hits), (CHANCE, one.chance)):
                    cell = parts.setdefault((name, direction, rule, score.city), {})
                    for k in RANKS:
                        shares = (counts[k] / one.queries)[order]
                        cell.setdefault(f"R@{k}", []).append((score.seed, one.queries[order], shares))
    return {key: {k: _of_seeds(own) for k, own in cell.items()} for key, cell in parts.items()}, places


def _of_seeds(parts: Sequence[tuple[int, Floats, Floats]]) -> Cell:
    """A cell of what each seed found; of chance, which every variant gives alike, the first."""
    own = {seed: (queries, shares) for seed, queries, shares in reversed(parts)}
    seeds = tuple(sorted(own))
    return Cell(seeds, own[seeds[0]][0], np.stack([own[seed][1] for seed in seeds]))
