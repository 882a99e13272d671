"""The clone of CityRep: which tasks it registers, which of them are there, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from typing_extensions import TypedDict

from urbanln.base.columns import need_columns, no_duplicates, number_column
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text, read_frame
from urbanln.base.kinds import Kind
from urbanln.base.parsing import read_json
from urbanln.base.space import Floats, Ints, check_lonlat, to_metres

KINDS: dict[str, Kind] = {"regression": "number", "classification": "classes", "distribution": "shares"}
"""What CityRep calls a task's labels, and what they are called here."""
SYNTHETIC = (
    "CityRep says that its land use of London is a synthetic example; its own figures are from a table "
    "that it keeps back"
)
POOR_SOURCE = "CityRep leaves this city out of its own mean, since the source of its ages is poor"
NOTES = {"london.landuse": SYNTHETIC} | {
    f"{city}.age_distribution": POOR_SOURCE for city in ("mumbai", "nairobi", "jakarta", "cape_town")
}
"""What has to be known about a task, by CITY.LABEL."""
_NAMED = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+\.\d{4}")
_SPREAD = 1e-6  # CityRep adds it to the spread of labels
_CLONE = "give the folder of a clone of CityRep, with data/tasks.json and data/tasks"


class _Spec(TypedDict, total=False):
    """What is read of a task in ``data/tasks.json``; there may be more."""

    task_type: str
    city: str
    task: str
    crs: str
    sample_id_col: str
    label_col: str
    label_cols: list[str]
    class_names: list[str]
    normalization: str


class _Registry(TypedDict):
    tasks: dict[str, _Spec]


@dataclass(frozen=True)
class Task:
    """One label of one city, as CityRep registers it.

    Attributes:
        name: ``CITY.LABEL.YEAR``.
        city, label: Its parts.
        kind: What the label is.
        columns: Those of the label: one, or one per share.
        parts: Names of the classes or shares; empty for a number.
        scale: ``"zscore"``, ``"log1p_zscore"`` or ``"none"``: what CityRep does to all labels of the task
            before it splits them.
        id_column: Column of the samples' ids.
        folder: Where its payload is, or would be.
        note: What has to be known about it, in a sentence; "" where nothing has.
    """

    name: str
    city: str
    label: str
    kind: Kind
    columns: tuple[str, ...]
    parts: tuple[str, ...]
    scale: str
    id_column: str
    folder: Path
    note: str = ""

    @property
    def samples(self) -> Path:
        """The table of its samples."""
        return self.folder / "samples.parquet"

    @property
    def raster(self) -> Path:
        """The raster of its labels, whose grid a raster of vectors is brought to; not every task has one."""
        return self.folder / "labels.tif"

    @property
    def here(self) -> bool:
        """Whether the clone holds its samples."""
        return self.samples.is_file()


@dataclass(frozen=True, eq=False)
class Payload:
    """The samples of a task.

    Attributes:
        task: Which.
        ids: (N,) of the samples, as text.
        lonlat: (N, 2) degrees.
        metres: (N, 2) local metres.
        cells: (N, 2) column and row in the task's raster; None where it has none.
        y: What CityRep's head learns: (N,) float32 on the scale of the task, (N,) numbers of classes, or
            (N, C) float32 shares.
        outputs: Outputs of CityRep's head: 1, the largest number of a class and one, or C.
    """

    task: Task
    ids: npt.NDArray[np.str_]
    lonlat: Floats
    metres: Floats
    cells: Ints | None
    y: npt.NDArray[Any]
    outputs: int

    def __len__(self) -> int:
        return len(self.ids)


def read_tasks(clone: Path | str) -> list[Task]:
    """The tasks that a clone registers, in its order, whether their payloads are there or not.

    Args:
        clone: Folder with ``data/tasks.json`` and ``data/tasks``.

    Raises:
        InputError: No such file, or a task that is none of CityRep's kinds.
        ArtefactError: It is no registry of tasks.
    """
    path = Path(clone) / "data" / "tasks.json"
    fault = "this is no registry of CityRep's tasks"
    tasks: Mapping[str, _Spec] = read_json(path, _Registry, fault=fault, remedy=_CLONE)["tasks"]
    return [_task(name, spec, Path(clone)) for name, spec in tasks.items()]


