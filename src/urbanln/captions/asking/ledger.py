"""The ledger of a city: every text a captioner ever returned, as it came, kept once and never overwritten.

One SQLite file (write-ahead log): a process killed at any moment loses at most the calls under way, and
several processes of one machine may work on it at once. It must not lie on a network drive; the ledgers of
several machines are merged through Parquet files.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.owner import is_alive, this_process
from urbanln.captions.asking.ledger_parquet import insert_export, read_export, write_export
from urbanln.captions.asking.ledger_schema import (
    ASKED_COLUMNS,
    ROW_COLUMNS,
    TEXT_COLUMNS,
    add_spent,
    guard,
    make_room,
    numbers,
    open_database,
    open_to_read,
    short_of,
    spent_query,
    stored_json,
    typed,
)
from urbanln.captions.captioners.base import Answer, Ask, Identity

LEDGER_NAME = "captions.sqlite"
_AMONG = "IN (SELECT value FROM json_each(?))"  # of any number of values, handed over as one JSON list

Claim = Literal["mine", "answered", "held", "reserved", "spent"]
"""What :meth:`Ledger.claim` says: ask it now; it has been answered; somebody asks it now; calls under way may
use up the budget; the budget is used up."""


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


class Budget(NamedTuple):
    """What a question may cost: checked and set aside in one transaction, over all processes on a ledger.

    Attributes:
        reserve_usd: Set aside for this question until its answer is recorded.
        captioner_usd: What all answers of this captioner in the ledger may cost; None: no limit.
        total_usd: What all answers in the ledger may cost; None: no limit.
    """

    reserve_usd: float = 0.0
    captioner_usd: float | None = None
    total_usd: float | None = None


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
        path: The file, or the city folder it stands in under the name ``captions.sqlite``.
        read_only: Nothing is recorded: it may lie where nothing can be written.

    Raises:
        ArtefactError: Not a ledger, a damaged one, or one of a newer version.
        StorageError: It cannot be written.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with Ledger(folder) as ledger:
        ...     ledger.put_facts("parts", {"a": [1, 2]})
        ...     ledger.get_facts("parts", ["a", "b"])
        {'a': [1, 2]}
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        path = Path(path)
        self.read_only = read_only
        self.path = path / LEDGER_NAME if path.is_dir() and path.name != LEDGER_NAME else path
        self._lock = threading.RLock()
        self._db = (open_to_read if read_only else open_database)(self.path)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was recorded is in it already."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is in the file afterwards, or nothing.

        With ``begin="BEGIN"`` one view of all tables, whatever others record meanwhile.
        """
        with self._lock, guard(self.path):
            self._db.execute(begin)
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, guard(self.path):
            return self._db.execute(sql, values).fetchall()

    def find(self, key: str) -> Answer | None:
        """The answer under a key, or None."""
        return self.find_many([key]).get(key)

    def find_many(self, keys: Sequence[str]) -> dict[str, Answer]:
        """The answers under many keys; keys without one are left out."""
        columns = "key, text, finish, tokens_in, tokens_out, cost_usd, seconds"
        rows = self._rows(f"SELECT {columns} FROM texts WHERE key {_AMONG}", (json.dumps([*keys]),))  # noqa: S608
        return {row[0]: Answer(*row[1:3], *numbers(row[3:], self.path)) for row in rows}

    def record(self, key: str, ask: Ask, identity: Identity, answer: Answer) -> bool:
        """Keep an answer, and let go of the claim on its key.

        Where its price is not known, what the claim set aside counts as spent.

        Returns:
            False when the key has an answer already: that one stays.
        """
        said = (_text(answer.text), _text(answer.finish), answer.tokens_in, answer.tokens_out)
        with self._transaction() as db:
            row = (*_keep_asked(db, key, ask, identity), *said, answer.cost_usd, answer.seconds, _now())
            done = db.execute(f"INSERT OR IGNORE INTO texts VALUES ({_marks(row)})", row)  # noqa: S608
            reserved = db.execute("SELECT reserved FROM claims WHERE key = ?", (key,)).fetchone()
            db.execute("DELETE FROM claims WHERE key = ?", (key,))
            cost = answer.cost_usd if answer.cost_usd is not None or reserved is None else reserved[0]
            if done.rowcount and cost:
                add_spent(db, identity.name, cost)
        return bool(done.rowcount)

    def record_error(self, key: str, ask: Ask, identity: Identity, error: str, attempts: int) -> None:
        """Keep that a question was given up, after how many tries, and let go of the claim on its key."""
        with self._transaction() as db:
            row = (*_keep_asked(db, key, ask, identity), _text(error), attempts, _now())
            db.execute(f"INSERT OR IGNORE INTO errors VALUES ({_marks(row)})", row)  # noqa: S608
            db.execute("DELETE FROM claims WHERE key = ?", (key,))

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
            if db.execute("SELECT 1 FROM texts WHERE key = ?", (key,)).fetchone():
                return "answered"
            for (owner,) in db.execute("SELECT DISTINCT owner FROM claims").fetchall():
                if not is_alive(owner):
                    db.execute("DELETE FROM claims WHERE owner = ?", (owner,))
            if db.execute("SELECT 1 FROM claims WHERE key = ?", (key,)).fetchone():
                return "held"
            for limit, name in ((budget.captioner_usd, captioner), (budget.total_usd, None)):
                if limit is not None and (short := short_of(db, budget.reserve_usd, limit, name)):
                    return short
            db.execute(
                "INSERT INTO claims VALUES (?, ?, ?, ?)", (key, this_process(), captioner, budget.reserve_usd)
            )
        return "mine"

    def set_aside(self, key: str, text: str, why: str) -> None:
        """Turn a text that is no answer into an error, so that an answer can take its place.

        Args:
            key: Of the question.
            text: What is no answer: another text under the key stays.
            why: What is wrong with it.
        """
        columns, error = ", ".join(ASKED_COLUMNS), f"{why}, in its words: {text}" if text else why
        moved = f"INSERT OR IGNORE INTO errors SELECT {columns}, ?, 1, created FROM texts"  # noqa: S608
        with self._transaction() as db:
            db.execute(f"{moved} WHERE key = ? AND text = ?", (error, key, text))
            db.execute("DELETE FROM texts WHERE key = ? AND text = ?", (key, text))

    def charge(self, captioner: str, cost_usd: float) -> None:
        """Count what was paid for something that is no answer."""
        with self._transaction() as db:
            add_spent(db, captioner, cost_usd)

    def release(self, key: str) -> None:
        """Let go of this process's claim, if there still is one."""
        with self._transaction() as db:
            db.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (key, this_process()))

    def spent_usd(self, captioner: str | None = None) -> float:
        """What the answers of a captioner, or of all, have cost or may have cost."""
        return self._rows(*spent_query(captioner))[0][0] or 0.0

    def totals(self) -> dict[tuple[str, str], Total]:
        """What the answers came to, by captioner and stage."""
        sums = "count(*), sum(tokens_in), sum(tokens_out), sum(cost_usd), sum(seconds)"
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
            "(?1 IS NULL OR captioner = ?1) AND (?2 IS NULL OR stage = ?2)", (captioner, stage)
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
        return typed(frame, {"tokens_in": "Int64", "tokens_out": "Int64", "cost_usd": "float64"}, self.path)

    def count(self, identity: Identity, stage: str, pictures: Sequence[str], templates: Sequence[str]) -> int:
        """Number of texts of a captioner as it is now, of one stage.

        Args:
            identity: Of the captioner.
            stage: Of the questions.
            pictures: About which pictures: their hashes.
            templates: Asked with one of these prompts: hashes of their templates.
        """
        sql = "SELECT count(*) FROM texts WHERE captioner = ? AND revision = ? AND decoding = ? AND stage = ?"
        sql += f" AND template {_AMONG} AND picture {_AMONG}"
        asked = (identity.name, identity.revision, _canonical(identity.decoding), stage)
        return int(self._rows(sql, (*asked, json.dumps([*templates]), json.dumps([*pictures])))[0][0])

    def export_parquet(self, path: Path | str) -> None:
        """Write all that is in it to a Parquet file (see :mod:`urbanln.captions.asking.ledger_parquet`)."""
        with self._transaction("BEGIN") as db:
            write_export(db, path, self.path)

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
        sql = f"SELECT key, value FROM facts WHERE kind = ? AND key {_AMONG}"  # noqa: S608
        return {
            key: stored_json(value, self.path) for key, value in self._rows(sql, (kind, json.dumps([*keys])))
        }

    def put_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep JSON values; one that is there already stays as it is, and who only reads keeps none."""
        if self.read_only:
            return
        rows = [(kind, key, json.dumps(value, allow_nan=False)) for key, value in values.items()]
        with self._transaction() as db:
            make_room(db, kind, len(rows))
            db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?, ?)", rows)


def _box(ask: Ask) -> list[float] | None:
    # Adding zero turns -0.0 into 0.0, which JSON would write differently.
    return None if ask.box is None else [round(float(edge), 6) + 0.0 for edge in ask.box]


def _canonical(decoding: Mapping[str, Any]) -> str:
    return json.dumps(dict(decoding), sort_keys=True, allow_nan=False)


def _keep_asked(db: sqlite3.Connection, key: str, ask: Ask, identity: Identity) -> tuple[Any, ...]:
    """Keep a question's prompt; the question as a row, in which the prompt's hash stands for it."""
    box, picture, prompt, hashed = _box(ask), ask.picture, _text(ask.prompt.text), ""
    if prompt:
        hashed = hash_bytes(prompt.encode())
        db.execute("INSERT OR IGNORE INTO prompts VALUES (?, ?, ?)", (hashed, ask.prompt.template, prompt))
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
