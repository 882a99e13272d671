"""What a city's tables must satisfy, each breach one error naming row and value.

Every check is vectorised, so that a city of 100,000 regions opens in about a second.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely

from urbanln.base.columns import (
    at_row,
    first,
    known_ids,
    need_columns,
    no_duplicates,
    number_column,
    refuse,
    text_column,
)
from urbanln.base.errors import InputError
from urbanln.base.geometry import earth_crs, uncut
from urbanln.city.splits import SPLIT, check_splits

VIEWS = ("satellite", "street")
WGS84 = "EPSG:4326"
IMAGE_COLUMNS = (
    "image_id",
    "region_id",
    "view",
    "path",
    "lon",
    "lat",
    "captured",
    "source",
    "licence",
    "sha256",
)
_IMAGE_OPTIONAL = ("captured", "source", "licence", "sha256")
_CAPTION_TYPES: Mapping[str, str] = {
    "image_id": "str",
    "rank": "int64",
    "caption": "str",
    "captioner": "str",
    "selected": "bool",
    "weight": "float64",
    "agreement": "float64",
    "margin": "float64",
    "n_candidates": "int64",
    "tokens": "Int64",
}
CAPTION_COLUMNS = tuple(_CAPTION_TYPES)
_GEOMETRIES = ("Polygon", "MultiPolygon", "Point")
_WEIGHT_TOLERANCE = 1e-6


def check_regions(frame: gpd.GeoDataFrame, *, reproject: bool, table: str = "regions") -> gpd.GeoDataFrame:
    """Check regions and return them tidied: EPSG:4326, ``region_id`` as text, fresh index.

    Args:
        frame: Columns ``region_id`` and a polygon or point geometry; further columns are kept.
        reproject: Bring another reference system to EPSG:4326 (on creating) or refuse it (on opening).
        table: Name used in errors.

    Raises:
        InputError: No region; id missing, not text or doubled; no reference system or a wrong one;
            geometry missing, empty, invalid, neither polygon nor point, or outside ±180/±90 degrees.
    """
    need_columns(frame.columns, ["region_id"], table)
    if not isinstance(frame, gpd.GeoDataFrame) or frame.active_geometry_name is None:
        raise InputError("regions have no geometry", where=table, remedy="hand in a GeoDataFrame")
    if frame.empty:
        raise InputError("empty city: there is no region", where=table, remedy="give at least one region")
    frame = frame.reset_index(drop=True)
    frame["region_id"] = text_column(frame, "region_id", table, required=True)
    no_duplicates(frame["region_id"], "region_id", table, "give every region an id of its own")
    frame = _to_wgs84(frame, reproject, table)
    if frame.active_geometry_name != "geometry":
        frame = frame.rename_geometry("geometry")
    # Heights tell nothing here, and one that is no number makes the middle none.
    if (shapely.get_coordinate_dimension(frame.geometry.to_numpy()) > 2).any():
        frame = frame.set_geometry(shapely.force_2d(frame.geometry.to_numpy()), crs=frame.crs)
    _check_geometry(frame, table)
    return frame


def _to_wgs84(frame: gpd.GeoDataFrame, reproject: bool, table: str) -> gpd.GeoDataFrame:
    if frame.crs is None:
        raise InputError(
            "regions have no coordinate reference system (CRS)",
            where=table,
            remedy="say which: frame.set_crs('EPSG:4326') for longitude and latitude, or 'Assign projection' "
            "in QGIS",
        )
    wgs84 = pyproj.CRS(WGS84)
    earth_crs(frame.crs, table)
    if frame.crs.equals(wgs84, ignore_axis_order=True):
        return frame.set_crs(wgs84, allow_override=True)
    if not reproject:
        raise InputError(
            "regions must be in EPSG:4326 (longitude, latitude)",
            value=frame.crs.to_string(),
            where=table,
            remedy="frame.to_crs('EPSG:4326'), or make the city again",
        )
    return frame.to_crs(wgs84)


def _check_geometry(frame: gpd.GeoDataFrame, table: str) -> None:
    shapes = frame.geometry.to_numpy()
    missing = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    ids = frame["region_id"]
    refuse(missing, "region without geometry", ids, table, "give it a shape, or take the row out")
    kinds = frame.geom_type
    refuse(
        ~kinds.isin(_GEOMETRIES),
        "a region must be a polygon or a point",
        lambda row: f"{ids.iloc[row]}: {kinds.iloc[row]}",
        table,
        "draw it as one, or take the row out",
    )
    bounds = shapely.bounds(shapes)
    outside = ~(
        (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1)
    )
    refuse(
        outside,
        "region outside ±180/±90 degrees: this looks like a projected CRS, not longitude and latitude",
        lambda row: f"{ids.iloc[row]}: bounds {[float(v) for v in bounds[row].round(3)]}",
        table,
        "declare the CRS the coordinates are in, for example frame.set_crs('EPSG:3857')",
    )
    refuse(
        uncut(shapes),
        "a shape jumps from one side of the antimeridian to the other, and so covers the rest of the world",
        ids,
        table,
        "cut it in two at 180 degrees (RFC 7946 says how), for example with ogr2ogr -wrapdateline",
    )
    refuse(
        ~shapely.is_valid(shapes),
        "invalid geometry",
        lambda row: f"{ids.iloc[row]}: {shapely.is_valid_reason(shapes[row])}",
        table,
        "repair it: frame.geometry.make_valid(), or 'Fix geometries' in QGIS",
    )


def check_images(
    frame: pd.DataFrame,
    region_ids: pd.Series | None,
    *,
    table: str = "images",
    columns: Collection[str] | None = None,
) -> pd.DataFrame:
    """Check the pictures' table and return it tidied: text columns as text, lon/lat as float.

    Args:
        frame: Columns of ``IMAGE_COLUMNS``; captured, source, licence and sha256 may be absent. ``split``,
            where it is there, is one of ``SPLITS`` for every picture.
        region_ids: Ids that exist; None: pictures without places, each of which is called its own region.
        table: Name used in errors.
        columns: The only ones that were read, and are looked at; None: all.

    Raises:
        InputError: Column missing; id missing, doubled or unknown; a view that is neither satellite nor
            street; coordinates outside ±180/±90 degrees or not numbers; a path that leaves the folder; a
            split of another name, or one that divides a region.
    """
    looked_at = [c for c in IMAGE_COLUMNS if columns is None or c in columns]
    need_columns(frame.columns, [c for c in looked_at if c not in _IMAGE_OPTIONAL], table)
    frame = pd.DataFrame(frame).reset_index(drop=True)
    for column in looked_at:
        if column not in frame.columns:
            frame[column] = pd.Series([None] * len(frame), dtype="str")
        if column in ("lon", "lat"):
            frame[column] = number_column(frame, column, table)
        else:
            frame[column] = text_column(frame, column, table, required=column not in _IMAGE_OPTIONAL)
    if "image_id" in looked_at:
        no_duplicates(frame["image_id"], "image_id", table, "give every picture an id of its own")
    if "region_id" in looked_at:
        _check_owners(frame, region_ids, table)
    if SPLIT in frame.columns:
        frame[SPLIT] = check_splits(frame, table)
    if "view" in looked_at:
        refuse(
            ~frame["view"].isin(VIEWS),
            "a view is either satellite or street",
            frame["view"],
            table,
            "write one of them",
        )
    _check_degrees(frame, table)
    if "path" in looked_at:
        _check_paths(frame["path"], table)
    return frame[[*looked_at, *(c for c in frame.columns if c not in looked_at)]]


def _check_owners(frame: pd.DataFrame, region_ids: pd.Series | None, table: str) -> None:
    if region_ids is not None:
        known_ids(frame["region_id"], region_ids, table, "region_id", "regions")
        return
    refuse(
        frame["region_id"] != frame["image_id"],
        "in a corpus without places a picture's region_id is its image_id",
        frame["region_id"],
        table,
        "write image_id there, or places = true in city.toml",
    )


def _check_degrees(frame: pd.DataFrame, table: str) -> None:
    for column, limit in (("lon", 180), ("lat", 90)):
        if column in frame.columns and (row := first(frame[column].abs() > limit)) is not None:
            raise InputError(
                f"'{column}' is outside ±{limit} degrees",
                value=float(frame[column].iloc[row]),
                where=at_row(table, row),
                remedy="coordinates must be longitude and latitude in degrees (WGS 84), not swapped",
            )


def is_url(path: str) -> bool:
    """Whether a picture's path is an fsspec address (``s3://…``) rather than a file on this machine."""
    return "://" in path


