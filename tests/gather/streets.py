"""A local server that speaks Mapillary's API of version 4, as it does and as it should not."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
from PIL import Image
from tests.gather.world import SOMEWHERE, Handler, TileServer, as_jpeg

TOKEN = "MLY|4711|a/secret"
RECIPE = (
    SOMEWHERE
    + """keep = "middle"

[mapillary.streets]
url = "{url}"
hosts = ["localhost"]
key = "MAPILLARY_TOKEN"
{more}

[fetch]
private = ["127.0.0.1", "localhost"]
per_second = 100000
concurrency = 4
retries = 1
longest_wait_s = 0.01
timeout_s = 5
{fetch}
"""
)


def picture(name: str) -> bytes:
    """The bytes of a view, all different."""
    rng = np.random.default_rng(int(name))
    return as_jpeg(Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)))


def panorama(name: str) -> bytes:
    """A panorama whose directions differ in their colours."""
    pixels = np.random.default_rng(int(name)).integers(0, 255, (4, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((64, 32)).save(buffer, "PNG")
    return buffer.getvalue()


def view(name: int, lon: float, lat: float, **more: Any) -> dict[str, Any]:
    """A view as the API says it; fields that are None are left out, as there."""
    row = {
        "id": str(name),
        "captured_at": 1562235072000,
        "compass_angle": 90.0,
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "is_pano": False,
        "creator": {"username": f"user{name}", "id": "1"},
        **more,
    }
    return {key: value for key, value in row.items() if value is not None}


@dataclass
class Streets:
    """What there is, and how the server behaves.

    Attributes:
        views: All of them.
        page: Of how many an answer is, at most.
        paging: Whether there are next pages.
        age: Pictures' addresses of another age have expired.
        token: The one that is taken.
        refuses: Status of the answer to a wrong one.
    """

    views: list[dict[str, Any]]
    page: int = 2000
    paging: bool = True
    age: int = 0
    token: str = TOKEN
    refuses: int = 401
    odd: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def __call__(self, handler: Handler, _: object) -> bool:
        parts = urlsplit(handler.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.startswith("/pictures/"):
            name = parts.path.rpartition("/")[2]
            if asked["age"] != str(self.age):
                return handler.answer(b"URL signature expired", 403)
            if name in self.odd:
                return handler.answer(*self.odd[name])
            pano = next(one for one in self.views if one["id"] == name).get("is_pano")
            return handler.answer(panorama(name) if pano else picture(name))
        if handler.headers.get("Authorization") != f"OAuth {self.token}":
            said = 'OAuth "Facebook Platform" "invalid_token" "Invalid OAuth access token"'
            return handler.answer(b'{"error": {"code": 190}}', self.refuses, WWW_Authenticate=said)
        port = handler.server.server_address[1]
        fields = asked["fields"].split(",")
        thumb = next(one for one in fields if one.startswith("thumb_"))
        shown = [
            {name: value for name, value in one.items() if name in ("id", *fields)}
            | {thumb: f"http://localhost:{port}/pictures/{one['id']}?age={self.age}&of={thumb}"}
            for one in self.views
        ]
        if parts.path != "/images":
            found = [one for one in shown if parts.path == f"/{one['id']}"]
            return handler.answer(json.dumps(found[0] if found else {}).encode(), 200 if found else 404)
        west, south, east, north = map(float, asked["bbox"].split(","))
        if (east - west) * (north - south) >= 0.01:
            return handler.answer(b'{"error": {"message": "too large"}}', 400)
        here = [one for one in shown if _inside(one, west, south, east, north)]
        start, page = int(asked.get("after", 0)), min(self.page, int(asked["limit"]))
        answer: dict[str, Any] = {"data": here[start : start + page]}
        if self.paging and start + page < len(here):
            token = quote(self.token, safe="")
            again = f"http://127.0.0.1:{port}{handler.path.partition('&after')[0]}"
            answer["paging"] = {"next": f"{again}&after={start + page}&access_token={token}"}
        return handler.answer(json.dumps(answer).encode())


def _inside(one: dict[str, Any], west: float, south: float, east: float, north: float) -> bool:
    lon, lat = one.get("geometry", one.get("computed_geometry"))["coordinates"]
    return bool(west <= lon <= east and south <= lat <= north)


def searches(server: TileServer) -> list[str]:
    """What was asked of the API's search."""
    return [path for path in server.asked if path.startswith("/images?")]


def pictures(server: TileServer) -> list[str]:
    """Names of the pictures that were asked for, each time."""
    return [urlsplit(path).path.rpartition("/")[2] for path in server.asked if "/pictures/" in path]


def street_recipe(folder: Path, server: TileServer, more: str = "", fetch: str = "") -> Path:
    """A recipe that asks a server for street views."""
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(url=server.url, more=more, fetch=fetch))
    return path


def along(count: int, first: int = 1000) -> list[dict[str, object]]:
    """Views along a street from west to east, through the middle of the place."""
    lons = np.linspace(24.9005, 24.9595, count)
    return [view(first + number, float(lon), 60.171) for number, lon in enumerate(lons)]
