#!/usr/bin/env bash
# geotiff (npm) 3.0.5: a window of a GeoTIFF whose rows count from the south is all zeros, also by the file's own bounding box.
#
# Rasters of the AlphaEarth embeddings lie so; GDAL opens them as they are, with a pixel height above 0. geotiff.js takes the height
# for negative whatever the file says: getResolution() gives [1, -1], getBoundingBox() is right, and readRasters({bbox}) looks
# above the first row, where nothing is. It fills that with 0, which in a raster of labels or vectors is a value. The same numbers
# north up are read rightly; so is the whole image without a bbox, rows from the south.
#
# Seen: 4 × 4 pixels 1 to 16, north up and south up of the same ground; bbox of the lower left quarter: 9, 10, 13, 14 and 0, 0, 0, 0;
# bbox of the whole file: 1 … 16 and sixteen zeros.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet rasterio==1.4.4 numpy==2.2.6
npm install --silent --no-save --prefix . geotiff@3.0.5 > /dev/null
cat > write.py <<'PY'
import numpy as np
import rasterio
from rasterio.transform import Affine

numbers = np.arange(1, 17, dtype=np.int16).reshape(1, 4, 4)
kept = {"driver": "GTiff", "count": 1, "height": 4, "width": 4, "dtype": "int16", "crs": 4326}
for name, grid, rows in (
    ("north", Affine(1, 0, 10, 0, -1, 50), numbers),
    ("south", Affine(1, 0, 10, 0, 1, 46), numbers[:, ::-1]),
):
    with rasterio.open(f"{name}.tif", "w", transform=grid, **kept) as raster:
        raster.write(rows)
with rasterio.open("south.tif") as raster:
    assert raster.res == (1, 1) and raster.transform.e == 1
PY
venv/bin/python write.py
cat > read.mjs <<'JS'
import assert from "node:assert";
import { fromFile } from "geotiff";

const found = {};
for (const name of ["north", "south"]) {
  const tiff = await fromFile(`${name}.tif`);
  const image = await tiff.getImage();
  const read = async (bbox) => Array.from((await tiff.readRasters({ bbox }))[0]);
  found[name] = [image.getBoundingBox(), await read([10, 46, 12, 48]), await read(image.getBoundingBox())];
  console.log(name, JSON.stringify(found[name]), image.getResolution());
}
const box = [10, 46, 14, 50];
assert.deepStrictEqual(found.north, [box, [9, 10, 13, 14], Array.from({ length: 16 }, (_, at) => at + 1)]);
assert.deepStrictEqual(found.south, [box, [0, 0, 0, 0], Array(16).fill(0)]);
JS
node read.mjs
