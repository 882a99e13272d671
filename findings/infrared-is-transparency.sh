#!/usr/bin/env bash
# Pillow 13.0.0: in a four-band TIFF without ExtraSamples (red, green, blue, near infrared) the infrared becomes transparency.
#
# Aerial orthophotos come with four bands of 8 bits; many writers tag them as RGB and say nothing of the fourth (tag 338 absent).
# Pillow opens such a file as mode RGBA. Whoever composites transparency on white, as transformers 5 does for CLIP, then bleaches
# everything that is dark in the infrared: water and roofs become nearly white.
#
# Seen: mode RGBA; a dark pixel (20, 30, 40) with infrared 10 composites on white to (246, 246, 247).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import struct

import numpy as np
from PIL import Image, __version__

pixels = np.tile(np.array([20, 30, 40, 10], np.uint8), (8, 8, 1))
data, tags = pixels.tobytes(), []
add = lambda tag, kind, count, value: tags.append(struct.pack("<HHII", tag, kind, count, value))
count, start = 11, 8
after = start + 2 + 12 * count + 4
add(256, 4, 1, 8)
add(257, 4, 1, 8)
add(258, 3, 4, after)
add(259, 3, 1, 1)
add(262, 3, 1, 2)
add(273, 4, 1, after + 8)
add(277, 3, 1, 4)
add(278, 4, 1, 8)
add(279, 4, 1, len(data))
add(284, 3, 1, 1)
add(296, 3, 1, 1)
with open("rgbn.tif", "wb") as file:
    file.write(b"II*\0" + struct.pack("<I", start) + struct.pack("<H", count) + b"".join(tags) + struct.pack("<I", 0))
    file.write(struct.pack("<4H", 8, 8, 8, 8) + data)
image = Image.open("rgbn.tif")
white = Image.new("RGBA", image.size, (255, 255, 255, 255))
seen = Image.alpha_composite(white, image.convert("RGBA")).getpixel((0, 0))[:3]
print(f"Pillow {__version__}: mode {image.mode}, tag 338 {image.tag_v2.get(338)}; (20, 30, 40) on white: {seen}")
assert image.mode == "RGBA" and 338 not in image.tag_v2
assert seen == (246, 246, 247)
PY
