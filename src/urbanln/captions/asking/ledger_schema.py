"""The tables of a ledger's SQLite file, how it is opened, and how its faults are told."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from urbanln.base.errors import ArtefactError, StorageError, UrbanLNError
from urbanln.base.files import scratch_folder, storing
from urbanln.base.parsing import parse_json
from urbanln.captions.facts import PARSES

SCHEMA_VERSION = 1
MOST_PARSES = 1_000_000
"""Sentences whose parses are kept, some 400 bytes each; those of a city of 100,000 pictures."""
ASKED_COLUMNS = (
    "key",
    "picture",
    "image_id",
    "view",
    "captioner",
    "revision",
    "stage",
    "box",
    "min_side",
    "template",
    "prompt",
    "decoding",
)
TEXT_COLUMNS = (
    *ASKED_COLUMNS,
    "text",
    "finish",
    "tokens_in",
    "tokens_out",
    "cost_usd",
    "seconds",
    "created",
)
ERROR_COLUMNS = (*ASKED_COLUMNS, "error", "attempts", "created")
ROW_COLUMNS = (*TEXT_COLUMNS, "prompt_text")
"""What a ledger hands out; ``picture`` and ``prompt`` are hashes, ``box`` and ``decoding`` are JSON."""

_APPLICATION = 0x75724C6E  # "urLn": tells a ledger from any other SQLite file
_BUSY_S = 60.0
_PUT_ASIDE = "put it aside and import an export of it, or start a new one"
_OPTIONS: dict[str, Any] = {"timeout": _BUSY_S, "isolation_level": None, "check_same_thread": False}
_ASKED = """
  picture TEXT NOT NULL, image_id TEXT NOT NULL, view TEXT NOT NULL, captioner TEXT NOT NULL,
  revision TEXT NOT NULL, stage TEXT NOT NULL, box TEXT, min_side INTEGER NOT NULL, template TEXT NOT NULL,
  prompt TEXT NOT NULL, decoding TEXT NOT NULL"""
_TABLES = (
    f"""CREATE TABLE texts (key TEXT PRIMARY KEY NOT NULL, {_ASKED},
  text TEXT NOT NULL, finish TEXT NOT NULL, tokens_in INTEGER, tokens_out INTEGER, cost_usd REAL,
  seconds REAL NOT NULL, created TEXT NOT NULL)""",
    "CREATE INDEX texts_of_picture ON texts (picture)",
    "CREATE INDEX texts_of_image ON texts (image_id)",
    f"""CREATE TABLE errors (key TEXT NOT NULL, {_ASKED},
  error TEXT NOT NULL, attempts INTEGER NOT NULL, created TEXT NOT NULL, UNIQUE (key, created, error))""",
    "CREATE TABLE prompts (hash TEXT PRIMARY KEY NOT NULL, template TEXT NOT NULL, text TEXT NOT NULL)",
    """CREATE TABLE facts (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (kind, key)) WITHOUT ROWID""",
    """CREATE TABLE claims (key TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, captioner TEXT NOT NULL,
  reserved REAL NOT NULL) WITHOUT ROWID""",
    "CREATE TABLE spent (captioner TEXT PRIMARY KEY NOT NULL, usd REAL NOT NULL) WITHOUT ROWID",
)


class LedgerFault(UrbanLNError):
    """The ledger itself failed: no question may go out whose answer could not be kept."""


class LedgerUnusable(LedgerFault, StorageError):
    """The disk is full, the file cannot be written, or others kept it locked for a minute."""


class LedgerDamaged(LedgerFault, ArtefactError):
    """The file is damaged or no SQLite file."""


@contextlib.contextmanager
def guard(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        LedgerUnusable: A :class:`~urbanln.base.errors.StorageError`.
        LedgerDamaged: An :class:`~urbanln.base.errors.ArtefactError`.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise LedgerUnusable(
            f"the ledger of captions cannot be used: {error}",
            where=path,
            remedy="is the disk full or read-only, may you not write there? What was recorded is kept",
        ) from error
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(
            "the ledger of captions is damaged or no ledger at all",
            value=str(error),
            where=path,
            remedy=_PUT_ASIDE,
        ) from error


def typed(frame: pd.DataFrame, types: Mapping[str, str], path: Path) -> pd.DataFrame:
    """Rows of a ledger with the types of their columns: SQLite takes any value into any column.

    Args:
        frame: The rows.
        types: By column, as of :meth:`pandas.DataFrame.astype`.
        path: The ledger's.

    Raises:
        LedgerDamaged: A value is of another type.
    """
    try:
        return frame.astype(types)
    except (ValueError, TypeError) as error:
        raise _of_another_type(str(error), path) from error


def numbers(values: Sequence[Any], path: Path) -> Sequence[Any]:
    """Numbers of one row as they are; None is one.

    Raises:
        LedgerDamaged: One is something else, or endless.
    """
    for value in values:
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise _of_another_type(value, path)
    return values


def _of_another_type(value: object, path: Path) -> LedgerDamaged:
    what = "a row of the ledger of captions holds a value of another type"
    return LedgerDamaged(what, value=value, where=path, remedy=_PUT_ASIDE)


def _no_bytes(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as it is; no ledger keeps bytes, and what reads one counts on texts."""
    if bytes in map(type, row):
        raise sqlite3.DatabaseError("bytes where a text should be")
    return row


