"""What a recipe says of street views of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from urbanln.gather.settings import SourceSettings


class ViewSource(SourceSettings):
    """Street views of this machine, by a table of where they were taken."""

    table: str = Field(min_length=1, max_length=1000, description="a row per view")
    folder: str = Field(".", max_length=1000, description="what the table's files lie in")
    image: str = Field("image", max_length=200, description="column with the file, relative to folder")
    lon: str = Field("lon", max_length=200, description="column of longitudes in degrees")
    lat: str = Field("lat", max_length=200, description="column of latitudes in degrees")
    captured: str = Field("", max_length=200, description="column with date or time, kept as it is written")
    per_region: int = Field(4, ge=1, le=1000, description="views of a region, at most")

    @model_validator(mode="after")
    def _whole(self) -> ViewSource:
        if self.key or self.headers or self.hosts or self.usd_per_1000:
            raise ValueError("files of this machine need no key, no headers, no hosts and no price")
        return self

    def at(self, folder: Path) -> Self:
        """With paths from here."""
        return self.model_copy(
            update={"table": str(folder / self.table), "folder": str(folder / self.folder)}
        )

    def reads(self) -> list[Path]:
        """The table."""
        return [Path(self.table)]
