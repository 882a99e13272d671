"""Cut CLIP's byte-pair merges out of the file that open_clip_torch ships, and write them for the package.

Run: pip download --no-deps open_clip_torch, unpack the wheel, then
    python tools/make_clip_vocabulary.py open_clip/bpe_simple_vocab_16e6.txt.gz
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src/urbanln/model/clip_vocabulary"
# 49,408 tokens are 256 bytes, the same at a word's end, the merges, BOS and EOT; the file goes on.
MERGES = 49408 - 2 * 256 - 2


def main() -> None:
    """Read the long file and write the merges that CLIP uses, the same bytes every time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(parser.parse_args().file.read_bytes()).decode("utf-8").split("\n")
    merges = "\n".join(lines[1 : MERGES + 1]) + "\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "merges.txt.gz").write_bytes(gzip.compress(merges.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
