"""Ask of any table of region vectors whether it beats what the map alone gives. Needs no torch.

    python examples/probe_my_table.py table.csv population ['A*']

The table has columns lon, lat, the label, and the vectors: one column of lists, columns that count up (A00,
A01, …), or those the third word names.
"""

import sys

import pandas as pd

from urbanln.probe.score import probe
from urbanln.tables.columns import features_of

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
path, label, *named = sys.argv[1:]
table = pd.read_csv(path).dropna(subset=["lon", "lat", label])
columns = named[0].split(",") if named else []
found = features_of(table, columns=columns, labels=[label], key="lon,lat", where=path, spec=path)

scores = probe(
    found.vectors,
    table[label].iloc[found.rows],
    lonlat=found.lonlat,
    split="block",
    edge_km=5.0,
    buffer_km=1.0,
)
print(f"vectors: R² {scores.r2:.2f} [{scores.r2_low:.2f}, {scores.r2_high:.2f}] under 5 km blocks")
for floor, gap in scores.vs.items():  # on the same folds and the same resamples
    print(f"{floor}: R² {scores.r2 - gap.diff:.2f}; vectors {gap.diff:+.2f} [{gap.low:.2f}, {gap.high:.2f}]")
if scores.adds is not None:
    gain = scores.adds
    print(f"vectors add to the map: {gain.diff:.2f} [{gain.low:.2f}, {gain.high:.2f}] R²")
print(
    f"90 % intervals hold {scores.coverage:.0%} of the truths; Moran's I of the errors {scores.morans_i:.2f}"
)
