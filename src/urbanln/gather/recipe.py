"""A recipe: from which place to a city, by which regions, with what, on whose terms, how fast.

``docs/gather.md`` explains it to people. A section per kind of source (``[tiles.NAME]``), a name per source;
paths are relative to the recipe's folder; keys stand in environment variables, which a recipe only names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from urbanln.base.errors import InputError
from urbanln.base.parsing import read_toml
from urbanln.base.setting_faults import validated
from urbanln.gather.embeddings.settings import EmbeddingSource
from urbanln.gather.labels.settings import Label
from urbanln.gather.mapillary.settings import MapillarySource
from urbanln.gather.rasters.settings import RasterSource
from urbanln.gather.settings import Host, Line, Part, SourceSettings
from urbanln.gather.tiles.settings import TileSource
from urbanln.gather.views.settings import ViewSource

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
_Degrees = Annotated[float, Field(ge=-180, le=180)]


class Place(Part):
    """Where: exactly one of ``polygon``, ``bbox`` and ``points``."""

    name: str = Field(min_length=1, max_length=200, description="name of the city")
    polygon: str = Field("", max_length=1000, description="file of polygons, all of which are the place")
    only: dict[str, str] = Field(
        {}, max_length=20, description="column = value: only these rows of the file are the place"
    )
    bbox: tuple[_Degrees, _Degrees, _Degrees, _Degrees] | None = Field(
        None, description="[west, south, east, north] in degrees; west above east crosses the antimeridian"
    )
    points: str = Field("", max_length=1000, description="table of places; regions are those that hold one")
    lon: str = Field("lon", max_length=200, description="column of longitudes in points")
    lat: str = Field("lat", max_length=200, description="column of latitudes in points")
    licence: str = Field("", max_length=500, description="of the file of the place")
    attribution: str = Field("", max_length=500, description="whom to name for the file of the place")

    @model_validator(mode="after")
    def _one(self) -> Place:
        given = [name for name in ("polygon", "bbox", "points") if getattr(self, name)]
        if len(given) != 1:
            told = " and ".join(given) or "none of them"
            raise ValueError(f"a place is given by polygon, bbox or points, one of them, not by {told}")
        if self.only and not self.polygon:
            raise ValueError("'only' chooses rows of a file of polygons, and there is none")
        if self.bbox and (self.bbox[1] >= self.bbox[3] or self.bbox[0] == self.bbox[2]):
            raise ValueError("the box is empty: it is [west, south, east, north]")
        if self.bbox and max(abs(self.bbox[1]), abs(self.bbox[3])) > 90:
            raise ValueError("a latitude of the box is beyond 90 degrees: it is [west, south, east, north]")
        return self


class RegionsOf(Part):
    """What the place is divided into."""

    by: str = Field(
        max_length=1000, description="tile:ZOOM, h3:RESOLUTION, square:KM or a file of polygons[#COLUMN]"
    )
    keep: Literal["meets", "middle", "inside"] = Field(
        "meets",
        description="along the border: regions that share ground with the place, have their middle in it, or "
        "lie in it",
    )
    crs: str = Field("", max_length=200, description="system of metres of squares; default: the UTM zone")
    district: str = Field("", max_length=1000, description="file of polygons[#COLUMN] to hold out together")


class Fetch(Part):
    """How the network is used: gently by default, and never beyond what is named here."""

    contact: Line = Field("", description="your address or page, told to servers in the User-Agent")
    concurrency: int = Field(2, ge=1, le=256, description="requests under way per host")
    per_second: float = Field(5.0, gt=0, le=100_000, description="requests begun per second and host")
    retries: int = Field(3, ge=0, le=20, description="further tries of a request that may pass")
    timeout_s: float = Field(30.0, gt=0, le=3600, description="silence of a server that ends a try")
    longest_wait_s: float = Field(
        300.0, ge=0, le=86_400, description="longest Retry-After that is waited for"
    )
    max_mb: float = Field(32.0, gt=0, le=2000, description="size of one answer, at most")
    max_requests: int = Field(
        1_000_000, ge=1, le=1_000_000_000, description="requests of one command, at most"
    )
    max_usd: float = Field(0.0, ge=0, le=1e6, description="what all answers of the recipe may cost")
    max_failed: float = Field(
        0.0, ge=0, le=1, description="share of a source's requests that may stay without an answer"
    )
    private: tuple[Host, ...] = Field(
        (), max_length=20, description="hosts that may have addresses of this machine or a private network"
    )
    folders: tuple[str, ...] = Field(
        (), max_length=20, description="folders that file: addresses may lead to"
    )


class Recipe(Part):
    """The content of a RECIPE.toml."""

    place: Place
    regions: RegionsOf
    fetch: Fetch = Fetch()
    tiles: dict[_Name, TileSource] = Field(
        {}, max_length=20, description="[tiles.NAME]: pictures from map tiles"
    )
    rasters: dict[_Name, RasterSource] = Field(
        {}, max_length=20, description="[rasters.NAME]: pictures from GeoTIFFs"
    )
    mapillary: dict[_Name, MapillarySource] = Field(
        {}, max_length=20, description="[mapillary.NAME]: street views"
    )
    views: dict[_Name, ViewSource] = Field(
        {}, max_length=20, description="[views.NAME]: street views of your own"
    )
    labels: dict[_Name, Label] = Field({}, max_length=200, description="[labels.NAME]: a number per region")
    embeddings: dict[_Name, EmbeddingSource] = Field(
        {}, max_length=200, description="[embeddings.NAME]: other people's vectors"
    )

    @model_validator(mode="after")
    def _names(self) -> Recipe:
        names = [*self.tiles, *self.rasters, *self.mapillary, *self.views, *self.labels, *self.embeddings]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two sources are called {min(twice)}: give one of them another name")
        taken = {"region_id", "geometry", *(f"{name}_cover" for name in names)} & set(self.sources())
        if taken:
            raise ValueError(f"no source can be called '{min(taken)}': a column of every map is")
        return self

    def sources(self) -> dict[str, SourceSettings]:
        """All sources by name, in the order in which they are asked."""
        return {
            **self.tiles,
            **self.rasters,
            **self.mapillary,
            **self.views,
            **self.labels,
            **self.embeddings,
        }


def read_recipe(path: Path | str) -> Recipe:
    """Read a recipe; nothing it names is opened or asked yet.

    Args:
        path: The file.

    Raises:
        InputError: No such file, not TOML, an unknown key (with the nearest one), a number out of bounds, a
            source without licence or attribution, or no source at all.
    """
    path = Path(path)
    values = read_toml(path, "recipe")
    for section in ("place", "regions"):
        if section not in values:
            remedy = (
                f"begin with [place] and [regions]; docs/gather.md has recipes to start from ([{section}])"
            )
            raise InputError(f"a recipe needs a section [{section}]", where=path, remedy=remedy)
    recipe = validated(values, str(path), Recipe, {})
    assert isinstance(recipe, Recipe)
    if not recipe.sources():
        remedy = "name one, e.g. [tiles.aerial] with url, licence and attribution"
        raise InputError("the recipe names no source: there is nothing to gather", where=path, remedy=remedy)
    return recipe


def recipe_hash(recipe: Recipe, **more: object) -> str:
    """SHA-256 of all that decides what comes out: of ``[fetch]`` only the share that may fail.

    Args:
        recipe: The recipe.
        more: What was asked for besides, as JSON values.
    """
    text = recipe.model_dump(mode="json", exclude={"fetch"})
    facts: Mapping[str, object] = {**text, "max_failed": recipe.fetch.max_failed, **more}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
