"""What became of a table's rows and pictures when a city was made of them, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import printable
from urbanln.base.geometry import shapes_said
from urbanln.base.written import AS_IT_IS, Written
from urbanln.city.coordinates import Positions
from urbanln.city.store import City

REPORT_FILE = "ingest.json"
_SHOWN = 5


@dataclass
class IngestReport:
    """What became of the rows and pictures; also kept as ``ingest.json`` in the city folder.

    Args:
        city: The city made.
        rows: Rows read from the table.
        pictures: Pictures in the city.
        regions: Regions in the city.
        no_coordinates: Rows without coordinates.
        missing: Pictures that are not there, and rows that name none.
        corrupt: Files that are empty, truncated, no picture or of an unfit kind.
        no_id: Rows without an id, in a table without pictures.
        repeats: Rows that name the picture (without pictures: the id) of an earlier row; their labels are
            averaged.
        outside: Rows outside every polygon.
        duplicates: Pictures left out because the same region has one with equal bytes already.
        same_content: Pictures kept although a picture of another region has equal bytes.
        no_district: Regions of which no district is known; None where none was asked for.
        labels: Regions without a value, per label.
        splits: Pictures in each split, where a column says what they are for.
        rejected: (path, reason) of every picture that is missing or corrupt.
        null_island: Rows at (0, 0), while the others lie elsewhere.
        read: What was read of the table, as what.
        extent: Where the rows used lie.
        notes: What was found in labels and positions and decided, a sentence each.
    """

    city: City
    rows: int
    pictures: int = 0
    regions: int = 0
    no_coordinates: int = 0
    missing: int = 0
    corrupt: int = 0
    no_id: int = 0
    repeats: int = 0
    outside: int = 0
    duplicates: int = 0
    same_content: int = 0
    no_district: int | None = None
    labels: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    null_island: int = 0
    read: str = ""
    extent: str = ""
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Everything but the city, for JSON."""
        return {"schema_version": 1, **{k: v for k, v in vars(self).items() if k != "city"}}

    def lines(self) -> list[str]:
        """The report in words, one line each; what did not happen is left out."""
        places = self.city.meta.places
        counts = (
            (self.no_coordinates, "rows without coordinates, left out"),
            (self.null_island, "rows at (0, 0), far from all others, left out"),
            (self.missing, "pictures missing, left out"),
            (self.corrupt, "pictures empty, truncated or no picture, left out"),
            (self.no_id, "rows without an id, left out"),
            (
                self.repeats,
                "rows repeat an earlier row's picture" + (" or id; their labels are averaged" * places),
            ),
            (self.outside, "rows outside every polygon, left out"),
            (self.duplicates, "pictures equal another one of their region, left out"),
            (self.same_content, f"pictures equal {'one of another region' if places else 'another'}, kept"),
            (self.no_district or 0, "regions are in no district"),
        )
        made = f"{self.pictures} pictures in {self.regions} regions" if self.pictures else ""
        made = made or f"{self.regions} regions without pictures"
        kind = self.city.meta.datum
        if not places:
            made, kind = f"{self.pictures} pictures without places", "a corpus to train on, no city"
        lines = [f"{self.city.folder}: {made}, from {self.rows} rows; {kind}"]
        lines += [f"  {printable(line)}" for line in (self.read, self.extent) if line]
        lines += [f"  {count} {what}" for count, what in counts if count]
        if self.splits:
            lines.append(f"  split: {', '.join(f'{name} {count:,}' for name, count in self.splits.items())}")
        lines += [f"    {printable(path)}: {printable(reason)}" for path, reason in self.rejected[:_SHOWN]]
        if len(self.rejected) > _SHOWN:
            lines.append(f"    … and {len(self.rejected) - _SHOWN} more, see {REPORT_FILE}")
        for name, gaps in self.labels.items():
            lines.append(f"  label {name}: {self.regions - gaps} regions with a value, {gaps} without")
        if places and not self.labels:
            lines.append("  no label, so nothing to score vectors against: --label COLUMN names one")
        return lines + [f"  {printable(note)}" for note in self.notes]


def what_was_read(
    table: Path,
    frame: pd.DataFrame,
    where: Positions | None,
    labels: Sequence[str],
    written: Written = AS_IT_IS,
    named: Mapping[str, str | None] | None = None,
) -> str:
    """What was read of a table, as what, in one line.

    Args:
        table: The file.
        frame: Its rows.
        where: Where the coordinates stand; None where none are read.
        labels: What is a label, in words.
        written: How it was read.
        named: What else is in it → column.
    """
    there = {str(column) for column in frame.columns}
    parts = [f"{kind} {column}" for kind, column in (named or {}).items() if column in there]
    parts += [_position(where, frame)] if where else []
    parts += [f"labels {', '.join(labels)}"] if labels else []
    more = f" ({said})" if (said := written.says()) else ""
    return f"read of {table.name}{more}: {len(frame):,} rows; {', '.join(parts)}"


def _position(where: Positions, frame: pd.DataFrame) -> str:
    place = where.lonlat or where.latlon or f"{where.lon}, {where.lat}"
    if not (where.lonlat or where.latlon or {where.lon, where.lat} <= {str(column) for column in frame}):
        place = "by geometry"
    system = where.crs if where.datum == "wgs84" else where.datum
    if isinstance(frame, gpd.GeoDataFrame) and where.by_shapes(frame):
        place += shapes_said(frame)
        system = frame.crs.to_string() if frame.crs is not None and where.datum == "wgs84" else system
    return f"position {place} ({system})"
