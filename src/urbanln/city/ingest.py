"""From a table with coordinates and labels, and a folder of pictures where there is one, to a city.

Read the table, find and check the pictures, divide into regions, average the labels, write the city. What
cannot be used is counted in the report and left out; the rest goes on. Pictures without places become a
corpus: no region, no label, to train on only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.bounds import SHARES_OFF
from urbanln.base.columns import among, need_columns, refuse
from urbanln.base.errors import InputError
from urbanln.base.files import write_json
from urbanln.base.frames import id_text, read_frame
from urbanln.base.geometry import as_geometry
from urbanln.base.ids import read_ids
from urbanln.base.written import Written
from urbanln.city.checks import IMAGE_COLUMNS, VIEWS, check_texts
from urbanln.city.coordinates import Positions, point_coordinates
from urbanln.city.division import divide, with_districts
from urbanln.city.extent import Extent, check_places, null_island, odd_places
from urbanln.city.images import MISSING, inspect_pictures
from urbanln.city.ingest_report import REPORT_FILE, IngestReport, what_was_read
from urbanln.city.labels import AskedLabels, per_region, take
from urbanln.city.making import check_free, making
from urbanln.city.meta import Meta, Source
from urbanln.city.picture_files import copy_pictures, image_ids, named_files, near_files
from urbanln.city.splits import SPLIT, count_splits, read_splits, refuse_straddling
from urbanln.city.store import City

NO_PLACES = "none"
"""``--regions none``: pictures without places."""


def ingest(
    pictures: Path | str | None, table: Path | str, out: Path | str, *, name: str, regions: str = "picture",
    id_column: str | None = None, image_column: str | None = None,
    lon: str = "lon", lat: str = "lat", lonlat_column: str | None = None, latlon_column: str | None = None,
    crs: str = "EPSG:4326", datum: str = "wgs84", outside_china: str = "refuse", district: str | None = None,
    view: str = "satellite", split_column: str | None = None, labels: Sequence[str] = (),
    classes: Sequence[str] = (), shares: Sequence[str] | Mapping[str, Sequence[str]] = (),
    missing: Sequence[str] = (), empty_part: str = "refuse", share_tolerance: float = SHARES_OFF,
    trust_ids: bool = False, encoding: str | None = None, thousands: str | None = None,
    decimal: str | None = None, captured: str | None = None, source: str = "", licence: str = "",
    attribution: str = "", copy: bool = True, limit: int | None = None,
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
        regions: ``picture`` (without pictures: one point per id), ``none`` (a corpus without places), or
            ``h3:9``, ``tile:18``, a file (:func:`urbanln.city.regions.make_regions`).
        id_column, image_column: Ids (the file is ``<id>.jpg``, .png, …), or file names below ``pictures``.
        lon, lat: Columns of coordinates in ``crs``; not needed for a table of point geometries.
        lonlat_column, latlon_column: One column with both, ``"(39.9, 116.4)"``; its name says the order.
        crs: Reference system of the coordinates.
        datum: ``wgs84``, or ``gcj02`` or ``bd09`` of coordinates off Chinese maps, which are converted.
        outside_china: What points are that no map in it shifts: ``keep`` (WGS 84), ``shift``, or ``refuse``.
        district: What is held out together: a column (a region's is that of most of its rows), or a file of
            polygons as in ``regions`` (a region's is the one that holds its middle).
        view, split_column: ``satellite``, ``street``, or a column of them; one of train, val and test.
        labels, classes, shares: Columns to predict (:class:`urbanln.city.labels.AskedLabels`).
        missing: What stands for no label, beside empty cells and unmistakable codes (``parse_missing``).
        empty_part, share_tolerance: Of shares (:class:`urbanln.city.labels.AskedLabels`).
        trust_ids: Take ids as they stand, though they look mangled or have rows kilometres apart.
        encoding, thousands, decimal: How a text table is written (:class:`urbanln.base.written.Written`).
        captured: Column with the date, kept as the text it is.
        source, licence, attribution: Where the pictures come from, on what terms, and whom to name.
        copy, limit: Copy the pictures, or refer to them by absolute path; only the first rows.

    Raises:
        InputError: A column, file or coordinate is wrong, no picture can be used, or ``out`` has a city.
        BusyError: Another process makes a city there.
        StorageError: ``out`` cannot be written.
    """
    folder, table, out = None if pictures is None else Path(pictures), Path(table), Path(out)
    _check_target(out, (folder, table), name=name, source=source, licence=licence, attribution=attribution)
    positions = Positions(lon, lat, crs, datum, lonlat_column, latlon_column, outside_china)
    rules: dict[str, Any] = {"missing": missing, "empty_part": empty_part, "share_tolerance": share_tolerance}
    wanted = AskedLabels.of(labels, classes, shares, **rules)
    asked = _Asked(
        name, regions, id_column, image_column, positions, district, view, split_column, captured, wanted,
        trust_ids, Written(encoding, thousands, decimal), source, licence, attribution, copy)  # fmt: skip
    _check_asked(asked, folder)
    read, how = _read(table, folder, asked, limit), [str(path and path.resolve()) for path in (folder, table)]
    with making(out, {"ingest": [*how, limit, repr(asked)]}, (REPORT_FILE,)):
        return _make(read, str(table), folder, out, asked)


