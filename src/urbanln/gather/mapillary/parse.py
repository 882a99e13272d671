"""What Mapillary says: views, and where the rest of them is; any field but id and picture may be missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from urbanln.base.parsing import parse_json
from urbanln.gather.source import Request

Box = tuple[float, float, float, float]
MAX_AREA = 0.0099  # square degrees; the API refuses boxes of 0.01
_DEEPEST, _LAST_PAGE = 4, 20
_FIELDS = (
    "id,captured_at,compass_angle,computed_compass_angle,geometry,computed_geometry,is_pano,creator,sequence"
)


@dataclass(frozen=True)
class View:
    """One street view.

    Attributes:
        id: Mapillary's.
        lon, lat: Where, in degrees; as computed from all pictures where it is known, else as recorded.
        url: Of the picture; it expires.
        captured: Day and time in UTC, ISO 8601; empty where it is not known.
        compass: Degrees clockwise from north; None where it is not known.
        panorama: Whether it shows all directions.
        creator: Who took it.
        sequence: Of the drive or walk.
    """

    id: str
    lon: float
    lat: float
    url: str
    captured: str = ""
    compass: float | None = None
    panorama: bool = False
    creator: str = ""
    sequence: str = ""


@dataclass(frozen=True)
class Search:
    """One request for views.

    Attributes:
        url: Of the request.
        limit: Views of one answer, at most.
        root: The box of the region that it is a part of, as text.
        box: West, south, east, north in degrees.
        depth: How often its box was quartered.
        page: Of the answers for this box, from 0.
    """

    url: str
    limit: int
    root: str
    box: Box
    depth: int = 0
    page: int = 0

    @property
    def request(self) -> Request:
        """The request; its name tells it from the same one for another region."""
        return Request(self.url, "json", f"{self.url} for {self.root}")


@dataclass(frozen=True)
class Found:
    """What one answer says.

    Attributes:
        views: Of the box, those without an id, a place or a picture left out.
        more: Where the others are.
        cut: Whether there are more, and too many to look through.
        sound: False for an answer that is none of a search.
    """

    views: tuple[View, ...] = ()
    more: tuple[Search, ...] = ()
    cut: bool = False
    sound: bool = True


def _pieces(box: Box) -> list[Box]:
    """A box, or equal parts of it that the API takes, row by row."""
    west, south, east, north = box
    edge = math.sqrt(MAX_AREA)
    across, up = max(math.ceil((east - west) / edge), 1), max(math.ceil((north - south) / edge), 1)
    wide, high = (east - west) / across, (north - south) / up
    return [
        (west + wide * x, south + high * y, west + wide * (x + 1), south + high * (y + 1))
        for y in range(up)
        for x in range(across)
    ]


def searches(base: str, box: Box, picture: str, dates: dict[str, str], limit: int) -> list[Search]:
    """The first requests for the views in a box, one for each part that the API takes.

    Args:
        base: Address of the API.
        box: Of a region, or of one of its parts.
        picture: Field with the picture's address.
        dates: ``start_captured_at`` and ``end_captured_at``, as far as they are asked.
        limit: Views of one answer, at most.
    """
    asked = {
        "fields": f"{_FIELDS},{picture}",
        "limit": str(limit), **dates,
    }  # fmt: skip
    start, root = f"{base}/images?{urlencode(asked, safe=',:')}&bbox=", _edges(box)
    return [Search(start + _edges(part), limit, root, part) for part in _pieces(box)]


def _edges(box: Box) -> str:
    return ",".join(f"{edge:.7f}" for edge in box)


def read(data: bytes, asked: Search, picture: str) -> Found:
    """What the answer to a search says.

    A full answer without a next page is a part of what there is: its box is quartered.

    Args:
        data: JSON.
        asked: What it answers.
        picture: Field with the picture's address.
    """
    try:
        content = parse_json(data)
    except ValueError:
        content = None
    rows = content.get("data") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        return Found(sound=False)
    views = tuple(view for row in rows if (view := _view(row, picture)) is not None)
    paging = content.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    if isinstance(following, str) and rows and _origin(following) == _origin(asked.url):
        url = _without_token(following)
        go_on = asked.page < _LAST_PAGE and url != asked.url
        more = (replace(asked, url=url, page=asked.page + 1),) if go_on else ()
        return Found(views, more, cut=not more)
    if len(rows) < asked.limit or asked.page:
        return Found(views)
    return Found(views, tuple(_quarters(asked)), cut=asked.depth >= _DEEPEST)


def _quarters(asked: Search) -> Iterator[Search]:
    if asked.depth >= _DEEPEST:
        return
    west, south, east, north = asked.box
    start = asked.url.rpartition("=")[0]
    middle, half = (west + east) / 2, (south + north) / 2
    for low, high in ((south, half), (half, north)):
        for left, right in ((west, middle), (middle, east)):
            part = (left, low, right, high)
            yield Search(f"{start}={_edges(part)}", asked.limit, asked.root, part, asked.depth + 1)


def _without_token(url: str) -> str:
    """An address of a next page; the token in it is sent as a header instead."""
    start, _, query = url.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name != "access_token"]
    return f"{start}?{urlencode(kept, safe=',:')}"


def _view(row: Any, picture: str) -> View | None:
    if not isinstance(row, dict):
        return None
    name, url = str(row.get("id") or ""), row.get(picture)
    place = _point(row.get("computed_geometry")) or _point(row.get("geometry"))
    if not (name.isascii() and name.isalnum() and len(name) <= 100) or place is None or not _origin(url):
        return None
    angle = _number(row.get("computed_compass_angle"))
    compass = _number(row.get("compass_angle")) if angle is None else angle
    creator = row.get("creator")
    who = creator.get("username") if isinstance(creator, dict) else None
    return View(
        name, *place, str(url), _day(_number(row.get("captured_at"))),
        None if compass is None else round(compass % 360, 2), row.get("is_pano") is True,
        _text(who), _text(row.get("sequence")),
    )  # fmt: skip


def _origin(url: object) -> str:
    """Scheme and host of an address; empty where it is none of the web."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return ""
    web = parts is not None and parts.scheme in ("http", "https") and parts.hostname
    return f"{parts.scheme}://{parts.netloc}" if parts and web else ""


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:200]


def _number(value: object) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None  # type: ignore[arg-type]


def _point(value: object) -> tuple[float, float] | None:
    places = value.get("coordinates") if isinstance(value, dict) else None
    if not isinstance(places, list) or len(places) < 2:
        return None
    lon, lat = _number(places[0]), _number(places[1])
    if lon is None or lat is None or abs(lon) > 180 or abs(lat) > 90 or lon == lat == 0:
        return None
    return lon, lat


def _day(milliseconds: float | None) -> str:
    if milliseconds is None or not 0 < milliseconds < 4e12:  # before 2096
        return ""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