def _task(name: str, spec: _Spec, clone: Path) -> Task:
    where = f"{clone / 'data' / 'tasks.json'}, {name}"
    if not _NAMED.fullmatch(name):
        raise InputError("the name of a task is CITY.LABEL.YEAR", value=name, where=where, remedy=_CLONE)
    kind = KINDS.get(spec.get("task_type", ""))
    if kind is None:
        remedy = f"there are: {', '.join(KINDS)}"
        raise InputError("no such type of task", value=spec.get("task_type"), where=where, remedy=remedy)
    city, label, _ = name.split(".")
    columns = tuple(spec.get("label_cols") or [spec.get("label_col", "label")])
    return Task(
        name=name,
        city=spec.get("city", city),
        label=spec.get("task", label),
        kind=kind,
        columns=columns,
        parts=tuple(spec.get("class_names", ()))
        if kind == "classes"
        else columns
        if kind == "shares"
        else (),
        scale=spec.get("normalization", "zscore") if kind == "number" else "none",
        id_column=spec.get("sample_id_col", "sample_id"),
        folder=clone / "data" / "tasks" / name,
        note=NOTES.get(f"{city}.{label}", ""),
    )


def read_payload(task: Task) -> Payload:
    """Read the samples of a task, their labels brought to CityRep's scale.

    CityRep brings a number to mean 0 and spread 1 over **all** samples, before it splits them; shares are
    divided by their sum.

    Raises:
        InputError: No such file, a column is missing or holds no numbers, an id stands twice, a position is
            out of range, or the scale is unknown.
    """
    path = task.samples
    frame = read_frame(path, text=[task.id_column], shapes=False)
    need_columns(frame.columns, [task.id_column, "x", "y", *task.columns], str(path))
    ids = id_text(frame[task.id_column])
    no_duplicates(ids, "sample", str(path), "give the table as CityRep publishes it")
    lonlat = check_lonlat(frame[["x", "y"]].to_numpy(dtype=np.float64))
    cells = None
    if {"col", "row"} <= set(frame.columns):
        cells = frame[["col", "row"]].to_numpy(dtype=np.int64)
    values = np.column_stack([_numbers(frame, name, path) for name in task.columns])
    y = _labels(task, values)
    outputs = int(y.max()) + 1 if task.kind == "classes" else values.shape[1]
    return Payload(task, ids.to_numpy(dtype=str), lonlat, to_metres(lonlat), cells, y, outputs)


def _numbers(frame: pd.DataFrame, name: str, path: Path) -> Floats:
    values = number_column(frame, name, str(path)).to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        remedy = "give the table as CityRep publishes it"
        raise InputError("a label is missing", value=values[row], where=f"{path}, row {row}", remedy=remedy)
    return values


def _labels(task: Task, values: Floats) -> npt.NDArray[Any]:
    if task.kind == "classes":
        codes = values[:, 0].astype(np.int64)
        if (codes != values[:, 0]).any() or codes.min() < 0:
            remedy = "give the table as CityRep publishes it"
            raise InputError("classes are counted from 0", value=values[:, 0].min(), where=task.samples,
                             remedy=remedy)  # fmt: skip
        return codes
    single = values.astype(np.float32)
    if task.kind == "shares":
        return single / np.clip(single.sum(axis=1, keepdims=True), 1e-12, None)
    return scaled(single[:, 0], task.scale, task.name)


def scaled(values: npt.NDArray[np.float32], scale: str, where: str) -> npt.NDArray[np.float32]:
    """Labels as CityRep scales them: by the mean and spread of all samples, before any split.

    Args:
        values: (N,) labels.
        scale: ``"zscore"``, ``"log1p_zscore"`` or ``"none"``.
        where: Name of the task, for errors.

    Raises:
        InputError: No such scale.
    """
    if scale == "none":
        return values
    if scale not in ("zscore", "log1p_zscore"):
        remedy = "there are: zscore, log1p_zscore, none"
        raise InputError("no such scale of labels", value=scale, where=where, remedy=remedy)
    bent = np.log1p(values) if scale == "log1p_zscore" else values
    # In float32 and by numpy's own sums, as theirs: the last digits of published figures hang on it.
    return ((bent - float(bent.mean())) / float(bent.std() + _SPREAD)).astype(np.float32)
