"""King County from its table of addresses by one recipe: a cut made on the spot, or all of it.

Where URBANLN_KING names a clone of the public repository, all 13,433 tiles are compared.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.gather.world import tile
from tools.king_county_tiles import make_tiles

from urbanln.base.files import hash_file
from urbanln.city.regions import tile_columns, tile_rows
from urbanln.city.store import City
from urbanln.gather import run
from urbanln.gather.recipe import read_recipe

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
CLONE = os.environ.get("URBANLN_KING", "")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert all(source.licence and source.attribution for source in recipe.sources().values())


def _rebuilt(clone: Path, folder: Path) -> tuple[City, pd.DataFrame]:
    """The city that the recipe makes, and the clone's table with the tile and the picture of each row."""
    make_tiles(clone, folder)
    shutil.copyfile(ROOT / "recipes" / "king-county.toml", folder / "king-county.toml")
    run.gather(folder / "king-county.toml", folder / "city")
    table = pd.read_csv(clone / "data" / "raw" / "train.csv")
    columns, rows = tile_columns(table["long"].to_numpy(), 18), tile_rows(table["lat"].to_numpy(), 18)
    table["tile"] = [f"18-{x}-{y}" for x, y in zip(columns, rows, strict=True)]
    table["picture"] = [clone / "images" / "train" / f"{row}.png" for row in range(len(table))]
    return City.open(folder / "city"), table[[path.exists() for path in table["picture"]]]


def _refuse_difference(city: City, table: pd.DataFrame) -> None:
    first = table.drop_duplicates("tile").set_index("tile")["picture"]
    made = city.images.set_index("region_id")["path"]
    assert set(made.index) == set(first.index)
    wrong = [one for one, path in made.items() if hash_file(city.folder / path) != hash_file(first[one])]
    assert not wrong


def test_a_cut_is_rebuilt_picture_for_picture(tmp_path: Path) -> None:
    (tmp_path / "clone" / "images" / "train").mkdir(parents=True)
    (tmp_path / "clone" / "data" / "raw").mkdir(parents=True)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"long": rng.uniform(-122.19, -122.18, 30), "lat": rng.uniform(47.43, 47.44, 30)})
    table = pd.concat([table, table.head(5)], ignore_index=True)  # houses sold twice
    table.to_csv(tmp_path / "clone" / "data" / "raw" / "train.csv", index=False)
    columns, rows = tile_columns(table["long"].to_numpy(), 18), tile_rows(table["lat"].to_numpy(), 18)
    for row, (x, y) in enumerate(zip(columns, rows, strict=True)):
        if row != 7:  # of some rows there is no picture
            data = tile(18, int(x), int(y), 256)
            (tmp_path / "clone" / "images" / "train" / f"{row}.png").write_bytes(data)
    city, known = _rebuilt(tmp_path / "clone", tmp_path / "work")
    _refuse_difference(city, known)
    assert 20 < len(city.images) < 30
    assert len(city.regions) >= len(city.images)
    assert city.meta.sources[0].attribution.startswith("Esri")


@pytest.mark.slow
@pytest.mark.skipif(not CLONE, reason="URBANLN_KING does not name a clone of the tiles of King County")
def test_king_county_is_rebuilt_picture_for_picture(tmp_path: Path) -> None:
    city, known = _rebuilt(Path(CLONE), tmp_path)
    _refuse_difference(city, known)
    assert len(city.images) == 13_433