def open_database(path: Path) -> sqlite3.Connection:
    """Open a ledger's file, or make it.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be written.
    """
    with guard(path):
        db = sqlite3.connect(path, **_OPTIONS)
        try:
            _write_ahead(db)
            db.execute("PRAGMA synchronous = NORMAL")
            _check_tables(db, path)
        except BaseException:
            db.close()
            raise
    return db


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open a ledger's file that may lie where nothing can be written: a read-only disk, another's folder.

    SQLite keeps two files beside a ledger, also for those who only read. Where they cannot be made, what was
    recorded last may stand in one of them that somebody left: then a copy in memory is read.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be read.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return open_database(path)
    log = path.with_name(f"{path.name}-wal")
    with guard(path):
        if log.exists() and log.stat().st_size:
            db = _in_memory(path, log)
        else:  # nobody has it open, or its log would be there
            db = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, **_OPTIONS)
        try:
            _check_tables(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _in_memory(path: Path, log: Path) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", **_OPTIONS)
    with scratch_folder() as folder, storing(path):
        for file in (path, log):
            shutil.copyfile(file, folder / file.name)
        with contextlib.closing(sqlite3.connect(folder / path.name)) as copy:
            copy.backup(db)
    return db


def _write_ahead(db: sqlite3.Connection) -> None:
    # Changing the mode does not wait for other processes by itself, whatever the time-out says.
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _check_tables(db: sqlite3.Connection, path: Path) -> None:
    db.row_factory = _no_bytes
    application, version, tables = _facts(db)
    if not tables:
        db.execute("BEGIN IMMEDIATE")
        if not _facts(db)[2]:
            for statement in _TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
        application, version, tables = _facts(db)
    if application != _APPLICATION:
        raise ArtefactError(
            "an SQLite file, but no ledger of captions",
            where=path,
            remedy="move it away; captions.sqlite is the ledger's name",
        )
    if version > SCHEMA_VERSION:
        raise ArtefactError(
            f"written by a newer urbanln (schema {version}, this one knows {SCHEMA_VERSION})",
            where=path,
            remedy="upgrade urbanln",
        )


def spent_query(captioner: str | None) -> tuple[str, tuple[str | None]]:
    """What a captioner has spent (everybody, for None), as a question with its value."""
    return "SELECT sum(usd) FROM spent WHERE ?1 IS NULL OR captioner = ?1", (captioner,)


def short_of(
    db: sqlite3.Connection, reserve: float, limit: float, captioner: str | None
) -> Literal["reserved", "spent"] | None:
    """Whether the limit allows no further call, for good or as long as others are under way."""
    spent = db.execute(*spent_query(captioner)).fetchone()[0] or 0.0
    under_way = db.execute(
        "SELECT sum(reserved) FROM claims WHERE ?1 IS NULL OR captioner = ?1", (captioner,)
    ).fetchone()[0]
    if spent + reserve > limit:
        return "spent"
    return "reserved" if spent + (under_way or 0.0) + reserve > limit else None


def stored_json(text: str, path: Path, shape: Any = Any) -> Any:
    """A JSON value that a ledger holds as text.

    Raises:
        ArtefactError: It is damaged.
    """
    try:
        return parse_json(text, shape)
    except ValueError as error:
        raise ArtefactError(
            "a row of the ledger is damaged",
            value=f"{error}: {text[:60]}",
            where=path,
            remedy="put back a copy of the ledger, or delete it and caption again",
        ) from error


def _facts(db: sqlite3.Connection) -> tuple[int, int, int]:
    """Application, schema version, number of tables."""
    # Tables first: another process makes them in one transaction with the rest, perhaps at this moment.
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    return application, db.execute("PRAGMA user_version").fetchone()[0], tables


def add_spent(db: sqlite3.Connection, captioner: str, cost_usd: float) -> None:
    """Add to what a captioner has cost: a running sum, so that a check of a budget reads one row."""
    db.execute(
        "INSERT INTO spent VALUES (?, ?) ON CONFLICT (captioner) DO UPDATE SET usd = usd + excluded.usd",
        (captioner, cost_usd),
    )


def make_room(db: sqlite3.Connection, kind: str, coming: int) -> None:
    """Let parses go where there would be too many: those of other parsers first, then any (keys are hashes).

    Args:
        db: Within a transaction.
        kind: Of the facts that are to come; for kinds other than parses nothing is done.
        coming: How many there are.
    """
    if not kind.startswith(PARSES):
        return
    spare = MOST_PARSES - coming
    of_parses = "kind >= ?1 AND kind < ?1 || char(1114111)"
    if _count(db, of_parses, PARSES) > spare:
        db.execute(f"DELETE FROM facts WHERE {of_parses} AND kind != ?2", (PARSES, kind))  # noqa: S608
        over = _count(db, "kind = ?1", kind) - max(spare, 0)
        rows = "SELECT key FROM facts WHERE kind = ?1 ORDER BY key LIMIT ?2"
        db.execute(f"DELETE FROM facts WHERE kind = ?1 AND key IN ({rows})", (kind, max(over, 0)))  # noqa: S608


def _count(db: sqlite3.Connection, which: str, value: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM facts WHERE {which}", (value,)).fetchone()[0])  # noqa: S608
