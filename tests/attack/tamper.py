"""Ways to spoil a file, each a function of its path and a generator of random numbers that has a seed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Spoil = Callable[[Path, random.Random], None]

DEEP = 200_000
LONE = "\\ud800"  # as JSON and TOML write it
CONTROL = "a\\u001b[2J\\u0000\\u0007b"


def _bytes(change: Callable[[bytes, random.Random], bytes]) -> Spoil:
    def spoil(path: Path, rng: random.Random) -> None:
        path.write_bytes(change(path.read_bytes(), rng))

    return spoil


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, max(2, len(data)))]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(8):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flipped_ends(data: bytes, rng: random.Random) -> bytes:
    """Where formats keep what they are: the first and last bytes."""
    changed = bytearray(data)
    for place in (rng.randrange(min(16, len(data))), -1 - rng.randrange(min(64, len(data)))):
        changed[place] ^= 0xFF
    return bytes(changed)


def _zeroed(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + bytes(min(512, len(data) - start)) + data[start + 512 :]


def _doubled(data: bytes, rng: random.Random) -> bytes:
    return data + data


def _gone(path: Path, rng: random.Random) -> None:
    path.unlink()


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _loop(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _other(path: Path, rng: random.Random) -> None:
    """A sound file of another kind that the same folder happens to have."""
    others = sorted(
        p for p in path.parent.rglob("*") if p.is_file() and p != path and p.suffix == path.suffix
    )
    others = others or sorted(p for p in path.parent.rglob("*") if p.is_file() and p != path)
    shutil.copyfile(others[rng.randrange(len(others))], path)


# Damage that can always be seen; what it gives must be refused, or be worked around to the same result.
BROKEN: dict[str, Spoil] = {
    "cut": _bytes(_cut),
    "empty": _bytes(lambda data, rng: b""),
    "ends": _bytes(_flipped_ends),
    "text": _bytes(lambda data, rng: b"not what you think\n"),
    "binary": _bytes(lambda data, rng: rng.randbytes(4096)),
    "gone": _gone,
    "folder": _folder,
    "pipe": _pipe,
    "loop": _loop,
    "other": _other,
}
# Damage that may hit what nothing checks: it must do no harm, and no more is promised.
QUIET: dict[str, Spoil] = {
    "flipped": _bytes(_flipped),
    "zeroed": _bytes(_zeroed),
    "doubled": _bytes(_doubled),
}


def _deep_json(data: bytes, rng: random.Random) -> bytes:
    return b"[" * DEEP + b"]" * DEEP


def _deep_object(data: bytes, rng: random.Random) -> bytes:
    return b'{"a":' * DEEP + b"1" + b"}" * DEEP


def _changed_json(change: Callable[[object, random.Random], object]) -> Spoil:
    """A value of a JSON file replaced, at a place drawn at random."""

    def spoil(path: Path, rng: random.Random) -> None:
        if path.suffix not in (".json", ".jsonl"):
            QUIET["flipped"](path, rng)
            return
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        number = rng.randrange(len(lines))
        value = json.loads(lines[number])
        _put(value, rng, change)
        text = json.dumps(value, indent=None if path.suffix == ".jsonl" else 1)
        # What JSON itself cannot be made to write.
        lines[number] = text.replace('"@lone"', f'"{LONE}"').replace('"@huge"', "1" + "0" * 5000)
        path.write_text("\n".join(lines) + "\n")

    return spoil


def _put(value: object, rng: random.Random, change: Callable[[object, random.Random], object]) -> None:
    """Walk down at random, and change what is there."""
    while True:
        keys = (
            list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        )
        if not keys:
            return
        key = rng.choice(list(keys))
        inner = value[key]  # type: ignore[index]
        if not (isinstance(inner, dict | list) and inner and rng.random() < 0.7):
            value[key] = change(inner, rng)  # type: ignore[index]
            return
        value = inner


_VALUES: tuple[object, ...] = (
    None, True, -1, 10**22, 1e308, float("nan"), "@lone", "@huge", "", "x" * 100_000, "\x1b[2J", [], {}, [[]],
    "<script>alert(1)</script>",
)  # fmt: skip


def _any_value(inner: object, rng: random.Random) -> object:
    return rng.choice(_VALUES)


JSON: dict[str, Spoil] = {
    "deep-list": _bytes(_deep_json),
    "deep-object": _bytes(_deep_object),
    "number": _bytes(lambda data, rng: b"1"),
    "list": _bytes(lambda data, rng: b"[]"),
    "object": _bytes(lambda data, rng: b"{}"),
    "null": _bytes(lambda data, rng: b"null"),
    "huge-number": _bytes(lambda data, rng: b"[" + b"9" * 5000 + b"]"),
    "lone-surrogate": _bytes(lambda data, rng: f'["{LONE}"]'.encode()),
    "control": _bytes(lambda data, rng: f'{{"kind": "{CONTROL}"}}'.encode()),
    "utf-16": _bytes(lambda data, rng: data.decode("utf-8", "replace").encode("utf-16")),
    **{f"value-{i}": _changed_json(_any_value) for i in range(8)},
}

_TOML_TEXTS = {
    "deep-array": "x = " + "[" * 50_000 + "]" * 50_000,
    "deep-table": "[" + ".".join(["a"] * 20_000) + "]\nx = 1",
    "deep-inline": "x = " + "{a=" * 20_000 + "1" + "}" * 20_000,
    "deep-key": ".".join(["a"] * 30_000) + " = 1",
    "huge-number": "x = " + "9" * 5000,
    "escaped": f'name = "{CONTROL}"',
    "lone-surrogate": f'name = "{LONE}"',
    "nothing": "",
    "long": "# " + "x" * 5_000_000,
    "date": "x = 9999-99-99",
}
TOML: dict[str, Spoil] = {
    name: _bytes(lambda data, rng, text=text: text.encode()) for name, text in _TOML_TEXTS.items()
}
TOML["latin"] = _bytes(lambda data, rng: data + b'\nwho = "M\xfcller"\n')
TOML["nul"] = _bytes(lambda data, rng: data + b"\x00")


def toml_line(rng: random.Random, data: bytes) -> bytes:
    """One value of a TOML file replaced."""
    lines = data.decode().splitlines()
    places = [i for i, line in enumerate(lines) if " = " in line]
    number = rng.choice(places)
    key = lines[number].partition(" = ")[0]
    values = ("inf", "nan", "-1", "1e400", "10" + "0" * 22, '""', '"\\u001b[2J"', "[]", "{}", "true", '"x"',
              "1979-05-27", "[[1]]", '"' + "y" * 100_000 + '"')  # fmt: skip
    lines[number] = f"{key} = {rng.choice(values)}"
    return ("\n".join(lines) + "\n").encode()


for _i in range(8):
    TOML[f"line-{_i}"] = _bytes(lambda data, rng: toml_line(rng, data))


def _table(change: Callable[[pa.Table, random.Random], pa.Table]) -> Spoil:
    def spoil(path: Path, rng: random.Random) -> None:
        table = pq.read_table(path)
        changed = change(table, rng)
        pq.write_table(changed.replace_schema_metadata(changed.schema.metadata), path)

    return spoil


def _note(text: bytes) -> Spoil:
    def change(table: pa.Table, rng: random.Random) -> pa.Table:
        return table.replace_schema_metadata({**(table.schema.metadata or {}), b"urbanln": text})

    return _table(change)


def _without(table: pa.Table, rng: random.Random) -> pa.Table:
    return table.drop_columns([rng.choice(table.column_names)])


def _renamed(table: pa.Table, rng: random.Random) -> pa.Table:
    names = list(table.column_names)
    names[rng.randrange(len(names))] = "\x1b[2Jx"
    return table.rename_columns(names).replace_schema_metadata(table.schema.metadata)


def _column(make: Callable[[int], pa.Array]) -> Spoil:
    def change(table: pa.Table, rng: random.Random) -> pa.Table:
        place = rng.randrange(table.num_columns)
        return table.set_column(
            place, table.column_names[place], make(table.num_rows)
        ).replace_schema_metadata(table.schema.metadata)

    return _table(change)


TABLE: dict[str, Spoil] = {
    "note-cut": _note(b'{"kind": '),
    "note-list": _note(b"[]"),
    "note-null": _note(b"null"),
    "note-deep": _note(b"[" * DEEP + b"]" * DEEP),
    "note-bytes": _note(b"\xff\xfe\x00"),
    "note-newer": _note(b'{"kind": "regions", "schema_version": 99}'),
    "note-text": _note(b'{"kind": "regions", "schema_version": "one", "made_from": []}'),
    "note-huge": _note(b'{"kind": "regions", "schema_version": 1' + b"0" * 5000 + b"}"),
    "note-lone": _note(f'{{"kind": "{LONE}"}}'.encode()),
    "geo-cut": _table(lambda t, rng: t.replace_schema_metadata({**(t.schema.metadata or {}), b"geo": b"{"})),
    "geo-deep": _table(
        lambda t, rng: t.replace_schema_metadata({**(t.schema.metadata or {}), b"geo": b"[" * DEEP})
    ),
    "no-rows": _table(lambda t, rng: t.slice(0, 0)),
    "no-columns": _table(lambda t, rng: t.select([]).replace_schema_metadata(t.schema.metadata)),
    "no-metadata": _table(lambda t, rng: t.replace_schema_metadata(None)),
    "less": _table(_without),
    "renamed": _table(_renamed),
    "nulls": _column(pa.nulls),
    "numbers": _column(lambda n: pa.array([float("inf")] * n)),
    "texts": _column(lambda n: pa.array(["\x1b[2J"] * n)),
    "lists": _column(lambda n: pa.array([[1, 2]] * n)),
    "bytes": _column(lambda n: pa.array([b"\xff\x00"] * n)),
    "same": _column(lambda n: pa.array(["a"] * n)),
    "doubled-rows": _table(lambda t, rng: pa.concat_tables([t, t])),
    "doubled-column": _table(lambda t, rng: t.append_column(t.column_names[0], t.column(0))),
}
