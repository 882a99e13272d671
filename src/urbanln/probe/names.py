"""How scores call what predicts: floors, the map, the map with vectors."""

from __future__ import annotations

NO_HEAD = "none"
"""The head of a floor."""
NEAREST = "coordinates-nearest"
"""The floor of the nearest regions on the map, which also stands beside vectors learned from few labels."""
OLDER = "coordinates"
"""What older scores call it."""
MAP = "map"
"""The features of a head that sees the map alone."""


def joint_name(name: str) -> str:
    """The features "map and vectors together" of a table."""
    return f"coordinates + {name}"
