"""What a recipe says of a label: terms, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, WrapValidator, model_validator

from urbanln.base.bounds import SHARES_MOST_OFF, SHARES_OFF
from urbanln.gather.local_files import check_network, is_address, resolved, with_companions
from urbanln.gather.settings import SourceSettings

_Number = Annotated[float, Field(ge=-1e300, le=1e300)]
_Text = Annotated[str, Field(max_length=500)]
_Column = Annotated[str, Field(min_length=1, max_length=200)]
_Codes = Annotated[tuple[_Number, ...], Field(max_length=100)]
OTHER = "other"
"""The part of a raster's pixels that are in no part that is named."""
ANY = "*"
"""Stands for any value that is there."""
LINES = ("LineString", "MultiLineString", "LinearRing")
"""Kinds of shapes that are lengths, and no places."""


def _listed(value: object) -> object:
    """One for a list of one."""
    return (value,) if isinstance(value, str | Mapping) else value


_Values = Annotated[tuple[_Text, ...], Field(min_length=1, max_length=10_000), BeforeValidator(_listed)]
_Kind = Annotated[dict[_Column, _Values], Field(min_length=1, max_length=50)]
Kinds = Annotated[tuple[_Kind, ...], Field(max_length=100), BeforeValidator(_listed)]
"""Which rows: those of which one of the tables says the truth in all its columns."""


class LabelSource(SourceSettings):
    """One number per region, and what it means."""

    unit: str = Field(min_length=1, max_length=200, description="of the label; reaches city.toml")
    year: int = Field(ge=-100_000, le=100_000, description="of the data; reaches city.toml")
    source: str = Field(
        min_length=1, max_length=500, description="which data, with its version; reaches city.toml"
    )


class RasterLabel(LabelSource):
    """From the pixels of a raster."""

    raster: str = Field(min_length=1, max_length=1000, description="a GeoTIFF, its path or its address")
    band: int = Field(1, ge=1, le=100_000, description="of the raster")
    statistic: Literal["sum", "mean", "share", "shares", "class"] = Field(
        description="sum of counts, mean by area, share of the area that has one of classes; shares of all "
        "parts, or the class of the largest part"
    )
    classes: tuple[_Number, ...] = Field((), max_length=1000, description="values that share counts")
    parts: dict[_Column, Annotated[_Codes, Field(min_length=1)]] = Field(
        {}, max_length=50, description=f"part = [values], of shares and class; all else is {OTHER}"
    )
    nodata: _Codes = Field((), description="stored numbers that stand for no value, besides the file's own")
    nodata_means: _Number | None = Field(
        None, description="value of pixels without one, e.g. 0 persons on water; left out: they have none"
    )
    scale: _Number | None = Field(
        None, description="value = scale × number + offset; default: as in the file"
    )
    offset: _Number | None = Field(None, description="see scale")
    crs: str = Field("", max_length=200, description="of a raster that names none")
    min_cover: float = Field(
        1.0, gt=0, le=1, description="share of a region's area that pixels with a value must cover"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_network([self.raster], self)
        if (self.statistic == "share") != bool(self.classes):
            raise ValueError('statistic = "share" and classes go together')
        if (self.statistic in ("shares", "class")) != bool(self.parts):
            raise ValueError('parts and statistic = "shares" or "class" go together')
        if OTHER in self.parts:
            raise ValueError(f"{OTHER} is what is in none of parts: give this part another name")
        counted = [value for values in self.parts.values() for value in values]
        if twice := [value for value in counted if counted.count(value) > 1]:
            raise ValueError(f"{twice[0]:g} stands in parts twice")
        return self

    def at(self, folder: Path) -> Self:
        """With the raster's path from here."""
        return self.model_copy(update={"raster": resolved(folder, [self.raster])[0]})

    def reads(self) -> list[Path]:
        """The raster, where it lies here."""
        return [] if is_address(self.raster) else [Path(self.raster)]


class LocalLabel(LabelSource):
    """From a file of this machine, some of whose rows count."""

    only: Kinds = Field(
        (), description='{column = ["value", …]}: only these rows; a list of such tables: rows of any of them'
    )
    id: str = Field("", max_length=200, description="column of ids: of rows with one id the first counts")
    encoding: str = Field("", max_length=50, description="of a CSV or Shapefile that is not UTF-8: gb18030")
    thousands: str = Field("", max_length=5, description="what stands between groups of three digits")
    decimal: Literal["", ".", ","] = Field("", description="what stands before decimals; default: a point")
    day: str = Field("", max_length=200, description="column with the day of a row, for since and until")
    since: date | None = Field(None, description="first day of rows")
    until: date | None = Field(None, description="last day of rows")

    made_of: ClassVar[str]
    """The key that names the file."""

    @property
    def file(self) -> str:
        """The file."""
        return str(getattr(self, self.made_of))

    def at(self, folder: Path) -> Self:
        """With paths from here."""
        paths = {key: getattr(self, key, "") for key in (self.made_of, "within")}
        return self.model_copy(update={key: str(folder / path) for key, path in paths.items() if path})

    @model_validator(mode="after")
    def _local(self) -> Self:
        if is_address(self.file):
            raise ValueError(f"this file is read from a disk: download {self.file[:200]} first")
        check_network([], self)
        if bool(self.day) != bool(self.since or self.until):
            raise ValueError("day names the column that since and until are about: they go together")
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since is {self.since}, after until, {self.until}")
        return self

    def reads(self) -> list[Path]:
        """The file, with what belongs to it."""
        return with_companions(Path(self.file))


class PlacedLabel(LocalLabel):
    """From a file of things on the ground."""

    within: str = Field(
        "", max_length=1000, description="file of polygons: the ground that the file tells of; left out: all"
    )
    min_cover: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of a region's area that must lie within; what is told is of that part",
    )
    crs: str = Field("", max_length=200, description="of a file that names none, or of its columns")

    @model_validator(mode="after")
    def _ground(self) -> Self:
        if self.min_cover != 1 and not self.within:
            raise ValueError("min_cover is of the ground within, which is not named")
        return self

    def reads(self) -> list[Path]:
        """The file, and the polygons that say where it counts."""
        return [*super().reads(), *(with_companions(Path(self.within)) if self.within else [])]


