"""Cells of a probe, one indicator under one split each, and the held-out predictions of all predictors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import joblib  # type: ignore[import-untyped]
import numpy as np

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.progress import progress
from urbanln.base.space import Floats, square_blocks
from urbanln.probe.held_out import floor_held_out, held_out, map_held_out
from urbanln.probe.labels import Labels, prepare_labels
from urbanln.probe.metrics import Resamples, draw_resamples
from urbanln.probe.names import MAP, NEAREST, NO_HEAD, joint_name
from urbanln.probe.score import make_folds
from urbanln.probe.splits import MIN_TRAIN, Fold, few_shot
from urbanln.probe.tables import Regions
from urbanln.probe.verdict import hardest_split

OPTIONAL_SPLITS = ("district", "city")  # these need a column that not every city has
PARALLEL_SECONDS = 10.0  # below this much work a second process costs more than it saves
Predictor = tuple[str, str]  # features, head
# By predictor and number of labels learned from (None: all): held-out predictions (S, n) of one cell, on the
# scale of its labels; of classes and shares (S, n, C).
Held = dict[tuple[Predictor, int | None], Floats]


class Cell(NamedTuple):
    """One indicator under one split.

    Args:
        indicator: Its name.
        split: Name of the split.
        labels: The labelled rows.
        folds_by_seed: Folds over these rows; indicators with the same rows share them.
        resamples: Blocks drawn for intervals, the same for everything that is compared.
    """

    indicator: str
    split: str
    labels: Labels
    folds_by_seed: list[list[Fold]]
    resamples: Resamples


def make_cells(
    regions: Regions, settings: ProbeSettings
) -> tuple[list[Cell], dict[str, list[dict[str, str]]]]:
    """Labels, folds and resamples of every indicator under every split.

    Returns:
        The cells, and what was left out: ``skipped``, the indicators that cannot be scored
        (``indicator``, ``reason``), and ``skipped_splits``, the splits that an indicator cannot be scored
        under (``indicator``, ``split``, ``reason``).

    Raises:
        InputError: No indicator can be scored.
    """
    cells: list[Cell] = []
    skipped: list[dict[str, str]] = []
    missing: list[dict[str, str]] = []
    first: InputError | None = None
    # Indicators with a label at the same regions share their folds.
    made: dict[tuple[bytes, str], list[list[Fold]]] = {}
    for name in regions.targets:
        try:
            new, without = _indicator_cells(name, regions, settings, made)
        except InputError as error:
            first = first or error
            skipped.append({"indicator": name, "reason": _reason(error)})
        else:
            cells += new
            missing += without
    if not cells:
        raise first or InputError(
            "there is no indicator to score", where="labels", remedy="name columns with --label"
        )
    return cells, {"skipped": skipped, "skipped_splits": missing}


def _indicator_cells(
    name: str,
    regions: Regions,
    settings: ProbeSettings,
    made: dict[tuple[bytes, str], list[list[Fold]]],
) -> tuple[list[Cell], list[dict[str, str]]]:
    label = regions.kinds[name]
    labels = prepare_labels(
        regions.targets[name],
        regions.lonlat,
        regions.groups,
        where=f"indicator {name}",
        transform=settings.transform,
        cities=regions.cities,
        districts=regions.districts,
        kind=label.kind,
        names=label.columns if label.kind == "shares" else (),
    )
    draws = draw_resamples(
        square_blocks(labels.metres, settings.block_km), settings.seeds, settings.bootstrap
    )
    cells, missing = [], []
    errors: list[InputError] = []
    for split in dict.fromkeys(settings.splits):
        key = (labels.rows.tobytes(), split)
        try:
            if key not in made:
                made[key] = [_folds(labels, split, seed, settings) for seed in range(settings.seeds)]
        except InputError as error:
            if split not in OPTIONAL_SPLITS:
                raise
            errors.append(error)
            missing.append({"indicator": name, "split": split, "reason": _reason(error)})
        else:
            cells.append(Cell(name, split, labels, made[key], draws))
    if not cells:
        raise errors[0]
    return cells, missing


def _folds(labels: Labels, split: Any, seed: int, settings: ProbeSettings) -> list[Fold]:
    return make_folds(
        labels,
        split,
        seed,
        folds=settings.folds,
        edge_km=settings.block_km,
        buffer_km=settings.buffer_km,
        blocks=settings.blocks,
        district_folds=settings.district_folds,
    )


def _reason(error: InputError) -> str:
    return "; ".join(" ".join(line.split()) for line in str(error).splitlines())


class _Task(NamedTuple):
    """Held-out predictions of one predictor under one seed, for all labels that share rows and folds."""

    cells: tuple[int, ...]
    who: Predictor
    table: str | None  # whose vectors it sees, if any
    k: int | None  # labels to learn from; None: all
    seed: int


def predict_cells(
    cells: Sequence[Cell],
    regions: Regions,
    settings: ProbeSettings,
    *,
    main: str | None,
    baseline: str | None,
    jobs: int | None = None,
) -> list[Held]:
    """Held-out predictions of the floors, of every table and head, of the map, and of few labels.

    Args:
        cells: From :func:`make_cells`.
        regions: Gives the vectors.
        settings: Heads, floors, joint comparison, label-efficiency curve.
        main: Table that is also scored together with the map, and has a curve.
        baseline: Another such table.
        jobs: Processes; by default one per core when there is enough to do. Results do not depend on it.
    """
    asked = list(dict.fromkeys(name for name in (main, baseline) if name is not None))
    tasks = [
        task
        for together in _layouts(cells)
        for task in _layout_tasks(together, cells, regions, settings, asked)
    ]
    if jobs is None:
        work = sum(_seconds(task, cells, regions) for task in tasks)
        jobs = joblib.cpu_count() if work > PARALLEL_SECONDS else 1
    found: list[Held] = [{} for _ in cells]
    with progress("probe", len(tasks)) as advance:
        outcomes = joblib.Parallel(n_jobs=jobs, return_as="generator")(_calls(tasks, cells, regions))
        for task, values in zip(tasks, outcomes, strict=True):
            alone = cells[task.cells[0]].labels.kind != "number"
            for number, own in zip(task.cells, [values] if alone else values.T, strict=True):
                blank = np.empty((settings.seeds, *own.shape))
                found[number].setdefault((task.who, task.k), blank)[task.seed] = own
            advance(1, " ".join(name for name in task.who if name != NO_HEAD))
    return found


def _layouts(cells: Sequence[Cell]) -> list[tuple[int, ...]]:
    """Numbers of the cells that share rows and folds, so that they can be predicted together.

    Classes and shares, which are several columns by themselves, are predicted alone.
    """
    shared: dict[tuple[int, int], list[int]] = {}
    for number, cell in enumerate(cells):
        alone = number if cell.labels.kind != "number" else -1
        shared.setdefault((id(cell.folds_by_seed), alone), []).append(number)
    return [tuple(numbers) for numbers in shared.values()]


def _layout_tasks(
    numbers: tuple[int, ...],
    cells: Sequence[Cell],
    regions: Regions,
    settings: ProbeSettings,
    asked: Sequence[str],
) -> Iterator[_Task]:
    cell = cells[numbers[0]]
    # Indicators that share rows are scored under the same splits.
    judged = hardest_split([other.split for other in cells if other.indicator == cell.indicator])
    floors = ("mean", *settings.floors)
    speaks = settings.heads[0]
    # Who predicts, from which table, with how many labels.
    wanted: list[tuple[Predictor, str | None, int | None]] = [
        ((name, NO_HEAD), None, None) for name in floors
    ]
    wanted += [
        ((name, head), name, None) for name in regions.vectors for head in dict.fromkeys(settings.heads)
    ]
    if settings.joint and asked:
        # Under the head of the verdict alone: under all of them it would double the fits.
        wanted.append(((MAP, speaks), None, None))
        wanted += [((joint_name(name), speaks), name, None) for name in asked]
    if cell.split == judged:
        for few in curve_sizes(cell.folds_by_seed, settings.curve):
            wanted += [((name, NO_HEAD), None, few) for name in floors if name in ("mean", NEAREST)]
            wanted += [((name, speaks), name, few) for name in asked]
    for who, table, k in wanted:
        for seed in range(settings.seeds):
            yield _Task(numbers, who, table, k, seed)


def curve_sizes(folds_by_seed: Sequence[Sequence[Fold]], sizes: Sequence[int]) -> list[int]:
    """The numbers of labels that every fold of every seed can give, ascending.

    Args:
        folds_by_seed: Folds of every seed.
        sizes: Numbers asked for; one below ``MIN_TRAIN`` is no training set and is left out.
    """
    smallest = min(len(fold.known) for folds in folds_by_seed for fold in folds)
    return [k for k in sorted(set(sizes)) if MIN_TRAIN <= k <= smallest]


def _calls(
    tasks: Sequence[_Task], cells: Sequence[Cell], regions: Regions
) -> Iterator[tuple[Callable[..., Floats], tuple[Any, ...], dict[str, Any]]]:
    for task in tasks:
        own = [cells[number] for number in task.cells]
        labels = own[0].labels
        if labels.kind == "number":
            labels = replace(labels, y=np.column_stack([cell.labels.y for cell in own]))
        folds = own[0].folds_by_seed[task.seed]
        features, head = task.who
        if task.k is not None:
            folds = few_shot(folds, task.k, task.seed)
        copies = regions.vectors[task.table] if task.table is not None else [None]
        X = copies[task.seed % len(copies)]
        if head == NO_HEAD:
            yield joblib.delayed(floor_held_out)(features, labels, folds, task.seed)
        elif features == task.table:
            yield joblib.delayed(held_out)(head, X, labels.y, folds, task.seed, labels.rows, labels.kind)
        else:
            yield joblib.delayed(map_held_out)(head, X, labels, folds, task.seed)


def _seconds(task: _Task, cells: Sequence[Cell], regions: Regions) -> float:
    """A rough guess at the time of a task, only to decide whether processes are worth their start."""
    features, head = task.who
    labels = cells[task.cells[0]].labels
    rows = len(labels.rows) if task.k is None else task.k
    width = 50 if task.table is None else regions.vectors[task.table][0].shape[1]
    of_fold = {
        "mean": 0.0,
        NEAREST: 1e-6 * rows,
        "coordinates-gp": 0.1 + 2e-5 * rows,
        "coordinates-boosting": 0.03 + 1e-5 * rows,
        "ridge": 0.002 + 2e-10 * rows * width**2,
        "mlp": 7e-7 * rows * width,
        "boosting": 0.03 + 5e-7 * rows * width,
    }
    parts = max(len(labels.names), 1)
    if parts > 1:
        # Logistic regression, which knows no short way: steps of some passes over all rows and parts.
        of_fold["ridge"] = 0.05 + 1e-6 * rows * width
    folds = len(cells[task.cells[0]].folds_by_seed[task.seed])
    return folds * parts * len(task.cells) * of_fold.get(features if head == NO_HEAD else head, 4e-4 * rows)
