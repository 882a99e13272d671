"""A ledger in an SQLite file: how it is opened, also where nothing can be written, and who holds a claim."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from urbanln.base.errors import ArtefactError
from urbanln.base.files import scratch_folder, storing
from urbanln.base.owner import is_alive, this_process
from urbanln.captions.asking.ledger_schema import (
    BUSY_S,
    SCHEMA_VERSION,
    TABLES,
    check_version,
    damaged,
    unusable,
)

_APPLICATION = 0x75724C6E  # "urLn": tells a ledger from any other SQLite file
_OPTIONS: dict[str, Any] = {"timeout": BUSY_S, "isolation_level": None, "check_same_thread": False}
_TABLES = (
    *(f"{one} WITHOUT ROWID" if one.split()[2] in ("facts", "claims", "spent") else one for one in TABLES),
    "CREATE INDEX texts_of_image ON texts (image_id)",
    "CREATE UNIQUE INDEX errors_once ON errors (key, created, error)",
)


class SqliteDatabase:
    """The tables of a ledger in a file (write-ahead log): see :class:`.ledger_schema.Database`.

    Claims belong to processes of this machine: one is void as soon as its process is no more.

    Args:
        path: The file, made where there is none.
        read_only: It may lie where nothing can be written.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be written.
    """

    among = "IN (SELECT value FROM json_each(?))"  # of any number of values, handed over as one JSON list
    now = "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.place: Path | str = path
        self.connection = (_open_to_read if read_only else _open)(path)

    @property
    def owner(self) -> str:
        """This process; a forked child is another."""
        return this_process()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """One statement."""
        return self.connection.execute(sql, values)

    def later(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement, now."""
        self.connection.execute(sql, values)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> sqlite3.Cursor:
        """One statement for many rows."""
        return self.connection.executemany(sql, rows)

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one question."""
        with _guard(self.place):
            return self.connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """One transaction, alone with the file if it writes."""
        with _guard(self.place):
            self.connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # a full disk has ended it already
                    self.connection.execute("ROLLBACK")
                raise

    def drop_dead_claims(self) -> None:
        """Let go of claims of processes that are no more."""
        for (owner,) in self.execute("SELECT DISTINCT owner FROM claims").fetchall():
            if not is_alive(owner):
                self.execute("DELETE FROM claims WHERE owner = ?", (owner,))

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


@contextlib.contextmanager
def _guard(path: Path | str) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise unusable(path, error, "is the disk full or read-only, may you not write there?") from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error


def _no_bytes(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as it is; no ledger keeps bytes, and what reads one counts on texts."""
    if bytes in map(type, row):
        raise sqlite3.DatabaseError("bytes where a text should be")
    return row


def _open(path: Path) -> sqlite3.Connection:
    """Open a ledger's file, or make it.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be written.
    """
    with _guard(path):
        db = sqlite3.connect(path, **_OPTIONS)
        try:
            _write_ahead(db)
            db.execute("PRAGMA synchronous = NORMAL")
            _check_tables(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a ledger's file that may lie where nothing can be written: a read-only disk, another's folder.

    SQLite keeps two files beside a ledger, also for those who only read. Where they cannot be made, what was
    recorded last may stand in one of them that somebody left: then a copy in memory is read.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be read.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return _open(path)
    log = path.with_name(f"{path.name}-wal")
    with _guard(path):
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
    until = time.monotonic() + BUSY_S
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
    check_version(version, path)


def _facts(db: sqlite3.Connection) -> tuple[int, int, int]:
    """Application, schema version, number of tables."""
    # Tables first: another process makes them in one transaction with the rest, perhaps at this moment.
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application = db.execute("PRAGMA application_id").fetchone()[0]
    return application, db.execute("PRAGMA user_version").fetchone()[0], tables
