"""A map of streets below the regions: a PMTiles file, or pictures from a server that the user names.

By default there is none and nothing is asked from any network. Of a file everything comes from this
machine; of an address the page itself asks the one host that stands in it, and nobody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from urbanln.base.errors import InputError
from urbanln.base.pictures import open_picture
from urbanln.base.saying import say
from urbanln.base.space import MERCATOR_LATITUDE, on_mercator
from urbanln.explore.pmtiles import Archive
from urbanln.explore.requests import whole
from urbanln.pages.text import clean

MEDIA = {
    "mvt": "application/vnd.mapbox-vector-tile", "png": "image/png", "jpeg": "image/jpeg",
    "webp": "image/webp",
}  # fmt: skip
# Layers that the page knows to draw (page/basemap_style.js), of Protomaps and of OpenMapTiles.
LAYERS = (
    "earth", "landcover", "landuse", "park", "water", "waterway", "roads", "transportation", "boundaries",
    "boundary", "buildings", "building", "places", "place",
)  # fmt: skip
_CREDIT = 300  # characters
_ADDRESS = 2000
_LOOKED_AT = 64  # regions of a city, for whether the file covers it
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_HERE = ("localhost", "127.0.0.1")
_SECRET = re.compile(
    r"key|token|secret|signature|^sig$|auth|passw|^pass$|access|subscription|client|^app_?(id|code)$",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=[^{}]*[0-9])(?=[^{}]*[A-Za-z])[A-Za-z0-9_.~-]{20,}")
_OPTION = "--basemap"
_EXAMPLE = "give FILE.pmtiles, or an address such as https://tiles.example.org/{z}/{x}/{y}.png"


@dataclass(frozen=True, eq=False)
class Basemap:
    """What lies below the regions.

    Attributes:
        kind: Pictures, or shapes that the page draws itself.
        credit: Whom the map names.
        archive: The file; None where pictures come from an address.
        template: That address, with ``{z}``, ``{x}`` and ``{y}``; "" with a file.
        layers: Of shapes: those that are drawn.
        side: Of pictures: pixels of an edge, which decides at what zoom they are sharp.
    """

    kind: Literal["raster", "vector"]
    credit: str
    archive: Archive | None = None
    template: str = ""
    layers: tuple[str, ...] = ()
    side: int = 256

    @property
    def origin(self) -> str:
        """Scheme and host that the page may ask; "" with a file."""
        if not self.template:
            return ""
        parts = urlsplit(self.template)
        return f"{parts.scheme}://{parts.netloc.lower()}"

    def entry(self) -> dict[str, Any]:
        """What the page is told."""
        low, high = self.archive.zooms if self.archive else (0, 19)
        bounds = self.archive.bounds if self.archive else (-180.0, -85.0, 180.0, 85.0)
        return {
            "kind": self.kind, "credit": self.credit, "tiles": self.template or None, "minzoom": low,
            "maxzoom": high, "bounds": list(bounds), "layers": list(self.layers), "side": self.side,
            "type": MEDIA[self.archive.tiles] if self.archive else None, "host": urlsplit(self.origin).netloc,
        }  # fmt: skip


def read_basemap(given: str, credit: str) -> Basemap | None:
    """What ``--basemap`` and ``--basemap-credit`` say.

    Args:
        given: Path of a PMTiles file, or an address with ``{z}``, ``{x}`` and ``{y}``; "" for no map.
        credit: Whom to name; needed with an address, beside what a file says itself.

    Raises:
        InputError: Neither, a file of another kind or damaged, an address that asks for more than
            pictures of one host, or nobody named.
    """
    credit = " ".join(clean(credit, _CREDIT).split())
    if not given:
        if credit:
            raise InputError(
                "there is no map of streets whose source could be named", value=credit,
                where="--basemap-credit", remedy=f"{_OPTION}: {_EXAMPLE}",
            )  # fmt: skip
        return None
    if "://" in given:
        return _from_address(given, credit)
    return _from_file(Path(given), credit)


def _from_file(path: Path, credit: str) -> Basemap:
    archive = Archive(path)
    if archive.tiles not in MEDIA:
        raise InputError(
            "tiles of this kind are not drawn", value=archive.tiles, where=path,
            remedy=f"give a file of {', '.join(MEDIA)}",
        )  # fmt: skip
    notes = archive.metadata()
    own = _text(str(notes.get("attribution") or ""))
    named = " · ".join(dict.fromkeys(filter(None, (own, credit))))
    if archive.tiles != "mvt":
        return Basemap("raster", named, archive)
    told = notes.get("vector_layers")
    known = [str(one.get("id")) for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    layers = tuple(one for one in LAYERS if one in known or not known)
    if not layers:
        raise InputError(
            "none of this file's layers is one that a map of streets has", value=", ".join(known)[:200],
            where=path, remedy="give one of Protomaps' or OpenMapTiles' layers (roads, water, places, …)",
        )  # fmt: skip
    return Basemap("vector", named, archive, layers=layers, side=512)


def covering(basemap: Basemap, lonlat: npt.NDArray[np.float64], bounds: list[float]) -> Basemap:
    """The map of streets once it is known to lie below the city, and how large its pictures are.

    Args:
        basemap: As read.
        lonlat: (N, 2) middles of regions, degrees.
        bounds: West, south, east, north of them, for what is advised.

    Raises:
        InputError: No tile of the file lies below any of the regions that are looked at, or it is damaged.
    """
    archive = basemap.archive
    if archive is None:
        return basemap
    inside = lonlat[np.abs(lonlat[:, 1]) < MERCATOR_LATITUDE]
    some = inside[np.linspace(0, len(inside) - 1, min(len(inside), _LOOKED_AT)).astype(int)]
    x, y = on_mercator(some[:, 0], some[:, 1])
    for z in range(archive.zooms[1], archive.zooms[0] - 1, -1):
        edge = (1 << z) - 1
        at = [
            (min(int(a * (edge + 1)), edge), min(int(b * (edge + 1)), edge))
            for a, b in zip(x, y, strict=True)
        ]
        there = [one for one in at if archive.has(z, *one)]
        if there:
            _say(basemap, z, len(at) - len(there), len(at))
            data = archive.tile(z, *there[0])
            return basemap if basemap.kind == "vector" or data is None else _sized(basemap, data)
    box = ",".join(f"{one:.4f}" for one in bounds)
    raise InputError(
        "this map of streets does not lie below the city",
        value="it covers " + ", ".join(f"{one:.4f}" for one in archive.bounds), where=archive.path,
        remedy=f"cut the city out of a larger file: pmtiles extract LARGE.pmtiles CITY.pmtiles --bbox={box}",
    )  # fmt: skip


def _say(basemap: Basemap, finest: int, without: int, looked_at: int) -> None:
    assert basemap.archive is not None
    what = "shapes" if basemap.kind == "vector" else "pictures"
    whom = basemap.credit or "it names nobody: --basemap-credit puts a name on the map"
    say(f"map of streets: {what}, zooms {basemap.archive.zooms[0]} to {finest} here; {whom}")
    if without:
        say(f"it does not lie below the whole city: {without} of {looked_at} regions looked at are beside it")


def _sized(basemap: Basemap, data: bytes) -> Basemap:
    assert basemap.archive is not None
    wide = open_picture(data).size[0]
    return Basemap("raster", basemap.credit, basemap.archive, side=512 if wide > 256 else 256)


def _from_address(given: str, credit: str) -> Basemap:
    def fault(what: str, value: object, remedy: str = _EXAMPLE) -> InputError:
        return InputError(what, value=value, where=_OPTION, remedy=remedy)

    parts = _split(given)
    if parts is None or len(given) > _ADDRESS or re.search(r"[^!-~]|[\"'<>\\^`|]", given):
        raise fault("this is no address", given[:200])
    host = parts.netloc.lower()
    if "@" in host or not _HOST.fullmatch(host):
        raise fault("an address of one plain host is needed", parts.netloc[:200])
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise fault("only https is asked beyond this machine", f"{parts.scheme}://{host}")
    if parts.path.lower().endswith((".pmtiles", ".mbtiles")):
        remedy = "fetch what the city needs first: pmtiles extract ADDRESS CITY.pmtiles --bbox=W,S,E,N"
        raise fault("a file of tiles is read from this machine alone", given, remedy)
    if parts.path.lower().endswith((".pbf", ".mvt", ".json")):
        raise fault("only pictures are taken from an address", given, "give shapes as a PMTiles file")
    places = sorted(re.findall(r"{[^{}]*}", given))
    if places != ["{x}", "{y}", "{z}"] or "{" in host:
        raise fault("an address has {z}, {x} and {y}, each once, and no other such", given)
    if not credit:
        remedy = '--basemap-credit TEXT, as its maker asks for, such as "© OpenStreetMap contributors"'
        raise fault("whom to name for this map of streets is not said", host, remedy)
    return Basemap("raster", credit, template=given)


def _split(given: str) -> SplitResult | None:
    try:
        parts = urlsplit(given)
        parts.port  # noqa: B018 (raises where it is no number)
    except ValueError:
        return None
    return parts


def secret_in(template: str) -> str | None:
    """The part of an address that looks like somebody's key, or None."""
    parts = urlsplit(template)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if _SECRET.search(name) or _RANDOM.fullmatch(value):
            return name
    found = [one for one in parts.path.split("/") if _RANDOM.fullmatch(one)]
    return found[0] if found else None


def basemap_routes(basemap: Basemap | None) -> list[Route]:
    """The route of a file's tiles; none where there is no file.

    Args:
        basemap: What lies below the regions.
    """
    archive = basemap.archive if basemap else None
    if archive is None:
        return []

    def tile(request: Request) -> Response:
        z, x, y = (whole(request.path_params[name], "tile") for name in ("z", "x", "y"))
        data = archive.tile(z, x, y)
        return Response(status_code=204) if data is None else Response(data, media_type=MEDIA[archive.tiles])

    return [Route("/basemap/{z}/{x}/{y}", tile)]


class _Words(HTMLParser):
    """The text of what may be markup: attributions are written as links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def _text(markup: str) -> str:
    words = _Words()
    words.feed(markup[: 20 * _CREDIT])
    words.close()
    return " ".join(clean("".join(words.found), _CREDIT).split())
