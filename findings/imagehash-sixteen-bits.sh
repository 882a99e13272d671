#!/usr/bin/env bash
# ImageHash 4.3.2 with Pillow 13.0.0: every 16-bit picture has the same perceptual hash.
#
# Satellite bands are stored in 16 bits (300 to 4,000 is usual for reflectance × 10,000). ImageHash reduces a picture to grey by
# Pillow's convert("L"), which cuts mode I;16 at 255 instead of scaling it: all pixels become white, and two unrelated scenes are
# "near duplicates" at distance 0 by phash, dhash and average_hash. No warning. A float picture (mode F, 0 to 1) becomes black.
#
# Seen: I;16 phash 8000000000000000 for both, distance 0; F phash 0000000000000000; the same scenes scaled to 8 bits: far apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ImageHash==4.3.2 pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import imagehash
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
bands = [rng.integers(300, 4000, (64, 64)).astype(np.uint16) for _ in range(2)]
wide = [Image.fromarray(band) for band in bands]
scaled = [Image.fromarray((band / 4000 * 255).astype(np.uint8)) for band in bands]
real = Image.fromarray(rng.random((64, 64)).astype(np.float32))
for name in ("phash", "dhash", "average_hash"):
    one = getattr(imagehash, name)
    apart, right = one(wide[0]) - one(wide[1]), one(scaled[0]) - one(scaled[1])
    print(f"{name}: {wide[0].mode} {one(wide[0])} {one(wide[1])}, distance {apart}; scaled to 8 bits: {right}")
    assert apart == 0 and right > 10
print(f"{real.mode}: phash {imagehash.phash(real)}")
assert str(imagehash.phash(real)) == "0" * 16
PY
