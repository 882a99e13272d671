"""Files on disk: written whole or not at all, read with a check of what they are.

Every artefact carries ``schema_version``, its kind, and the hashes of what it was made from.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from shapely.errors import ShapelyError

from urbanln.base.errors import ArtefactError, StorageError, UrbanLNError
from urbanln.base.leftovers import OLD, beside, sweep_once
from urbanln.base.parsing import AGAIN, no_file, parse_json, refuse_endless

SCHEMA_VERSION = 1
TMPDIR_REMEDY = "name a folder with space in the environment variable TMPDIR"
"""Where temporary files find no place."""
_METADATA_KEY = b"urbanln"
_ROW_GROUP = 20_000  # rows that are read, or passed over, together: of vectors some tens of MB
_REMEDIES = {
    errno.ENOSPC: "free some space on this disk and run the same command again; what was finished is kept",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EROFS: "this file system is read-only; choose another output folder",
    errno.EACCES: "you may not write there; choose another output folder or change its permissions",
    errno.EPERM: "you may not write there; choose another output folder or change its permissions",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another output folder",
}


@contextmanager
def storing(path: Path, remedy: str | None = None) -> Iterator[None]:
    """Errors of the system while ``path`` is written, as one that says what to do.

    Args:
        path: What is written.
        remedy: What to do; by default what helps against this error.

    Raises:
        StorageError: The disk is full, the folder is read-only, may not be written or is not there.
    """
    try:
        yield
    except OSError as error:
        usual = _REMEDIES.get(error.errno or 0, "check that the folder exists and can be written")
        raise StorageError(
            f"could not write: {error.strerror or error}", where=path, remedy=remedy or usual
        ) from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of the system's for temporary files (``TMPDIR``), gone at the end.

    Raises:
        StorageError: There is none that can be written.
    """
    with ExitStack() as stack:
        with storing(Path("TMPDIR"), TMPDIR_REMEDY):
            folder = stack.enter_context(TemporaryDirectory(prefix="urbanln-"))
        yield Path(folder)


@contextmanager
def _told_of(path: Path, temporary: Path) -> Iterator[None]:
    """Errors name what was to be written, not what stands for it meanwhile."""
    try:
        yield
    except UrbanLNError as error:
        where = error.where
        if isinstance(where, Path) and where.is_relative_to(temporary):
            error.where = path / where.relative_to(temporary)
        raise


