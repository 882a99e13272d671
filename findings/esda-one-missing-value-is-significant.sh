#!/usr/bin/env bash
# esda 2.9.0: one missing value among 100 makes pure noise "significant" everywhere: Moran, Geary, Moran_Local, G_Local.
#
# With a NaN in the values every statistic is NaN, and so is that of every shuffling. p_sim counts the shufflings at least as large;
# no comparison with NaN is true, so the count is 0 and p_sim the least there can be, 1 / (permutations + 1). Of the local statistics
# all places are significant, and Moran_Local puts all of them into quadrant 3, "low among low". No warning speaks of it; p_norm
# is NaN. A map that colours by p_sim shows one cold spot.
#
# Seen: 100 independent values on a 10 × 10 lattice, 999 shufflings: Moran's p_sim .22; with one value NaN .001 (I nan); Geary's .22
# and .001; of Moran_Local and of G_Local 8 places with p_sim < .05, and 100.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet esda==2.9.0 libpysal==4.14.1 numpy==2.4.6 pandas==3.1.1 scipy==1.16.3
cat > missing.py <<'PY'
import warnings

import esda
import libpysal
import numpy as np

warnings.simplefilter("error", UserWarning)
warnings.simplefilter("error", RuntimeWarning)
warnings.simplefilter("ignore", DeprecationWarning)
lattice = libpysal.weights.lat2W(10, 10)
noise = np.random.default_rng(0).normal(size=100)
gap = noise.copy()
gap[3] = np.nan
np.random.seed(0)
for values, low in ((noise, 0.1), (gap, 0.001)):
    moran, geary = (kind(values, lattice, permutations=999) for kind in (esda.Moran, esda.Geary))
    local, hot = (
        kind(values, lattice, permutations=999, seed=1, n_jobs=1) for kind in (esda.Moran_Local, esda.G_Local)
    )
    found = [int((one.p_sim < 0.05).sum()) for one in (local, hot)]
    print(f"I {moran.I:.3f}, p_sim {moran.p_sim:.3f}; Geary {geary.p_sim:.3f}; significant places {found}")
    if low == 0.001:
        assert np.isnan(moran.I) and moran.p_sim == geary.p_sim == 0.001
        assert found == [100, 100] and set(local.q.tolist()) == {3}
    else:
        assert min(moran.p_sim, geary.p_sim) > low and max(found) < 20
PY
venv/bin/python missing.py
