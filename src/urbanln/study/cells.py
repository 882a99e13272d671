"""What a study's scores are made of: held-out predictions in cities, places of right answers in corpora.

Either is a value per region (or picture) and training seed, with a way to score it and to resample the score.
Labels of different kinds have different scores, which are never averaged: each has a measure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import RANKS
from urbanln.base.files import read_table, table_note
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats
from urbanln.probe.kinds import SCORE_NAMES, SCORE_WORDS
from urbanln.probe.metrics import bootstrap_r2, draw_resamples, r2
from urbanln.probe.part_metrics import part_samples, part_score
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
        measure: How they are scored.
        seeds: Training seeds (S).
        truth: (N,) labels, (N, C) of classes and shares; in a corpus the number of queries about each
            picture.
        predictions: (S, N) predictions, (S, N, C) of classes and shares; in a corpus the share of a picture's
            queries that hit.
        means: (S, N, C) the mean share of the regions known to each, for classes and shares alone.
        names: Of the C parts.
    """

    measure: Measure
    seeds: tuple[int, ...]
    truth: Floats
    predictions: Floats
    means: Floats | None = None
    names: tuple[str, ...] = ()

    def held(self) -> npt.NDArray[np.bool_]:
        """(N,) which regions have a label and, in every seed, a whole prediction."""
        return np.asarray(np.logical_and.reduce([_whole(self.truth), *map(_whole, self.predictions)]))

    def only(self, rows: npt.NDArray[np.bool_]) -> Cell:
        """The same with predictions of these rows alone."""
        kept = rows if self.truth.ndim == 1 else rows[:, None]
        return replace(self, predictions=np.where(kept, self.predictions, np.nan))

    def of_seeds(self, seeds: Sequence[int]) -> Cell:
        """The same with these of its seeds, in their order."""
        at = [self.seeds.index(seed) for seed in seeds]
        means = None if self.means is None else self.means[at]
        return replace(self, seeds=tuple(seeds), predictions=self.predictions[at], means=means)

    def score(self) -> float:
        """Mean over seeds of the score of the regions that are held."""
        return float(np.mean(self.measure.by_seed(self.only(self.held()))))

    def samples(self, place: Place, count: int) -> Floats:
        """The score of each of ``count`` resamples of blocks and seeds."""
        return self.measure.resampled(self.only(self.held()), place, count)


def _whole(values: Floats) -> npt.NDArray[np.bool_]:
    """(N,) which rows of (N,) or (N, C) have no gap."""
    finite = np.isfinite(values)
    return finite if finite.ndim == 1 else np.asarray(finite.all(axis=1))


Key = tuple[str, str, str, str]  # predictor, split, head, city
Cells = dict[Key, dict[str, Cell]]


@dataclass(frozen=True)
class Measure:
    """How cells are scored.

    Attributes:
        key: Of the score in ``study.json``.
        name: For people.
        of: The kind of label it is of; ``"recall"`` in corpora.
        each: What it is a mean over, for people.
        digits: That are shown.
        what: What the score is, for people.
        by_seed: A cell, predictions NaN where a row does not count, to a score per seed.
        resampled: The same with its place and the number of resamples R to (R,) scores.
    """

    key: str
    name: str
    of: Kind | Literal["recall"]
    each: str
    digits: int
    what: str
    by_seed: Callable[[Cell], list[float]]
    resampled: Callable[[Cell, Place, int], Floats]


def _r2(cell: Cell) -> list[float]:
    held = cell.held()
    return [r2(cell.truth[held], row[held]) for row in cell.predictions]


def _resampled_r2(cell: Cell, place: Place, count: int) -> Floats:
    # Draws depend on city and number of seeds alone, so those of two predictors are paired.
    resamples = draw_resamples(place.blocks, len(cell.seeds), count, seed=place.number)
    truth = np.where(cell.held(), cell.truth, 0.0)  # where no prediction is finite, nothing is read
    return bootstrap_r2(truth, cell.predictions, resamples)


