"""Ask of any table of region vectors whether it beats plain coordinates. Needs no torch.

    python examples/probe_my_table.py table.csv population

The table has columns lon, lat, the label, and any number of feature columns.
"""

import sys

import numpy as np
import pandas as pd

from urbanln.probe.floors import coordinate_knn
from urbanln.probe.score import probe
from urbanln.probe.splits import block_split

path, label = sys.argv[1:3]
table = pd.read_csv(path).dropna(subset=["lon", "lat", label])
lonlat = table[["lon", "lat"]].to_numpy()
target = table[label].to_numpy(float)
vectors = table.drop(columns=["lon", "lat", label]).select_dtypes("number").to_numpy(float)

scores = probe(vectors, target, lonlat=lonlat, split="block", edge_km=5.0, buffer_km=1.0)
print(f"vectors: R² {scores.r2:.2f} [{scores.r2_low:.2f}, {scores.r2_high:.2f}] under 5 km blocks")

folds = block_split(lonlat, edge_km=5.0, buffer_km=1.0, folds=5, seed=0)
y = np.log1p(target)
floor = coordinate_knn(lonlat, y, folds)
print(f"coordinates alone: R² {1 - np.sum((y - floor) ** 2) / np.sum((y - y.mean()) ** 2):.2f}")
