"""A ledger as one Parquet file: to keep, to read elsewhere, to merge the ledgers of several machines.

One table, whose column ``part`` says what a row is:

- ``text``: an answer, with the columns of the ledger.
- ``error``: a question given up, the error in ``text`` and the number of tries in ``attempts``.
- ``prompt``: a whole prompt in ``text``, its hash in ``key``.
- ``fact``: a JSON value in ``text``, its kind in ``stage``.

Columns that mean nothing for a part are null.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from urbanln.base.errors import ArtefactError
from urbanln.base.files import read_table, write_table
from urbanln.base.outputs import FileKind, of_kind
from urbanln.captions.asking.ledger_schema import ASKED_COLUMNS, ERROR_COLUMNS, TEXT_COLUMNS, add_spent, typed

KIND = "caption-ledger"
EXPORT = FileKind("a ledger's export", {".parquet": of_kind(KIND)})
_COLUMNS = ("part", *TEXT_COLUMNS, "attempts")
_NUMBERS: Mapping[str, str] = {
    "min_side": "Int64",
    "tokens_in": "Int64",
    "tokens_out": "Int64",
    "attempts": "Int64",
    "cost_usd": "Float64",
    "seconds": "Float64",
}
# Part → its table, the table's columns, and under which names they are exported.
_PARTS: Mapping[str, tuple[str, Sequence[str], Sequence[str]]] = {
    "prompt": ("prompts", ("hash", "template", "text"), ("key", "template", "text")),
    "text": ("texts", TEXT_COLUMNS, TEXT_COLUMNS),
    "error": ("errors", ERROR_COLUMNS, (*ASKED_COLUMNS, "text", "attempts", "created")),
    "fact": ("facts", ("kind", "key", "value"), ("stage", "key", "text")),
}


def write_export(db: sqlite3.Connection, path: Path | str, ledger: Path) -> None:
    """Write the tables of a ledger to one Parquet file, whole or not at all.

    Raises:
        ArtefactError: A row of the ledger is damaged.
    """
    rows = []
    for part, (table, own, columns) in _PARTS.items():
        for row in db.execute(f"SELECT {', '.join(own)} FROM {table}"):  # noqa: S608
            rows.append({"part": part, **dict(zip(columns, row, strict=True))})
    frame = pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object)
    types = {name: _NUMBERS.get(name, "string") for name in _COLUMNS}
    write_table(path, typed(frame, types, ledger), kind=KIND)


def read_export(path: Path | str) -> pd.DataFrame:
    """Read an exported ledger.

    Raises:
        InputError: No such file.
        ArtefactError: Damaged, no export of a ledger, or one of a newer version.
    """
    table = read_table(path, kind=KIND)
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise ArtefactError(
            f"an exported ledger lacks the column '{missing[0]}'",
            where=path,
            remedy="export it again: urbanln caption CITY --export-ledger FILE",
        )
    return table


def insert_export(db: sqlite3.Connection, table: pd.DataFrame) -> dict[str, int]:
    """Add the rows of an export to a ledger's tables; one that is there already stays as it is.

    Returns:
        Number of rows added, by table.
    """
    added = {}
    for part, (name, _, columns) in _PARTS.items():
        rows = table.loc[table["part"] == part, list(columns)].astype(object)
        sql = f"INSERT OR IGNORE INTO {name} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        added[name] = 0
        for row in rows.where(rows.notna(), None).to_dict("records"):
            if not db.execute(sql, [row[column] for column in columns]).rowcount:
                continue
            added[name] += 1
            if row.get("cost_usd"):
                add_spent(db, row["captioner"], row["cost_usd"])
    return added
