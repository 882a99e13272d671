"""What a recipe says of a label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from urbanln.gather.local_files import check_network, is_address, resolved
from urbanln.gather.settings import SourceSettings

_Number = Annotated[float, Field(ge=-1e300, le=1e300)]


class LabelSource(SourceSettings):
    """One number per region from the pixels of a raster."""

    raster: str = Field(min_length=1, max_length=1000, description="a GeoTIFF, its path or its address")
    band: int = Field(1, ge=1, le=100_000, description="of the raster")
    statistic: Literal["sum", "mean", "share"] = Field(
        description="sum of counts, mean by area, or share of the area that has one of classes"
    )
    classes: tuple[_Number, ...] = Field((), max_length=1000, description="values that share counts")
    unit: str = Field(min_length=1, max_length=200, description="of the label; reaches city.toml")
    year: int = Field(ge=-100_000, le=100_000, description="of the data; reaches city.toml")
    source: str = Field(
        min_length=1, max_length=500, description="which data, with its version; reaches city.toml"
    )
    nodata: tuple[_Number, ...] = Field(
        (), max_length=100, description="stored numbers that stand for no value, besides those of the file"
    )
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
    def _whole(self) -> LabelSource:
        check_network([self.raster], self)
        if (self.statistic == "share") != bool(self.classes):
            raise ValueError('statistic = "share" and classes go together')
        return self

    def at(self, folder: Path) -> Self:
        """With the raster's path from here."""
        return self.model_copy(update={"raster": resolved(folder, [self.raster])[0]})

    def reads(self) -> list[Path]:
        """The raster, where it lies here."""
        return [] if is_address(self.raster) else [Path(self.raster)]
