"""The vectors of anybody's table, and what each of its rows is keyed by."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.space import Floats
from urbanln.tables.choice import Chosen, choose
from urbanln.tables.keys import Keys, keys_of, positions_beside
from urbanln.tables.values import left_out, read_values, refuse_positions


@dataclass(frozen=True, eq=False)
class Features:
    """The vectors of a table and what each row is keyed by.

    Args:
        vectors: (P, D) float32, all finite.
        chosen: The columns they are.
        ids: (P,) region ids, or None.
        lonlat: (P, 2) degrees, or None.
        rows: (P,) numbers of these rows in the table.
        read: Rows of the table.
        reasons: Rows left out, by why.
        key: What says whose a row is, in words.
        gone: (Q, 2) degrees of the rows that were left out; None where rows are keyed by id.
    """

    vectors: npt.NDArray[np.float32]
    chosen: Chosen
    ids: npt.NDArray[Any] | None
    lonlat: Floats | None
    rows: npt.NDArray[np.int64]
    read: int
    reasons: dict[str, int] = field(default_factory=dict)
    key: str = ""
    gone: Floats | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """(D,) names of the columns; empty where the table has one column of lists."""
        return self.chosen.numbers

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Columns that would tell the label itself."""
        return self.chosen.labels

    @property
    def left_out(self) -> int:
        """How many rows were left out."""
        return sum(self.reasons.values())

    def constant(self) -> tuple[str, ...]:
        """Columns that say nothing, since all rows have one value; none of those named in full."""
        if len(self.vectors) < 2 or not self.names:
            return ()
        same = self.vectors.min(axis=0) == self.vectors.max(axis=0)
        names = [name for name, flat in zip(self.names, same, strict=True) if flat]
        return tuple(name for name in names if name not in self.chosen.by_name)

    def without(self, names: Collection[str]) -> Features:
        """These vectors without some of their columns, which are told; all of them stay where no other is."""
        keep = [at for at, name in enumerate(self.names) if name not in names]
        if not names or not keep:
            return self
        left = tuple(self.names[at] for at in keep)
        chosen = replace(self.chosen, numbers=left, constant=tuple(n for n in self.names if n in names))
        return replace(self, vectors=self.vectors[:, keep], chosen=chosen)

    def in_order_of(self, first: Features, where: str) -> Features:
        """These vectors with their dimensions in the order of another table's.

        Raises:
            InputError: As many columns, but others.
        """
        if self.names == first.names or len(self.names) != len(first.names):
            return self
        if odd := sorted(set(self.names) ^ set(first.names)):
            raise InputError(
                "the tables of the cities have different columns",
                value=", ".join(odd[:4]),
                where=where,
                remedy="name those they share: --vectors 'NAME=FILE#COLUMN,…'",
            )
        order = [self.names.index(name) for name in first.names]
        return replace(self, vectors=self.vectors[:, order], chosen=first.chosen)


