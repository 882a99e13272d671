"""The probe as a stage: tables of region vectors and labels in, ``scores.json`` and predictions out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import joblib  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.config import ProbeSettings
from urbanln.errors import InputError
from urbanln.files import SCHEMA_VERSION, write_json, write_table
from urbanln.probe.metrics import Resamples
from urbanln.probe.score import (
    FLOORS,
    Labels,
    Scores,
    difference,
    floor_predictions,
    held_out,
    label_resamples,
    make_folds,
    measure,
    prepare_labels,
)
from urbanln.probe.space import Floats
from urbanln.probe.splits import Fold, describe
from urbanln.probe.tables import Regions, common_regions
from urbanln.probe.verdict import make_notes, make_verdicts
from urbanln.progress import progress

SPLITS = ("random", "block")
NO_HEAD = "none"
PARALLEL_FITS = 400  # below this many fits a second process costs more than it saves
Predictor = tuple[str, str]  # features, head


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """What :func:`probe_tables` found.

    Args:
        scores: JSON value of kind ``"scores"``; a missing number is None.
        predictions: ``region_id``, ``indicator``, ``split``, ``features``, ``head``, ``seed``, ``truth``,
            ``prediction`` (both in the label's own unit), ``fold``; floors have head ``"none"``.
    """

    scores: dict[str, Any]
    predictions: pd.DataFrame


class _Cell(NamedTuple):
    """One indicator under one split."""

    indicator: str
    split: str
    labels: Labels
    folds_by_seed: list[list[Fold]]
    resamples: Resamples


def probe_tables(
    tables: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    indicators: pd.DataFrame,
    lonlat: pd.DataFrame,
    settings: ProbeSettings,
    *,
    main: str | None = None,
    baseline: str | None = None,
    units: Mapping[str, str] | None = None,
    transductive: bool = True,
    groups: Mapping[str, Any] | None = None,
    made_from: Mapping[str, str] | None = None,
    jobs: int | None = None,
) -> ProbeResult:
    """Score tables of region vectors against every indicator, under both splits, beside the floors.

    All of them are scored on the same regions: those with a vector in every table. An indicator that
    cannot be scored (constant, too few labels) is listed under ``skipped``; only when none can is it an
    error.

    Args:
        tables: Tables with ``region_id`` and ``vector`` by name; none at all scores the floors alone. A
            sequence of tables is one encoder trained several times: the probe's seeds take them in turn.
        indicators: ``region_id`` and one numeric column per indicator, NaN where missing.
        lonlat: ``region_id``, ``lon``, ``lat`` in degrees, one row per region of the city.
        settings: Heads (the first one speaks in the verdict), seeds, folds, block and buffer.
        main: Table the verdict speaks of; by default the first.
        baseline: Table it is compared with besides the floors.
        units: Unit of each indicator, for tables and pages.
        transductive: Pre-training saw the pictures of the test regions, as in the literature.
        groups: Region to any label; what shares a label with a test region is not trained on.
        made_from: Hashes of the inputs, kept with the scores.
        jobs: Processes; by default one per core when there is enough to do. Results do not depend on it.

    Raises:
        InputError: A table, an indicator or a position is unusable, or no indicator can be scored.
    """
    main = main if main is not None else next(iter(tables), None)
    _check_roles(tables, main=main, baseline=baseline)
    regions = common_regions(tables, indicators, lonlat, groups)
    cells, skipped = _make_cells(regions, settings)
    found = _predict(cells, regions, settings, jobs)
    rows, frames = _tell(cells, found, regions)
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "kind": "scores",
        "settings": settings.model_dump(mode="json"),
        "main": main,
        "baseline": baseline,
        "transductive": transductive,
        "units": dict(units or {}),
        "made_from": dict(made_from or {}),
        "splits": {split: _leakage(cells, split, settings) for split in SPLITS},
        "regions": regions.coverage,
        "skipped": skipped,
        "rows": rows,
    }
    result["verdicts"] = make_verdicts(result)
    result["notes"] = make_notes(result)
    return ProbeResult(_plain(result), pd.concat(frames, ignore_index=True))


def save_result(folder: Path | str, result: ProbeResult) -> None:
    """Write ``scores.json`` and ``predictions.parquet`` into a folder, each whole or not at all.

    Raises:
        StorageError: The folder cannot be written.
    """
    folder = Path(folder)
    made_from = result.scores["made_from"]
    write_table(folder / "predictions.parquet", result.predictions, kind="predictions", made_from=made_from)
    write_json(folder / "scores.json", result.scores)


def _check_roles(tables: Mapping[str, Any], **roles: str | None) -> None:
    for role, name in roles.items():
        if name is not None and name not in tables:
            remedy = f"there are: {', '.join(tables) or 'none'}"
            raise InputError(f"the {role} table is not among the vectors", value=name, remedy=remedy)


def _make_cells(regions: Regions, settings: ProbeSettings) -> tuple[list[_Cell], list[dict[str, str]]]:
    cells: list[_Cell] = []
    skipped: list[dict[str, str]] = []
    first: InputError | None = None
    # Indicators with a label at the same regions share their folds.
    made: dict[tuple[bytes, str], list[list[Fold]]] = {}
    options = {"folds": settings.folds, "edge_km": settings.block_km, "buffer_km": settings.buffer_km}
    for name, target in regions.targets.items():
        try:
            labels = prepare_labels(target, regions.lonlat, regions.groups, where=f"indicator {name}")
            draws = label_resamples(
                labels, edge_km=settings.block_km, seeds=settings.seeds, count=settings.bootstrap
            )
            new = []
            for split in SPLITS:
                key = (labels.rows.tobytes(), split)
                if key not in made:
                    made[key] = [
                        make_folds(labels, split, seed, **options)  # type: ignore[arg-type]
                        for seed in range(settings.seeds)
                    ]
                new.append(_Cell(name, split, labels, made[key], draws))
        except InputError as error:
            first = first or error
            skipped.append({"indicator": name, "reason": str(error).replace("\n", ";")})
        else:
            cells += new
    if not cells:
        raise first or InputError("there is no indicator to score")
    return cells, skipped


def _predict(
    cells: Sequence[_Cell], regions: Regions, settings: ProbeSettings, jobs: int | None
) -> list[dict[Predictor, Floats]]:
    """Held-out predictions (S, n) of the floors and of every table and head, for each cell."""
    fits = len(cells) * len(regions.vectors) * len(settings.heads) * settings.seeds
    if jobs is None:
        jobs = joblib.cpu_count() if "mlp" in settings.heads and fits * settings.folds >= PARALLEL_FITS else 1
    found: list[dict[Predictor, Floats]] = []
    keys: list[tuple[int, Predictor, int]] = []
    for number, cell in enumerate(cells):
        floors = floor_predictions(cell.labels, cell.folds_by_seed)
        found.append({(name, NO_HEAD): floors[name] for name in FLOORS})
        for features in regions.vectors:
            for head in settings.heads:
                found[number][features, head] = np.empty((settings.seeds, len(cell.labels.rows)))
                keys += [(number, (features, head), seed) for seed in range(settings.seeds)]

    def tasks() -> Iterator[tuple[Callable[..., Floats], tuple[Any, ...], dict[str, Any]]]:
        for number, (features, head), seed in keys:
            cell, copies = cells[number], regions.vectors[features]
            X: npt.NDArray[np.float32] = copies[seed % len(copies)][cell.labels.rows]
            yield joblib.delayed(held_out)(head, X, cell.labels.y, cell.folds_by_seed[seed], seed)

    with progress("probe", len(keys)) as advance:
        outcomes = joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks())
        for (number, who, seed), values in zip(keys, outcomes, strict=True):
            found[number][who][seed] = values
            advance(1, cells[number].indicator)
    return found


def _tell(
    cells: Sequence[_Cell], found: Sequence[Mapping[Predictor, Floats]], regions: Regions
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """Lines of ``scores.json`` and of the predictions, cell by cell."""
    rows: list[dict[str, Any]] = []
    frames: list[pd.DataFrame] = []
    for cell, predictions in zip(cells, found, strict=True):
        scores = {who: measure(cell.labels, values, cell.resamples) for who, values in predictions.items()}
        rows += [_row(cell, who, scores) for who in scores]
        frames += [_frame(cell, who, own, regions.ids) for who, own in scores.items()]
    return rows, frames


def _row(cell: _Cell, who: Predictor, scores: Mapping[Predictor, Scores]) -> dict[str, Any]:
    """One line of ``scores.json``; ``vs`` holds the floors and the other tables under the same head."""
    own = scores[who]
    features, head = who
    if features == FLOORS[0]:
        rivals: list[Predictor] = []
    elif head == NO_HEAD:
        rivals = [(FLOORS[0], NO_HEAD)]
    else:
        rivals = [other for other in scores if other[1] in (head, NO_HEAD) and other != who]
    names = (
        "n",
        "missing",
        "transform",
        "r2",
        "r2_sd",
        "r2_low",
        "r2_high",
        "r2_seeds",
        "rmse_log",
        "mae_log",
    )
    row: dict[str, Any] = {
        "indicator": cell.indicator,
        "split": cell.split,
        "features": features,
        "head": head,
    }
    row |= {name: getattr(own, name) for name in (*names, "rmse", "mae", "spearman", "n_blocks")}
    if features == FLOORS[0]:
        row["spearman"] = None  # a constant per fold: its ranks are an artefact of the folds
    return row | {"vs": {other[0]: vars(difference(own, scores[other])) for other in rivals}}


def _frame(cell: _Cell, who: Predictor, scores: Scores, ids: npt.NDArray[Any]) -> pd.DataFrame:
    seeds, n = scores.predictions.shape
    fold = np.empty((seeds, n), dtype=np.int64)
    for seed, folds in enumerate(cell.folds_by_seed):
        for number, part in enumerate(folds):
            fold[seed, part.test] = number
    return pd.DataFrame(
        {
            "region_id": np.tile(ids[cell.labels.rows], seeds),
            "indicator": cell.indicator,
            "split": cell.split,
            "features": who[0],
            "head": who[1],
            "seed": np.repeat(np.arange(seeds), n),
            "truth": np.tile(scores.truth, seeds),
            "prediction": scores.predictions.reshape(-1),
            "fold": fold.reshape(-1),
        }
    )


def _leakage(cells: Sequence[_Cell], split: str, settings: ProbeSettings) -> dict[str, Any]:
    """How far a split keeps its sides apart, over all seeds, for its indicator with most labels."""
    cell = max((c for c in cells if c.split == split), key=lambda c: len(c.labels.rows))
    parts = [describe(folds, cell.labels.lonlat) for folds in cell.folds_by_seed]
    size = {side: [n for part in parts for n in part[side]] for side in ("train", "val", "test")}
    return {
        "folds": settings.folds,
        "seeds": settings.seeds,
        "edge_km": settings.block_km if split == "block" else None,
        "buffer_km": settings.buffer_km if split == "block" else None,
        "n": len(cell.labels.rows),
        "n_blocks": cell.resamples.n_blocks,
        **{f"{side}_min": min(values) for side, values in size.items()},
        **{f"{side}_max": max(values) for side, values in size.items()},
        "nearest_km_min": min(part["nearest_km_min"] for part in parts),
        "nearest_km_median": float(np.median([part["nearest_km_median"] for part in parts])),
    }


def _plain(value: Any) -> Any:
    """The same value with plain Python numbers, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
