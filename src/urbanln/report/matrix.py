"""A matrix as a picture: from rows to columns, a colour and a number in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import WIDTH, Canvas
from urbanln.pages.text import score

# Orange below 0, blue above; light enough at both ends for dark numbers (contrast above 7).
_BELOW, _ZERO, _ABOVE = (0xF4, 0xA5, 0x82), (0xF7, 0xF7, 0xF7), (0x86, 0xBC, 0xDD)
_LEFT, _TOP, _ROW = 104.0, 34.0, 34.0


def shade(value: float) -> str:
    """The colour of an R²: orange to white below 0 (full at −1), white to blue above (full at 1)."""
    ends = (_ZERO, _ABOVE) if value >= 0 else (_ZERO, _BELOW)
    share = min(abs(value), 1.0)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(*ends, strict=True))


def matrix(
    label: str, rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], float | None]
) -> Markup:
    """Numbers in coloured cells; one that is missing stays empty.

    Args:
        label: What a screen reader says instead of the picture.
        rows: Names at the left: fitted on.
        columns: Names on top: predicted.
        cells: R² by (row, column); no entry where the two are the same.
    """
    cell = max((WIDTH - _LEFT) / max(len(columns), 1), 46.0)
    wide = min(cell, 96.0)
    canvas = Canvas(max(_LEFT + wide * len(columns), WIDTH), _TOP + _ROW * len(rows) + 4, label)
    most = max(int(wide / 6.4), 4)
    for j, name in enumerate(columns):
        canvas.text(_LEFT + (j + 0.5) * wide, _TOP - 8, _cut(name, most), "row", "middle")
    for i, name in enumerate(rows):
        y = _TOP + i * _ROW
        canvas.text(0, y + 0.62 * _ROW, _cut(name, 15), "row")
        for j, column in enumerate(columns):
            x = _LEFT + j * wide
            value = cells.get((name, column))
            known = value is not None and np.isfinite(value)
            colour = shade(float(value)) if value is not None and known else "#ffffff"
            canvas.rectangle(x, y, wide - 2, _ROW - 2, colour)
            if known or (name, column) in cells:
                canvas.text(x + wide / 2 - 1, y + 0.62 * _ROW, score(value), "cell", "middle")
    return canvas.svg()


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
