"""Whether two results are the same by value: what tells the time, and nothing else, may differ."""

from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

# When and how long; where the result lies, which is another folder in each attack.
_TIMES = {"time", "seconds", "created", "at", "started", "duration", "images_per_s", "per_s", "command",
          "path", "folder", "scores", "where", "file"}  # fmt: skip
_LEDGER_TIMES = re.compile(
    r"^(id|created\w*|at|time\w*|seconds|latency\w*|pid|started|claimed\w*|when\w*|rowid)$"
)
_SKIPPED = re.compile(r"\.sqlite-(wal|shm|journal)$|\.lock$|^\.")


def differences(mine: Path, theirs: Path) -> list[str]:
    """What differs between two files or folders, in words; nothing where they are the same."""
    if mine.is_dir() and theirs.is_dir():
        names = [{str(p.relative_to(f)) for p in f.rglob("*") if not _skipped(p, f)} for f in (mine, theirs)]
        found = [f"{name} is missing" for name in sorted(names[1] - names[0])]
        found += [f"{name} should not be there" for name in sorted(names[0] - names[1])]
        for name in sorted(names[0] & names[1]):
            if (mine / name).is_file():
                found += differences(mine / name, theirs / name)
        return found
    if not mine.exists() or not theirs.exists():
        return [f"{mine.name} is not there"] if theirs.exists() else [f"{theirs} is not there"]
    if mine.read_bytes() == theirs.read_bytes():
        return []
    try:
        same = value(mine) == value(theirs)
    except Exception as error:
        return [f"{mine.name} cannot be read: {error!r}"]
    return [] if same else [f"{mine.name} differs from an undisturbed run's"]


def _skipped(path: Path, folder: Path) -> bool:
    return any(_SKIPPED.search(part) for part in path.relative_to(folder).parts)


def value(path: Path) -> Any:
    """What a file says, without times."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        note = json.loads((table.schema.metadata or {}).get(b"urbanln", b"{}"))
        return table.replace_schema_metadata(None).to_pylist(), _timeless(note)
    if path.suffix == ".sqlite":
        return ledger(path)
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".toml":
        return _timeless(tomllib.loads(path.read_text()))
    if path.suffix == ".html":
        return re.sub(r"\d+(\.\d+)? (s|min)\b|[\w./-]*/[\w./-]*", "", path.read_text())
    return path.read_bytes()


def _timeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _timeless(part) for key, part in found.items() if key not in _TIMES}
    return [_timeless(part) for part in found] if isinstance(found, list) else found


def ledger(path: Path) -> dict[str, list[Any]]:
    """Rows of a ledger by table, without ids and times, in an order of their own."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            cursor = database.execute(f"SELECT * FROM {name}")
            kept = [i for i, column in enumerate(cursor.description) if not _LEDGER_TIMES.match(column[0])]
            found[name] = sorted(repr([row[i] for i in kept]) for row in cursor)
    database.close()
    return found
