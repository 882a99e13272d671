"""Stretched positions, row by row from the table of Long-CLIP."""

from __future__ import annotations

import numpy as np


def stretch(table: np.ndarray, keep: int, ratio: int, tail: str) -> np.ndarray:
    """Rows are kept, taken between two neighbours, or continued past the last one."""
    length = len(table)
    rows = [table[j] for j in range(keep)]
    for j in range(keep, keep + ratio * (length - keep)):
        i, a = keep + (j - keep) // ratio, ((j - keep) % ratio) / ratio
        if i < length - 1:
            rows.append((1 - a) * table[i] + a * table[i + 1])
        elif tail == "clamp" or length == 1:
            rows.append(table[i])
        else:
            rows.append(table[i] + a * (table[i] - table[i - 1]))
    return np.array(rows).reshape(-1, table.shape[1])
