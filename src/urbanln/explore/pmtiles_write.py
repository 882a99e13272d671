"""Tiles as one PMTiles file, version 3, which a page on a static host reads in parts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from urbanln.base.files import atomic_path
from urbanln.explore.pmtiles import GZIP, HEADER

_FIRST = 16_384  # the header and the directory it leads to lie in the first 16 KB, as the format wants
_LEAF = 4096  # entries of a directory below
_Entry = tuple[int, int, int, int]  # number, run, length, offset


def write_pmtiles(
    path: Path, tiles: Iterable[tuple[int, bytes]], zooms: tuple[int, int],
    bounds: Sequence[float], told: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write a file of tiles in gzip; equal ones are stored once.

    Args:
        path: Of the file, written whole.
        tiles: Number (see ``tile_number``) and content, in the order of their numbers; one at least.
        zooms: Of the coarsest and the finest tiles.
        bounds: West, south, east, north in degrees.
        told: What the file's notes say.
    """
    with atomic_path(path) as temporary, temporary.open("w+b") as file:
        file.write(bytes(_FIRST))
        entries, stored = _data(file, tiles)
        size = file.tell() - _FIRST
        root, leaves = _directories(entries)
        notes = gzip.compress(json.dumps(told).encode(), mtime=0)
        file.write(leaves + notes)
        after = _FIRST + size
        west, south, east, north = (round(one * 1e7) for one in bounds)
        middle = (west + east) // 2, (south + north) // 2
        file.seek(0)
        file.write(HEADER.pack(
            b"PMTiles", 3, HEADER.size, len(root), after + len(leaves), len(notes), after, len(leaves),
            _FIRST, size, sum(one[1] for one in entries), len(entries), stored, 1, GZIP, GZIP, 0, *zooms,
            west, south, east, north, zooms[0], *middle,
        ))  # fmt: skip
        file.write(root)


def _data(file: BinaryIO, tiles: Iterable[tuple[int, bytes]]) -> tuple[list[_Entry], int]:
    entries: list[_Entry] = []
    known: dict[bytes, int] = {}
    at = 0
    for number, body in tiles:
        if body not in known:
            known[body] = at
            file.write(body)
            at += len(body)
        where = known[body]
        if entries and entries[-1][3] == where and entries[-1][0] + entries[-1][1] == number:
            first, run, length, _ = entries[-1]
            entries[-1] = first, run + 1, length, where
        else:
            entries.append((number, 1, len(body), where))
    return entries, len(known)


def _directories(entries: list[_Entry]) -> tuple[bytes, bytes]:
    """The first directory, and those it leads to where one is not enough."""
    root = _directory(entries)
    if len(root) <= _FIRST - HEADER.size:
        return root, b""
    size = _LEAF
    while True:
        below = [_directory(entries[i : i + size]) for i in range(0, len(entries), size)]
        leading, at = [], 0
        for i, one in enumerate(below):
            leading.append((entries[i * size][0], 0, len(one), at))
            at += len(one)
        root = _directory(leading)
        if len(root) <= _FIRST - HEADER.size:
            return root, b"".join(below)
        size *= 2


def _directory(entries: list[_Entry]) -> bytes:
    numbers = [entry[0] for entry in entries]
    steps = [number - before for number, before in zip(numbers, [0, *numbers], strict=False)]
    ends = [None, *(entry[3] + entry[2] for entry in entries)]
    # 0 stands for: where the one before it ends.
    offsets = [0 if entry[3] == end else entry[3] + 1 for entry, end in zip(entries, ends, strict=False)]
    runs, lengths = [entry[1] for entry in entries], [entry[2] for entry in entries]
    whole = b"".join(_number(one) for one in (len(entries), *steps, *runs, *lengths, *offsets))
    return gzip.compress(whole, mtime=0)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
