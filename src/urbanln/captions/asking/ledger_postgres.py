"""A ledger on a PostgreSQL server, which processes of many hosts write to at once.

Every transaction that writes is alone with the ledger, as it is with an SQLite file: it holds a lock. A claim
belongs to a session, which holds a lock under a number of its own: when it ends, however that happens, the
server lets go of it. So the server knows who is there: no host's clock, name or processes are asked.
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.conninfo import conninfo_to_dict

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.saying import say
from urbanln.captions.asking.ledger_place import check_url
from urbanln.captions.asking.ledger_schema import (
    BUSY_S,
    SCHEMA_VERSION,
    TABLES,
    Cursor,
    check_version,
    damaged,
    one_line,
    unusable,
)

T = TypeVar("T")
# What SQLite does by itself: rows are numbered as they come, texts compared byte by byte, and of any length.
_TABLES = (
    *(one.replace("TEXT", 'TEXT COLLATE "C"') for one in TABLES),
    *(
        f"ALTER TABLE {one} ADD rowid BIGINT GENERATED ALWAYS AS IDENTITY"
        for one in ("texts", "errors", "prompts")
    ),
    "CREATE INDEX texts_of_image ON texts USING hash (image_id)",
    "CREATE UNIQUE INDEX errors_once ON errors (key, created, md5(error))",
)
_MADE_ONCE = (
    "ALTER TABLE claims SET UNLOGGED",  # a crash of the server ends all sessions: no claim waits for the disk
    "CREATE SEQUENCE owners AS integer CYCLE",
    "CREATE TABLE urbanln_ledger (version INTEGER NOT NULL)",
    f"INSERT INTO urbanln_ledger VALUES ({SCHEMA_VERSION})",  # noqa: S608
)
# Two numbers name a lock: the table of claims', and 0 for who writes, or that of a session.
_CLAIMS = "'claims'::regclass::oid"
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_CLAIMS}::int, 0)"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0"
_DROP_DEAD = f"""DELETE FROM claims WHERE owner NOT IN (
  SELECT CAST(objid AS text) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = {_CLAIMS}
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""  # noqa: S608
_MAKE = f"BEGIN; SELECT pg_advisory_xact_lock({0x75724C6E})"  # "urLn": there may be no table of claims yet
# Who is gone without a word is noticed within a minute, by both sides; who stands still in a transaction,
# before others have waited too long for it.
_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "fallback_application_name": "urbanln",
}
_SESSION = f"""SET lock_timeout = '{BUSY_S:.0f}s'; SET idle_in_transaction_session_timeout = '30s';
  SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 2.0
_REFUSALS = ("42501", "25006")  # no right to do so; a server that is only read from


class PostgresDatabase:
    """The tables of a ledger on a server: see :class:`.ledger_schema.Database`.

    A connection that is lost between two transactions is made again, for a minute at most.

    Args:
        url: Of the database, without a password. Tables that are not there are made.
        read_only: Nothing is made; where there are no tables, the ledger is empty.

    Raises:
        InputError: libpq cannot read the URL, or a password stands in it.
        ArtefactError: No ledger, or one of a newer version.
        StorageError: The server cannot be reached, or lets nobody in.
    """

    among = "IN (SELECT json_array_elements_text(CAST(? AS json)))"
    now = """to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')"""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.place: Path | str = url
        self._number = 0
        self._later: list[tuple[str, Sequence[Any]]] = []
        self._url, self._read_only = url, read_only
        with _guard(url):
            self._connect()

    @property
    def owner(self) -> str:
        """This session, and those that take its place where the connection was lost."""
        return str(self._number)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Cursor:
        """One statement."""
        found: Cursor = self._connection.execute(_numbered(sql), values)
        return found

    def later(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement, on its way together with the end of the transaction."""
        self._later.append((_numbered(sql), values))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Cursor:
        """One statement for many rows."""
        cursor: Any = self._connection.cursor()
        cursor.executemany(_numbered(sql), rows)
        found: Cursor = cursor
        return found

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one question."""
        with _guard(self._url), self._settling():
            return self._on_line(lambda: self.execute(sql, values)).fetchall()

    @contextlib.contextmanager
    def transaction(self, *, write: bool = True) -> Iterator[None]:
        """One transaction, alone with the ledger if it writes."""
        with _guard(self._url), self._settling():
            self._later = []
            self._on_line(lambda: self._connection.execute(_WRITE if write else _READ, prepare=False))
            yield
            with self._connection.pipeline():
                for statement in self._later:
                    self._connection.execute(*statement)
                self._connection.execute("COMMIT")

    def drop_dead_claims(self) -> None:
        """Let go of claims of sessions that are no more."""
        self._connection.execute(_DROP_DEAD)

    def close(self) -> None:
        """End the session, and with it its claims."""
        self._connection.close()

    @contextlib.contextmanager
    def _settling(self) -> Iterator[None]:
        """After a fault, take back what was not kept, so that there can be a next question."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(psycopg.Error):  # a lost connection has ended it already
                if self._connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                    self._left = (
                        True  # told to stop while the server was at work: it hears no more on this one
                    )
                    self._connection.close()
                self._connection.rollback()
            raise

    def _on_line(self, work: Callable[[], T]) -> T:
        """What some work brings that may be done twice: the second time on a connection made anew."""
        try:
            return work()
        except psycopg.OperationalError as error:
            if not self._connection.closed:
                raise
            reason = one_line(error)
        if not self._left:
            say(f"the server of the ledger is gone ({reason}): waiting for it, {BUSY_S:.0f} s at most")
        until, pause = time.monotonic() + BUSY_S, _FIRST_WAIT_S
        while True:
            try:
                self._connect()
                return work()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_WAIT_S)

    def _connect(self) -> None:
        self._connection, self._left = _connection(self._url), False
        try:
            self._settle()
        except BaseException:
            self._connection.close()
            raise

    def _settle(self) -> None:
        """Find or make the tables, and the number that this ledger's claims are known by."""
        db = self._connection
        if not _has_tables(db):
            _make_tables(db, self._read_only)
            if self._read_only:
                return
        check_version(_one(db, "SELECT max(version) FROM urbanln_ledger") or 0, self._url)
        if not self._read_only:
            self._number = self._number or _one(db, "SELECT nextval('owners')")
            db.execute(f"SELECT pg_advisory_lock_shared({_CLAIMS}::int, {self._number})")


def is_there(url: str) -> bool:
    """Whether a database holds a ledger.

    Raises:
        InputError, StorageError: As of :class:`PostgresDatabase`.
    """
    with _guard(url), contextlib.closing(_connection(url)) as db:
        return _has_tables(db)


def _connection(url: str) -> Any:
    try:
        given = conninfo_to_dict(check_url(url))
    except psycopg.ProgrammingError as error:
        raise InputError(
            "libpq cannot read the URL of the ledger",
            value=one_line(error),
            where=url,
            remedy="for example postgresql://host/name",
        ) from error
    db = psycopg.connect(
        **{**_OPTIONS, **given}, client_encoding="UTF8", autocommit=True, cursor_factory=psycopg.RawCursor
    )
    try:
        encoding = db.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise InputError(
                "this database cannot keep every text",
                value=f"its encoding is {encoding}",
                where=url,
                remedy="give the ledger one of its own: createdb --encoding UTF8 --template template0 NAME",
            )
        db.adapters.register_dumper(str, _Dumped)
        db.adapters.register_loader("text", _Loaded)
        db.execute(_SESSION)
    except BaseException:
        db.close()
        raise
    return db


def _has_tables(db: Any) -> bool:
    # Not by to_regclass(), which may not know yet what another session has made a moment ago.
    named = "tablename = 'urbanln_ledger' AND schemaname = ANY (current_schemas(false))"
    return bool(_one(db, f"SELECT count(*) FROM pg_tables WHERE {named}"))  # noqa: S608


def _make_tables(db: Any, temporary: bool) -> None:
    """Make the tables, for good or for this session alone."""
    if temporary:
        for statement in _TABLES:
            db.execute(statement.replace("CREATE TABLE", "CREATE TEMPORARY TABLE"))
        return
    db.execute(_MAKE)
    if not _has_tables(db):  # another process may have made them meanwhile
        for statement in (*_TABLES, *_MADE_ONCE):
            db.execute(statement)
    db.execute("COMMIT")


def _one(db: Any, sql: str) -> Any:
    return db.execute(sql).fetchone()[0]


@functools.cache
def _numbered(sql: str) -> str:
    """``?`` and ``?1`` as PostgreSQL writes them, ``$1``; ours are the only question marks."""
    count = iter(range(1, sql.count("?") + 1))
    return re.sub(r"\?(\d*)", lambda found: f"${found[1] or next(count)}", sql)


# PostgreSQL keeps no NUL: in its place stands a character that is none, and the digit behind it tells which.
_ESCAPES = {"\0": "\uffff0", "\uffff": "\uffff1"}
_GIVEN = {escape: character for character, escape in _ESCAPES.items()}


class _Dumped(Dumper):
    """A text as it is kept."""

    def dump(self, obj: str) -> bytes:
        """Its bytes."""
        return re.sub("[\0\uffff]", lambda found: _ESCAPES[found[0]], obj).encode()


class _Loaded(Loader):
    """A text as it was given."""

    def load(self, data: Any) -> str:
        """Of its bytes."""
        text = bytes(data).decode()
        return re.sub("\uffff[01]", lambda found: _GIVEN[found[0]], text) if "\uffff" in text else text


@contextlib.contextmanager
def _guard(url: str) -> Iterator[None]:
    """Turn the server's errors into ours."""
    try:
        yield
    except psycopg.errors.DuplicateTable as error:
        raise ArtefactError(
            "a database that holds tables of these names, but no ledger of captions",
            value=one_line(error),
            where=url,
            remedy="give the ledger a database of its own: createdb NAME",
        ) from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) or error.sqlstate in _REFUSALS:
            remedy = "is the server up, its disk not full, may you come in (PGPASSWORD, pgpass) and write?"
            raise unusable(url, error, remedy) from error
        raise damaged(url, error) from error
