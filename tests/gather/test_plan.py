"""A plan against what gathering then asks for and receives: right to 10 % in requests and bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from tests.gather.rasters import write_tif
from tests.gather.streets import Streets, street_recipe, view
from tests.gather.world import Handler, TileServer, write_recipe

from urbanln.base.errors import InputError
from urbanln.gather import plan as plans
from urbanln.gather import run

TERMS = 'licence = "CC0-1.0"\nattribution = "Somebody"\n'
RASTER = """[rasters.ortho]
files = [{files}]
gsd_m = 100
"""
OTHERS = """
[labels.light]
raster = "{file}"
statistic = "mean"
unit = "levels"
year = 2023
source = "the ortho"
licence = "CC0-1.0"
attribution = "Somebody"

[labels.some]
raster = "{file}"
statistic = "share"
classes = [7, 8]
unit = "share"
year = 2023
source = "the ortho"
licence = "CC0-1.0"
attribution = "Somebody"
"""


def _serve(server: TileServer, folder: Path, count: int, **layout: Any) -> list[str]:
    """GeoTIFFs side by side, and the address of one that is not there."""
    edges = np.linspace(24.86, 25.0, count + 1)
    files = {}
    for number in range(count):
        pixels = np.random.default_rng(number).integers(1, 255, (3, 400, 200)).astype(np.uint8)
        box = (edges[number], 60.12, edges[number + 1], 60.22)
        path = write_tif(
            folder / f"{number}.tif", pixels, box, tiled=True, blockxsize=128, blockysize=128, **layout
        )
        files[f"/{number}.tif"] = path.read_bytes()

    def behave(handler: Handler, place: Any) -> bool:
        data = files.get(handler.path)
        return handler.part(data) if data is not None else handler.answer(b"", 404)

    server.behave = behave
    return [f"{server.url}{name}" for name in files]


def _holds(path: Path, server: TileServer, out: Path) -> list[plans.Planned]:
    """Gather what a plan is of, and hold both against each other."""
    planned = run.plan(run.prepare(path)).plans
    asked, sent = len(server.asked), server.sent
    run.gather(path, out)
    assert sum(one.to_ask + one.more for one in planned) == pytest.approx(len(server.asked) - asked, rel=0.1)
    assert sum(one.bytes or 0.0 for one in planned) == pytest.approx(server.sent - sent, rel=0.1)
    for one in run.plan(run.prepare(path)).plans:
        assert (one.to_ask, one.more, one.shared, one.bytes) == (0, 0, 0, 0)
    return planned


def _recipe(folder: Path, server: TileServer, section: str, *changes: tuple[str, str]) -> Path:
    path = write_recipe(folder, server.url, ("tile:14", "tile:15"), *changes)
    text = path.read_text()
    start, end = text.index("[tiles.aerial]"), text.index("[fetch]")
    path.write_text(text[:start] + section + TERMS + text[end:])
    return path


@pytest.mark.parametrize("layout", [{}, {"compress": "deflate"}, {"interleave": "band"}])
def test_of_files_at_addresses(tmp_path: Path, server: TileServer, layout: dict[str, str]) -> None:
    urls = _serve(server, tmp_path, 3, **layout)
    files = ", ".join(f'"{url}"' for url in [*urls, f"{server.url}/gone.tif"])
    section = RASTER.format(files=files) + "min_cover = 0.2\n"
    (planned,) = _holds(_recipe(tmp_path, server, section), server, tmp_path / "city")
    assert planned.said == "as files say"
    assert planned.kept == 4  # what they say of themselves
    heads = [one for one in server.headers if one["Range"].startswith("bytes=0-")]
    assert len(heads) == 4


def test_of_more_files_than_a_plan_asks_for(
    tmp_path: Path, server: TileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "SAMPLE", 4)
    urls = _serve(server, tmp_path, 10)
    section = RASTER.format(files=", ".join(f'"{url}"' for url in urls)) + "min_cover = 0.2\n"
    whole = ("bbox = [24.90, 60.15, 24.96, 60.19]", "bbox = [24.87, 60.15, 24.99, 60.19]")
    (planned,) = _holds(_recipe(tmp_path, server, section, whole), server, tmp_path / "city")
    assert planned.said == "as far as 4 files say"


def test_of_items(tmp_path: Path, server: TileServer) -> None:
    urls = _serve(server, tmp_path, 3)
    edges = np.linspace(24.86, 25.0, 4)
    items = [
        {
            "type": "Feature", "id": str(n), "assets": {"visual": {"href": url}},
            "geometry": json.loads(shapely.to_geojson(shapely.box(edges[n], 60.12, edges[n + 1], 60.22))),
            "properties": {"datetime": "2023-06-01T10:00:00Z", "eo:cloud_cover": n},
        }
        for n, url in enumerate(urls)
    ]  # fmt: skip
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    section = '[rasters.ortho]\nitems = "items.json"\nhosts = ["127.0.0.1"]\ngsd_m = 100\nmin_cover = 0.2\n'
    (planned,) = _holds(_recipe(tmp_path, server, section), server, tmp_path / "city")
    assert planned.requests > 3


def test_what_several_sources_want_is_asked_for_once(tmp_path: Path, server: TileServer) -> None:
    (url,) = _serve(server, tmp_path, 1)
    section = OTHERS.format(file=url) + RASTER.format(files=f'"{url}"')
    planned = _holds(_recipe(tmp_path, server, section), server, tmp_path / "city")
    spans = [one["Range"] for one in server.headers]
    assert len(spans) == len(set(spans))
    ortho, *labels = planned
    assert ortho.shared == 0
    assert all(one.shared == one.requests - 1 and one.to_ask == 0 for one in labels)
    assert f"{labels[0].shared} asked for another source too" in labels[0].lines()[0]


def test_of_street_views_once_their_searches_are_answered(tmp_path: Path, server: TileServer) -> None:
    places = np.random.default_rng(2).uniform((24.9, 60.15), (24.96, 60.19), (400, 2))
    streets = Streets([view(100 + n, float(x), float(y)) for n, (x, y) in enumerate(places)], page=30)
    server.behave = streets
    run.gather(street_recipe(tmp_path, server, "per_region = 1"), tmp_path / "few")
    path = street_recipe(tmp_path, server, "per_region = 9")
    (planned,) = _holds(path, server, tmp_path / "city")
    assert planned.more == 0
    assert planned.said.startswith("by a sample of ")
    assert planned.to_ask > 50


def test_what_all_answers_cost_counts_those_of_earlier_commands(tmp_path: Path, server: TileServer) -> None:
    (url,) = _serve(server, tmp_path, 1)
    section = RASTER.format(files=f'"{url}"') + "usd_per_1000 = 1000\n"
    path = _recipe(tmp_path, server, section, ("timeout_s = 5", "timeout_s = 5\nmax_usd = 2"))
    run.plan(run.prepare(path))
    with pytest.raises(InputError, match=r"this costs \$\d+\.00, and \[fetch\] max_usd allows \$2.00"):
        run.gather(path, tmp_path / "city")
    (planned,) = run.plan(run.prepare(path)).plans
    assert (planned.usd_spent, len(server.asked)) == (1.0, 1)
    path.write_text(path.read_text().replace("max_usd = 2", f"max_usd = {planned.requests}"))
    run.gather(path, tmp_path / "city")
    assert len(server.asked) == planned.requests == planned.usd