def features_of(
    frame: pd.DataFrame,
    *,
    columns: Sequence[str] = (),
    labels: Collection[str] = (),
    key: str | None = None,
    nodata: Sequence[str] = (),
    known: Collection[Sequence[str]] = (),
    where: str,
    spec: str | None = None,
) -> Features:
    """Take the vectors out of a table.

    Args:
        frame: Either one column of lists, or columns that share a prefix and count up (``A00`` … ``A63``).
            Keyed by ``region_id``; else by longitude and latitude in degrees, or by its geometry; else by the
            one column called like an id (``place``, ``GEOID``, ``h3``) that names regions.
        columns: The vector, where this does not say it: names of columns, or patterns like ``A*``.
        labels: Names of the labels to be predicted: a column that is called so, in upper or lower case, is
            passed over, whatever pattern it fits.
        key: Column of the regions' ids, or ``LON,LAT``; None: as above.
        nodata: Codes that say that nothing is there, ``"constant"``, or ``"none"`` (see
            :func:`urbanln.tables.values.left_out`); empty: what looks like one is refused.
        known: What each region goes by, to find ids whose column is not called ``region_id``.
        where: Name of the table, for errors.
        spec: ``NAME=FILE`` as the user wrote it, for the option that errors name.

    Raises:
        InputError: No vectors or no key, or several that could be; values that are no numbers, are infinite
            or look like a code for "no data"; a dimension that is a position; a label named in full.
    """
    if frame.empty:
        what = "the table of vectors has no rows"
        raise InputError(what, where=where, remedy="give a table with a row per region")
    frame = _with_key_columns(frame, where)
    keys = keys_of(frame, key, known, where, spec)
    chosen = choose(frame, columns, labels, keys.columns, where, spec)
    _refuse_key(keys, chosen, where)
    values = read_values(frame, chosen, where)
    out = left_out(values, frame, chosen, nodata, where, spec) | {
        f"without {', '.join(keys.columns)}": ~keys.here
    }
    good, reasons = _counted(out)
    if not good.any():
        raise _none_whole(values, chosen, reasons, where, spec)
    vectors = values if good.all() else values[good]
    beside = [] if keys.lonlat is None else [keys.lonlat]
    for lonlat in (*beside, *positions_beside(frame, where)):
        refuse_positions(vectors, lonlat[good], chosen, where)
    return Features(
        vectors=vectors,
        chosen=chosen,
        ids=None if keys.ids is None else keys.ids[good],
        lonlat=None if keys.lonlat is None else keys.lonlat[good],
        rows=np.flatnonzero(good),
        read=len(values),
        reasons=reasons,
        key=keys.said,
        gone=None if keys.lonlat is None else keys.lonlat[~good & keys.here],
    )


def _refuse_key(keys: Keys, chosen: Chosen, where: str) -> None:
    if keys.ids is not None and set(keys.columns) & {*chosen.numbers, chosen.lists}:
        raise InputError(
            "what says which region a row is of is no dimension of a vector",
            value=keys.columns[0],
            where=where,
            remedy="leave it out, or name the ids: --key COLUMN",
        )


def _none_whole(
    values: npt.NDArray[np.float32], chosen: Chosen, reasons: Mapping[str, int], where: str, spec: str | None
) -> InputError:
    """The refusal; where single columns are empty throughout, with the others to be named."""
    why = "; ".join(f"{reason}: {count:,} rows" for reason, count in reasons.items())
    empty = np.asarray(np.isnan(values).all(axis=0))
    if chosen.lists is not None or not empty.any() or empty.all():
        return InputError(
            "no row of this table has a whole vector",
            value=why,
            where=where,
            remedy="fill the gaps, or leave the columns with gaps out",
        )
    full = [name for name, gone in zip(chosen.numbers, empty, strict=True) if not gone]
    rest = ",".join(full) if len(full) <= 100 else "COLUMN,…"
    return InputError(
        "no row of this table has a whole vector, since columns are empty in every row",
        value=", ".join(name for name, gone in zip(chosen.numbers, empty, strict=True) if gone),
        where=where,
        remedy="name the others" + ("" if spec is None else f": --vectors {shlex.quote(f'{spec}#{rest}')}"),
    )


def _counted(
    out: Mapping[str, npt.NDArray[np.bool_]],
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Rows that stay, and how many each reason takes; a row counts for the first that applies."""
    good = ~np.zeros_like(next(iter(out.values())))
    reasons = {}
    for reason, rows in out.items():
        if count := int((rows & good).sum()):
            reasons[reason] = count
        good &= ~rows
    return good, reasons


def _with_key_columns(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Columns called by text, twice none, and an index that says something as one of them."""
    if not isinstance(frame.index, pd.RangeIndex):
        names = [name or "index" for name in frame.index.names]
        says = any(frame.index.names) or not pd.api.types.is_numeric_dtype(frame.index)
        if says and not set(names) & set(frame.columns):
            frame = frame.reset_index(names=names)
    there = pd.Series([str(name) for name in frame.columns])
    if (twice := there.duplicated()).any():
        raise InputError(
            "two columns of the table have one name",
            value=there[int(twice.argmax())],
            where=where,
            remedy="rename one of them",
        )
    return frame if all(isinstance(name, str) for name in frame.columns) else frame.rename(columns=str)
