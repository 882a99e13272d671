"""Where objects are in a picture: noted for all of them, and parts hold what lies in them."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.base.errors import ArtefactError
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import part_of_scene
from urbanln.city.synthetic.street import draw_view


@pytest.fixture(scope="module")
def drawn() -> list[tuple[np.ndarray, dict]]:
    cells, _ = make_cells(40, seed=21, cell_km=1.0, street_views=1, street_missing=0.0)
    pictures = [draw_tile(cell, 96) for cell in cells] + [draw_view(cell, 0) for cell in cells]
    return [(np.asarray(image, dtype=int), scene) for image, scene in pictures]


def test_every_object_counted_has_a_position_in_the_picture(drawn: list) -> None:
    for _, scene in drawn:
        for thing in scene["objects"]:
            assert len(thing["at"]) == thing["count"]
            assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in thing["at"])


def test_pools_are_drawn_where_they_are_noted(drawn: list) -> None:
    found = []
    for pixels, scene in drawn:
        at = next((t["at"] for t in scene["objects"] if t["name"] == "swimming pool"), [])
        blue = (pixels[..., 1] - pixels[..., 0] > 50) & (pixels[..., 2] - pixels[..., 0] > 60)
        for x, y in at:
            row, column = int(y * pixels.shape[0]), int(x * pixels.shape[1])
            found.append(blue[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4].any())
    assert len(found) > 10
    assert np.mean(found) > 0.9


def test_quarters_hold_together_what_the_whole_holds(drawn: list) -> None:
    halves = ((0.0, 0.49996), (0.50004, 1.0))
    for _, scene in drawn:
        quarters = [part_of_scene(scene, (a, b, c, d)) for a, c in halves for b, d in halves]
        for thing in scene["objects"]:
            same = [t for part in quarters for t in part["objects"] if t["name"] == thing["name"]]
            on_edge = sum(0.5 in spot for spot in thing["at"])
            assert sum(t["count"] for t in same) == thing["count"] - on_edge
            assert sum(t["share"] for t in same) <= thing["share"] + 2e-4
        for part in quarters:
            names = {t["name"] for t in part["objects"]}
            assert all(a in names and b in names for a, _, b in part["relations"])


def test_the_whole_picture_is_a_part_and_an_empty_corner_is_empty(drawn: list) -> None:
    scene = drawn[0][1]
    whole = part_of_scene(scene, (0.0, 0.0, 1.0, 1.0))
    assert whole == scene
    assert part_of_scene({**scene, "objects": []}, (0.0, 0.0, 0.1, 0.1))["objects"] == []


def test_a_scene_of_an_older_version_is_told_apart(drawn: list) -> None:
    scene = drawn[0][1]
    old = {**scene, "objects": [{k: v for k, v in t.items() if k != "at"} for t in scene["objects"]]}
    with pytest.raises(ArtefactError, match="where its objects are") as caught:
        part_of_scene(old, (0.0, 0.0, 1.0, 1.0))
    assert "same seed" in str(caught.value)
