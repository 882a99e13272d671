"""What is scored at a time: one table of vectors, or one floor, on one task under one split; a file each.

A file that was made of something else, or is damaged, is not taken: its score is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_file, plain, write_json
from urbanln.base.parsing import read_json
from urbanln.cityrep.payloads import Payload, Task, read_payload
from urbanln.cityrep.predicted import floor_row, vectors_row
from urbanln.cityrep.splits import BUFFERED, split_digest, their_parts
from urbanln.cityrep.vectors import Source

FOLDER = "cells"
MADE_BY = 1
"""Counts up when scores change for the same inputs; what an earlier count made is made again."""


class _Kept(TypedDict):
    made_of: str
    row: dict[str, Any]


class Cell(NamedTuple):
    """One score to be made.

    Attributes:
        task: On which.
        source: Whose vectors; None for a floor.
        features: Name of the vectors or the floor.
        split: ``"block"``, ``"random"`` or ``"block+buffer"``.
        buffer_km: Of the last; 0 for the others.
    """

    task: Task
    source: Source | None
    features: str
    split: str
    buffer_km: float

    def file(self, folder: Path) -> Path:
        """Where its score is kept."""
        return folder / FOLDER / self.task.name / f"{self.features}.{self.split}.json"


def make_cells(
    tasks: Sequence[Task],
    floors: Sequence[str],
    sources: Sequence[Source],
    splits: Sequence[str],
    buffer_km: float,
) -> list[Cell]:
    """All scores of some tasks, task by task; without those of vectors whose file is not there."""
    whose: list[tuple[str, Source | None]] = [(floor, None) for floor in floors]
    whose += [(source.name, source) for source in sources]
    return [
        Cell(task, source, features, split, buffer_km if split == BUFFERED else 0.0)
        for task in tasks
        for features, source in whose
        if source is None or (file := source.file(task)) is None or file.is_file()
        for split in splits
    ]


def make_rows(
    cells: Sequence[Cell], folder: Path, digests: Mapping[str, str]
) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    """The rows of cells of one task, those that are kept as they are; each is kept as soon as it is made.

    Args:
        cells: Of one task.
        folder: Of results.
        digests: SHA-256 of CityRep's split files of this task, by split; those that it lists.

    Returns:
        The rows, and whether our splits are those of CityRep's files, by split.

    Raises:
        InputError: A payload or vectors that cannot be used.
        StorageError: The folder cannot be written.
    """
    rows, payload = [], None
    sample_hash = hash_file(cells[0].task.samples)
    for cell in cells:
        made_of = _made_of(cell, sample_hash)
        row = _kept(cell.file(folder), made_of)
        if row is None:
            payload = payload or read_payload(cell.task)
            row = plain(_row(cell, payload))
            write_json(cell.file(folder), {"made_of": made_of, "row": row})
        rows.append(row)
    file, made_of = folder / FOLDER / cells[0].task.name / "splits.json", f"{sample_hash} {dict(digests)}"
    same = _kept(file, made_of)
    if same is None:
        payload = payload or read_payload(cells[0].task)
        same = {
            split: split_digest(payload, split, their_parts(payload, split)) == digest
            for split, digest in digests.items()
        }
        write_json(file, {"made_of": made_of, "row": same})
    return rows, same


def _row(cell: Cell, payload: Payload) -> dict[str, Any]:
    if cell.source is None:
        return floor_row(payload, cell.features, cell.split, cell.buffer_km)
    return vectors_row(payload, cell.source, cell.split, cell.buffer_km)


def _kept(file: Path, made_of: str) -> dict[str, Any] | None:
    with suppress(InputError, ArtefactError):
        kept: _Kept = read_json(file, _Kept)
        if kept["made_of"] == made_of:
            return kept["row"]
    return None


def _made_of(cell: Cell, sample_hash: str) -> str:
    """A digest of all that a score depends on; rasters of vectors, which are large, by size and date."""
    file = None if cell.source is None else cell.source.file(cell.task)
    facts: list[Any] = [MADE_BY, sample_hash, cell.features, cell.split, cell.buffer_km]
    if cell.source is not None and file is not None:
        state = file.stat()
        facts += [str(file), state.st_size, state.st_mtime_ns, *cell.source.columns]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
