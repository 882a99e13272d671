"""Maps of more regions than a browser draws: tiles by column and classes, and what lies at a place."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from functools import cache

import numpy as np
import numpy.typing as npt
import shapely
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from typing_extensions import TypedDict

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.explore.asking import Asking
from urbanln.explore.content import Content
from urbanln.explore.requests import posted, shaped, whole
from urbanln.explore.tiling import Tiles

_MOST_CLASSES = 16
_KEPT = 16
_COLOUR = re.compile("[0-9a-fA-F]{6}")


class _Selected(TypedDict):
    rows: list[int]


def tile_routes(content: Content, asking: Asking) -> list[Route]:
    """The routes of tiles.

    Args:
        content: Whose regions.
        asking: Knows its columns and the last queries' scores.
    """
    kept: OrderedDict[str, npt.NDArray[np.bool_]] = OrderedDict()
    lock = threading.Lock()

    @cache
    def tiles() -> Tiles:
        return Tiles(content.regions)

    def selected(body: bytes) -> Response:
        faint = np.ones(len(content), dtype=bool)
        faint[asking.answers.check_rows(shaped(body, _Selected)["rows"])] = False
        key = hash_bytes(np.packbits(faint).tobytes())[:12]
        with lock:
            kept[key] = faint
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        return JSONResponse({"key": key})

    def tile(request: Request) -> Response:
        asked = request.query_params
        place = tuple(whole(request.path_params[name], "tile") for name in ("z", "x", "y"))
        stops = np.array([_number(one, "stops") for one in asked.get("stops", "").split(",") if one])
        colours = [_colour(one) for one in asked.get("colours", "").split(",")]
        if len(colours) != len(stops) + 2 or len(stops) > _MOST_CLASSES or (np.diff(stops) < 0).any():
            raise InputError(
                "stops and colours do not fit", value=f"{len(stops)} and {len(colours)}", where="tile",
                remedy="a colour below the first stop, one above each, and one for no value",
            )  # fmt: skip
        values = asking.column(asked.get("key", "")).values
        classes = np.where(np.isfinite(values), np.searchsorted(stops, values, side="right"), -1)
        with lock:
            faint = kept.get(asked.get("selected", ""))
        drawn = tiles().draw((place[0], place[1], place[2]), classes, colours, faint)
        return Response(drawn, media_type="image/png")

    def at(request: Request) -> Response:
        lon, lat, reach = (
            _number(request.query_params.get(name, ""), name) for name in ("lon", "lat", "reach")
        )
        row = tiles().at(lon, lat, reach)
        return JSONResponse({"row": row, "shape": None if row is None else _shape(content, row)})

    def shape(request: Request) -> Response:
        row = int(asking.answers.check_rows([whole(request.query_params.get("row", ""), "row")])[0])
        return JSONResponse({"row": row, "shape": _shape(content, row)})

    return [
        Route("/tile/{z}/{x}/{y}", tile), Route("/api/at", at), Route("/api/shape", shape),
        Route("/api/selected", posted(selected), methods=["POST"]),
    ]  # fmt: skip


def _shape(content: Content, row: int) -> object:
    return shapely.geometry.mapping(content.regions.geometry.iloc[row])


def _number(text: str, where: str) -> float:
    try:
        found = float(text[:40])
    except ValueError:
        found = float("nan")
    if not np.isfinite(found):
        what = f"{where} is no number"
        raise InputError(what, value=text[:40], where=where, remedy="give a finite number")
    return found


def _colour(text: str) -> tuple[int, int, int]:
    if not _COLOUR.fullmatch(text):
        raise InputError(
            "not a colour", value=text[:40], where="colours", remedy="give six hexadecimal digits"
        )
    red, green, blue = bytes.fromhex(text)
    return red, green, blue
