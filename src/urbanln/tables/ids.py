"""One id in several writings: ``geoId/06037``, ``06037`` and the ``6037`` that a spreadsheet made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_PREFIXED = re.compile(r"(geoid|zip|zcta|nuts|wikidataid|country)/([^/]+)", re.IGNORECASE)
_CENSUS = re.compile(r"(\d{3})[0-9A-Z]{4}US(\w+)")  # 1400000US06037101110; 860Z200US94043 is a ZIP code
_ONE_KIND = {"zcta": "zip", "860": "zip", "871": "zip"}
_H3_DIGITS = 15


class Writing(NamedTuple):
    """Ids of a table and of regions, brought to one writing.

    Args:
        theirs: Ids of the table, in its order.
        ours: What each region goes by, in the order of the regions.
        said: What was done to them, by an example; empty where nothing was.
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
    # geoId/06037 is a county and zip/06037 a town: where both sides say which, it counts.
    both = any(_kind(n)[0] for n in theirs) and any(_kind(names[-1])[0] for names in ours if names)
    short, own = [_bare(n, both) for n in theirs], [[_bare(n, both) for n in names] for names in ours]
    yield Writing(short, own, _changed(theirs, short) or _changed(*_own(ours, own)))
    # The last name of a region is its own; the others have a city's name before it.
    digits = [names[-1] for names in own if names and names[-1].isdecimal()]
    widths = [{len(name) for name in digits}] if len(digits) == len(own) else []
    widths.append({len(name) for name in short if name.isdecimal()})
    if digits and (even := [max(width) for width in widths if len(width) == 1]):
        width = max(even)
        long, ours_long = (
            [_padded(n, width) for n in short],
            [[_padded(n, width) for n in names] for names in own],
        )
        yield Writing(long, ours_long, _changed(theirs, long) or _changed(*_own(ours, ours_long)))
    cells = [_hexadecimal(name) for name in short]
    if cells != short:
        yield Writing(cells, own, _changed(theirs, cells))


def _own(ours: Sequence[Sequence[str]], changed: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    return [names[-1] for names in ours], [names[-1] for names in changed]


def _changed(before: Sequence[str], after: Sequence[str]) -> str:
    """The first id that is written otherwise, in words."""
    return next(
        (f"with {old} read as {new}" for old, new in zip(before, after, strict=True) if old != new), ""
    )


def _kind(name: str) -> tuple[str, str]:
    """What an id says it is of, in one word for all writings, and the rest of it."""
    if found := _PREFIXED.fullmatch(name):
        kind = found[1].lower()
        return _ONE_KIND.get(kind, kind), found[2]
    if found := _CENSUS.fullmatch(name):
        return _ONE_KIND.get(found[1], "geoid"), found[2]
    return "", name


def _bare(name: str, with_kind: bool) -> str:
    kind, rest = _kind(name)
    if kind and with_kind:
        return f"{kind}/{rest}"
    return rest


def _padded(name: str, width: int) -> str:
    return name.zfill(width) if name.isdecimal() else name


def _hexadecimal(name: str) -> str:
    if not name.isdecimal():
        return name
    text = f"{int(name):x}"
    return text if len(text) == _H3_DIGITS else name
