"""From a table with coordinates and labels, and a folder of pictures where there is one, to a city.

Read the table, find and check the pictures, divide into regions, average the labels, write the city. What
cannot be used is counted in the report and left out; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from urbanln.base.columns import need_columns, refuse
from urbanln.base.errors import InputError, printable
from urbanln.base.files import write_json
from urbanln.base.frames import id_text, read_frame
from urbanln.city.checks import IMAGE_COLUMNS, VIEWS
from urbanln.city.coordinates import Positions, point_coordinates
from urbanln.city.images import MISSING, inspect_pictures
from urbanln.city.indicators import mean_per_region, parse_labels
from urbanln.city.picture_files import check_writable, copy_pictures, image_ids, named_files
from urbanln.city.regions import districts_of, make_regions
from urbanln.city.store import City, IndicatorNote, Meta, Source, check_new

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
        rejected: (path, reason) of every picture that is missing or corrupt.
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
    rejected: list[tuple[str, str]] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Everything but the city, for JSON."""
        return {"schema_version": 1, **{k: v for k, v in vars(self).items() if k != "city"}}

    def lines(self) -> list[str]:
        """The report in words, one line each; what did not happen is left out."""
        counts = (
            (self.no_coordinates, "rows without coordinates, left out"),
            (self.missing, "pictures missing, left out"),
            (self.corrupt, "pictures empty, truncated or no picture, left out"),
            (self.no_id, "rows without an id, left out"),
            (self.repeats, "rows repeat an earlier row's picture or id; their labels are averaged"),
            (self.outside, "rows outside every polygon, left out"),
            (self.duplicates, "pictures equal another one of their region, left out"),
            (self.same_content, "pictures equal one of another region, kept"),
            (self.no_district or 0, "regions are in no district"),
        )
        made = f"{self.pictures} pictures in {self.regions} regions" if self.pictures else ""
        made = made or f"{self.regions} regions without pictures"
        lines = [f"{self.city.folder}: {made}, from {self.rows} rows; {self.city.meta.datum}"]
        lines += [f"  {count} {what}" for count, what in counts if count]
        lines += [f"    {printable(path)}: {printable(reason)}" for path, reason in self.rejected[:_SHOWN]]
        if len(self.rejected) > _SHOWN:
            lines.append(f"    … and {len(self.rejected) - _SHOWN} more, see {REPORT_FILE}")
        for name, gaps in self.labels.items():
            lines.append(f"  label {name}: {self.regions - gaps} regions with a value, {gaps} without")
        return lines


def ingest(
    pictures: Path | str | None, table: Path | str, out: Path | str, *, name: str, regions: str = "picture",
    id_column: str | None = None, image_column: str | None = None,
    lon: str = "lon", lat: str = "lat", lonlat_column: str | None = None, latlon_column: str | None = None,
    crs: str = "EPSG:4326", datum: str = "wgs84", outside_china: str = "refuse", district: str | None = None,
    view: str = "satellite", labels: Sequence[str] = (), captured: str | None = None,
    source: str = "", licence: str = "", attribution: str = "", copy: bool = True, limit: int | None = None,
) -> IngestReport:  # fmt: skip
    """Make a city from a table and a folder of pictures; stopped half-way, the same call goes on.

    Several rows may name one picture (houses sold twice): they become one picture, placed where the first
    row says, and their labels are averaged. A row without a usable picture gives no label either. Without
    pictures the same is done by id: a city to be audited, and probed with vectors from elsewhere.

    Args:
        pictures: Folder the pictures are in; None for a city of regions and labels only.
        table: CSV, Parquet, GeoJSON or GeoPackage.
        out: Folder of the new city.
        name: Name of the city.
        regions: ``picture`` (without pictures: one point per id), ``h3:9``, ``tile:18`` or a file
            (:func:`urbanln.city.regions.make_regions`).
        id_column, image_column: Ids (the file is ``<id>.jpg``, .png, …), or file names below ``pictures``.
        lon, lat: Columns of coordinates in ``crs``; not needed for a table of point geometries.
        lonlat_column, latlon_column: One column with both as text, such as ``"(39.9, 116.4)"``; the name says
            which comes first.
        crs: Reference system of the coordinates.
        datum: ``wgs84``, or ``gcj02`` or ``bd09`` of coordinates off Chinese maps, which are converted.
        outside_china: What points are that no map in it shifts: ``keep`` (WGS 84), ``shift``, or ``refuse``.
        district: What is held out together: a column of the table (a region's is that of most of its rows),
            or a file of polygons as in ``regions`` (a region's is the one that holds its middle).
        view: ``satellite``, ``street``, or a column that says which.
        labels: Columns to predict.
        captured: Column with the date, kept as the text it is.
        source, licence, attribution: Where the pictures come from, on what terms, and whom to name.
        copy: Copy the pictures into the city, or refer to them by absolute path.
        limit: Only the first rows.

    Raises:
        InputError: A column, file or coordinate is wrong, no picture can be used, or ``out`` has a city.
        StorageError: ``out`` cannot be written.
    """
    folder, table, out = None if pictures is None else Path(pictures), Path(table), Path(out)
    _check_target(out, name)
    positions = Positions(lon, lat, crs, datum, lonlat_column, latlon_column, outside_china)
    columns = _Columns(id_column, image_column, positions, district, view, captured, tuple(labels))
    rows, values, datum_note = _read(table, folder, columns, limit)
    units, used, counts = _points(rows, str(table)) if folder is None else _usable(rows, folder, str(table))
    shapes, units, used, counts["outside"] = _divide(units, used, regions)
    shapes, counts["no_district"] = _with_districts(shapes, used, district)
    indicators, gaps = mean_per_region(values.loc[used.index], used["region_id"], shapes["region_id"])
    images, same = _place(units, out, copy, source, licence) if folder else (_no_images(), {})
    origin = Source(name=source or name, licence=licence, attribution=attribution)
    meta = _meta(name, datum_note, columns.labels, origin)
    city = City.create(out, meta=meta, regions=shapes, images=images, indicators=indicators)
    report = IngestReport(city, len(rows), len(images), len(shapes), labels=gaps, **(counts | same))
    write_json(out / REPORT_FILE, report.facts())
    return report


