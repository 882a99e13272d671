"""Finished parts of an embedding on disk, so that it goes on after a kill and can be shared by processes.

Beside the table ``V.parquet`` stands the folder ``V.parquet.parts`` until the table is written::

    parts.json                what the parts are made from; while it is there, the folder is open
    part-00003.safetensors    rows, vectors, and why pictures could not be read
    complete                  all parts were there: the table is put together of them as they are

Each file is written whole or not at all. A part carries the hash of what it is made from and of what is in
it, so that neither a part of another model nor a damaged one is ever read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.base.files import SCHEMA_VERSION, atomic_path, hash_bytes, remove_folder, write_json
from urbanln.base.parsing import parse_json, read_json
from urbanln.base.saying import say
from urbanln.city.pictures import UnreachableError

# Pictures in a part: half a minute of a small machine's work. No setting, and not tied to the size of a
# batch: parts of several processes must fit together.
PART_SIZE = 1024
_NOTE, _COMPLETE = "parts.json", "complete"


@dataclass(frozen=True, eq=False)
class Part:
    """Vectors of successive pictures.

    Args:
        rows: (n,) int64, places among the pictures that are embedded; unreadable ones are left out.
        vectors: (n, D) float32.
        unreadable: One error per picture that could not be read.
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    unreadable: tuple[InputError, ...] = ()


@dataclass(frozen=True)
class ShareResult:
    """How far a shared embedding is.

    Args:
        there: Parts that are finished, of all shares.
        total: Parts in all.
        missing: Shares, counted from 1, of which parts are missing.
        merge: All parts are there, and the table is still to be put together.
    """

    there: int
    total: int
    missing: tuple[int, ...] = ()
    merge: bool = False


