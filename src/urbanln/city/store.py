"""The city folder: regions, pictures, labels and captions of one city, checked when written and when opened.

Layout (``docs/files.md``)::

    city.toml            name, datum note, sources with licence and attribution, kind and unit of indicators
    regions.parquet      GeoParquet, EPSG:4326
    images.parquet       one row per picture
    indicators.parquet   one row per region, one column per indicator (of shares one per part)
    captions.parquet     one row per (image_id, rank); written by captioning

``city.toml`` is written last: a folder without it is not a city yet, whatever else it holds. Where it says
``places = false``, the folder is a corpus of pictures without places: it has neither regions nor indicators.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import tomli_w

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import (
    atomic_path,
    hash_file,
    read_part,
    read_table,
    reading_parquet,
    table_note,
    write_table,
)
from urbanln.base.geometry import centres, crossing
from urbanln.base.kinds import LabelKind, label_kinds
from urbanln.base.outputs import CITY, of_kind, output_folder
from urbanln.base.parsing import read_file
from urbanln.base.pictures import MAX_BYTES
from urbanln.base.remote import FETCHED, NotThereError
from urbanln.city import checks
from urbanln.city.indicators import check_indicators
from urbanln.city.meta import CITY_FILE, Meta, read_meta

CAPTIONS_FILE = "captions.parquet"
_TABLES = ("regions", "images", "indicators")
# Wider than this, one UTM zone distorts; an equal-area projection of the whole earth serves instead.
_UTM_SPAN_DEGREES = 12.0


class City:
    """A city folder, opened and checked; made by :meth:`create` or :meth:`open`.

    Attributes:
        folder: The folder.
        meta: The content of ``city.toml``.
        regions: GeoDataFrame in EPSG:4326: ``region_id`` (text), ``geometry`` (polygon or point), extras.
        images: DataFrame with the columns of ``checks.IMAGE_COLUMNS``, and extras; ``split`` among them where
            somebody divided the pictures into those to train on, to validate with and to test on.
        indicators: DataFrame: ``region_id``, numbers, and text where a label is classes; missing is never 0.

    A corpus of pictures without places has neither regions nor indicators: whoever asks is told so.

    Example:
        >>> city = City.open("mycity")  # doctest: +SKIP
        >>> city.images.groupby("view").size()  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: Path,
        meta: Meta,
        regions: gpd.GeoDataFrame | None,
        images: pd.DataFrame,
        indicators: pd.DataFrame | None,
    ) -> None:
        self.folder, self.meta, self.images = folder, meta, images
        self._placed = {"regions": regions, "indicators": indicators}
        self._captions: tuple[tuple[int, int], pd.DataFrame] | None = None
        self._hashes: tuple[pd.DataFrame, dict[str, str]] | None = None
        self._columns: Collection[str] | None = None

    def __repr__(self) -> str:
        regions = f"{len(self.regions)} regions" if self.meta.places else "no places"
        return f"City({self.name!r}: {regions}, {len(self.images)} pictures, {self.folder})"

    @property
    def name(self) -> str:
        """Name of the city."""
        return self.meta.name

    def need_places(self) -> None:
        """Refuse a corpus of pictures without places, before any work is done that needs places.

        Raises:
            InputError: It is one.
        """
        if not self.meta.places:
            raise InputError(
                "this is a corpus of pictures without places, no city: there is nothing to predict or to map",
                value=self.name,
                where=self.folder,
                remedy="it is there to train on and to compare captions with: urbanln caption, audit, "
                "pretrain, retrieve and study take it; for anything else ingest a table with places",
            )

    def _table(self, kind: str) -> Any:
        self.need_places()
        return self._placed[kind]

    @property
    def regions(self) -> gpd.GeoDataFrame:
        """The regions.

        Raises:
            InputError: It is a corpus of pictures without places.
        """
        return self._table("regions")

    @regions.setter
    def regions(self, frame: gpd.GeoDataFrame) -> None:
        """Take others; :meth:`save` checks them."""
        self._placed["regions"] = frame

    @property
    def indicators(self) -> pd.DataFrame:
        """The labels.

        Raises:
            InputError: It is a corpus of pictures without places.
        """
        return self._table("indicators")

    @indicators.setter
    def indicators(self, frame: pd.DataFrame) -> None:
        """Take others; :meth:`save` checks them."""
        self._placed["indicators"] = frame

    def kinds(self) -> dict[str, LabelKind]:
        """Every label, in order: a number, classes or shares, and its columns of ``indicators``."""
        return label_kinds(self.indicators.columns, self.meta.kinds(), f"{self.folder}: indicators")

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        meta: Meta,
        regions: gpd.GeoDataFrame | None = None,
        images: pd.DataFrame,
        indicators: pd.DataFrame | None = None,
    ) -> City:
        """Check the tables and write a new city folder.

        The folder may exist and hold the pictures already, but no ``city.toml`` yet. Nothing is written
        unless everything is in order.

        Args:
            folder: Where to; parents are made.
            meta: Name, sources, units.
            regions: Any declared reference system; brought to EPSG:4326. None for a corpus
                (``meta.places`` is False).
            images: Paths relative to ``folder``, absolute, or fsspec addresses; every file must be there. In
                a corpus ``region_id`` is ``image_id``, and ``lon`` and ``lat`` are missing.
            indicators: ``region_id`` and numeric columns, or as ``meta`` says of kinds; leave missing values
                missing. None for a corpus.

        Raises:
            InputError: A table breaks the contract (row and value are named), or there is a city already.
            StorageError: The folder cannot be written.
        """
        folder = Path(folder)
        check_new(folder)
        city = cls(folder, meta, regions, images, indicators)
        city._check(reproject=True, files=True)
        city._write()
        return city

    @classmethod
    def open(
        cls, folder: Path | str, *, check_files: bool = True, pictures: Collection[str] | None = None
    ) -> City:
        """Open and check a city folder.

        Args:
            folder: A folder that :meth:`create` (or ``urbanln ingest``) wrote.
            check_files: Also check that every local picture file is there.
            pictures: Columns of ``images`` that are needed: a city of a million pictures opens faster without
                the others, which are neither read nor checked. Such a city cannot be saved. None: all.

        Raises:
            InputError: No city there, or a table breaks the contract (row and value are named).
            ArtefactError: A file is damaged or written by a newer version.
        """
        folder = Path(folder)
        meta = read_meta(folder)
        if pictures is not None and (check_files or not meta.places):
            pictures = {*pictures, "image_id", "region_id", "path"}
        tables = {
            kind: _read_table(folder / f"{kind}.parquet", kind, pictures if kind == "images" else None)
            for kind in _tables_of(meta)
        }
        city = cls(folder, meta, tables.get("regions"), tables["images"], tables.get("indicators"))
        city._columns = pictures
        del tables  # which the check replaces one by one
        city._check(reproject=False, files=check_files)
        return city

    def save(self) -> None:
        """Check and write the tables and ``city.toml`` after a change; captions have their own method.

        Raises:
            InputError: A table breaks the contract; the files stay as they were.
            StorageError: The folder cannot be written.
        """
        if self._columns is not None:
            what, remedy = "a part of this city was read, and would be all that is left", "open it whole"
            raise InputError(what, value=", ".join(self._columns), where=self.folder, remedy=remedy)
        self._check(reproject=True, files=True)
        self._write()

    def _check(self, *, reproject: bool, files: bool) -> None:
        at = {kind: f"{self.folder / kind}.parquet" for kind in _TABLES}
        if self.meta.places:
            self.regions = checks.check_regions(self.regions, reproject=reproject, table=at["regions"])
            known = self.regions["region_id"]
            self.images = checks.check_images(self.images, known, table=at["images"], columns=self._columns)
            self.indicators = check_indicators(
                self.indicators, known, noted=self.meta.kinds(), table=at["indicators"]
            )
        else:
            self.images = checks.check_images(self.images, None, table=at["images"], columns=self._columns)
        if files:
            checks.check_files(self.folder, self.images["path"])

    def _write(self) -> None:
        text = tomli_w.dumps(self.meta.as_toml())
        # All files are written in full beside their targets first; leaving the stack renames them,
        # city.toml (entered first) last. So a kill leaves the old city, or a folder that is none yet.
        with ExitStack() as stack:
            stack.enter_context(atomic_path(self.folder / CITY_FILE)).write_text(text, encoding="utf-8")
            for kind in _tables_of(self.meta):
                target = stack.enter_context(atomic_path(self.folder / f"{kind}.parquet"))
                write_table(target, getattr(self, kind), kind=kind)

    @property
    def captions(self) -> pd.DataFrame:
        """The captions, one row per (image_id, rank); no rows when there are none yet.

        Raises:
            InputError: The file breaks the contract.
            ArtefactError: The file is damaged.
        """
        path = self.folder / CAPTIONS_FILE
        if not path.exists():
            return checks.empty_captions()
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if self._captions is None or self._captions[0] != stamp:
            frame = _read_table(path, "captions")
            self._captions = stamp, checks.check_captions(frame, self.images["image_id"], table=str(path))
        return self._captions[1].copy()

    def save_captions(self, frame: pd.DataFrame, made_from: Mapping[str, str] | None = None) -> None:
        """Check and write ``captions.parquet``.

        Args:
            frame: Columns of ``checks.CAPTION_COLUMNS``: exactly one ``selected`` per image, weights that
                sum to 1 per image, (image_id, rank) unique.
            made_from: Names and SHA-256 of what the captions were made from; the images' table is added.

        Raises:
            InputError: The frame breaks the contract.
            StorageError: The file cannot be written.
        """
        path = self.folder / CAPTIONS_FILE
        tidy = checks.check_captions(frame, self.images["image_id"])
        origin = {"images": hash_file(self.folder / "images.parquet"), **(made_from or {})}
        write_table(path, tidy, kind="captions", made_from=origin)
        self._captions = None

    def image_bytes(self, path: str) -> bytes:
        """Read one picture: a path relative to the folder, an absolute one, or an fsspec address.

        What is at an address is fetched once and kept (:mod:`urbanln.base.remote`); what the table of images
        says of its hash is trusted, and must be true of what comes.

        Raises:
            InputError: No such file, no ordinary one, over 512 MiB, or not what its hash says.
            MissingExtraError: The address needs a package that is not installed.
            StorageError: It cannot be read.
        """
        if checks.is_url(path):
            try:
                return FETCHED.read(path, self.known_hash(path), limit_bytes=MAX_BYTES)
            except NotThereError as error:
                raise InputError(
                    "no such picture",
                    value=path,
                    where=self.folder,
                    remedy="check the address, or ingest the city again",
                ) from error
        try:
            return read_file(self.folder / path, MAX_BYTES)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise InputError(
                "no such picture",
                value=path,
                where=self.folder,
                remedy="put the file back, or ingest the city again",
            ) from error
        except OSError as error:
            raise StorageError(
                f"could not read: {error.strerror}",
                where=self.folder / path,
                remedy="check that the disk is there and that you may read it",
            ) from error

    def known_hash(self, path: str) -> str | None:
        """SHA-256 of a picture's bytes as the table of images has it; None where it has none."""
        if self._hashes is None or self._hashes[0] is not self.images:
            known = self.images[["path", "sha256"]].dropna()
            self._hashes = self.images, dict(zip(known["path"], known["sha256"].str.lower(), strict=True))
        return self._hashes[1].get(path)

    def centroids(self) -> np.ndarray:
        """Centres of the regions: (N, 2) longitude and latitude in degrees, in the order of ``regions``.

        Computed in a projected system: UTM; equal-area for cities wider than 12 degrees or near a pole; one
        of its own for a region that the antimeridian cuts.
        """
        shapes = self.regions.geometry
        if (shapes.geom_type == "Point").all():
            return np.column_stack([shapes.x.to_numpy(), shapes.y.to_numpy()])
        both = crossing(shapes.to_numpy())
        found = np.empty((len(shapes), 2))
        found[both] = centres(shapes[both])
        if not both.all():
            shapes = shapes[~both]
            west, south, east, north = shapes.total_bounds
            local = east - west <= _UTM_SPAN_DEGREES and south >= -80 and north <= 84
            projected = shapes.to_crs(shapes.estimate_utm_crs() if local else "EPSG:6933")
            middles = projected.centroid.to_crs(checks.WGS84)
            found[~both] = np.column_stack([middles.x.to_numpy(), middles.y.to_numpy()])
        return found

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of each table that is there: regions, images, indicators, captions."""
        paths = {kind: self.folder / f"{kind}.parquet" for kind in (*_tables_of(self.meta), "captions")}
        return {kind: hash_file(path) for kind, path in paths.items() if path.exists()}


def _tables_of(meta: Meta) -> tuple[str, ...]:
    return _TABLES if meta.places else ("images",)


def check_new(folder: Path, inputs: Iterable[Path | str] = ()) -> None:
    """Refuse a folder where a city would overwrite something: a city, or anything of somebody else's.

    Args:
        folder: Where the city is to be.
        inputs: What it is made from, where these are files or folders.

    Raises:
        InputError: There is a city, or something that is none and would be lost
            (:func:`urbanln.base.outputs.output_folder`).
        StorageError: The folder cannot be written.
    """
    if (folder / CITY_FILE).exists():
        raise InputError(
            "there is a city in this folder already",
            where=folder,
            remedy="choose another folder, or delete this one first",
        )
    output_folder(folder, CITY, ours=_is_begun, inputs=inputs, option="the city's folder")


def _is_begun(folder: Path) -> bool:
    """Whether all that has a name of a city's is what a city that was being made leaves.

    For what is written besides the tables, :mod:`urbanln.city.making` knows.
    """
    tables = [folder / f"{kind}.parquet" for kind in (*_TABLES, "captions")]
    return all(of_kind(path.stem)(path) for path in tables if path.exists())


def _read_table(path: Path, kind: str, columns: Collection[str] | None = None) -> Any:
    if table_note(path):
        return read_table(path, kind=kind, columns=columns)
    # Without our note it is a table somebody edited with other tools; the checks that follow decide.
    with reading_parquet(path):
        if kind == "regions" and b"geo" not in (pq.read_schema(path).metadata or {}):
            raise InputError("regions have no geometry", where=path, remedy="write it as GeoParquet")
        return read_part(path, columns, {})