def _check_asked(asked: _Asked, folder: Path | None) -> None:
    """Refuse what has no meaning without pictures, or for pictures without places."""
    found: dict[str, Any] = {}
    if folder is None:
        what, remedy = "this is asked of pictures, and there is no folder of them", "give it before the table"
        found = {"--split-column": asked.split, "--regions": None if asked.places else NO_PLACES}
    elif not asked.places:
        what = "pictures without places have no region, and so nothing to predict or to map"
        remedy = "leave it out, or divide the pictures by place: --regions picture"
        positions = asked.positions if asked.positions != Positions() else None
        found = {
            "--label": ", ".join(asked.labels.names),
            "--district": asked.district,
            "--lon, --crs": positions,
        }
    for option, value in found.items():
        if value:
            raise InputError(what, value=value, where=option, remedy=remedy)


def _make(read: _Read, table: str, folder: Path | None, out: Path, asked: _Asked) -> IngestReport:
    """The city of what was read, and its report."""
    placed = _placed(read.rows, table) if asked.places else read.rows
    units, used, counts = _points(placed, table) if folder is None else _usable(placed, folder)
    counts["no_coordinates"] = len(read.rows) - len(placed)
    if not asked.places:
        return _make_corpus(read, units.assign(region_id=units["image_id"]), counts, out, asked)
    shapes, units, used, counts["outside"], found = divide(units, used, asked.regions, asked.reading())
    if asked.split:
        refuse_straddling(units, "region_id", "region", table)
    shapes, counts["no_district"] = with_districts(shapes, used, asked.district, asked.reading())
    indicators, gaps, told = per_region(
        read.values.loc[used.index], asked.labels, used["region_id"], shapes["region_id"]
    )
    images, same = _place(units, out, asked) if folder else (_no_images(), {})
    city = City.create(
        out, meta=_meta(asked, read.datum), regions=shapes, images=images, indicators=indicators
    )
    extent = Extent.around(used["lon"].to_numpy(), used["lat"].to_numpy())
    odd = odd_places(used, asked.positions.lon, asked.positions.lat)
    shared = int(units.duplicated(["lon", "lat"], keep=False).sum())
    if shared and folder is None and not asked.id and asked.regions == "picture":
        odd.append(
            f"{shared} rows share their place with another and are regions of their own: years of one "
            "place? name its id (--id-column), or keep one row per place"
        )
    splits, leaks = count_splits(images)
    report = IngestReport(
        city, read.total, len(images), len(shapes), null_island=read.null_island, read=read.told,
        extent=str(extent), labels=gaps, splits=splits,
        notes=[*odd, *found, *leaks, *read.notes, *told], **(counts | same),
    )  # fmt: skip
    write_json(out / REPORT_FILE, report.facts())
    return report


def _make_corpus(
    read: _Read, units: pd.DataFrame, counts: dict[str, Any], out: Path, asked: _Asked
) -> IngestReport:
    """The corpus of pictures without places, and its report."""
    images, same = _place(units, out, asked)
    city = City.create(out, meta=_meta(asked, "").model_copy(update={"places": False}), images=images)
    splits, leaks = count_splits(images)
    report = IngestReport(
        city, read.total, len(images), read=read.told, splits=splits, notes=leaks, **(counts | same)
    )
    write_json(out / REPORT_FILE, report.facts())
    return report


