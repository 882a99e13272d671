"""Where regions lie and what they are called: all at once, or tiles and outlines where they are many."""

from __future__ import annotations

import shapely
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from urbanln.explore.answers import Answers
from urbanln.explore.requests import whole
from urbanln.explore.tiling import pack_tile

BINARY = "application/octet-stream"


def place_routes(answers: Answers) -> list[Route]:
    """The routes.

    Args:
        answers: Of the content whose regions they are.
    """

    def places(_: Request) -> Response:
        return Response(answers.packed_places(), media_type=BINARY)

    def texts(_: Request) -> Response:
        return Response(answers.packed_texts(), media_type=BINARY)

    def tile(request: Request) -> Response:
        zoom, column, row = (whole(request.path_params[name], "tile") for name in ("z", "x", "y"))
        drawn = pack_tile(answers.tiles.draw((zoom, column, row)))
        return Response(drawn, media_type=BINARY)

    def shape(request: Request) -> Response:
        row = int(answers.check_rows([whole(request.query_params.get("row", ""), "row")])[0])
        found = answers.content.regions.geometry.iloc[row]
        return JSONResponse({"row": row, "shape": shapely.geometry.mapping(found)})

    gets = {"api/places": places, "api/texts": texts, "api/shape": shape, "tile/{z}/{x}/{y}": tile}
    return [Route(f"/{path}", one) for path, one in gets.items()]
