"""One id in several writings: ``geoId/06037``, ``06037`` and the ``6037`` that a spreadsheet made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_PREFIXED = re.compile(r"(?:geoid|zip|zcta|nuts|wikidataid|country)/([^/]+)", re.IGNORECASE)
_CENSUS = re.compile(r"\d{3}[0-9A-Z]{4}US(\w+)")  # 1400000US06037101110, 860Z200US94043
_WHOLE = re.compile(r"(\d+)\.0+")
_H3_DIGITS = 15


class Writing(NamedTuple):
    """Ids of a table and of regions, brought to one writing.

    Args:
        theirs: Ids of the table, in its order.
        ours: What each region goes by, in the order of the regions.
        said: What was done, in words; empty where nothing was.
    """

    theirs: list[str]
    ours: list[list[str]]
    said: str


def writings(theirs: Sequence[str], ours: Sequence[Sequence[str]]) -> Iterator[Writing]:
    """Ways to compare ids, the plainest first.

    Args:
        theirs: Ids of a table.
        ours: What each region goes by.
    """
    yield Writing(list(theirs), [list(names) for names in ours], "")
    short, own = [_bare(name) for name in theirs], [[_bare(name) for name in names] for names in ours]
    yield Writing(short, own, "without prefixes (geoId/06037 is 06037)")
    digits = [name for names in own for name in names[-1:] if name.isdecimal()]
    if not digits:
        if digits := [name for name in short if name.isdecimal()]:
            yield Writing([_hexadecimal(name) for name in short], own, "H3 cells written as whole numbers")
        return
    # The last name of a region is its own; the others have a city's name before it.
    whole = len(digits) == sum(bool(names) for names in own)
    wide = {len(name) for name in digits}
    if not whole or len(wide) > 1:
        wide = {len(name) for name in short if name.isdecimal()}
    if len(wide) == 1:
        width = wide.pop()
        yield Writing(
            [_padded(name, width) for name in short],
            [[_padded(name, width) for name in names] for names in own],
            f"with leading zeros put back ({width} digits)",
        )


def _bare(name: str) -> str:
    found = _PREFIXED.fullmatch(name) or _CENSUS.fullmatch(name) or _WHOLE.fullmatch(name)
    return found[1] if found else name


def _padded(name: str, width: int) -> str:
    return name.zfill(width) if name.isdecimal() else name


def _hexadecimal(name: str) -> str:
    if not name.isdecimal():
        return name
    text = f"{int(name):x}"
    return text if len(text) == _H3_DIGITS else name
