#!/usr/bin/env bash
# tobler 0.13.0: a source polygon without a value counts as 0, and with pandas 3 the call fails instead.
#
# Labels are brought from one set of polygons to another by area_interpolate(intensive_variables=...). A target half covered by a
# polygon whose rate is missing and half by one of rate 20 gets 10.0, not 20.0 or missing; a target wholly within the missing one
# gets 0.0. A warning says "replacing with 0". With pandas 3 (copy on write) the same call raises ValueError ("assignment
# destination is read-only"), so any table with one missing value stops.
#
# Seen: pandas 2.3.3: [10.0, 0.0]; pandas 3.1.1: ValueError: assignment destination is read-only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > interpolate.py <<'PY'
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from tobler.area_weighted import area_interpolate

warnings.simplefilter("ignore")
source = gpd.GeoDataFrame(
    {"rate": [np.nan, 20.0]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], crs=3857
)
target = gpd.GeoDataFrame(geometry=[shapely.box(0.5, 0, 1.5, 1), shapely.box(0, 0, 1, 1)], crs=3857)
try:
    found = str(area_interpolate(source, target, intensive_variables=["rate"])["rate"].tolist())
except ValueError as error:
    found = f"ValueError: {error}"
print(f"pandas {pd.__version__}: {found}")
expected = "[10.0, 0.0]" if pd.__version__ < "3" else "ValueError: assignment destination is read-only"
assert found == expected, expected
PY
for pins in "pandas==2.3.3 geopandas==1.1.1" "pandas==3.1.1 geopandas==1.2.0"; do
  rm -rf venv
  python3 -m venv venv
  # shellcheck disable=SC2086
  venv/bin/pip install --quiet tobler==0.13.0 $pins
  venv/bin/python interpolate.py
done