def _check_paths(paths: pd.Series, table: str) -> None:
    suspect = paths.str.contains("..", regex=False) & ~paths.str.contains("://", regex=False)
    for row in np.flatnonzero(suspect.to_numpy(dtype=bool)):
        path = paths.iloc[row]
        if not Path(path).is_absolute() and os.path.normpath(path).startswith(".."):
            raise InputError(
                "a relative path leaves the city folder",
                value=path,
                where=at_row(table, int(row)),
                remedy="give an absolute path or an address, or copy the picture into the folder",
            )


def check_files(folder: Path, paths: pd.Series, *, table: str = "images") -> None:
    """Check that every picture on this machine is there; addresses elsewhere are not asked.

    Raises:
        InputError: Files are missing: how many, and the first few.
    """
    listings: dict[str, set[str]] = {}
    missing: list[int] = []
    for row, path in enumerate(paths):
        if is_url(path):
            continue
        # One listing per folder instead of one question per file: a city may hold 100,000 pictures.
        parent, name = os.path.split(os.path.join(folder, path))  # noqa: PTH118
        if parent not in listings:
            try:
                listings[parent] = set(os.listdir(parent))  # noqa: PTH208
            except (FileNotFoundError, NotADirectoryError):
                listings[parent] = set()
        if name not in listings[parent]:
            missing.append(row)
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} picture files are missing",
            value=", ".join(str(paths.iloc[row]) for row in missing[:5]) + (" …" if len(missing) > 5 else ""),
            where=at_row(f"{folder}: {table}", missing[0]),
            remedy="put the files back, or take their rows out of the images table",
        )


