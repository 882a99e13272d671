"""All of CityRep that a clone holds: scored, kept, compared, written.

    urbanln cityrep CLONE --published CITYREPFULL --vectors 'mine={city}.tif' --out FOLDER

Run again after a stop, it goes on with what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]

from urbanln.base.errors import InputError
from urbanln.base.locks import alone_in
from urbanln.base.outputs import CITYREP, output_folder
from urbanln.base.processes import usable_cores
from urbanln.base.saying import say
from urbanln.cityrep.cells import FOLDER, Cell, make_cells, make_rows
from urbanln.cityrep.payloads import Task, read_tasks
from urbanln.cityrep.predicted import MAP_FLOORS
from urbanln.cityrep.published import folder_of_results, read_digests, read_published
from urbanln.cityrep.splits import BUFFERED, PROTOCOLS
from urbanln.cityrep.told import task_line
from urbanln.cityrep.vectors import Source, parse_sources
from urbanln.cityrep.written import collect, write_results
from urbanln.probe.floors import floor_note

SPLITS = (*PROTOCOLS, BUFFERED)


def run_cityrep(
    clone: Path | str,
    out: Path | str,
    *,
    vectors: Sequence[str] = (),
    published: Path | str | None = None,
    cities: Sequence[str] = (),
    labels: Sequence[str] = (),
    splits: Sequence[str] = SPLITS,
    floors: Sequence[str] = MAP_FLOORS,
    buffer_km: float = 2.0,
    jobs: int | None = None,
) -> Path:
    """Score the floors of the map and vectors on the tasks of a clone, and write tables and a page.

    Args:
        clone: Of CityRep, with ``data/tasks.json`` and ``data/tasks``.
        out: Folder of results; run again, only what is missing is done.
        vectors: ``NAME=PATTERN`` or ``PE``: :func:`urbanln.cityrep.vectors.parse_sources`.
        published: Clone with CityRep's own results; by default the same.
        cities, labels: Only these; empty: all.
        splits: Of ``SPLITS``: CityRep's two, and its blocks with a buffer.
        floors: Of :data:`urbanln.probe.floors.FLOORS`; the mean is always among them.
        buffer_km: Of the last: two of the widest cells there are.
        jobs: Processes; by default one per core.

    Returns:
        The page.

    Raises:
        InputError: No such task, no payload at all, vectors that are nowhere or cannot be used.
        ArtefactError: It is no clone of CityRep.
        BusyError: Another process scores into this folder.
    """
    out = Path(out)
    _check_names(splits, SPLITS, "split")
    _check_names(floors, MAP_FLOORS, "floor")
    sources = parse_sources(vectors)
    tasks = _wanted(read_tasks(clone), cities, labels, Path(clone))
    results = folder_of_results(clone, published)
    theirs, digests = read_published(results, tasks), read_digests(results)
    output_folder(out, CITYREP, ours=_is_ours, inputs=[clone, *([published] if published else [])])
    here = [task for task in tasks if task.here]
    absent = [task.name for task in tasks if not task.here]
    if absent:
        say(f"not in the clone, and left out: {', '.join(absent)}")
    for source in sources:
        _say_missing(source, here)
    with alone_in(out, "scores CityRep into this folder"):
        cells = make_cells(here, list(dict.fromkeys(("mean", *floors))), sources, splits, buffer_km)
        rows, same = _all_rows(here, cells, out, digests, theirs, jobs or usable_cores())
        facts = {
            "tasks": [task.name for task in here], "absent": absent, "splits": list(splits),
            "buffer_km": buffer_km, "vectors": [source.name for source in sources],
            "notes": _notes(here, floors, rows),
            "split_files": {"compared": len(same), "equal": sum(same)},
        }  # fmt: skip
        return write_results(out, collect(rows, theirs, facts))


def _all_rows(
    tasks: Sequence[Task],
    cells: Sequence[Cell],
    out: Path,
    digests: Mapping[tuple[str, str], str],
    theirs: Sequence[Mapping[str, Any]],
    jobs: int,
) -> tuple[list[dict[str, Any]], list[bool]]:
    """The rows of all cells, a line said per task; and whether each split is CityRep's file."""
    work = joblib.Parallel(n_jobs=jobs, return_as="generator")(
        joblib.delayed(make_rows)([cell for cell in cells if cell.task is task], out, _of_task(digests, task))
        for task in tasks
    )
    rows: list[dict[str, Any]] = []
    same: list[bool] = []
    for task, (made, equal) in zip(tasks, work, strict=True):
        rows += made
        same += equal.values()
        say(task_line(task, made, theirs))
    return rows, same


def _check_names(names: Sequence[str], there: Sequence[str], what: str) -> None:
    if odd := next((name for name in names if name not in there), None):
        remedy = f"there are: {', '.join(there)}"
        raise InputError(f"no such {what}", value=odd, where=f"--{what}", remedy=remedy)


def _of_task(digests: Mapping[tuple[str, str], str], task: Task) -> dict[str, str]:
    """CityRep's digests of a task's split files, by what the splits are called here."""
    names = {split: (protocol, task.name) for split, protocol in PROTOCOLS.items()}
    return {split: digests[name] for split, name in names.items() if name in digests}


def _wanted(tasks: Sequence[Task], cities: Sequence[str], labels: Sequence[str], clone: Path) -> list[Task]:
    for names, there, option in (
        (cities, [task.city for task in tasks], "--city"),
        (labels, [task.label for task in tasks], "--label"),
    ):
        if odd := next((name for name in names if name not in there), None):
            remedy = f"there are: {', '.join(sorted(set(there)))}"
            raise InputError("CityRep has nothing of this name", value=odd, where=option, remedy=remedy)
    found = [
        task for task in tasks if (not cities or task.city in cities) and (not labels or task.label in labels)
    ]
    if not any(task.here for task in found):
        what = "the clone holds no samples of these tasks"
        remedy = "CityRepFull fetches them with its download.sh; CityRep has most of them"
        raise InputError(what, value=len(found), where=clone / "data" / "tasks", remedy=remedy)
    return sorted(found, key=lambda task: (task.city, task.label))


def _say_missing(source: Source, tasks: Sequence[Task]) -> None:
    files = {task.name: source.file(task) for task in tasks}
    gone = {str(file): None for file in files.values() if file is not None and not file.is_file()}
    if files and len(gone) == len({str(file) for file in files.values()}):
        remedy = "check the path; {city} stands for a city's name, {task} for a task's"
        raise InputError(
            "none of these vectors is there", value=source.pattern, where=f"--vectors {source.name}",
            remedy=remedy,
        )  # fmt: skip
    if gone:
        say(f"{source.name}: no file for some, which are left out: {', '.join(gone)}")


def _notes(tasks: Sequence[Task], floors: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What has to be known to read the results."""
    most = max(row["n"] for row in rows)
    found = [f"{task.name}: {task.note}." for task in tasks if task.note]
    return [*found, *filter(None, [floor_note(floor, most) for floor in floors])]


def _is_ours(folder: Path) -> bool:
    return (folder / FOLDER).is_dir()