@dataclass(frozen=True)
class PartFolder:
    """Where the parts of one table are kept.

    Args:
        folder: The folder.
        pictures: Pictures that are embedded.
        made_from: All else that the vectors depend on, as JSON values by name.
    """

    folder: Path
    pictures: int
    made_from: Mapping[str, object]

    @property
    def note(self) -> dict[str, object]:
        """What stands in ``parts.json``."""
        size = {"schema_version": SCHEMA_VERSION, "part_size": PART_SIZE, "pictures": self.pictures}
        return size | dict(self.made_from)

    @property
    def key(self) -> str:
        """SHA-256 of what the parts are made from."""
        return hash_bytes(json.dumps(self.note, sort_keys=True).encode())

    @property
    def total(self) -> int:
        """Number of parts."""
        return len(part_rows(self.pictures))

    def count(self, numbers: Iterable[int]) -> int:
        """Pictures in the parts of these numbers."""
        rows = part_rows(self.pictures)
        return sum(len(rows[number]) for number in numbers)

    def open(self, *, shared: bool) -> None:
        """Make the folder if it is not there; parts that are made from something else are thrown away.

        Args:
            shared: Other processes make parts as well. Parts of something else are then an error, so that no
                process can destroy the work of another.

        Raises:
            InputError: ``shared``, and the parts that are there are made from something else.
            StorageError: The folder cannot be written.
        """
        note, found = self.note, _read_note(self.folder / _NOTE)
        other = sorted(name for name in note.keys() | found.keys() if note.get(name) != found.get(name))
        if found and other:
            if shared:
                raise InputError(
                    "the parts that are there are made from something else",
                    value="; ".join(
                        f"{name}: there {found.get(name)}, here {note.get(name)}" for name in other
                    ),
                    where=self.folder,
                    remedy="embed all parts with equal settings, or delete this folder to start anew",
                )
            say(f"{self.folder}: made with another {', '.join(other)}; thrown away")
            discard(self.folder)
        if other:
            write_json(self.folder / _NOTE, note)

    def is_open(self) -> bool:
        """Whether the table is still to be put together; if not, another process has done so."""
        return are_open(self.folder)

    def missing(self) -> list[int]:
        """Numbers of the parts that are not there."""
        return [number for number in range(self.total) if not self.path(number).exists()]

    def to_make(self) -> list[int]:
        """Numbers of the parts that are not there, or that lack pictures which may be there by now.

        The latter not once all parts of a shared embedding were there: they are put together as they are.
        """
        if (self.folder / _COMPLETE).exists():
            return self.missing()
        return [n for n in range(self.total) if not self.path(n).exists() or self._lacks_pictures(n)]

    def _lacks_pictures(self, number: int) -> bool:
        part = self.read(number)
        return part is not None and any(isinstance(error, UnreachableError) for error in part.unreadable)

    def path(self, number: int) -> Path:
        """File of a part."""
        return self.folder / f"part-{number:05d}.safetensors"

    def write(self, number: int, part: Part) -> None:
        """Keep a part, whole or not at all; nothing is kept where another process has closed the folder.

        Raises:
            StorageError: Disk full, or a folder that may not be written.
        """
        if not self.is_open():
            return
        bad = json.dumps(
            [
                [isinstance(e, UnreachableError), e.what, str(e.value), str(e.where), e.remedy]
                for e in part.unreadable
            ]
        )
        note = {"key": self.key, "unreadable": bad, "sha256": _digest(part.rows, part.vectors, bad)}
        try:
            with atomic_path(self.path(number), parents=False) as temporary:
                # From 0.8 on safetensors writes memory as it lies: a transposed array in another order.
                arrays = {"rows": part.rows, "vectors": np.ascontiguousarray(part.vectors)}
                temporary.write_bytes(save(arrays, note))
        except StorageError:
            if self.is_open():
                raise

    def read(self, number: int) -> Part | None:
        """A part; None where it is not there, is damaged, or is made from something else."""
        try:
            with safe_open(self.path(number), framework="np") as file:
                note = file.metadata()
                rows, vectors = file.get_tensor("rows"), file.get_tensor("vectors")
            sound = note["sha256"] == _digest(rows, vectors, note["unreadable"])
            if not sound or note["key"] != self.key:
                return None
            kinds = {True: UnreachableError, False: InputError}
            bad = [
                kinds[kind](what, value=v, where=at, remedy=do)
                for kind, what, v, at, do in parse_json(note["unreadable"])
            ]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None
        return Part(rows, vectors, tuple(bad))

    def result(self, shares: int) -> ShareResult:
        """How far a shared embedding is."""
        missing = self.missing()
        if not self.is_open():
            return ShareResult(self.total, self.total)
        behind = sorted({number % shares + 1 for number in missing})
        if not missing:
            with suppress(OSError):  # closed meanwhile
                (self.folder / _COMPLETE).touch()
        return ShareResult(self.total - len(missing), self.total, tuple(behind), not missing)


def parts_folder(table: Path) -> Path:
    """Where the parts of a table are kept: beside it."""
    return table.with_name(table.name + ".parts")


def part_rows(pictures: int) -> list[range]:
    """Which pictures each part holds, of so many in all."""
    starts = range(0, pictures, PART_SIZE)
    return [range(start, min(start + PART_SIZE, pictures)) for start in starts]


def are_open(folder: Path) -> bool:
    """Whether the table that the parts in a folder belong to is still to be put together."""
    return (folder / _NOTE).exists()


def discard(folder: Path) -> None:
    """Close a folder of parts and remove it; other processes that write into it meanwhile go on unharmed."""
    with suppress(OSError):  # closed also where the system lets nobody move a folder that is in use
        (folder / _NOTE).unlink()
    remove_folder(folder)


def parse_share(text: str) -> tuple[int, int]:
    """Read ``"2/4"``, the second of four shares.

    Raises:
        InputError: Anything else.
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    index, total = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= index <= total:
        raise InputError(
            "a share of the parts is given as I/N with I from 1 to N",
            value=text,
            where="--part",
            remedy="for four processes: --part 1/4, --part 2/4, --part 3/4 and --part 4/4",
        )
    return index, total


def _digest(rows: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32], bad: str) -> str:
    return hash_bytes(rows.tobytes() + vectors.tobytes() + bad.encode())


def _read_note(file: Path) -> dict[str, object]:
    """The note of a folder; empty where there is none or it is damaged: its parts speak for themselves."""
    try:
        found = read_json(file)
    except (InputError, ArtefactError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
