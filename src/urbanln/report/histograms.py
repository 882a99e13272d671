"""Histograms of labels: coloured as the map is, with the values that part the regions into fifths."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import WIDTH, Canvas, log_ticks, round_ticks
from urbanln.pages.maps import VIRIDIS, spread
from urbanln.pages.text import Kind, count, kind_of, words, written

_BINS, _FEW = 32, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 10.0, 150.0


def histogram(name: str, unit: str, values: np.ndarray, log: bool) -> dict[str, Any]:
    """Picture and sentences for one label.

    Args:
        name: Of the label.
        unit: Of its values.
        values: (N,) per region, NaN where it has none.
        log: Bars are equally wide in ln(1 + x), as the label is scored.
    """
    known = values[np.isfinite(values)]
    missing = len(values) - len(known)
    said = f"{count(len(known))} value{'' if len(known) == 1 else 's'}, {count(missing)} missing"
    entry = {"name": words(name), "unit": unit, "said": said, "breaks": "", "picture": None}
    if not len(known):
        return entry
    kind = kind_of(name, known)
    fifths = np.quantile(known, [0.2, 0.4, 0.6, 0.8], method="inverted_cdf")
    return entry | {
        "breaks": " · ".join(dict.fromkeys(written(one, kind) for one in fifths)),
        "picture": _picture(
            f"Histogram of {words(name)}: {said}", unit, known, log and known.min() > -1, fifths, kind
        ),
    }


def _picture(label: str, unit: str, known: np.ndarray, log: bool, fifths: np.ndarray, kind: Kind) -> Markup:
    bend = np.log1p if log else np.asarray
    low, high = float(known.min()), float(known.max())
    if not high > low:
        low, high = low - max(abs(low), 1.0) * 0.01, high + max(abs(high), 1.0) * 0.01
    if log:
        low = max(low, -0.999)
    distinct = len(np.unique(known))
    edges = np.linspace(bend(low), bend(high), (2 * distinct + 1 if distinct <= _FEW else _BINS) + 1)
    counts = np.histogram(bend(known), edges)[0]
    canvas = Canvas(
        WIDTH, _BOTTOM + 40, f"{label}; {written(low, kind)} to {written(high, kind)} {unit}".rstrip()
    )
    wide, tall, most = WIDTH - _LEFT - _RIGHT, _BOTTOM - _TOP, int(counts.max())

    def across(bent: float) -> float:
        return float(_LEFT + (bent - edges[0]) / (edges[-1] - edges[0]) * wide)

    for tick in (t for t in round_ticks(0, most, 3) if t == int(t)):
        y = _BOTTOM - tick / most * tall
        canvas.line(_LEFT, y, WIDTH - _RIGHT, y, "zero" if tick == 0 else "grid")
        canvas.text(_LEFT - 6, y + 4, f"{tick:,.0f}", anchor="end")
    stops = bend(np.array(spread(known, log)))
    channels = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in VIRIDIS], dtype=float)
    for left, right, number in zip(edges[:-1], edges[1:], counts, strict=True):
        if number:
            middle, height = (left + right) / 2, number / most * tall
            colour = "#" + "".join(f"{round(np.interp(middle, stops, c)):02x}" for c in channels.T)
            x = across(left)
            canvas.rectangle(x, _BOTTOM - height, max(across(right) - x - 0.5, 0.5), height, colour)
    for value in np.unique(fifths):
        x = across(float(bend(value)))
        canvas.line(x, _TOP - 4, x, _BOTTOM, "floor-mean")
    for tick in log_ticks(low, high) if log else round_ticks(low, high, 4):
        canvas.text(across(float(bend(tick))), _BOTTOM + 16, written(tick, kind), anchor="middle")
    canvas.text(_LEFT + wide / 2, _BOTTOM + 33, unit or "value", "axis", "middle")
    return canvas.svg()
