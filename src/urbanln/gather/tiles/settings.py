"""What a recipe says of a source of map tiles."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from urbanln.gather.settings import KEY, Line, SourceSettings
from urbanln.gather.tiles.template import check_template


class TileSource(SourceSettings):
    """Satellite pictures from map tiles, by an XYZ, TMS or WMTS address."""

    url: Line = Field(
        min_length=1, description="address with {z}, {x}, {y} ({-y}: TMS; {TileMatrix}, …: WMTS; {q}; {s})"
    )
    subdomains: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,63}$")], ...] = Field(
        (), max_length=20, description="what {s} stands for, in turn"
    )
    zoom: int | None = Field(
        None, ge=0, le=24, description="of the tiles; default: of the regions, or by gsd_m"
    )
    gsd_m: float | None = Field(
        None, gt=0, le=100_000, description="metres per pixel of a mosaic; left out: a tile is a picture"
    )
    tile_px: int = Field(256, ge=64, le=2048, description="edge of a tile in pixels")
    min_cover: float = Field(
        1.0, gt=0, le=1, description="share of a mosaic that must be there; what is missing is white"
    )
    blank_repeats: int = Field(
        5, ge=0, le=1_000_000, description="equal or evenly coloured tiles that mean 'no imagery'; 0: none do"
    )
    captured: str = Field("", max_length=200, description="date of the pictures, as it is known")

    @model_validator(mode="after")
    def _whole(self) -> TileSource:
        if self.url.startswith("file:") and (self.key or self.headers or self.hosts):
            raise ValueError("a folder of tiles needs no key, no headers and no hosts")
        if KEY in self.url + "".join(self.headers.values()) and not self.key:
            raise ValueError('{key} needs the name of an environment variable: key = "NAME"')
        check_template(self.url, self.subdomains)
        return self
