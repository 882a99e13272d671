"""The files of an export of very many regions: a page on a static host asks for the parts that it shows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry import mapping

from urbanln.base.files import atomic_path, plain, write_quickly
from urbanln.base.progress import progress
from urbanln.base.saying import say
from urbanln.explore.answers import Answers
from urbanln.explore.content import Vectors
from urbanln.explore.packed import pack, pack_places
from urbanln.explore.pmtiles import tile_number
from urbanln.explore.pmtiles_write import write_pmtiles
from urbanln.explore.rounded import rounded
from urbanln.explore.tiling import Tiles, pack_tile
from urbanln.pages.maps import around

TYPICAL = 64  # pixels across of a region in the closest tiles: a quarter of the tiles that a server draws
BLOCK = 64  # regions that are compressed, and read, together
_MOST_VECTORS = 128_000_000  # bytes; a page holds them as a whole once it is asked what is alike


class Wide:
    """What lies beside such a page.

    Args:
        answers: Of the content.
        folder: Where the files go.
    """

    def __init__(self, answers: Answers, folder: Path) -> None:
        self.answers, self.folder = answers, folder
        self._count = 0

    def numbers(self, values: npt.NDArray[Any]) -> str:
        """Store a number per region as a file.

        Returns:
            Its name.
        """
        name = f"values/{self._count}.bin"
        self._count += 1
        (self.folder / "values").mkdir(exist_ok=True)
        write_quickly(self.folder / name, np.ascontiguousarray(values).tobytes())
        return name

    def regions(self, told: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        """Store places, ids, tiles, outlines and all about each region.

        Args:
            told: All about a region by its row.

        Returns:
            What the page's overview says of the tiles.
        """
        content = self.answers.content
        write_quickly(self.folder / "places.bin", pack(pack_places(content.lonlat)))
        write_quickly(self.folder / "texts.bin", self.answers.packed_texts())
        shapes = content.regions.geometry.to_numpy()
        self._blocks("shapes.bin", lambda row: mapping(shapes[row]))
        self._blocks("regions.bin", told)
        return self._tiles(Tiles(content.regions, TYPICAL))

    def _tiles(self, tiles: Tiles) -> dict[str, Any]:
        most = tiles.zooms.most
        bounds = around(self.answers.content.regions.geometry.bounds.to_numpy())
        places = [one for zoom in range(most + 1) for one in tiles.occupied(zoom)]
        places.sort(key=lambda one: tile_number(*one[0]))
        with progress("drawing tiles", len(places)) as advance:

            def drawn() -> Any:
                for place, rows in places:
                    made = tiles.draw(place, rows)
                    advance(1)
                    if made.any():
                        yield tile_number(*place), pack_tile(made)

            told = {"name": "regions", "description": "row + 1 of the region of each pixel, urbanln explore"}
            write_pmtiles(self.folder / "tiles.pmtiles", drawn(), (0, most), bounds, told)
        return {"most": most, "crowded": tiles.zooms.crowded, "typical": tiles.zooms.typical}

    def _blocks(self, name: str, told: Callable[[int], Any]) -> None:
        """A file of compressed blocks of JSON, and before them where each begins, as float64."""
        n = len(self.answers.content)
        starts = range(0, n, BLOCK)
        ends = np.zeros(len(starts) + 1, "<f8")
        with atomic_path(self.folder / name) as temporary, temporary.open("w+b") as file:
            file.write(ends.tobytes())
            ends[0] = file.tell()
            with progress(f"describing regions, {name}", n) as advance:
                for i, start in enumerate(starts):
                    rows = range(start, min(start + BLOCK, n))
                    text = json.dumps(plain([told(row) for row in rows]), separators=(",", ":"))
                    file.write(gzip.compress(text.encode(), mtime=0))
                    ends[i + 1] = file.tell()
                    advance(len(rows))
            file.seek(0)
            file.write(ends.tobytes())

    def vectors(self, vectors: Vectors) -> dict[str, Any] | None:
        """Store directions of regions, unless they are more than a page holds.

        Returns:
            What the page has to know of them; None where they stay here.
        """
        size = 2 * vectors.search.vectors.size
        if size > _MOST_VECTORS:
            say(
                f"vectors of {size / 1e6:,.0f} MB stay here, so the page does not tell what is alike: "
                f"{_MOST_VECTORS / 1e6:,.0f} MB is what a page takes"
            )
            return None
        near = rounded(vectors)
        parts = {
            "rows": ("i4", near.rows.astype("<i4").tobytes()),
            "steps": ("i2", near.steps.astype("<i2").tobytes()),
            "metres": ("f8", self.answers.content.metres().astype("<f8").tobytes()),
        }  # fmt: skip
        write_quickly(self.folder / "vectors.bin", pack(parts))
        say(f"vectors.bin has {size / 1e6:,.1f} MB, which the page fetches when it is asked what is alike")
        return {"width": near.steps.shape[1], "step": near.step, "bound": near.bound}