class PointLabel(PlacedLabel):
    """Counts and rates of points."""

    made_of = "points"

    points: str = Field(min_length=1, max_length=1000, description="a table of points")
    statistic: Literal["count", "density", "sum", "mean", "share", "rate"] = Field(
        description="how many; per km²; sum or mean of column; share of classes; column over per, both summed"
    )
    column: str = Field("", max_length=200, description="numbers that sum, mean and rate are of")
    per: str = Field("", max_length=200, description="numbers that rate divides by")
    classes: Kinds = Field((), description="what share counts, as only")
    nodata: _Codes = Field((), description="numbers of column and per that stand for no value")
    lon: str = Field("lon", max_length=200, description="column of longitudes in degrees")
    lat: str = Field("lat", max_length=200, description="column of latitudes in degrees")
    datum: Literal["wgs84", "gcj02", "bd09"] = Field("wgs84", description="of degrees, in Chinese tables")
    outside_china: Literal["refuse", "keep", "shift"] = Field(
        "refuse", description="what points are that lie where no map in datum is shifted"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needs = {"column": ("sum", "mean", "rate"), "per": ("rate",), "classes": ("share",)}
        for key, statistics in needs.items():
            if bool(getattr(self, key)) != (self.statistic in statistics):
                raise ValueError(f"{key} and statistic = {' or '.join(map(repr, statistics))} go together")
        if self.nodata and not self.column:
            raise ValueError("nodata is of the numbers of a column, which is not named")
        return self


UNITS = {
    "area": {"m²": 1.0, "m2": 1.0, "ha": 1e4, "km²": 1e6, "km2": 1e6},
    "length": {"m": 1.0, "km": 1e3},
    "density": {"km/km²": 1e-3, "km/km2": 1e-3, "m/m²": 1.0, "m/m2": 1.0, "m/ha": 1e-4},
}
"""By statistic of shapes the units that its numbers can be of, in metres and square metres."""


class ShapeLabel(PlacedLabel):
    """Areas of polygons, lengths of lines."""

    made_of = "shapes"

    shapes: str = Field(min_length=1, max_length=1000, description="a file of polygons or lines")
    statistic: Literal["share", "area", "length", "density"] = Field(
        description="share of a region, or area, that polygons cover; length of lines, or length per area"
    )
    invalid: Literal["refuse", "repair", "skip"] = Field(
        "refuse", description="what becomes of polygons that cross themselves or are broken otherwise"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        units = UNITS.get(self.statistic)
        if units and self.unit not in units:
            raise ValueError(f"unit of statistic = '{self.statistic}' is one of {', '.join(units)}")
        return self


class JoinedLabel(LocalLabel):
    """A column of a table with a row per region, or per district."""

    made_of = "table"

    table: str = Field(min_length=1, max_length=1000, description="a table with a column of ids")
    ids: str = Field(min_length=1, max_length=200, description="column of ids of regions or districts")
    column: str = Field("", max_length=200, description="the label, of numbers or classes")
    columns: tuple[_Column, ...] = Field((), max_length=100, description="the label, of shares: its parts")
    kind: Literal["number", "classes", "shares"] = Field("number", description="what the label is")
    empty_part: Literal["refuse", "rest", "missing"] = Field(
        "refuse", description="what an empty part of shares is: what the others leave, or no label"
    )
    share_tolerance: float = Field(
        SHARES_OFF,
        ge=SHARES_OFF,
        le=SHARES_MOST_OFF,
        description="how far the sum of a row's shares may be from 1",
    )
    by: Literal["region", "district"] = Field("region", description="what the ids are of")
    agg: Literal["", "mean", "sum", "median", "min", "max"] = Field(
        "", description="what becomes of several rows with one id; left out: they are refused"
    )
    nodata: _Codes = Field((), description="numbers of column that stand for no value")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        shares = self.kind == "shares"
        if bool(self.column) == shares or bool(self.columns) != shares:
            raise ValueError('column names a label, and columns the parts of kind = "shares"')
        if shares and len(set(self.columns)) < max(2, len(self.columns)):
            raise ValueError("shares are two columns or more, each named once")
        if self.agg and self.kind != "number":
            raise ValueError(f'agg is of numbers, and kind = "{self.kind}"')
        return self


_MADE_OF: Mapping[str, type[LabelSource]] = {
    "raster": RasterLabel,
    **{one.made_of: one for one in (PointLabel, ShapeLabel, JoinedLabel)},
}


def _by_file(value: Any, otherwise: Any) -> Any:
    """The kind that a section's file says it is."""
    if not isinstance(value, Mapping):
        return otherwise(value)
    given = [key for key in _MADE_OF if key in value]
    if len(given) != 1:
        told = " and ".join(given) or "none of them"
        raise ValueError(f"a label is made of raster, points, shapes or table, one of them, not of {told}")
    return _MADE_OF[given[0]].model_validate(value)


Label = Annotated[RasterLabel | PointLabel | ShapeLabel | JoinedLabel, WrapValidator(_by_file)]
"""A section ``[labels.NAME]``."""