def _check_target(out: Path, inputs: Sequence[Path | None], *, name: str, **texts: str) -> None:
    check_texts(name=name, **texts)
    if not name.strip():
        raise InputError("the city needs a name", value=name, remedy="give one with --name", where="--name")
    check_free(out, [one for one in inputs if one is not None])


def _place(units: pd.DataFrame, out: Path, asked: _Asked) -> tuple[pd.DataFrame, dict[str, int]]:
    """The table of images, and counts of equal ones."""
    images, same = _distinct(units)
    paths = copy_pictures(images, out) if asked.copy else [str(Path(f).resolve()) for f in images["key"]]
    images = images.assign(path=paths, source=asked.source or None, licence=asked.licence or None)
    return images.drop(columns=["key", "format"]), same


def _no_images() -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype="str") for column in IMAGE_COLUMNS})


@dataclass(frozen=True)
class _Asked:
    """Where in the table things stand, how it is read, and what is made of it."""

    name: str
    regions: str
    id: str | None
    image: str | None
    positions: Positions
    district: str | None
    view: str
    split: str | None
    captured: str | None
    labels: AskedLabels
    trust_ids: bool
    written: Written
    source: str
    licence: str
    attribution: str
    copy: bool

    @property
    def places(self) -> bool:
        """Whether the pictures have places."""
        return self.regions != NO_PLACES

    def named(self) -> list[str]:
        """Columns that must be there."""
        return [c for c in (self.id, self.image, self.captured, self.split) if c]

    def reading(self) -> dict[str, Any]:
        """How files of polygons are read; an encoding is of text tables and Shapefiles."""
        return {"written": self.written, "crs": self.positions.said_crs}


@dataclass(frozen=True)
class _Read:
    """What was read: rows with a place of their own, labels by row, how many rows there were.

    In words: what was taken for what, how positions became WGS 84, and what else there is to say.
    """

    rows: pd.DataFrame
    values: pd.DataFrame
    total: int
    told: str
    datum: str
    null_island: int
    notes: list[str]


def _read(table: Path, folder: Path | None, asked: _Asked, limit: int | None) -> _Read:
    as_text = [*asked.named(), asked.district, asked.positions.lonlat, asked.positions.latlon]
    numbers = {*asked.labels.columns} - {*asked.labels.classes}
    text = [c for c in (*as_text, *asked.labels.classes) if c and c not in numbers]
    where = asked.positions
    frame = read_frame(
        table, text=text, written=asked.written, shapes=False, ungrouped=(where.lon, where.lat)
    )
    columns = where.lonlat or where.latlon or {where.lon, where.lat} <= {str(c) for c in frame}
    if asked.places and not columns:
        frame = as_geometry(frame, table, crs=where.said_crs)
    frame = frame.head(limit) if limit else frame
    if frame.empty:
        what = "the table is empty: it has no row"
        raise InputError(what, where=table, remedy="give a table with a row per picture or region")
    frame = frame.reset_index(drop=True)
    values, notes = take(frame, asked.labels, table=str(table))
    rows, datum = _rows(frame, folder, asked, str(table))
    nowhere = null_island(rows["lon"].to_numpy(), rows["lat"].to_numpy())
    if asked.places and not asked.trust_ids:
        check_places(rows[~nowhere], str(table))
    named = {
        "id": asked.id, "picture": asked.image, "captured": asked.captured, "district": asked.district,
        "split": asked.split,
    }  # fmt: skip
    place = asked.positions if asked.places else None
    told = what_was_read(table, frame, place, asked.labels.said(), asked.written, named)
    return _Read(rows[~nowhere], values, len(frame), told, datum, int(nowhere.sum()), notes)


