#!/usr/bin/env bash
# eviltransform 0.1.1, coord-convert 0.2.1 and prcoords 1.0.2 shift Seoul, Hanoi, Ulaanbaatar and Vladivostok.
#
# Maps of China use GCJ-02, which is WGS 84 moved by some hundred metres. The converters decide by a rectangle (72.004 to 137.8347
# east, 0.8293 to 55.8271 north) whether a place is in China; it holds Korea, Mongolia, most of South-East Asia and the Russian
# Far East. A table of such a city that goes through "GCJ-02 to WGS 84" by mistake, or one that lies across a border, moves by
# 440 to 620 m without a word. prcoords warns of nothing either, unlike for places outside the rectangle.
#
# Seen: Seoul 460 m, Hanoi 442 m, Ulaanbaatar 451 m, Vladivostok 620 m, the same by all three; Tokyo (outside) 0 m.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet eviltransform==0.1.1 coord-convert==0.2.1 prcoords==1.0.2
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import warnings

import coord_convert.transform
import eviltransform
import prcoords

warnings.simplefilter("error")
SEEN = {
    "Seoul": (37.5665, 126.9780, 460),
    "Hanoi": (21.0285, 105.8542, 442),
    "Ulaanbaatar": (47.9186, 106.9176, 451),
    "Vladivostok": (43.1155, 131.8855, 620),
    "Tokyo": (35.6762, 139.6503, 0),
}
for name, (lat, lon, metres) in SEEN.items():
    by_evil = eviltransform.wgs2gcj(lat, lon)
    x, y = coord_convert.transform.wgs2gcj(lon, lat)
    ways = [by_evil, (y, x)]
    if metres:  # outside its rectangle prcoords warns
        there = prcoords.wgs_gcj((lat, lon))
        ways.append((there.lat, there.lon))
    moved = [eviltransform.distance(lat, lon, *way) for way in ways]
    print(f"{name}: moved by {', '.join(f'{m:.0f} m' for m in moved)}")
    assert all(abs(m - metres) < 1 for m in moved)
PY
