"""A ledger as one Parquet file: to keep, to read elsewhere, to merge the ledgers of several machines.

One table, whose column ``part`` says what a row is:

- ``text``: an answer, with the columns of the ledger.
- ``error``: a question given up, the error in ``text`` and the number of tries in ``attempts``.
- ``prompt``: a whole prompt in ``text``, its hash in ``key``.
- ``fact``: a JSON value in ``text``, its kind in ``stage``.

Columns that mean nothing for a part are null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from urbanln.base.errors import ArtefactError
from urbanln.base.files import read_table, write_table
from urbanln.base.outputs import FileKind, of_kind
from urbanln.captions.asking.ledger_claims import add_spent
from urbanln.captions.asking.ledger_schema import (
    ASKED_COLUMNS,
    ERROR_COLUMNS,
    TEXT_COLUMNS,
    Database,
    marks,
    typed,
)

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
_TYPES: Mapping[str, str] = {name: _NUMBERS.get(name, "string") for name in _COLUMNS}
_MAY_LACK = ("box", "tokens_in", "tokens_out", "cost_usd")
# Part → its table, the table's columns, under which names they are exported, and in which order.
_PARTS: Mapping[str, tuple[str, Sequence[str], Sequence[str], str]] = {
    "prompt": ("prompts", ("hash", "template", "text"), ("key", "template", "text"), "rowid"),
    "text": ("texts", TEXT_COLUMNS, TEXT_COLUMNS, "rowid"),
    "error": ("errors", ERROR_COLUMNS, (*ASKED_COLUMNS, "text", "attempts", "created"), "rowid"),
    "fact": ("facts", ("kind", "key", "value"), ("stage", "key", "text"), "kind, key"),
}


def export_rows(db: Database) -> pd.DataFrame:
    """All that an export holds, as it is at one moment: within a transaction.

    Raises:
        ArtefactError: A row of the ledger is damaged.
    """
    rows = []
    for part, (table, own, columns, order) in _PARTS.items():
        for row in db.execute(f"SELECT {', '.join(own)} FROM {table} ORDER BY {order}").fetchall():  # noqa: S608
            rows.append({"part": part, **dict(zip(columns, row, strict=True))})
    return typed(pd.DataFrame(rows, columns=list(_COLUMNS), dtype=object), _TYPES, db.place)


def write_export(rows: pd.DataFrame, path: Path | str) -> None:
    """Write what :func:`export_rows` gave to one Parquet file, whole or not at all."""
    write_table(path, rows, kind=KIND)


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
    return typed(table, _TYPES, Path(path))


def insert_export(db: Database, table: pd.DataFrame) -> dict[str, int]:
    """Add the rows of an export to a ledger's tables; one that is there already stays as it is.

    Args:
        db: Within a transaction.
        table: As of :func:`read_export`. Rows that lack what a ledger needs are left out.

    Returns:
        Number of rows added, by table.
    """
    added = {}
    for part, (name, _, columns, _) in _PARTS.items():
        rows = table.loc[table["part"] == part, list(columns)]
        rows = rows.dropna(subset=[column for column in columns if column not in _MAY_LACK]).astype(object)
        rows = rows.where(rows.notna(), None)
        if part == "text":
            _add_paid(db, rows)
        sql = f"INSERT INTO {name} VALUES ({marks(columns)}) ON CONFLICT DO NOTHING"  # noqa: S608
        values = rows.to_numpy().tolist()
        added[name] = db.executemany(sql, values).rowcount if values else 0
    return added


def _add_paid(db: Database, texts: pd.DataFrame) -> None:
    """Count what those texts cost that are not there yet."""
    sql = f"SELECT key FROM texts WHERE key {db.among}"  # noqa: S608
    known = [key for (key,) in db.execute(sql, (json.dumps(texts["key"].tolist()),)).fetchall()]
    new = texts[~texts["key"].isin(known) & texts["cost_usd"].notna()].drop_duplicates("key")
    for captioner, costs in new.groupby("captioner", sort=False)["cost_usd"]:
        add_spent(db, str(captioner), float(costs.sum()))
