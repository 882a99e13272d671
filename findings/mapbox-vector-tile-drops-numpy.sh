#!/usr/bin/env bash
# mapbox-vector-tile 2.2.0: properties that are numpy's whole numbers, 32-bit floats or truth values are left out of a tile.
#
# encode() keeps what is Python's bool, str, int or float. numpy.float64 is a float and stays; numpy.int64, numpy.float32 and
# numpy.bool_ are none of them and are dropped, with no error and no warning: a table's column of counts is gone from the map, its
# column of shares is there. frame.at[row, name] and the items of an array are such numbers; frame.to_dict("records") makes Python's.
#
# Seen: of {count: int64, share32: float32, share64: float64, flag: bool_, plain: int} the tile has {share64, plain}.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet mapbox-vector-tile==2.2.0 numpy==2.2.6
cat > tile.py <<'PY'
import warnings

import mapbox_vector_tile
import numpy as np

warnings.simplefilter("error")
properties = {
    "count": np.int64(3),
    "share32": np.float32(0.5),
    "share64": np.float64(0.5),
    "flag": np.bool_(True),
    "plain": 3,
}
layer = {"name": "regions", "features": [{"geometry": "POINT (1 1)", "properties": properties}]}
found = mapbox_vector_tile.decode(mapbox_vector_tile.encode([layer]))["regions"]["features"][0]["properties"]
print(f"written: {list(properties)}; in the tile: {found}")
assert found == {"share64": 0.5, "plain": 3}
PY
venv/bin/python tile.py
