"""What a recipe says of pictures out of GeoTIFFs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from urbanln.gather.local_files import check_network, is_address, resolved
from urbanln.gather.settings import SourceSettings

_Number = Annotated[float, Field(ge=-1e300, le=1e300)]
_Range = tuple[_Number, _Number]


class RasterSource(SourceSettings):
    """Satellite pictures from GeoTIFFs, of this machine or at addresses."""

    files: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = Field(
        (),
        max_length=10_000,
        description="paths (* stands for anything) or addresses; the first that covers wins",
    )
    items: str = Field("", max_length=1000, description="in place of files: a list of STAC items on disk")
    asset: str = Field("visual", min_length=1, max_length=200, description="of the items")
    since: date | None = Field(None, description="first day of items")
    until: date | None = Field(None, description="last day of items")
    max_cloud: float | None = Field(None, ge=0, le=100, description="per cent of clouds of an item, at most")
    gsd_m: float = Field(gt=0, le=100_000, description="metres on the ground per pixel of a picture")
    bands: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(
        (), max_length=3, description="red, green and blue, or one for grey"
    )
    stretch: _Range | tuple[_Range, _Range, _Range] | None = Field(
        None, description="[darkest, brightest] value, or one pair per band; only 8 bits need none"
    )
    nodata: tuple[_Number, ...] = Field(
        (), max_length=100, description="stored numbers that stand for no value, besides those of the file"
    )
    crs: str = Field("", max_length=200, description="of a raster that names none")
    min_cover: float = Field(
        1.0, gt=0, le=1, description="share of a picture that must be there; what is missing is white"
    )
    captured: str = Field("", max_length=200, description="date of the pictures, as it is known")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.files) == bool(self.items):
            raise ValueError("pictures come from files or from the files of items, one of them")
        if self.files:
            check_network(self.files, self)
            if self.since or self.until or self.max_cloud is not None:
                raise ValueError("since, until and max_cloud choose among items")
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since is {self.since}, after until, {self.until}")
        if len(self.bands) == 2:
            raise ValueError("a picture has three bands, or one for grey")
        if len(self.ranges) == 3 and len(self.bands) == 1:
            raise ValueError("one band has one stretch")
        if any(low >= high for low, high in self.ranges):
            raise ValueError("a stretch is [darkest, brightest], the first less than the second")
        return self

    @property
    def ranges(self) -> tuple[_Range, ...]:
        """Darkest and brightest value, once or per band; empty where none was said."""
        if self.stretch is None:
            return ()
        several = tuple(one for one in self.stretch if isinstance(one, tuple))
        return several or ((float(self.stretch[0]), float(self.stretch[1])),)  # type: ignore[arg-type]

    def at(self, folder: Path) -> Self:
        """With paths from here, and each ``*`` as the files it stands for."""
        items = str(folder / self.items) if self.items else ""
        return self.model_copy(update={"files": resolved(folder, self.files), "items": items})

    def reads(self) -> list[Path]:
        """The files that lie here, and the list of items."""
        here = [file for file in self.files if not is_address(file)]
        return [Path(file) for file in ([self.items] if self.items else []) + here]
