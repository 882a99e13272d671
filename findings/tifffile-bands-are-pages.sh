#!/usr/bin/env bash
# tifffile 2026.3.3 and GDAL (rasterio 1.4.4): an array of (bands, rows, columns) written by tifffile is one band to GDAL.
#
# tifffile.imwrite takes an array of 64 × 20 × 30 for 64 images of 20 × 30, one TIFF directory each. GDAL opens the first: count is
# 1, without a warning; the others are "subdatasets". With 3 or 4 bands the same call writes one image of 3 or 4 bands, so that
# the first try with a colour picture is right. As (rows, columns, bands) the array becomes 20 images of 30 × 64: GDAL opens a
# raster of another size and shape. Only planarconfig and photometric together say what is meant. Between 5 and some hundred
# dimensions is what embeddings of places have (64 of AlphaEarth, 128 of Tessera).
#
# Seen: (64, 20, 30): 1 band of 20 × 30, 64 subdatasets; (3, 20, 30): 3 bands of 20 × 30; (20, 30, 64): 1 band of 30 × 64;
# with planarconfig="separate", photometric="minisblack": 64 bands of 20 × 30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tifffile==2026.3.3 rasterio==1.4.4 numpy==2.2.6
cat > pages.py <<'PY'
import warnings

import numpy as np
import rasterio
import tifffile

warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
bands = np.random.default_rng(0).random((64, 20, 30), dtype=np.float32)
found = {}
for name, array, options in (
    ("(64, 20, 30)", bands, {}),
    ("(3, 20, 30)", bands[:3], {}),
    ("(20, 30, 64)", np.moveaxis(bands, 0, -1), {}),
    ("(64, 20, 30) separate", bands, {"planarconfig": "separate", "photometric": "minisblack"}),
):
    tifffile.imwrite("bands.tif", array, **options)
    with rasterio.open("bands.tif") as raster:
        found[name] = (raster.count, raster.shape, len(raster.subdatasets))
    print(f"{name}: {found[name][0]} bands of {found[name][1]}, {found[name][2]} subdatasets")
assert found == {
    "(64, 20, 30)": (1, (20, 30), 64),
    "(3, 20, 30)": (3, (20, 30), 0),
    "(20, 30, 64)": (1, (30, 64), 20),
    "(64, 20, 30) separate": (64, (20, 30), 0),
}
PY
venv/bin/python pages.py
