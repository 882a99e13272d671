"""What a recipe says of street views from Mapillary."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from urbanln.gather.settings import KEY, Hosts, Line, SourceSettings


class MapillarySource(SourceSettings):
    """Street views by Mapillary's API of version 4."""

    licence: str = Field("CC BY-SA 4.0", min_length=1, max_length=500, description="of Mapillary's pictures")
    attribution: str = Field(
        "Mapillary contributors", min_length=1, max_length=500, description="each picture names its own too"
    )
    key: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]{0,63}$", description="environment variable that holds your client token"
    )
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")], Line] = Field(
        {"Authorization": f"OAuth {KEY}"}, max_length=20, description="sent to the API, not to picture hosts"
    )
    hosts: tuple[Hosts, ...] = Field(
        ("*.fbcdn.net",), max_length=20, description="where pictures lie; the token is never sent there"
    )
    url: Line = Field("https://graph.mapillary.com", min_length=1, description="of the API")
    per_region: int = Field(4, ge=1, le=1000, description="places in a region that are shown, at most")
    in_all: int | None = Field(
        None, ge=1, le=100_000_000, description="places in all, at most, shared evenly among the regions"
    )
    since: date | None = Field(None, description="first day; with it or until, views without a date are out")
    until: date | None = Field(None, description="last day")
    panoramas: Literal["skip", "cut"] = Field(
        "skip", description='leave them out, or "cut" four views of 90 degrees out of each'
    )
    size: Literal["1024", "2048", "original"] = Field(
        "1024", description="width of pictures in pixels; a view of a panorama has a quarter of it"
    )
    page: int = Field(
        1000, ge=10, le=2000, description="views of one answer; fewer where the API fails in dense places"
    )
    mean_kb: float | None = Field(
        250.0, gt=0, le=1_000_000, description="size of an answer in kB, for --plan; about right for 1024"
    )

    @model_validator(mode="after")
    def _whole(self) -> MapillarySource:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError("the address of the API is like https://graph.mapillary.com")
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since is {self.since}, after until, {self.until}")
        return self
