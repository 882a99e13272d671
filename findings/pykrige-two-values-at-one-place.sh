#!/usr/bin/env bash
# PyKrige 1.7.3: two different values at one place, and the map it draws leaves the data's range by millions, with no warning.
#
# Sales of houses, readings of a sensor, pictures of one tile: a place with two rows is common. The kriging matrix then has two
# equal rows; OrdinaryKriging inverts it all the same (pseudo_inv is False) and answers everywhere, also far from that place, while
# the kriging variance looks as before. With two equal values at the place nothing is seen: the fault needs values that differ.
# With pseudo_inv=True the answer is that without the second row, to .002.
#
# Seen: 200 values between -1.3 and 1.3; at three places 0.035, 0.952, -0.991; with one place twice, .5 apart: estimates of
# -791,115, 3,117,209 and 703,412 (the figures hang on the solver; here only their size is tested), variances .073, .027, .063.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pykrige==1.7.3 numpy==2.4.6 scipy==1.16.3
cat > krige.py <<'PY'
import warnings

import numpy as np
from pykrige.ok import OrdinaryKriging

warnings.simplefilter("error")
rng = np.random.default_rng(0)
places = rng.uniform(0, 1, (200, 2))
values = np.sin(6 * places[:, 0]) + 0.1 * rng.normal(size=200)


def estimates(places, values, **options):
    model = OrdinaryKriging(places[:, 0], places[:, 1], values, variogram_model="spherical", **options)
    told, variance = model.execute("points", [0.5, 0.25, 0.8], [0.5, 0.25, 0.8])
    print(np.round(np.asarray(told), 3), "variance", np.round(np.asarray(variance), 3))
    return np.asarray(told), np.asarray(variance)


once, variance = estimates(places, values)
twice = np.vstack([places, places[:1]])
equal, _ = estimates(twice, np.r_[values, values[0]])
wild, still = estimates(twice, np.r_[values, values[0] + 0.5])
mended, _ = estimates(twice, np.r_[values, values[0] + 0.5], pseudo_inv=True)
assert np.abs(equal - once).max() < 0.01
assert np.abs(wild).max() > 100 * np.abs(values).max()
assert np.abs(still - variance).max() < 0.01
assert np.abs(mended - once).max() < 0.01
PY
venv/bin/python krige.py