def _rows(frame: pd.DataFrame, folder: Path | None, asked: _Asked, table: str) -> tuple[pd.DataFrame, str]:
    """The table's rows (key, id, captured, view, district, lon, lat), and how they became WGS 84.

    The key tells what a row is about: the path of a picture, or without pictures the id.
    """
    if folder is not None and not folder.is_dir():
        raise InputError("no such folder of pictures", where=folder, remedy="check the path")
    if folder is None and asked.image:
        raise InputError(
            "a column names pictures, and there is no folder of pictures",
            value=asked.image,
            where=table,
            remedy="give the folder before the table, or leave --image-column out",
        )
    need_columns(frame.columns, asked.named(), table)
    rows = pd.DataFrame(index=frame.index)
    rows["id"] = read_ids(frame, asked.id, table, trust=asked.trust_ids) if asked.id else None
    rows["captured"] = id_text(frame[asked.captured]) if asked.captured else None
    district = asked.district if asked.district in frame.columns else None
    rows["district"] = read_ids(frame, district, table, trust=asked.trust_ids) if district else None
    if district and rows["district"].isna().all():
        what = "the column of districts is empty"
        raise InputError(what, value=district, where=table, remedy="name another column with --district")
    if folder is None:
        rows["key"] = rows["id"] if asked.id else "row-" + frame.index.astype("str")
    else:
        tidy = frame.assign(**{asked.id: rows["id"]}) if asked.id else frame
        rows["key"] = named_files(tidy, folder, asked.id, asked.image, table)
        rows["view"] = _views(frame, asked.view, table)
        if asked.split:
            rows[SPLIT] = read_splits(frame, asked.split, table)
            refuse_straddling(rows, "key", "picture", table)
    if not asked.places:
        return rows.assign(lon=np.nan, lat=np.nan), ""
    rows["lon"], rows["lat"], datum = point_coordinates(frame, asked.positions, table)
    return rows, datum


def _meta(asked: _Asked, datum: str) -> Meta:
    name = asked.name
    source = Source(name=asked.source or name, licence=asked.licence, attribution=asked.attribution)
    return Meta(
        name=name,
        datum=datum,
        sources=[source] if source != Source(name=name) else [],  # nothing was said of the source
        indicators=asked.labels.notes(),
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
    refuse(
        ~views.isin(VIEWS), "a view is either satellite or street", frame[view], table, "write one of them"
    )
    return views


def _placed(rows: pd.DataFrame, table: str) -> pd.DataFrame:
    placed = rows[rows["lon"].notna()]
    if placed.empty:
        raise InputError("no row has coordinates", where=table, remedy="check --lon and --lat")
    return placed


def _points(placed: pd.DataFrame, table: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Distinct ids with their place, the rows that have one, and counts of what was left out."""
    used = placed[placed["key"].notna()]
    if used.empty:
        raise InputError("no row has an id", where=table, remedy="check --id-column")
    points = used.drop_duplicates("key")[["key", "lon", "lat"]].assign(image_id=lambda f: f["key"])
    counts: dict[str, Any] = {
        "no_id": len(placed) - len(used),
        "repeats": len(used) - len(points),
    }
    return points, used, counts


def _usable(rows: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Distinct good pictures, the rows that have one, and counts of what was left out."""
    named = rows[rows["key"].notna()]
    good, rejected = inspect_pictures(list(named["key"].unique()))
    gone = rejected["reason"] == MISSING
    near = near_files(list(rejected.loc[gone, "path"]), folder)
    hints = rejected["path"].map(lambda p: f"; near it: {', '.join(near[p])}" if p in near else "")
    rejected["reason"] += hints.astype("str")
    if good.empty:
        raise InputError(
            f"no picture can be used: {int(gone.sum())} missing, {int((~gone).sum())} corrupt or no picture",
            value="; ".join(f"{r.path}: {r.reason}" for r in rejected.head(2).itertuples())
            or "none is named",
            where=folder,
            remedy="check the folder and the column that names the pictures (--image-column or --id-column)",
        )
    usable = named[among(named["key"], good["path"])]
    images = usable.drop_duplicates("key").merge(good, left_on="key", right_on="path", how="left")
    has_ids = bool(images["id"].notna().any())
    images.insert(0, "image_id", image_ids(images["key"], images["id"] if has_ids else None, folder))
    counts: dict[str, Any] = {
        "missing": int(gone.sum()) + len(rows) - len(named),
        "corrupt": int((~gone).sum()),
        "repeats": len(usable) - len(images),
        "rejected": list(rejected.itertuples(index=False, name=None)),
    }
    return images.drop(columns=["id", "path", "duplicate_of", "district"]), usable, counts


def _distinct(images: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pictures with equal bytes in one region become one."""
    distinct = images[~images.duplicated(["region_id", "view", "sha256"])].reset_index(drop=True)
    counts = {
        "duplicates": len(images) - len(distinct),
        "same_content": int(distinct["sha256"].duplicated().sum()),
    }
    return distinct, counts
