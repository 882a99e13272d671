"""What every ledger has in common, wherever it is kept: its tables, its questions, how its faults are told.

The SQL is one for SQLite and PostgreSQL. What they say differently is in :class:`Database` and its two kinds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from urbanln.base.errors import ArtefactError, StorageError, UrbanLNError
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
BUSY_S = 60.0
"""So long a ledger is waited for that others are writing to, or whose server is away."""
PUT_ASIDE = "put it aside and import an export of it, or start a new one"

_ASKED = """
  picture TEXT NOT NULL, image_id TEXT NOT NULL, view TEXT NOT NULL, captioner TEXT NOT NULL,
  revision TEXT NOT NULL, stage TEXT NOT NULL, box TEXT, min_side BIGINT NOT NULL, template TEXT NOT NULL,
  prompt TEXT NOT NULL, decoding TEXT NOT NULL"""
TABLES = (
    f"""CREATE TABLE texts (key TEXT PRIMARY KEY NOT NULL, {_ASKED},
  text TEXT NOT NULL, finish TEXT NOT NULL, tokens_in BIGINT, tokens_out BIGINT, cost_usd DOUBLE PRECISION,
  seconds DOUBLE PRECISION NOT NULL, created TEXT NOT NULL)""",
    f"""CREATE TABLE errors (key TEXT NOT NULL, {_ASKED},
  error TEXT NOT NULL, attempts BIGINT NOT NULL, created TEXT NOT NULL)""",
    "CREATE TABLE prompts (hash TEXT PRIMARY KEY NOT NULL, template TEXT NOT NULL, text TEXT NOT NULL)",
    """CREATE TABLE facts (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (kind, key))""",
    """CREATE TABLE claims (key TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, captioner TEXT NOT NULL,
  reserved DOUBLE PRECISION NOT NULL)""",
    "CREATE TABLE spent (captioner TEXT PRIMARY KEY NOT NULL, usd DOUBLE PRECISION NOT NULL)",
    "CREATE INDEX texts_of_picture ON texts (picture)",
)
"""As both databases read them; each adds an index on ``texts (image_id)`` and one that keeps equal errors
out."""


class Cursor(Protocol):
    """What a question to a database brings."""

    @property
    def rowcount(self) -> int:
        """Rows that were written."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows."""


class Database(Protocol):
    """Where the tables of a ledger are, and what is said differently there; one thread at a time.

    Attributes:
        place: The file, or the server's URL, for errors.
        among: SQL after a column: it is one of the values in a JSON list, given as ``?``.
        now: SQL of this moment, by one clock for all that write, as ISO 8601 in UTC with milliseconds.
    """

    place: Path | str
    among: str
    now: str

    @property
    def owner(self) -> str:
        """By which this ledger's claims are known, as long as it is open."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Cursor:
        """One statement with its values, which stand in it as ``?`` or by number, ``?1``."""

    def later(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement that nobody waits for: within a transaction that writes, at its end at the latest."""

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Cursor:
        """One statement for many rows, as of :meth:`execute` without numbers."""

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one question outside a transaction."""

    def transaction(self, *, write: bool = True) -> AbstractContextManager[None]:
        """All of it is kept afterwards, or nothing; one that writes is the only one that does.

        Without ``write`` one view of all tables, whatever others record meanwhile.

        Raises:
            LedgerFault: It failed; by any statement within it.
        """

    def drop_dead_claims(self) -> None:
        """Within a transaction: let go of claims whose owners are no more."""

    def close(self) -> None:
        """Let go of the file or the connection."""


class LedgerFault(UrbanLNError):
    """The ledger itself failed: no question may go out whose answer could not be kept."""


class LedgerUnusable(LedgerFault, StorageError):
    """It cannot be reached or written: a full disk, no permission, or others kept it locked for a minute."""


class LedgerDamaged(LedgerFault, ArtefactError):
    """It is damaged or no ledger."""


def one_line(error: Exception) -> str:
    """What a database says, which may be several lines."""
    return " ".join(str(error).split())


def unusable(place: Path | str, error: Exception, remedy: str) -> LedgerUnusable:
    """What a database says of itself, as an error of ours."""
    what = f"the ledger of captions cannot be used: {one_line(error)}"
    return LedgerUnusable(what, where=place, remedy=f"{remedy} What was recorded is kept")


def damaged(place: Path | str, error: Exception) -> LedgerDamaged:
    """What a database says of its content, as an error of ours."""
    what = "the ledger of captions is damaged or no ledger at all"
    return LedgerDamaged(what, value=one_line(error), where=place, remedy=PUT_ASIDE)


def check_version(version: int, place: Path | str) -> None:
    """Refuse a ledger of a later version than this one knows.

    Raises:
        ArtefactError: It is one.
    """
    if version > SCHEMA_VERSION:
        raise ArtefactError(
            f"written by a newer urbanln (schema {version}, this one knows {SCHEMA_VERSION})",
            where=place,
            remedy="upgrade urbanln",
        )


def typed(frame: pd.DataFrame, types: Mapping[str, str], place: Path | str) -> pd.DataFrame:
    """Rows of a ledger with the types of their columns: SQLite takes any value into any column.

    Args:
        frame: The rows.
        types: By column, as of :meth:`pandas.DataFrame.astype`.
        place: The ledger's.

    Raises:
        LedgerDamaged: A value is of another type.
    """
    try:
        return frame.astype(types)
    except (ValueError, TypeError) as error:
        raise _of_another_type(str(error), place) from error


def numbers(values: Sequence[Any], place: Path | str) -> Sequence[Any]:
    """Numbers of one row as they are; None is one.

    Raises:
        LedgerDamaged: One is something else, or endless.
    """
    for value in values:
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise _of_another_type(value, place)
    return values


def _of_another_type(value: object, place: Path | str) -> LedgerDamaged:
    what = "a row of the ledger of captions holds a value of another type"
    return LedgerDamaged(what, value=value, where=place, remedy=PUT_ASIDE)


def stored_json(text: str, place: Path | str, shape: Any = Any) -> Any:
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
            where=place,
            remedy="put back a copy of the ledger, or delete it and caption again",
        ) from error


def make_room(db: Database, kind: str, coming: int) -> None:
    """Let parses go where there would be too many: those of other parsers first, then any (keys are hashes).

    Args:
        db: Within a transaction.
        kind: Of the facts that are to come; for kinds other than parses nothing is done.
        coming: How many there are.
    """
    if not kind.startswith(PARSES):
        return
    spare = MOST_PARSES - coming
    of_parses, ends = "kind >= ?1 AND kind < ?2", (PARSES, PARSES + chr(0x10FFFF))
    if _count(db, of_parses, *ends) > spare:
        db.execute(f"DELETE FROM facts WHERE {of_parses} AND kind != ?3", (*ends, kind))  # noqa: S608
        over = _count(db, "kind = ?1", kind) - max(spare, 0)
        rows = "SELECT key FROM facts WHERE kind = ?1 ORDER BY key LIMIT ?2"
        db.execute(f"DELETE FROM facts WHERE kind = ?1 AND key IN ({rows})", (kind, max(over, 0)))  # noqa: S608


def _count(db: Database, which: str, *values: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM facts WHERE {which}", values).fetchone()[0])  # noqa: S608


def marks(values: Sequence[Any]) -> str:
    """A ``?`` for each of some values."""
    return ", ".join("?" * len(values))
