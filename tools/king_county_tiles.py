"""King County's public clone as a folder of map tiles, for ``recipes/king-county.toml``.

    python tools/king_county_tiles.py CLONE FOLDER

The clone names its pictures by the rows of its table (``images/train/ROW.png``, JPEG bytes), a tile of zoom
18 as often as houses were sold on it. FOLDER gets ``tiles/18/X/Y.jpg``, each tile once, and the table as
``train.csv``; the recipe goes beside them. Nothing is fetched.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd

from urbanln.city.regions import tile_columns, tile_rows

ZOOM = 18


def make_tiles(clone: Path, folder: Path) -> int:
    """Lay the tiles out; returns how many there are.

    Args:
        clone: Of the public repository; ``data/raw/train.csv`` and ``images/train``.
        folder: Where to; made where there is none.
    """
    table = pd.read_csv(clone / "data" / "raw" / "train.csv")
    columns, rows = tile_columns(table["long"].to_numpy(), ZOOM), tile_rows(table["lat"].to_numpy(), ZOOM)
    made = 0
    for row, (x, y) in enumerate(zip(columns, rows, strict=True)):
        picture = clone / "images" / "train" / f"{row}.png"
        target = folder / "tiles" / str(ZOOM) / str(x) / f"{y}.jpg"
        if picture.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, target)
            made += 1
    shutil.copyfile(clone / "data" / "raw" / "train.csv", folder / "train.csv")
    return made


if __name__ == "__main__":
    clone, folder = map(Path, sys.argv[1:])
    print(f"{folder}: {make_tiles(clone, folder):,} tiles")
