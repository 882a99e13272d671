"""The ledger of a city: every text a captioner ever returned, as it came, kept once and never overwritten.

An SQLite file, or tables on a PostgreSQL server: a process killed at any moment loses at most the calls under
way. Several processes of one machine may work on a file at once, which must not lie on a network drive; on a
server, those of many machines. Any two ledgers are merged through Parquet files.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from urbanln.base.errors import InputError, require
from urbanln.base.files import hash_bytes
from urbanln.captions.asking.ledger_claims import Budget, Claim, add_spent, spent_query, stands
from urbanln.captions.asking.ledger_parquet import export_rows, insert_export, read_export, write_export
from urbanln.captions.asking.ledger_place import LEDGER_NAME, is_url
from urbanln.captions.asking.ledger_schema import (
    ASKED_COLUMNS,
    ROW_COLUMNS,
    TEXT_COLUMNS,
    Database,
    make_room,
    marks,
    numbers,
    stored_json,
    typed,
)
from urbanln.captions.asking.ledger_sqlite import SqliteDatabase
from urbanln.captions.captioners.base import Answer, Ask, Identity


@dataclass(frozen=True)
class Total:
    """What a captioner's answers of one stage came to.

    Attributes:
        answers: Texts in the ledger.
        tokens_in: Tokens read, where they were counted.
        tokens_out: Tokens written, where they were counted.
        cost_usd: Price of all of them, where it is known.
        seconds: Time they took, one after the other.
        errors: Questions given up.
    """

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    errors: int = 0


def ask_key(ask: Ask, identity: Identity) -> str:
    """The key of a question: equal questions have equal keys, and nothing else does.

    SHA-256 over the picture's hash and view, the part (rounded to 1e-6) with ``min_side``, the captioner's
    name, revision and decoding settings, stage and prompt text. Captioners that take no prompt may go by the
    picture's id (a table of recorded captions does), so without a prompt the id is in it too.

    Raises:
        InputError: The picture's hash is not known.
    """
    picture = ask.picture
    if not picture.sha256:
        raise InputError(
            "a picture needs its hash before it can be asked about",
            where=picture.image_id,
            remedy="give Picture(sha256=…)",
        )
    parts = {
        "picture": picture.sha256,
        "view": picture.view,
        "image_id": "" if ask.prompt.text else picture.image_id,
        "box": _box(ask),
        "min_side": ask.min_side,
        "captioner": identity.name,
        "revision": identity.revision,
        "decoding": _canonical(identity.decoding),
        "stage": ask.stage,
        "prompt": ask.prompt.text,
    }
    return hash_bytes(json.dumps(parts, sort_keys=True).encode())


class Ledger:
    """A ledger, made when it is not there yet; threads may share it.

    Args:
        place: The file, the city folder it stands in under the name ``captions.sqlite``, or the URL of a
            PostgreSQL database, ``"postgresql://host/name"`` (see :mod:`.ledger_place`).
        read_only: Nothing is recorded: it may lie where nothing can be written.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be written, or its server not be reached.
        MissingExtraError: PostgreSQL needs a package that is not installed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with Ledger(folder) as ledger:
        ...     ledger.put_facts("parts", {"a": [1, 2]})
        ...     ledger.get_facts("parts", ["a", "b"])
        {'a': [1, 2]}
    """

    def __init__(self, place: Path | str, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self._lock = threading.RLock()
        self._db = _open(place, read_only)

    @property
    def place(self) -> Path | str:
        """Where it is: its file, or the URL of its server."""
        return self._db.place

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; what was recorded is in it already."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[Database]:
        """One transaction, in which statements may be put: all of it is kept afterwards, or nothing."""
        with self._lock, self._db.transaction(write=write):
            yield self._db

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.read(sql, values)

    def find(self, key: str) -> Answer | None:
        """The answer under a key, or None."""
        return self.find_many([key]).get(key)

    def find_many(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers under many keys; keys without one are left out."""
        columns = "key, text, finish, tokens_in, tokens_out, cost_usd, seconds"
        rows = self._rows(f"SELECT {columns} FROM texts WHERE key {self._db.among}", (json.dumps([*keys]),))  # noqa: S608
        return {row[0]: Answer(*row[1:3], *numbers(row[3:], self.place)) for row in rows}

    def record(self, key: str, ask: Ask, identity: Identity, answer: Answer) -> bool:
        """Keep an answer, and let go of the claim on its key.

        Where its price is not known, what the claim set aside counts as spent.

        Returns:
            False when the key has an answer already: that one stays.
        """
        said = (_text(answer.text), _text(answer.finish), answer.tokens_in, answer.tokens_out)
        with self._transaction() as db:
            row = (*_keep_asked(db, key, ask, identity), *said, answer.cost_usd, answer.seconds)
            done = _keep_now(db, "texts", row)
            reserved = db.execute("SELECT reserved FROM claims WHERE key = ?", (key,)).fetchone()
            db.later("DELETE FROM claims WHERE key = ?", (key,))
            cost = answer.cost_usd if answer.cost_usd is not None or reserved is None else reserved[0]
            if done and cost:
                add_spent(db, identity.name, cost)
        return done

    def record_error(self, key: str, ask: Ask, identity: Identity, error: str, attempts: int) -> None:
        """Keep that a question was given up, after how many tries, and let go of the claim on its key."""
        with self._transaction() as db:
            _keep_now(db, "errors", (*_keep_asked(db, key, ask, identity), _text(error), attempts))
            db.later("DELETE FROM claims WHERE key = ?", (key,))

    def claim(self, key: str, captioner: str = "", budget: Budget | None = None) -> Claim:
        """Take a question on, so that no other process asks it too.

        Claims of processes that are no more count for nothing, and no claim stops a claimant twice: the same
        process asking again is told ``"held"`` until the claim is released.

        Args:
            key: Of the question.
            captioner: Whose budget it goes to.
            budget: What may be spent; without it nothing is checked.
        """
        budget = budget or Budget()
        with self._transaction() as db:
            said = stands(db, key, captioner, budget)
            if said in ("held", "reserved"):  # perhaps by somebody who is no more
                db.drop_dead_claims()
                said = stands(db, key, captioner, budget)
            if said == "mine":
                claim = (key, db.owner, captioner, budget.reserve_usd)
                db.later("INSERT INTO claims VALUES (?, ?, ?, ?)", claim)
        return said

    def set_aside(self, key: str, text: str, why: str) -> None:
        """Turn a text that is no answer into an error, so that an answer can take its place.

        Args:
            key: Of the question.
            text: What is no answer: another text under the key stays.
            why: What is wrong with it.
        """
        columns, error = ", ".join(ASKED_COLUMNS), f"{why}, in its words: {text}" if text else why
        moved = f"INSERT INTO errors SELECT {columns}, ?, 1, created FROM texts"  # noqa: S608
        with self._transaction() as db:
            db.later(f"{moved} WHERE key = ? AND text = ? ON CONFLICT DO NOTHING", (error, key, text))
            db.later("DELETE FROM texts WHERE key = ? AND text = ?", (key, text))

    def charge(self, captioner: str, cost_usd: float) -> None:
        """Count what was paid for something that is no answer."""
        with self._transaction() as db:
            add_spent(db, captioner, cost_usd)

    def release(self, key: str) -> None:
        """Let go of this process's claim, if there still is one."""
        with self._transaction() as db:
            db.later("DELETE FROM claims WHERE key = ? AND owner = ?", (key, db.owner))

    def spent_usd(self, captioner: str | None = None) -> float:
        """What the answers of a captioner, or of all, have cost or may have cost."""
        return self._rows(*spent_query(captioner))[0][0] or 0.0

    def totals(self) -> dict[tuple[str, str], Total]:
        """What the answers came to, by captioner and stage."""
        whole = (f"CAST(sum({name}) AS BIGINT)" for name in ("tokens_in", "tokens_out"))
        sums = f"count(*), {', '.join(whole)}, sum(cost_usd), sum(seconds)"
        rows = self._rows(f"SELECT captioner, stage, {sums} FROM texts GROUP BY captioner, stage")  # noqa: S608
        found = {(row[0], row[1]): Total(*(value or 0 for value in row[2:])) for row in rows}
        for name, stage, errors in self._rows(
            "SELECT captioner, stage, count(*) FROM errors GROUP BY captioner, stage"
        ):
            found[name, stage] = Total(**{**vars(found.get((name, stage), Total())), "errors": errors})
        return found

    def texts(self, *, captioner: str | None = None, stage: str | None = None) -> pd.DataFrame:
        """Rows of texts in the order they came, of one captioner or stage or of all.

        Returns:
            The columns of ``ROW_COLUMNS``: what was asked of whom, ``text``, ``finish``, tokens, cost,
            seconds, ``created``, and the whole prompt as ``prompt_text``.
        """
        return self._frame(
            "(CAST(?1 AS TEXT) IS NULL OR captioner = ?1) AND (CAST(?2 AS TEXT) IS NULL OR stage = ?2)",
            (captioner, stage),
        )

    def rows_of(self, which: str) -> pd.DataFrame:
        """All texts about one picture in the order they came.

        Args:
            which: Its ``image_id`` or its hash. A question about two equal pictures is asked once and stands
                under the id of the one that came first: the hash finds it for both.
        """
        return self._frame(
            "picture = ?1 OR picture IN (SELECT picture FROM texts WHERE image_id = ?1)", (which,)
        )

    def _frame(self, where: str, values: Sequence[Any]) -> pd.DataFrame:
        columns = ", ".join("texts." + name for name in TEXT_COLUMNS)
        sql = (
            f"SELECT {columns}, prompts.text FROM texts LEFT JOIN prompts ON prompts.hash = texts.prompt "  # noqa: S608
            f"WHERE {where} ORDER BY texts.rowid"
        )
        frame = pd.DataFrame(self._rows(sql, values), columns=list(ROW_COLUMNS))
        return typed(frame, {"tokens_in": "Int64", "tokens_out": "Int64", "cost_usd": "float64"}, self.place)

    def count(self, identity: Identity, stage: str, pictures: Sequence[str], templates: Sequence[str]) -> int:
        """Number of texts of a captioner as it is now, of one stage.

        Args:
            identity: Of the captioner.
            stage: Of the questions.
            pictures: About which pictures: their hashes.
            templates: Asked with one of these prompts: hashes of their templates.
        """
        sql = "SELECT count(*) FROM texts WHERE captioner = ? AND revision = ? AND decoding = ? AND stage = ?"
        sql += f" AND template {self._db.among} AND picture {self._db.among}"
        asked = (identity.name, identity.revision, _canonical(identity.decoding), stage)
        return int(self._rows(sql, (*asked, json.dumps([*templates]), json.dumps([*pictures])))[0][0])

    def export_parquet(self, path: Path | str) -> None:
        """Write all that is in it to a Parquet file (see :mod:`urbanln.captions.asking.ledger_parquet`)."""
        with self._transaction(write=False) as db:
            rows = export_rows(db)
        write_export(rows, path)

    def import_parquet(self, path: Path | str) -> dict[str, int]:
        """Add what another ledger exported; rows that are there stay as they are.

        Returns:
            Number of rows that came in, by part: texts, errors, prompts, facts.

        Raises:
            ArtefactError: The file is no export of a ledger.
        """
        table = read_export(path)
        with self._transaction() as db:
            return insert_export(db, table)

    def get_facts(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """The facts that are there, by key; keys without one are left out."""
        sql = f"SELECT key, value FROM facts WHERE kind = ? AND key {self._db.among}"  # noqa: S608
        return {
            key: stored_json(value, self.place) for key, value in self._rows(sql, (kind, json.dumps([*keys])))
        }

    def put_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep JSON values; one that is there already stays as it is, and who only reads keeps none."""
        if self.read_only:
            return
        rows = [(kind, key, json.dumps(value, allow_nan=False)) for key, value in values.items()]
        with self._transaction() as db:
            make_room(db, kind, len(rows))
            db.executemany("INSERT INTO facts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)


def _open(place: Path | str, read_only: bool) -> Database:
    if is_url(place):
        postgres = require("urbanln.captions.asking.ledger_postgres")
        opened: Database = postgres.PostgresDatabase(place, read_only=read_only)
        return opened
    path = Path(place)
    in_folder = path.is_dir() and path.name != LEDGER_NAME
    return SqliteDatabase(path / LEDGER_NAME if in_folder else path, read_only=read_only)


def _box(ask: Ask) -> list[float] | None:
    # Adding zero turns -0.0 into 0.0, which JSON would write differently.
    return None if ask.box is None else [round(float(edge), 6) + 0.0 for edge in ask.box]


def _canonical(decoding: Mapping[str, Any]) -> str:
    return json.dumps(dict(decoding), sort_keys=True, allow_nan=False)


def _keep_now(db: Database, table: str, row: Sequence[Any]) -> bool:
    """Keep a row with the moment as its last value; False where one of its kind is there, which stays."""
    sql = f"INSERT INTO {table} VALUES ({marks(row)}, {db.now}) ON CONFLICT DO NOTHING"  # noqa: S608
    return bool(db.execute(sql, row).rowcount)


def _keep_asked(db: Database, key: str, ask: Ask, identity: Identity) -> tuple[Any, ...]:
    """Keep a question's prompt; the question as a row, in which the prompt's hash stands for it."""
    box, picture, prompt, hashed = _box(ask), ask.picture, _text(ask.prompt.text), ""
    if prompt:
        hashed = hash_bytes(prompt.encode())
        kept = (hashed, ask.prompt.template, prompt)
        db.later("INSERT INTO prompts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", kept)
    return (
        key,
        picture.sha256,
        picture.image_id,
        picture.view,
        identity.name,
        identity.revision,
        ask.stage,
        None if box is None else json.dumps(box),
        ask.min_side,
        ask.prompt.template,
        hashed,
        _canonical(identity.decoding),
    )


def _text(text: str) -> str:
    # Half a surrogate pair cannot be stored as UTF-8; a server's JSON may contain one.
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