def _parts(cell: Cell, kind: Kind) -> list[float]:
    assert cell.means is not None
    pairs = zip(cell.predictions, cell.means, strict=True)
    return [part_score(kind, cell.truth, made, mean) for made, mean in pairs]


def _resampled_parts(cell: Cell, place: Place, count: int, kind: Kind) -> Floats:
    assert cell.means is not None
    resamples = draw_resamples(place.blocks, len(cell.seeds), count, seed=place.number)
    return part_samples(kind, cell.truth, cell.predictions, cell.means, resamples)


def _recall(cell: Cell) -> list[float]:
    held = cell.held()
    queries = cell.truth[held]
    return [float((queries * shares[held]).sum() / queries.sum()) for shares in cell.predictions]


def _resampled_recall(cell: Cell, place: Place, count: int) -> Floats:
    held = cell.held()
    number = np.where(held, cell.truth, 0.0)
    hits = np.where(held, number * cell.predictions, 0.0)  # (S, N)
    sums = resample(np.column_stack([number, *hits]), count, SEED + place.number)
    one = np.zeros(1, dtype=np.int64)
    seeds = draw_resamples(one, len(cell.seeds), count, seed=place.number).seed_draws
    return np.asarray((seeds * (sums[:, 1:] / sums[:, :1])).sum(axis=1))


def _of_labels(kind: Kind, what: str) -> Measure:
    key = SCORE_NAMES[kind]
    if kind == "number":
        return Measure(key, SCORE_WORDS[key], kind, "indicator", 2, what, _r2, _resampled_r2)
    by_seed, resampled = partial(_parts, kind=kind), partial(_resampled_parts, kind=kind)
    return Measure(key, SCORE_WORDS[key], kind, "indicator", 2, what, by_seed, resampled)


R2 = _of_labels("number", "R² on the scale the probe scores (log1p where it makes a label less skewed)")
MACRO_F1 = _of_labels("classes", "macro F1, the mean over a label's classes of the F1 of each")
KL_SKILL = _of_labels(
    "shares",
    "KL skill, 1 less the divergence from the truth over that of the known regions' mean share",
)
RECALL = Measure(
    "recall", "mean recall", "recall", "k", 3, "recall at 1, 5 and 10", _recall, _resampled_recall
)
MEASURES: Mapping[str, Measure] = {one.of: one for one in (R2, MACRO_F1, KL_SKILL, RECALL)}
"""By the kind of label they are of, in the order in which they are told."""


def covered(measures: Sequence[Measure]) -> str:
    """What scores and intervals are, and what they say.

    Args:
        measures: Those of a study; several are of several kinds of labels.
    """
    if measures[0] is RECALL:
        return (
            "Recall at 1, 5 and 10 and its mean over the three, over training seeds and corpora; ties count "
            "against the model. All variants are asked the same texts. Chance is what a random order of as "
            "many right answers finds, exactly. Intervals: 95 %, by drawing pictures and training seeds with "
            "replacement within each corpus, what they are looked for among held fixed; draws are shared, so "
            "differences are paired. They say nothing about other corpora, other captioners or other base "
            "models."
        )
    whats = "; ".join(one.what for one in measures)
    several = len(measures) > 1
    whose = ": each of pooled held-out regions, mean over the labels of its kind" if several else (
        " of pooled held-out regions, mean over indicators"
    )  # fmt: skip
    apart = " Scores of different kinds of labels are not comparable, and never averaged." if several else ""
    return (
        f"{whats[0].upper()}{whats[1:]}{whose}, training seeds and cities.{apart} Intervals: 95 %, by "
        "drawing spatial blocks and training seeds with replacement within each city; draws are shared, so "
        "differences are paired. They cover the spread over blocks and seeds of these cities; they say "
        "nothing about other cities, other captioners or other base models."
    )


@dataclass(frozen=True)
class Found:
    """What was found so far.

    Attributes:
        cells: Of all predictors that were scored.
        places: The cities or corpora they are of.
        left_out: Labels that could not be scored: ``city``, ``indicator``, ``split`` (empty: under none),
            ``reason``.
    """

    cells: Cells
    places: dict[str, Place]
    left_out: list[dict[str, str]]


