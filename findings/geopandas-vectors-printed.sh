#!/usr/bin/env bash
# geopandas 1.2.0 with pyogrio 0.13.0 (GDAL 3.12.4): a column of vectors becomes printed text in a GeoPackage, FlatGeobuf or
# GeoJSON, and of vectors with more than 1,000 dimensions only the first and last three numbers are kept.
#
# to_file() of a GeoDataFrame whose column holds numpy arrays neither fails nor warns: each array is stored as what numpy prints,
# eight digits at most, and from 1,001 dimensions on the middle is "..." (numpy's print threshold). Read back, an embedding of
# 1,280 numbers is a text of some 80 characters. 512 dimensions come back as a text of all numbers, rounded.
#
# Seen: gpkg and fgb: 512 dimensions: str, all numbers; 1,280 dimensions: str of fewer than 100 characters with "...".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet geopandas==1.2.0 pyogrio==0.13.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import warnings

import geopandas as gpd
import numpy as np
import pyogrio

warnings.simplefilter("error")
rng = np.random.default_rng(0)
points = gpd.points_from_xy([1, 2, 3], [1, 2, 3])
for size in (512, 1280):
    vectors = list(rng.normal(size=(3, size)).astype("float32"))
    frame = gpd.GeoDataFrame({"vector": vectors}, geometry=points, crs=4326)
    for file in ("vectors.gpkg", "vectors.fgb"):
        frame.to_file(file)
        text = gpd.read_file(file)["vector"].iloc[0]
        numbers = len(text.strip("[]").replace("...", "").split())
        print(f"{file}, GDAL {pyogrio.__gdal_version_string__}, {size} dimensions: {type(text).__name__}, {numbers} numbers left")
        assert isinstance(text, str)
        assert numbers == (512 if size == 512 else 6)
PY