def empty_captions() -> pd.DataFrame:
    """A captions table without rows, with the right columns and types."""
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in _CAPTION_TYPES.items()})


def check_captions(frame: pd.DataFrame, image_ids: pd.Series, *, table: str = "captions") -> pd.DataFrame:
    """Check captions and return them tidied, in the column order of ``CAPTION_COLUMNS``.

    Args:
        frame: One row per (image_id, rank); ``agreement``, ``margin`` and ``tokens`` may be missing values.
        image_ids: Ids that exist.
        table: Name used in errors.

    Raises:
        InputError: Unknown image, doubled rank, empty caption, not exactly one selected caption per image,
            weights negative or not summing to 1 per image, a column missing or of another type.
    """
    need_columns(frame.columns, CAPTION_COLUMNS, table)
    frame = pd.DataFrame(frame)[list(CAPTION_COLUMNS)].reset_index(drop=True)
    if frame.empty:
        return empty_captions()
    for column in ("image_id", "caption", "captioner"):
        frame[column] = text_column(frame, column, table, required=True)
    known_ids(frame["image_id"], image_ids, table, "image_id", "images")
    refuse(frame["caption"].str.strip() == "", "empty caption", frame["image_id"], table, "take the row out")
    for column, kind in _CAPTION_TYPES.items():
        try:
            if kind == "bool" and frame[column].dtype != bool:
                raise TypeError(f"it is {frame[column].dtype}")
            frame[column] = frame[column].astype(pd.api.types.pandas_dtype(kind))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"'{column}' must be {kind}",
                value=str(error),
                where=table,
                remedy=f"turn '{column}' into {kind}",
            ) from error
    no_duplicates(
        frame["image_id"] + " rank " + frame["rank"].astype("str"),
        "a rank of an image",
        table,
        "number them 0, 1, …",
    )
    _check_choice(frame, table)
    return frame


def check_texts(**texts: str) -> None:
    """Refuse what cannot be kept as UTF-8: words of a command line may be anything.

    Args:
        texts: What a city is to say of itself, by option.

    Raises:
        InputError: One is no UTF-8.
    """
    for option, text in texts.items():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            what, remedy = "this is no UTF-8 text", "write it in other letters"
            raise InputError(what, value=text, where=f"--{option}", remedy=remedy) from error


def _check_choice(frame: pd.DataFrame, table: str) -> None:
    """One selected caption per image, and weights that are a distribution."""
    weight = frame["weight"]
    refuse(
        ~(weight >= 0),
        "a weight must be 0 or more",
        lambda row: float(weight.iloc[row]),
        table,
        "give 0, or take the row out",
    )
    groups = frame.groupby("image_id", sort=False)
    selected = groups["selected"].sum()
    if (image := first(selected != 1)) is not None:
        raise InputError(
            "exactly one caption per image must be selected",
            value=f"{int(selected.iloc[image])} selected",
            where=f"{table}, image {selected.index[image]}",
            remedy="set 'selected' for one caption of each image",
        )
    total = groups["weight"].sum()
    if (image := first((total - 1).abs() > _WEIGHT_TOLERANCE)) is not None:
        raise InputError(
            "the weights of an image's captions must sum to 1",
            value=float(total.iloc[image]),
            where=f"{table}, image {total.index[image]}",
            remedy="divide each weight by their sum",
        )
