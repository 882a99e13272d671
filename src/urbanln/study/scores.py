"""From what was predicted or found to one table: a score per variant with interval, and paired differences.

Labels of different kinds have different scores: each kind has rows and gains of its own, and no mean goes
over two kinds.

Within a city, spatial blocks and training seeds are drawn with replacement (within a corpus, pictures and
seeds); the draws are shared by all variants, so differences are paired. Cities are not drawn: the intervals
speak of these cities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from urbanln.base.errors import UrbanLNError
from urbanln.base.files import SCHEMA_VERSION
from urbanln.base.kinds import RARE
from urbanln.base.space import Floats
from urbanln.probe.metrics import interval
from urbanln.probe.names import NO_HEAD
from urbanln.stages.recalls import DIRECTIONS, RULES
from urbanln.study.cells import (
    MACRO_F1,
    MEASURES,
    RECALL,
    Cell,
    Cells,
    Found,
    Measure,
    Place,
    covered,
    read_found,
)
from urbanln.study.cities import is_synthetic
from urbanln.study.gains import mark_standing
from urbanln.study.spec import Study, Variant
from urbanln.study.stages import Work


@dataclass(frozen=True)
class _Sampled:
    """A score and its resamples (R,)."""

    value: float
    samples: Floats = field(default_factory=lambda: np.full(1, np.nan))


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
    found = read_found(study, work, cache)
    if not found.cells:
        reason, remedy = min(failed.values(), default=None), "put that right, and run the same command again"
        what = "nothing of this study could be scored"
        raise UrbanLNError(what, value=reason, where=study.name, remedy=remedy)
    measures = _measures(study, found.cells)
    splits, heads = _sections(study, work)
    about = {variant.name: variant.about for variant in study.variants}
    rows, gains = [], []
    predictors = list(dict.fromkeys([*about, *(name for name, *_ in found.cells)]))
    for measure in measures:
        for split in splits:
            for head in heads:
                make = _Rows(study, measure, found, split, head)
                rows += [row for name in predictors if (row := make.row(name, about)) is not None]
                gains += make.gains(predicted=measure is measures[0])
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
        "synthetic": [city for city in study.cities if is_synthetic(city)],
        "reference": study.reference,
        "cities": list(study.cities),
        "seeds": list(study.seeds),
        "measures": [_about(measure, found.cells) for measure in measures],
        "splits": splits,
        "heads": heads,
        "left_out": found.left_out,
        **_sizes(found.places, work.corpora),
        "covered": covered(measures),
        "settings": {variant.name: _settings(variant) for variant in study.variants},
        **study.first.settings.model_dump(mode="json", include={"retrieve" if work.corpora else "probe"}),
        "rows": rows,
        "gains": gains,
        "predicted": study.predicted,
        "scored": len(work.scores) - len(faults),
        "failed": faults,
    }


def _measures(study: Study, cells: Cells) -> list[Measure]:
    """The measures of what was scored, that of the kind which the study names before the others."""
    there = {cell.measure.of for own in cells.values() for cell in own.values()}
    return sorted((one for one in MEASURES.values() if one.of in there), key=lambda one: one.of != study.kind)


def _about(measure: Measure, cells: Cells) -> dict[str, Any]:
    """What a measure is, its indicators; of macro F1 what guessing reaches, and classes too rare to judge."""
    own: dict[tuple[str, str], Cell] = {}
    for (_, _, _, city), by_indicator in cells.items():
        for name, cell in by_indicator.items():
            if cell.measure is measure:
                own.setdefault((city, name), cell)
    told = {name: getattr(measure, name) for name in ("key", "name", "of", "each", "digits")}
    told |= {"indicators": list(dict.fromkeys(name for _, name in own))}
    if measure is MACRO_F1:
        counts = {key: cell.truth[cell.held()].sum(axis=0) for key, cell in own.items()}
        rare = {
            key: [own[key].names[k] for k in np.flatnonzero((there > 0) & (there < RARE))]
            for key, there in counts.items()
        }
        told |= {
            "chance": _chance(own),
            "rare": [
                {"city": city, "indicator": name, "classes": classes}
                for (city, name), classes in rare.items()
                if classes
            ],
        }
    return told


def _chance(cells: Mapping[tuple[str, str], Cell]) -> float | None:
    """What guessing reaches in macro F1, meaned as the score is: of one label 1 / number of its classes."""
    counts = {key: cell.truth[cell.held()].sum(axis=0) for key, cell in cells.items()}
    guessed = {key: _Sampled(1 / np.count_nonzero(there)) for key, there in counts.items()}
    return _told("chance", _mean_over(guessed))["chance"]


def _settings(variant: Variant) -> dict[str, Any]:
    captioning = variant.captioning.model_dump(
        mode="json", include={"describe", "clean", "refine", "vote", "simulation"}
    )
    return {
        "captions": variant.captions,
        "pretrain": variant.pretrain,
        "also": list(variant.also),
        **variant.settings.model_dump(mode="json", include={"model", "train", "embed"}),
        **captioning,
    }


def _sections(study: Study, work: Work) -> tuple[list[str], list[str]]:
    """Splits and heads that have a table each; in corpora the directions and the rules."""
    probe = study.first.settings.probe
    return (list(DIRECTIONS), list(RULES)) if work.corpora else (list(probe.splits), list(probe.heads))


def _sizes(places: Mapping[str, Place], corpora: bool) -> dict[str, dict[str, int]]:
    sizes = {city: len(place.ids) for city, place in places.items()}
    if corpora:
        return {"pictures": sizes}
    return {"regions": sizes, "blocks": {city: int(place.blocks.max()) + 1 for city, place in places.items()}}


class _Rows:
    """Makes the lines of one split and head."""

    def __init__(
        self,
        study: Study,
        measure: Measure,
        found: Found,
        split: str,
        head: str,
    ) -> None:
        self.study, self.cells, self.places, self.split, self.head = (
            study, found.cells, found.places, split, head,
        )  # fmt: skip
        self.measure, settings = measure, study.first.settings
        self.count = (settings.retrieve if measure is RECALL else settings.probe).bootstrap
        self.headed = {name for name, *place, _ in self.cells if place == [split, head]}

    def row(self, name: str, about: Mapping[str, str]) -> dict[str, Any] | None:
        """One line, or None where the predictor has no score under this split and head."""
        own = self.of(name)
        if not own:
            return None
        reference = self.of(self.study.reference)
        alone = {key: self.score(key, cell) for key, cell in own.items()}
        pairs = {key: self.paired(key, own[key], reference[key]) for key in own if key in reference}
        key = self.measure.key
        row: dict[str, Any] = {
            "name": name,
            "kind": "variant" if name in about else "floor",
            "about": about.get(name, ""),
            "measure": key,
            "split": self.split,
            "head": self.head if name in self.headed else NO_HEAD,
            "cities": sorted({city for city, _ in own}),
            "seeds": max(len(cell.seeds) for cell in own.values()),
            **_told(key, _mean_over(alone)),
            **_told("diff", None if name == self.study.reference else _mean_over(pairs)),
            "by_seed": self.by_seed(own),
        }
        for part, place in (("by_city", 0), ("by_indicator", 1)):
            row[part] = {
                value: {
                    **_told(key, _mean_over(_where(alone, place, value))),
                    **_told("diff", _mean_over(_where(pairs, place, value))),
                }
                for value in dict.fromkeys(key[place] for key in own)
            }
        return row

    def gains(self, *, predicted: bool) -> list[dict[str, Any]]:
        """What each part is worth under each condition; where either variant has no score yet, nothing.

        Args:
            predicted: Whether what was predicted is of this measure.
        """
        rows = []
        centre = self.study.gains[0].condition if self.study.gains else ""
        for gain in self.study.gains:
            own, other = self.of(gain.with_part), self.of(gain.without)
            pairs = {key: self.paired(key, own[key], other[key]) for key in own if key in other}
            if not pairs:
                continue
            found = _mean_over(pairs)
            told = _told("gain", found)
            deviation = float(np.std(found.samples, ddof=1)) if found and told["gain"] is not None else None
            moved = "" if gain.condition == centre else next(iter(gain.at))
            rows.append(
                {
                    "part": gain.part,
                    "condition": gain.condition,
                    "moved": moved,
                    "at": dict(gain.at),
                    "with": gain.with_part,
                    "without": gain.without,
                    "measure": self.measure.key,
                    "split": self.split,
                    "head": self.head,
                    **told,
                    "gain_sd": deviation,
                    "guessed": self.guessed({key: (own[key], other[key]) for key in pairs}, told["gain"]),
                    "predicted": list(gain.predicted) if predicted and gain.predicted else None,
                    "by_city": {
                        city: _told("gain", _mean_over(_where(pairs, 0, city)))
                        for city in dict.fromkeys(key[0] for key in pairs)
                    },
                }
            )
        mark_standing(rows)
        return rows

    def guessed(self, both: Mapping[tuple[str, str], tuple[Cell, Cell]], gain: float | None) -> bool:
        """Whether the better of two macro F1s may be that of guessing: no difference tells then."""
        if self.measure is not MACRO_F1 or gain is None:
            return False
        better = {key: cells[0 if gain > 0 else 1] for key, cells in both.items()}
        scored = _mean_over({key: self.score(key, cell) for key, cell in better.items()})
        low, chance = _told("f1", scored)["f1_low"], _chance(better)
        return low is None or chance is None or low <= chance

    def of(self, name: str) -> dict[tuple[str, str], Cell]:
        """Cells of the measure by (city, indicator); a floor without a head stands beside every head."""
        found: dict[tuple[str, str], Cell] = {}
        for city in self.places:
            for head in (self.head, NO_HEAD):
                for indicator, cell in self.cells.get((name, self.split, head, city), {}).items():
                    if cell.measure is self.measure:
                        found.setdefault((city, indicator), cell)
        return found

    def score(self, key: tuple[str, str], cell: Cell) -> _Sampled:
        return _Sampled(cell.score(), cell.samples(self.places[key[0]], self.count))

    def by_seed(self, own: Mapping[tuple[str, str], Cell]) -> dict[str, float | None]:
        """The score of each training seed that all cells have."""
        found: dict[str, float | None] = {}
        for seed in self.study.seeds:
            if all(seed in cell.seeds for cell in own.values()):
                scores = {key: _Sampled(cell.of_seeds([seed]).score()) for key, cell in own.items()}
                found[str(seed)] = _told("seed", _mean_over(scores))["seed"]
        return found

    def paired(self, key: tuple[str, str], own: Cell, reference: Cell) -> _Sampled:
        """Own less the reference's, on the seeds and regions that both have."""
        seeds = [seed for seed in own.seeds if seed in reference.seeds]
        if not seeds:
            return _Sampled(math.nan, np.full(self.count, np.nan))
        a, b = own.of_seeds(seeds), reference.of_seeds(seeds)
        both = a.held() & b.held()
        ours, theirs = (self.score(key, cell.only(both)) for cell in (a, b))
        return _Sampled(ours.value - theirs.value, ours.samples - theirs.samples)


def _where(
    found: Mapping[tuple[str, str], _Sampled], place: int, value: str
) -> dict[tuple[str, str], _Sampled]:
    return {key: score for key, score in found.items() if key[place] == value}


def _mean_over(found: Mapping[tuple[str, str], _Sampled]) -> _Sampled | None:
    """Mean over indicators within each city, then over cities."""
    if not found:
        return None
    cities = [
        [score for (city, _), score in found.items() if city == name]
        for name in dict.fromkeys(city for city, _ in found)
    ]
    means = [(np.mean([s.value for s in own]), np.mean([s.samples for s in own], axis=0)) for own in cities]
    return _Sampled(float(np.mean([value for value, _ in means])), np.mean([s for _, s in means], axis=0))


def _told(name: str, found: _Sampled | None) -> dict[str, float | None]:
    low, high = (math.nan, math.nan) if found is None else interval(found.samples)
    values = {name: math.nan if found is None else found.value, f"{name}_low": low, f"{name}_high": high}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
