"""What steps work out on the way and need not work out again: parts of pictures, parses, groundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Facts(Protocol):
    """Keeps JSON values under a kind and a key; the ledger of a city is one, memory another."""

    def get_facts(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """The values that are there, by key; keys without one are left out."""

    def put_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep values; one that is there already stays as it is."""


class MemoryFacts:
    """Facts kept as long as the program runs: for captions that belong to no city."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Any] = {}

    def get_facts(self, kind: str, keys: Sequence[str]) -> dict[str, Any]:
        """The values that are there, by key."""
        return {key: self._kept[kind, key] for key in keys if (kind, key) in self._kept}

    def put_facts(self, kind: str, values: Mapping[str, Any]) -> None:
        """Keep values; one that is there already stays as it is."""
        for key, value in values.items():
            self._kept.setdefault((kind, key), value)
