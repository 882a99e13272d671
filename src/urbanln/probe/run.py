"""The probe as a stage: tables of region vectors and labels in, ``scores.json`` and predictions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.files import SCHEMA_VERSION, plain
from urbanln.base.kinds import LabelKind
from urbanln.probe.cells import Cell, Held, Predictor, make_cells, predict_cells
from urbanln.probe.floors import floor_note
from urbanln.probe.headline import by_chance
from urbanln.probe.heads import find_head
from urbanln.probe.kinds import SCORE_NAMES, MainScore
from urbanln.probe.leakage import label_leakage, leakage_report, part_leakage
from urbanln.probe.measured import AnyScores, difference, main_score_of, measure
from urbanln.probe.names import MAP, NO_HEAD, joint_name
from urbanln.probe.part_scores import PartScores
from urbanln.probe.tables import Regions, common_regions
from urbanln.probe.verdict import make_notes, make_verdicts
from urbanln.probe.written import SplitFolds, folds_table, predictions_table

ROW_NUMBERS = (
    "n", "missing", "dropped_zeros", "transform", "r2", "r2_sd", "r2_low", "r2_high", "r2_seeds", "r2_unit",
    "rmse_log", "mae_log", "rmse", "mae", "spearman", "morans_i", "morans_p", "coverage", "coverage_low",
    "coverage_high", "width", "n_blocks",
)  # fmt: skip
MAIN_SCORE = ("kind", "score_name", "score", "score_sd", "score_low", "score_high", "score_seeds")
"""Of every row, whatever the kind of its label."""
PART_NUMBERS = (
    "n", "missing", "morans_i", "morans_p", "coverage", "coverage_low", "coverage_high", "n_blocks",
    "by_part",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What :func:`probe_tables` found.

    Args:
        scores: JSON value of kind ``"scores"``; a missing number is None.
        predictions: See :func:`urbanln.probe.written.predictions_table`.
        folds: See :func:`urbanln.probe.written.folds_table`.
    """

    scores: dict[str, Any]
    predictions: pd.DataFrame
    folds: pd.DataFrame


def probe_tables(
    tables: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    settings: ProbeSettings,
    *,
    main: str | None = None,
    baseline: str | None = None,
    units: Mapping[str, str] | None = None,
    transductive: bool | None = True,
    groups: Mapping[str, Any] | None = None,
    made_from: Mapping[str, str] | None = None,
    kinds: Mapping[str, LabelKind] | None = None,
    jobs: int | None = None,
) -> ProbeResult:
    """Score tables of region vectors against every indicator, under every split, beside the floors.

    All are scored on the same regions: those with a vector in every table. What cannot be scored is listed
    (``skipped``, and ``skipped_splits`` by district or city); only when nothing is left is it an error.

    Args:
        tables: Tables with ``region_id`` and ``vector`` by name; none at all scores the floors alone. A
            sequence of tables is one encoder trained several times: the probe's seeds take them in turn.
        indicators: ``region_id`` and one column per indicator, NaN where missing; of shares one per part.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees, one row per region; ``city`` and ``district``
            where they are known.
        settings: Heads (the first one speaks in the verdict), splits, floors, seeds, folds, blocks, buffer.
        main: Table the verdict speaks of; by default the first. It is scored with the map, too.
        baseline: Table it is compared with besides the floors.
        units: Unit of each indicator, for tables and pages.
        transductive: Pre-training saw the test regions' pictures, as in the literature; None: not known.
        groups: Region to any label; what shares a label with a test region is not trained on.
        made_from: Hashes of the inputs, kept with the scores.
        kinds: Indicators that are classes or shares, and their columns; every other column is a number.
        jobs: Processes; by default one per core when there is enough to do. Results do not depend on it.

    Raises:
        InputError: A table, an indicator or a position is unusable, or no indicator can be scored.
    """
    main = main if main is not None else next(iter(tables), None)
    regions = common_regions(tables, indicators, lonlat, groups, kinds)
    _check_roles(regions, settings, main=main, baseline=baseline)
    cells, left_out = make_cells(regions, settings)
    held = predict_cells(cells, regions, settings, main=main, baseline=baseline, jobs=jobs)
    scored = [_measure(*pair, settings) for pair in zip(cells, held, strict=True)]
    facts = {
        "schema_version": SCHEMA_VERSION, "kind": "scores", "settings": settings.model_dump(mode="json"),
        "tables": list(tables), "labels": list(regions.targets), "kinds": _kinds(cells),
        "main": main, "baseline": baseline, "transductive": transductive, "units": units or {},
        "made_from": made_from or {}, "regions": regions.coverage, **left_out,
        "splits": _split_facts(cells, settings),
        "floors_notes": _floors_notes(cells, settings),
        "rows": [_row(cell, who, own) for cell, own in zip(cells, scored, strict=True) for who in own],
        "curves": [point for cell, own in zip(cells, held, strict=True) for point in _curve(cell, own)],
    }  # fmt: skip
    scores: dict[str, Any] = plain(facts)
    scores["verdicts"] = make_verdicts(scores)
    scores["notes"] = [*make_notes(scores), *by_chance(scores)]
    return ProbeResult(scores, predictions_table(cells, scored, regions.ids), _folds(cells, regions))


def _kinds(cells: Sequence[Cell]) -> dict[str, Any]:
    """Indicators that are no numbers: what they are, and the names of their parts in order."""
    parts = {cell.indicator: cell.labels for cell in cells if cell.labels.kind != "number"}
    return {name: {"kind": labels.kind, "names": list(labels.names)} for name, labels in parts.items()}


