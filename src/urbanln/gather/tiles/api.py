"""Map tiles as a source: which tiles the regions need, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.progress import track
from urbanln.base.space import MERCATOR_LATITUDE
from urbanln.city.pictures import in_threads
from urbanln.city.regions import way_of
from urbanln.gather.names import file_names
from urbanln.gather.source import Answer, Answers, Built, Request
from urbanln.gather.tiles.parse import ENDINGS, Seen, blank_looks, see, tile_picture
from urbanln.gather.tiles.picture import EARTH_M, Frame, as_jpeg, frames_of, mosaic, zoom_for
from urbanln.gather.tiles.settings import TileSource
from urbanln.gather.tiles.template import fill, hosts
from urbanln.gather.writing import image_rows, make_folder, write_picture

_HELD = 64  # decoded tiles of a mosaic that its neighbours share


class Tiles:
    """Pictures of regions from map tiles; see :class:`urbanln.gather.source.Source`.

    Where the regions are the tiles themselves, a picture is the tile as it came, byte for byte. Else it is a
    mosaic of the region's bounding box at ``gsd_m`` metres per pixel, a JPEG.

    Args:
        name: Of the source.
        settings: Its section of the recipe.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are, e.g. ``tile:18``.

    Raises:
        InputError: Neither tiles of the regions' zoom nor a resolution is asked for, the zoom is too coarse
            for it, a picture would be too large, or the regions leave the map.
    """

    def __init__(self, name: str, settings: TileSource, regions: gpd.GeoDataFrame, by: str) -> None:
        self.name, self.settings = name, settings
        self._regions, self._ids = regions, list(regions["region_id"])
        kind, rest = way_of(by)
        plain = kind == "tile" and settings.zoom in (None, int(rest)) and settings.gsd_m is None
        self._frames: list[Frame] = []
        if plain:
            self._zoom = int(rest)
            places = [text.split("-") for text in self._ids]
            self._tiles = [(int(x), int(y)) for _, x, y in places]
        else:
            self._zoom, gsd = self._resolution()
            self._frames = frames_of(regions, self._zoom, gsd)
            self._tiles = sorted({tile for frame in self._frames for tile in frame.tiles()})

    def _resolution(self) -> tuple[int, float]:
        """Zoom and metres per pixel of mosaics."""
        gsd, px, where = self.settings.gsd_m, self.settings.tile_px, f"[tiles.{self.name}]"
        if gsd is None:
            what = "the regions are no tiles of this zoom: their pictures are mosaics, and need a resolution"
            remedy = 'give gsd_m, metres per pixel; or regions by = "tile:ZOOM" of the same zoom'
            raise InputError(what, value=self.settings.zoom, where=where, remedy=remedy)
        _, south, _, north = self._regions.total_bounds
        if max(abs(south), abs(north)) > MERCATOR_LATITUDE:
            what, value = "map tiles end at ±85.05 degrees of latitude", f"{south:.4f} to {north:.4f}"
            raise InputError(
                what, value=value, where="regions", remedy="choose another source for this place"
            )
        latitude = 0.0 if south < 0 < north else min(abs(south), abs(north))
        needed = zoom_for(gsd, latitude, px)
        zoom = needed if self.settings.zoom is None else self.settings.zoom
        finest = EARTH_M * np.cos(np.radians(latitude)) / px / 2**zoom
        if zoom > 24 or zoom < needed - 1:
            what = f"tiles of zoom {zoom} have {finest:.3g} m per pixel here, too coarse for {gsd:g} m"
            remedy = f"take zoom = {min(needed, 24)}, or leave it out; or give a larger gsd_m"
            raise InputError(what, value=gsd, where=where, remedy=remedy)
        return zoom, gsd

    def pictures(self) -> int:
        """One per region."""
        return len(self._ids)

    def hosts(self) -> list[str]:
        """The hosts of the address."""
        return hosts(self.settings.url, self.settings.subdomains)

    def first(self) -> Iterator[Request]:
        """Every tile once."""
        return map(self._request, self._tiles)

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """A tile leads to nothing."""
        return ()

    def _request(self, tile: tuple[int, int]) -> Request:
        url = fill(self.settings.url, self._zoom, *tile, self.settings.subdomains)
        return Request(url, "picture")

    def build(self, answers: Answers, folder: Path) -> Built:
        """Write the pictures of the regions.

        Raises:
            InputError: Not one tile is a picture of the size that was said.
            StorageError: The folder cannot be written.
        """
        px = self.settings.tile_px
        looks = in_threads(lambda tile: see(answers(self._request(tile)), px), self._tiles)
        seen: dict[tuple[int, int], Seen] = {}
        for tile, found in zip(
            self._tiles, track(looks, f"looking at {self.name}", len(self._tiles)), strict=True
        ):
            seen[tile] = found if isinstance(found, Seen) else Seen("broken")
        self._refuse_size(seen, answers)
        blank = blank_looks(seen.values(), self.settings.blank_repeats)
        seen = {t: Seen("blank") if one.look in blank else one for t, one in seen.items()}
        target = make_folder(folder, self.name)
        make = self._from_mosaics if self._frames else self._from_tiles
        states, files = make(seen, answers, target)
        images = image_rows(self.name, self.settings, self.settings.captured, self._regions, files)
        return Built(pd.Series(states, index=self._ids), images)

    def _refuse_size(self, seen: dict[tuple[int, int], Seen], answers: Answers) -> None:
        """Where no tile at all can be used, say what is wrong with the first."""
        if {one.state for one in seen.values()} & {"picture"}:
            return
        for tile, one in seen.items():
            if one.state == "broken" and (answer := answers(self._request(tile))) is not None:
                tile_picture(answer.data, self.settings.tile_px)

    def _from_tiles(
        self, seen: dict[tuple[int, int], Seen], answers: Answers, target: Path
    ) -> tuple[list[str], dict[str, tuple[str, str]]]:
        names, files = file_names(self._ids), {}
        states = [seen[tile].state for tile in self._tiles]
        rows = zip(self._ids, self._tiles, states, strict=True)
        for region, tile, state in track(rows, f"writing {self.name}", len(self._ids)):
            if state == "picture" and (answer := answers(self._request(tile))) is not None:
                file = f"{names[region]}.{ENDINGS[seen[tile].format]}"
                files[region] = write_picture(target / file, answer.data)
        return states, files

    def _from_mosaics(
        self, seen: dict[tuple[int, int], Seen], answers: Answers, target: Path
    ) -> tuple[list[str], dict[str, tuple[str, str]]]:
        names, files, states = file_names(self._ids), {}, []

        @lru_cache(maxsize=_HELD)
        def tile(x: int, y: int) -> Image.Image | None:
            answer = answers(self._request((x, y))) if seen[x, y].state == "picture" else None
            return None if answer is None else tile_picture(answer.data, self.settings.tile_px)

        rows = zip(self._ids, self._frames, strict=True)
        for region, frame in track(rows, f"writing {self.name}", len(self._ids)):
            there = {seen[one].state for one in frame.tiles()}
            picture, share = mosaic(frame, tile, self.settings.tile_px) if "picture" in there else (None, 0.0)
            if picture is not None and share >= self.settings.min_cover - 1e-9:
                files[region] = write_picture(target / f"{names[region]}.jpg", as_jpeg(picture))
                states.append("picture")
            else:
                order = ("picture", "unanswered", "broken", "absent", "blank")
                why = next(state for state in order if state in there)
                states.append("partial" if why == "picture" else why)
        return states, files
