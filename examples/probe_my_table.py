"""Ask of any table of region vectors whether it beats plain coordinates. Needs no torch.

    python examples/probe_my_table.py table.csv population

The table has columns lon, lat, the label, and any number of feature columns.
"""

import sys

import pandas as pd

from urbanln.probe.score import probe

path, label = sys.argv[1:3]
table = pd.read_csv(path).dropna(subset=["lon", "lat", label])
vectors = table.drop(columns=["lon", "lat", label]).select_dtypes("number")

scores = probe(vectors, table[label], lonlat=table[["lon", "lat"]], split="block", edge_km=5.0, buffer_km=1.0)
gap = scores.vs["coordinates"]  # on the same folds and the same resamples
print(f"vectors: R² {scores.r2:.2f} [{scores.r2_low:.2f}, {scores.r2_high:.2f}] under 5 km blocks")
print(f"coordinates alone: R² {scores.r2 - gap.diff:.2f}")
print(f"difference: {gap.diff:.2f} [{gap.low:.2f}, {gap.high:.2f}]")