def _check_roles(regions: Regions, settings: ProbeSettings, **roles: str | None) -> None:
    for kind in dict.fromkeys(label.kind for label in regions.kinds.values()):
        for head in settings.heads if regions.vectors else ():
            find_head(head, kind)  # a wrong name is told before the floors are computed, not after
    for role, name in roles.items():
        if name is not None and name not in regions.vectors:
            remedy = f"there are: {', '.join(regions.vectors) or 'none'}"
            raise InputError(
                f"the {role} table is not among the vectors", value=name, remedy=remedy, where=f"--{role}"
            )


def _measure(cell: Cell, held: Held, settings: ProbeSettings) -> dict[Predictor, AnyScores]:
    return {
        who: measure(cell.labels, values, cell.resamples, cell.folds_by_seed, settings.level)
        for (who, k), values in held.items()
        if k is None
    }


def _rivals(who: Predictor, scored: Mapping[Predictor, AnyScores]) -> list[Predictor]:
    """Whom a predictor is compared with.

    Floors with the mean; vectors with the floors and the other tables under the same head; the map and
    what is scored together with it with the floors, and the latter with the map under the same head.
    """
    features, head = who
    floors = [other for other in scored if other[1] == NO_HEAD and other != who]
    if head == NO_HEAD:
        return [] if features == "mean" else [("mean", NO_HEAD)]
    with_map = [joint_name(name) for name, _ in scored]
    if features == MAP:
        return floors
    if features in with_map:
        return [*floors, (MAP, head)]
    others = [o for o in scored if o[1] == head and o != who and o[0] != MAP and o[0] not in with_map]
    return [*floors, *others]


def _row(cell: Cell, who: Predictor, scored: Mapping[Predictor, AnyScores]) -> dict[str, Any]:
    """One line of ``scores.json``; ``vs`` holds the paired differences."""
    own = scored[who]
    row: dict[str, Any] = {
        "indicator": cell.indicator,
        "split": cell.split,
        "features": who[0],
        "head": who[1],
    }
    row |= {name: getattr(own, name) for name in MAIN_SCORE}
    if isinstance(own, PartScores):
        row |= {"dropped_zeros": 0, "transform": "none"}
        row |= {name: getattr(own, name) for name in PART_NUMBERS} | own.own
    else:
        row |= {name: getattr(own, name) for name in ROW_NUMBERS}
        if who[0] == "mean":
            row["spearman"] = None  # a constant per fold: its ranks are an artefact of the folds
    vs = {other[0]: vars(difference(own, scored[other])) for other in _rivals(who, scored)}
    return row | {"vs": vs}


def _curve(cell: Cell, held: Held) -> list[dict[str, Any]]:
    """Points of the label-efficiency curve: the main score (mean over seeds) over all held-out rows."""
    points = []
    for ((features, head), k), predictions in held.items():
        if k is None:
            continue
        found = main_score_of(cell.labels, predictions, cell.resamples, cell.folds_by_seed)
        where = {"indicator": cell.indicator, "split": cell.split, "features": features, "head": head, "k": k}
        kind = cell.labels.kind
        points.append(where | {"kind": kind, "score_name": SCORE_NAMES[kind]} | _named(found, "score"))
        if kind == "number":
            points[-1] |= _named(found, "r2")
    return points


def _named(found: MainScore, name: str) -> dict[str, float | None]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _split_facts(cells: Sequence[Cell], settings: ProbeSettings) -> dict[str, Any]:
    """Parameters and leakage report of every split, for its indicator with most labels."""
    facts = {}
    for split in dict.fromkeys(cell.split for cell in cells):
        own = [cell for cell in cells if cell.split == split]
        largest = max(own, key=lambda cell: len(cell.labels.rows))
        labels = largest.labels
        buffer_km = settings.buffer_km if split in ("block", "district") else None
        facts[split] = {
            "folds": max(len(folds) for folds in largest.folds_by_seed),
            "seeds": settings.seeds,
            "blocks": settings.blocks if split == "block" else None,
            "edge_km": settings.block_km if split == "block" else None,
            "buffer_km": buffer_km,
            "n": len(labels.rows),
            "n_blocks": largest.resamples.n_blocks,
            **leakage_report(
                largest.folds_by_seed, metres=labels.metres, groups=labels.groups, buffer_km=buffer_km
            ),
            "by_indicator": {
                c.indicator: label_leakage(c.folds_by_seed, c.labels.truth, c.labels.metres)
                if c.labels.kind == "number"
                else part_leakage(c.folds_by_seed, c.labels)
                for c in own
            },
        }
    return facts


def _floors_notes(cells: Sequence[Cell], settings: ProbeSettings) -> dict[str, str]:
    """What a floor left out, where the largest fold made it."""
    most = max(len(fold.known) for cell in cells for folds in cell.folds_by_seed for fold in folds)
    said = {name: floor_note(name, most) for name in settings.floors}
    return {name: note for name, note in said.items() if note is not None}


def _folds(cells: Sequence[Cell], regions: Regions) -> pd.DataFrame:
    """Folds of all cells; indicators that share them are named together."""
    shared: dict[tuple[int, str], tuple[list[str], Cell]] = {}
    for cell in cells:
        shared.setdefault((id(cell.folds_by_seed), cell.split), ([], cell))[0].append(cell.indicator)
    return folds_table(
        SplitFolds(names, cell.split, cell.folds_by_seed, regions.ids[cell.labels.rows])
        for names, cell in shared.values()
    )