@contextmanager
def atomic_path(path: Path | str, *, parents: bool = True) -> Iterator[Path]:
    """A temporary sibling of ``path``, renamed onto it when the block ends well.

    A reader sees the old file or the new one, never half of one, also after a kill or a power cut. What a
    kill leaves behind goes when a later process first writes into the same folder.

    Args:
        path: The file.
        parents: Make the folder where there is none. False where another process may have removed it on
            purpose: what is written late must not bring it back.

    Raises:
        StorageError: The disk is full, the folder is read-only, may not be written or is not there.
    """
    path = Path(path)
    with storing(path):
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
        temporary = beside(path)
        temporary.touch(exist_ok=False)
        try:
            with _told_of(path, temporary):
                yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str, *, replace: bool = True) -> Iterator[Path]:
    """A temporary sibling folder that takes the place of ``path`` when the block ends well.

    Args:
        path: The folder.
        replace: Take the place of one that is there, which for a moment is not there then. False where its
            name tells its content and others may have it open: whoever comes first stays.

    Raises:
        StorageError: The disk is full, the folder is read-only or may not be written; or there is one, and
            it is not to be replaced.
    """
    path = Path(path)
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
        temporary = beside(path)
        temporary.mkdir()
        try:
            with _told_of(path, temporary):
                yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as handle:
                        os.fsync(handle.fileno())
            if replace and path.exists():
                stale = beside(path)
                stale.mkdir()
                path.replace(stale / OLD)
                try:
                    temporary.replace(path)
                except OSError:
                    (stale / OLD).replace(path)
                    stale.rmdir()
                    raise
                shutil.rmtree(stale, ignore_errors=True)
            else:
                temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Take a folder away, whole at once: nobody opens half of it, and who still writes finds none.

    Not there, or in use by a system that does not allow it: nothing happens.
    """
    gone = beside(folder)
    with suppress(OSError):
        folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_quickly(path: Path, data: bytes) -> None:
    """Write one of thousands of small files, whole or not at all, without waiting for the disk.

    After a kill it is whole or not there, after a power cut it need not be: for what says itself what it is.

    Raises:
        StorageError: See :func:`atomic_path`.
    """
    with storing(path):
        sweep_once(path.parent)
        temporary = beside(path)
        try:
            try:
                temporary.write_bytes(data)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON (NaN is refused: a missing number is ``null``) whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The same value as JSON can hold it: plain Python numbers, lists, and None for what is not finite."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def cache_folder() -> Path:
    """``$URBANLN_CACHE``, else ``urbanln`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``.

    Raises:
        StorageError: The user has no home folder.
    """
    if own := os.environ.get("URBANLN_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "urbanln"
    try:
        return Path.home() / ".cache" / "urbanln"
    except RuntimeError as error:
        raise StorageError(
            "there is no home folder to keep them in", remedy="set URBANLN_CACHE", where="the cache folder"
        ) from error


def hash_bytes(data: bytes) -> str:
    """SHA-256 of some bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path | str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits, read in pieces.

    Raises:
        InputError: A pipe, a device or a socket, which may never end.
        OSError: As the system says: it is not there, is a folder, may not be read.
    """
    refuse_endless(path)
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_table(
    path: Path | str,
    frame: pd.DataFrame | gpd.GeoDataFrame,
    *,
    kind: str,
    made_from: Mapping[str, str] | None = None,
    vector: str | None = None,
    **facts: Any,
) -> None:
    """Write a table as Parquet (GeoParquet when it has a geometry), whole or not at all.

    Args:
        path: Target file.
        frame: The rows; the index is not kept.
        kind: What the table is (``"regions"``, ``"embeddings"``, …), checked again on reading.
        made_from: Names and SHA-256 of the inputs it was computed from.
        vector: Column of equally long float arrays, stored as fixed-size list of float32.
        facts: Further JSON values for the metadata.
    """
    table = _to_arrow(frame, vector)
    note = {"schema_version": SCHEMA_VERSION, "kind": kind, "made_from": dict(made_from or {}), **facts}
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps(note, allow_nan=False).encode()}
    with atomic_path(path) as temporary:
        noted = table.replace_schema_metadata(metadata)
        # Each group repeats the dictionary of a column: that of very many regions would outweigh the rows.
        worded = any(map(pa.types.is_dictionary, noted.schema.types))
        rows = None if worded else _ROW_GROUP
        pq.write_table(noted, temporary, compression="zstd", row_group_size=rows)


def _to_arrow(frame: pd.DataFrame | gpd.GeoDataFrame, vector: str | None) -> pa.Table:
    # These go past pandas, which would write a note on them that it cannot read.
    lists = [str(name) for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.ArrowDtype)]
    plain, buffer = frame.drop(columns=[*lists, *filter(None, [vector])]), io.BytesIO()
    if isinstance(plain, gpd.GeoDataFrame):
        plain.to_parquet(buffer, index=False)  # with its header; the note of ours is added to it afterwards
        table = pq.read_table(buffer)
    else:
        table = pa.Table.from_pandas(plain, preserve_index=False)
    for name in lists:
        table = table.append_column(name, pa.array(frame[name]))
    if vector:
        stacked = np.stack([np.asarray(v, dtype=np.float32) for v in frame[vector]])
        flat = pa.FixedSizeListArray.from_arrays(pa.array(stacked.ravel()), stacked.shape[1])
        table = table.append_column(vector, flat)
    return table


def table_note(path: Path | str) -> dict[str, Any]:
    """The note :func:`write_table` left in a file's metadata; empty for a foreign Parquet file.

    Raises:
        InputError: No such file.
        ArtefactError: It is not a readable Parquet file, or its note is damaged.
    """
    with reading_parquet(Path(path)):
        metadata = pq.read_schema(path).metadata or {}
    try:
        note: dict[str, Any] = parse_json(metadata.get(_METADATA_KEY, b"{}"), dict[str, Any])
    except ValueError as error:
        what = "the note that says what is in this table is damaged"
        raise ArtefactError(what, value=str(error), where=path, remedy=AGAIN) from error
    return note


UNREADABLE = (
    pa.ArrowException, ShapelyError, ValueError, TypeError, LookupError, AttributeError, RuntimeError,
)  # fmt: skip
"""What comes of a damaged Parquet file: its parts are read by libraries that trust what others wrote."""


@contextmanager
def reading_parquet(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a Parquet file is read, as one error.

    Raises:
        InputError: No such file, or a pipe, a device or a socket, which may never end.
        ArtefactError: It is damaged or of another format.
    """
    try:
        refuse_endless(path)
        yield
    except FileNotFoundError as error:
        raise no_file(path) from error
    except (*UNREADABLE, OSError) as error:
        raise ArtefactError(
            "not a readable Parquet file (cut off or of another format)",
            value=(str(error) or type(error).__name__).splitlines()[0],
            where=path,
            remedy=AGAIN,
        ) from error


def read_table(
    path: Path | str,
    *,
    kind: str,
    columns: Collection[str] | None = None,
    only: Mapping[str, str] | None = None,
) -> pd.DataFrame | gpd.GeoDataFrame:
    """Read a table that :func:`write_table` wrote, checking its kind and schema version.

    Args:
        path: The file.
        kind: What it must be.
        columns: The only ones that are needed; the others stay on the disk. One that is not there is left
            out. None: all. Without its geometry a table is a plain frame.
        only: Rows that hold these texts in these columns, where the columns are there; groups of rows that
            hold none are not read.

    Raises:
        InputError: No such file.
        ArtefactError: Damaged, of another kind, or of a newer schema than this version knows.
    """
    path = Path(path)
    note = table_note(path)
    if note.get("kind") != kind:
        found = note.get("kind", "no urbanln table")
        remedy = "give a table of this kind, or " + AGAIN
        raise ArtefactError(f"expected a table of kind '{kind}'", value=found, where=path, remedy=remedy)
    version = note.get("schema_version", 0)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ArtefactError(
            f"written by a newer urbanln (schema {version}, this one knows {SCHEMA_VERSION})",
            where=path,
            remedy="upgrade urbanln",
        )
    with reading_parquet(path):
        return read_part(path, columns, only or {})


def read_part(
    path: Path, columns: Collection[str] | None, only: Mapping[str, str]
) -> pd.DataFrame | gpd.GeoDataFrame:
    """As :func:`read_table`, of any Parquet file, within :func:`reading_parquet`."""
    schema = pq.read_schema(path)
    kept = None if columns is None else [name for name in schema.names if name in columns]
    rows = [(name, "==", text) for name, text in only.items() if name in schema.names] or None
    if b"geo" in (metadata := schema.metadata or {}):
        shapes = parse_json(metadata[b"geo"], dict[str, Any]).get("primary_column")
        if kept is None or shapes in kept:
            return gpd.read_parquet(path, columns=kept, filters=rows)
    return pd.read_parquet(path, columns=kept, filters=rows)
