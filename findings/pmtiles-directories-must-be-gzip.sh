#!/usr/bin/env bash
# pmtiles 3.8.1: a PMTiles file whose directories and metadata are not compressed cannot be read.
#
# Version 3 of the format names the compression of directories and metadata in byte 97 of the header, and 1, "none", is one of
# them. deserialize_directory() calls gzip.decompress() whatever stands there, so Reader.get() raises BadGzipFile for every tile
# of such a file, while Reader.metadata() of the same file works. Who serves tiles with it shows an empty map.
#
# Seen: header() and metadata() read; get(0, 0, 0): BadGzipFile; the same file with compressed directories: b'tile'.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pmtiles==3.8.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import gzip
import struct

from pmtiles.reader import MemorySource, Reader

# One entry: steps to its number, how many tiles, its length, its offset plus one.
directory, metadata, tile = bytes([1, 0, 1, 4, 1]), b'{"name": "one tile"}', b"tile"


def file(pack, compression):
    root, notes = pack(directory), pack(metadata)
    starts = [127, 127 + len(root), 127 + len(root) + len(notes), 127 + len(root) + len(notes)]
    lengths = [len(root), len(notes), 0, len(tile)]
    places = [value for pair in zip(starts, lengths) for value in pair]
    whole_world = (-1800000000, -850000000, 1800000000, 850000000)
    head = struct.pack(
        "<7sB11Q6B4iB2i", b"PMTiles", 3, *places, 1, 1, 1, 1, compression, 1, 2, 0, 0, *whole_world, 0, 0, 0
    )
    return Reader(MemorySource(head + root + notes + tile))


plain, packed = file(bytes, 1), file(gzip.compress, 2)
assert packed.get(0, 0, 0) == tile
assert plain.header()["internal_compression"].name == "NONE"
assert plain.metadata() == {"name": "one tile"}
try:
    told = plain.get(0, 0, 0)
except gzip.BadGzipFile as error:
    told = f"BadGzipFile: {error}"
print(f"compressed: {packed.get(0, 0, 0)}; not compressed: {told}")
assert str(told).startswith("BadGzipFile")
PY