def read_found(study: Study, work: Work, cache: Path) -> Found:
    """Read what the stages of a study left."""
    return _recalls(study, work, cache) if work.corpora else _predictions(study, work, cache)


def _predictions(study: Study, work: Work, cache: Path) -> Found:
    frames: dict[Key, dict[str, list[tuple[int, pd.DataFrame]]]] = {}
    places: dict[str, Place] = {}
    left_out: list[dict[str, str]] = []
    names_of: dict[str, dict[str, list[str]]] = {}
    for score in work.scores:
        stage = work.stages[score.stage]
        if not stage.done(cache):
            continue
        folder = stage.folder(cache)
        frame = read_table(folder / PREDICTIONS, kind="study-predictions")
        note = table_note(folder / PREDICTIONS)  # earlier versions noted nothing of these, and had numbers
        lacking = [{"city": score.city} | one for one in note.get("left_out", [])]
        left_out += [one for one in lacking if one not in left_out]
        names_of.setdefault(score.city, {}).update(note.get("names", {}))
        if score.variant is None:
            regions = read_table(folder / REGIONS, kind="study-regions")
            ids, blocks = pd.Index(regions["region_id"]), regions["block"].to_numpy(np.int64)
            places.setdefault(score.city, Place(ids, blocks, study.cities.index(score.city)))
        else:
            frame = frame.assign(name=score.variant)
        for names, part in frame.groupby(["name", "split", "head", "indicator"], sort=False):
            name, split, head, indicator = map(str, names)
            cell = frames.setdefault((name, split, head, score.city), {}).setdefault(indicator, [])
            cell.append((score.seed, part.set_index("region_id")))
    cells = {
        key: {
            name: _cell(parts, places[key[3]].ids, names_of[key[3]].get(name, []))
            for name, parts in found.items()
        }
        for key, found in frames.items()
        if key[3] in places
    }
    return Found(cells, places, left_out)


def _cell(parts: Sequence[tuple[int, pd.DataFrame]], ids: pd.Index, names: Sequence[str]) -> Cell:
    """A cell from a frame by region per seed."""
    seeds, frames = tuple(seed for seed, _ in parts), [frame for _, frame in parts]
    kind = frames[0]["kind"].iloc[0] if "kind" in frames[0] else None
    if not isinstance(kind, str):  # nothing is said of numbers
        placed = [frame.reindex(ids) for frame in frames]
        predictions = np.stack([one["prediction"].to_numpy(np.float64) for one in placed])
        return Cell(R2, seeds, placed[0]["truth"].to_numpy(np.float64), predictions)

    def stacked(column: str) -> Floats:
        return np.stack([_lists(frame[column], ids) for frame in frames])

    truth = stacked("truth_parts")[0]
    return Cell(MEASURES[kind], seeds, truth, stacked("parts"), stacked("mean_parts"), tuple(names))


def _lists(column: pd.Series, ids: pd.Index) -> Floats:
    """(N, C) of a column of lists of C numbers, NaN where a region has none."""
    values = np.stack([np.asarray(one, dtype=np.float64) for one in column])
    found = np.full((len(ids), values.shape[1]), np.nan)
    found[ids.get_indexer(column.index)] = values
    return found


def _recalls(study: Study, work: Work, cache: Path) -> Found:
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
    cells = {key: {k: _of_seeds(own) for k, own in cell.items()} for key, cell in parts.items()}
    return Found(cells, places, [])


def _of_seeds(parts: Sequence[tuple[int, Floats, Floats]]) -> Cell:
    """A cell of what each seed found; of chance, which every variant gives alike, the first."""
    own = {seed: (queries, shares) for seed, queries, shares in reversed(parts)}
    seeds = tuple(sorted(own))
    return Cell(RECALL, seeds, own[seeds[0]][0], np.stack([own[seed][1] for seed in seeds]))
