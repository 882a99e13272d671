"""Blocks and a buffer for spatial splits, from how far a label's likeness reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from urbanln.base.space import Floats, square_blocks
from urbanln.base.variogram import Variogram

LEAST_REGIONS = 30
"""Below, neither a variogram nor a test says much."""
_LEAST_BLOCKS = 10  # five folds of two blocks
_TRY_KM = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 500)


@dataclass(frozen=True)
class Advice:
    """Blocks and buffer for spatial splits.

    Attributes:
        block_km: Edge of a block.
        buffer_km: Distance between test and training regions.
        limited_by: ``range`` (the block covers the label's range), ``map`` (a larger block would leave fewer
            than ten), or ``noise`` (no range was found, so blocks of a few regions will do).
        reason: The same in a sentence.
    """

    block_km: float
    buffer_km: float
    limited_by: str
    reason: str


def advise(gram: Variogram, places: Floats, spacing: float) -> Advice | None:
    """Blocks as long as the range where ten of them fit, and a buffer of a quarter of a block or more.

    Args:
        gram: Of the label.
        places: (N, 2) metres of the regions that have it.
        spacing: Median distance to the nearest other region, in km.

    Returns:
        None where there are fewer than 30 regions, or not ten blocks of any size.
    """
    if len(places) < LEAST_REGIONS or not math.isfinite(gram.range_km):
        return None
    fitting = [edge for edge in _TRY_KM if square_blocks(places, edge).max() + 1 >= _LEAST_BLOCKS]
    if not fitting:
        return None
    largest, range_km = fitting[-1], gram.range_km
    wanted = next((edge for edge in _TRY_KM if edge >= max(range_km, 3 * spacing)), _TRY_KM[-1])
    block = min(wanted, largest)
    buffer = max(1.5 * spacing, min(range_km, block / 4))
    if range_km == 0:
        by, why = "noise", f"no range was found, so a few regions ({spacing:.2g} km apart) make a block"
    elif gram.limited or wanted > largest:
        reach = f"beyond {range_km:.3g} km" if gram.limited else f"of {range_km:.3g} km"
        by, why = "map", f"the range is {reach}, and blocks over {block:g} km would be fewer than ten"
    else:
        by, why = "range", f"blocks are as long as the range of {range_km:.3g} km"
    return Advice(block, math.ceil(10 * buffer) / 10, by, why)