def _check_target(out: Path, name: str) -> None:
    if not name.strip():
        raise InputError("the city needs a name", value=name, remedy="give one with --name")
    check_new(out)
    check_writable(out)


def _place(
    units: pd.DataFrame, out: Path, copy: bool, source: str, licence: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table of images, and counts of equal ones."""
    images, same = _distinct(units)
    paths = copy_pictures(images, out) if copy else [str(Path(f).resolve()) for f in images["key"]]
    images = images.assign(path=paths, source=source or None, licence=licence or None)
    return images.drop(columns=["key", "format"]), same


def _no_images() -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype="str") for column in IMAGE_COLUMNS})


@dataclass(frozen=True)
class _Columns:
    """Where in the table things stand."""

    id: str | None
    image: str | None
    positions: Positions
    district: str | None
    view: str
    captured: str | None
    labels: tuple[str, ...]


def _read(
    table: Path, folder: Path | None, columns: _Columns, limit: int | None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The table's rows (key, id, captured, view, district, lon, lat), its labels, and how they became WGS 84.

    The key tells what a row is about: the path of a picture, or without pictures the id.
    """
    if folder is not None and not folder.is_dir():
        raise InputError("no such folder of pictures", where=folder)
    if folder is None and columns.image:
        raise InputError(
            "a column names pictures, and there is no folder of pictures",
            value=columns.image,
            where=table,
            remedy="give the folder before the table, or leave --image-column out",
        )
    positions = columns.positions
    named = [c for c in (columns.id, columns.image, columns.captured) if c]
    as_text = [columns.district, positions.lonlat, positions.latlon]
    frame = read_frame(table, text=[*named, *(c for c in as_text if c)], crs=positions.crs)
    frame = frame.head(limit) if limit else frame
    if frame.empty:
        raise InputError("the table is empty: it has no row", where=table)
    frame = frame.reset_index(drop=True)
    values = parse_labels(frame, columns.labels, table=str(table))
    need_columns(frame.columns, named, str(table))
    rows = pd.DataFrame(index=frame.index)
    rows["id"] = id_text(frame[columns.id]) if columns.id else None
    rows["captured"] = id_text(frame[columns.captured]) if columns.captured else None
    district = columns.district if columns.district in frame.columns else None
    rows["district"] = id_text(frame[district]) if district else None
    if district and rows["district"].isna().all():
        raise InputError("the column of districts is empty", value=district, where=table)
    if folder is None:
        rows["key"] = rows["id"] if columns.id else "row-" + frame.index.astype("str")
    else:
        rows["key"] = named_files(frame, folder, columns.id, columns.image, str(table))
        rows["view"] = _views(frame, columns.view, str(table))
    rows["lon"], rows["lat"], note = point_coordinates(frame, positions, str(table))
    return rows, values, note


def _meta(name: str, datum: str, labels: Sequence[str], source: Source) -> Meta:
    return Meta(
        name=name,
        datum=datum,
        sources=[source] if source != Source(name=name) else [],  # nothing was said of the source
        indicators={label: IndicatorNote() for label in labels},
    )


def _views(frame: pd.DataFrame, view: str, table: str) -> pd.Series:
    if view in VIEWS:
        return pd.Series(view, index=frame.index)
    if view not in frame.columns:
        raise InputError(
            "the view is satellite, street, or a column that says which, and there is no such column",
            value=view,
            where=table,
            remedy=f"there are: {', '.join(map(str, frame.columns))}",
        )
    views = frame[view].astype("str").str.strip().str.lower()
    refuse(~views.isin(VIEWS), "a view is either satellite or street", frame[view], table)
    return views


def _placed(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    placed = rows[rows["lon"].notna()]
    if placed.empty:
        raise InputError("no row has coordinates", where=table, remedy="check --lon and --lat")
    return placed


def _points(rows: pd.DataFrame, table: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Distinct ids with their place, the rows that have one, and counts of what was left out."""
    placed = _placed(rows, table)
    used = placed[placed["key"].notna()]
    if used.empty:
        raise InputError("no row has an id", where=table, remedy="check --id-column")
    points = used.drop_duplicates("key")[["key", "lon", "lat"]].assign(image_id=lambda f: f["key"])
    counts: dict[str, Any] = {
        "no_coordinates": len(rows) - len(placed),
        "no_id": len(placed) - len(used),
        "repeats": len(used) - len(points),
    }
    return points, used, counts


def _usable(
    rows: pd.DataFrame, folder: Path, table: str
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Distinct good pictures, the rows that have one, and counts of what was left out."""
    placed = _placed(rows, table)
    named = placed[placed["key"].notna()]
    good, rejected = inspect_pictures(list(named["key"].unique()))
    gone = rejected["reason"] == MISSING
    if good.empty:
        raise InputError(
            f"no picture can be used: {int(gone.sum())} missing, {int((~gone).sum())} corrupt or no picture",
            value="; ".join(f"{r.path}: {r.reason}" for r in rejected.head(2).itertuples())
            or "none is named",
            where=folder,
            remedy="check the folder and the column that names the pictures (--image-column or --id-column)",
        )
    usable = named[named["key"].isin(good["path"])]
    images = usable.drop_duplicates("key").merge(good, left_on="key", right_on="path", how="left")
    has_ids = bool(images["id"].notna().any())
    images.insert(0, "image_id", image_ids(images["key"], images["id"] if has_ids else None, folder))
    counts: dict[str, Any] = {
        "no_coordinates": len(rows) - len(placed),
        "missing": int(gone.sum()) + len(placed) - len(named),
        "corrupt": int((~gone).sum()),
        "repeats": len(usable) - len(images),
        "rejected": list(rejected.itertuples(index=False, name=None)),
    }
    return images.drop(columns=["id", "path", "duplicate_of", "district"]), usable, counts


def _divide(
    units: pd.DataFrame, rows: pd.DataFrame, how: str
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, pd.DataFrame, int]:
    """Regions, the units and rows inside them with their region, and the number of rows outside."""
    lon, lat = (units[c].to_numpy(dtype=np.float64) for c in ("lon", "lat"))
    shapes, ids = make_regions(how, lon, lat, units["image_id"])
    units = units.assign(region_id=ids.to_numpy())
    rows = rows.assign(region_id=rows["key"].map(units.set_index("key")["region_id"]))
    inside, units = rows[rows["region_id"].notna()], units[units["region_id"].notna()]
    if units.empty:
        raise InputError(
            "every point is outside the polygons",
            value=f"points {_extent(lon.min(), lat.min(), lon.max(), lat.max())}, "
            f"polygons {_extent(*shapes.total_bounds)}",
            where=how,
            remedy="check that both are of one city, and --crs",
        )
    return shapes, units, inside, len(rows) - len(inside)


def _distinct(images: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pictures with equal bytes in one region become one."""
    distinct = images[~images.duplicated(["region_id", "view", "sha256"])].reset_index(drop=True)
    counts = {
        "duplicates": len(images) - len(distinct),
        "same_content": int(distinct["sha256"].duplicated().sum()),
    }
    return distinct, counts


def _with_districts(
    shapes: gpd.GeoDataFrame, rows: pd.DataFrame, district: str | None
) -> tuple[gpd.GeoDataFrame, int | None]:
    """The regions with a column ``district``, and how many have none."""
    if district is None:
        return shapes, None
    named = rows["district"].notna()
    if named.any():
        # The most frequent one; of several, the one that stands first in the table.
        count = rows[named].groupby(["region_id", "district"], sort=False).size().reset_index(name="n")
        most = count.sort_values("n", ascending=False, kind="stable").drop_duplicates("region_id")
        districts = shapes["region_id"].map(most.set_index("region_id")["district"])
    else:
        middles = shapes.geometry.representative_point()
        districts = districts_of(district, middles.x.to_numpy(), middles.y.to_numpy())
    shapes = shapes.assign(district=districts.astype("str").to_numpy())
    missing = int(shapes["district"].isna().sum())
    if missing == len(shapes):
        raise InputError("no region is in any district", value=district, remedy="check --district and --crs")
    return shapes, missing


def _extent(west: float, south: float, east: float, north: float) -> str:
    return f"lon {west:.4f} to {east:.4f}, lat {south:.4f} to {north:.4f}"
