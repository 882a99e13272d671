"""How far to trust a single prediction: what its interval holds, and whether neighbours err alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.pages.text import DASH, finite, quantity, score, words
from urbanln.report.reading import indicators, main_row


def coverage_lines(scores: Mapping[str, Any], units: Mapping[str, str]) -> list[dict[str, Any]]:
    """Per indicator: the coverage that the intervals of regions reach against what was asked, in words."""
    level = finite((scores.get("settings") or {}).get("level"))
    lines = []
    for name in indicators(scores):
        row = main_row(scores, name)
        reached, low, high = (finite(row.get(key)) for key in ("coverage", "coverage_low", "coverage_high"))
        if reached is None:
            continue
        ends = f" [{_percent(low)}, {_percent(high)}]" if low is not None and high is not None else ""
        asked = f" of the {_percent(level)} asked for" if level is not None else ""
        unit = f" {units[name]}" if units.get(name) else ""
        lines.append(
            {
                "indicator": words(name),
                "asked": _percent(level) if level is not None else DASH,
                "reached": _percent(reached),
                "range": ends.strip(),
                "width": f"{quantity(row.get('width'))}{unit}",
                "sentence": f"The intervals hold {_percent(reached)}{ends} of the truths{asked}: "
                f"{_judged_coverage(level, low, high)}.",
            }
        )
    return lines


def _judged_coverage(level: float | None, low: float | None, high: float | None) -> str:
    if level is None or low is None or high is None:
        return "whether that differs from what was asked cannot be told"
    if high < level:
        return "they are too narrow here, and promise more than they keep"
    if low > level:
        return "they are wider than they need be"
    return "what was asked lies within the uncertainty of what was reached"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def residual_lines(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per indicator: Moran's I of the residuals of the main vectors with one sentence."""
    lines = []
    for name in indicators(scores):
        row = main_row(scores, name)
        moran, p = finite(row.get("morans_i")), finite(row.get("morans_p"))
        if moran is None:
            continue
        if p is not None and p < 0.05 and moran > 0:
            sentence = (
                "Neighbouring regions err alike: something that has to do with place is still missing, "
                "and regions are no independent samples."
            )
        elif p is None:
            sentence = "Whether that is more than chance was not tested."
        else:
            sentence = "There is no sign that neighbouring regions err alike."
        lines.append(
            {
                "indicator": words(name),
                "moran": score(moran),
                "p": DASH if p is None else f"{p:.3f}".removeprefix("0"),
                "sentence": sentence,
            }
        )
    return lines
