"""All attacks of the campaign, in order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib import import_module

from tests.attack.case import Attack

PARTS = ("inputs", "outputs", "settings", "kills", "pairs", "server", "network", "places", "explore")


def attacks(seed: int) -> Sequence[Attack]:
    """Every attack of a seed; a part added later leaves the others as they are."""
    found: list[Attack] = []
    for part in PARTS:
        found += import_module(f"tests.attack.part_{part}").attacks(random.Random(f"{seed} {part}"))
    names = [attack.full for attack in found]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"attacks of one name: {twice}"
    return found
