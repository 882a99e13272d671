"""What steps work out on the way and need not work out again: parts of pictures, parses, groundings."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

PARSES = "parse:"
"""How the kinds of parses begin; the parser's version follows."""


class Facts(Protocol):
    """Keeps JSON values under a kind and a key; the ledger of a city is one, memory another."""

    def get_facts(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """The values that are there, by key; keys without one are left out."""

    def put_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep values; one that is there already stays as it is."""


class MemoryFacts:
    """Facts kept as long as the program runs: for captions that belong to no city.

    Args:
        most: Facts that are kept, the last used ones; None keeps all. As JSON, so that many take little room.
    """

    def __init__(self, most: int | None = None) -> None:
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._most = most

    def get_facts(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """The values that are there, by key."""
        found = {}
        for key in keys:
            if (kind, key) in self._kept:
                self._kept.move_to_end((kind, key))
                found[key] = json.loads(self._kept[kind, key])
        return found

    def put_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep values; one that is there already stays as it is."""
        for key, value in values.items():
            self._kept.setdefault((kind, key), json.dumps(value, ensure_ascii=False))
        while self._most is not None and len(self._kept) > self._most:
            self._kept.popitem(last=False)
