"""Tables too large for memory: made some rows at a time, had as one frame whose texts lie on disk."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from urbanln.base.files import TMPDIR_REMEDY, storing

_WINDOW = 4_096  # rows that are copied for the sake of one of them, at most


class Spool:
    """Rows that are added some at a time, and then had as one frame.

    The frame's texts are read from the disk where they are looked at: a caption of a city of a million
    pictures is no memory that anybody waits for, since the system takes its pages back as it needs them. They
    lie in the system's folder for temporary files (``TMPDIR``) without a name, so that nothing is left of
    them when the frame has gone, nor after a kill.

    Args:
        like: A frame with the columns and their types; its rows do not count.

    Example:
        >>> with Spool(pd.DataFrame({"caption": ["like"]})) as spool:
        ...     spool.add(pd.DataFrame({"caption": ["A roof.", "A road."]}))
        ...     frame = spool.frame()
        >>> len(frame)
        2
    """

    def __init__(self, like: pd.DataFrame) -> None:
        self._schema = pa.Table.from_pandas(like.iloc[:0], preserve_index=False).schema
        with _storing():
            self._file = tempfile.TemporaryFile(prefix="urbanln-")  # noqa: SIM115 - closed at the end
            self._writer = pa.ipc.new_file(self._file, self._schema)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows behind those that are there; their index is not kept.

        Raises:
            StorageError: The disk is full.
        """
        with _storing():
            self._writer.write_table(pa.Table.from_pandas(rows, schema=self._schema, preserve_index=False))

    def frame(self) -> pd.DataFrame:
        """All rows, once: nothing can be added afterwards.

        Raises:
            StorageError: The disk is full.
        """
        with _storing():
            self._writer.close()
            self._file.flush()
            # The map holds the file, also when that is closed, and the frame the map.
            mapped: Any = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        frame: pd.DataFrame = pa.ipc.open_file(pa.py_buffer(mapped)).read_all().to_pandas()
        return frame


def spooled(parts: Iterable[pd.DataFrame], like: pd.DataFrame) -> pd.DataFrame:
    """Frames under one another as one frame, whose texts are on disk.

    Args:
        parts: Taken one at a time.
        like: As of :class:`Spool`.

    Raises:
        StorageError: The disk is full.
    """
    with Spool(like) as spool:
        for rows in parts:
            spool.add(rows)
        return spool.frame()


def some_rows(frame: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
    """``frame.iloc[places]`` without a copy of all texts on the way, which Arrow makes of spooled ones.

    Args:
        frame: Of any size.
        places: Positions of rows, in any order.
    """
    if len(places) == 0:
        return frame.iloc[:0]
    order = np.argsort(places, kind="stable")
    found = places[order]
    windows = np.split(found, np.flatnonzero(np.diff(found // _WINDOW)) + 1)
    parts = [frame.iloc[rows[0] : rows[-1] + 1].iloc[rows - rows[0]] for rows in windows]
    return pd.concat(parts).iloc[np.argsort(order, kind="stable")]


def _storing() -> Any:
    return storing(Path("TMPDIR"), TMPDIR_REMEDY)
