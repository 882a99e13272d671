"""The audit as the page prints it: labels, pictures, captions, and what was found in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import axis_score
from urbanln.pages.text import DASH, clean, finite, quantity, score, words
from urbanln.report.plots import Axis, Curve, curves

_MOST_FACTS, _MOST_ITEMS = 40, 12


def audit_context(audit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the template prints; ``None`` where there is no audit.

    Args:
        audit: ``labels`` (by indicator), ``pictures`` (by view), ``captions`` and ``found`` (sentences, worst
            first); a part that is missing is left out.
    """
    if not audit:
        return None
    given = (audit.get("labels") or {}).items()
    labels = {str(name): part for name, part in given if isinstance(part, Mapping)}
    suggested = audit.get("suggested")
    return {
        "found": [clean(sentence, 1000) for sentence in audit.get("found") or []],
        "options": clean(suggested.get("options"), 300) if isinstance(suggested, Mapping) else None,
        "labels": [_label(name, part) for name, part in labels.items()],
        "variograms": [
            (words(name), _variogram(name, gram))
            for name, gram in ((name, part.get("variogram")) for name, part in labels.items())
            if isinstance(gram, Mapping) and len(gram.get("gamma") or []) >= 2
        ],
        "pictures": [
            (words(view), facts(part)) for view, part in (audit.get("pictures") or {}).items() if part
        ],
        "captions": facts(audit.get("captions") or {}),
    }


def _label(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    moran, gram, advice = (part.get(key) or {} for key in ("moran", "variogram", "advice"))
    unit = f" {part['unit']}" if part.get("unit") else ""
    held = [
        f"{quantity(one.get('value'))} in {_share(one.get('share'))}" for one in part.get("saturated") or []
    ]
    reach = finite(gram.get("range_km"))
    return {
        "indicator": words(name),
        "unit": clean(unit, 60),
        "n": _count(part.get("n")),
        "missing": _count(part.get("missing")),
        "zeros": _count(part.get("zeros")),
        "range": " · ".join(quantity(part.get(key)) for key in ("minimum", "median", "maximum")),
        "saturated": clean("; ".join(held), 300) or DASH,
        "twins": _share(part.get("twins")),
        "heavy": bool(part.get("heavy_tail")),
        "tail": quantity(part.get("max_to_p95")),
        "moran": score(moran.get("i")),
        "reach": DASH if reach is None else f"{'≥ ' if gram.get('limited') else ''}{quantity(reach)} km",
        "blocks": f"{quantity(advice.get('block_km'))} / {quantity(advice.get('buffer_km'))} km"
        if advice
        else DASH,
        "reason": clean(advice.get("reason"), 600),
    }


def _count(value: object) -> str:
    number = finite(value)
    return DASH if number is None else f"{number:,.0f}"


def _share(value: object) -> str:
    number = finite(value)
    return DASH if number is None else f"{100 * number:.{0 if number >= 0.1 or number == 0 else 1}f} %"


def _variogram(name: str, gram: Mapping[str, Any]) -> Markup:
    distance, gamma = (np.array(gram[key], dtype=float) for key in ("distance_km", "gamma"))
    known = np.isfinite(distance) & np.isfinite(gamma)
    lines = [Curve("measured", distance[known], gamma[known], "a")]
    nugget, sill, reach = (finite(gram.get(key)) for key in ("nugget", "sill", "range_km"))
    # Where the range is only known to lie beyond the map, there is no model to draw.
    if nugget is not None and sill is not None and reach and known.any() and not gram.get("limited"):
        # The exponential model is at 95 % of its sill at its practical range.
        x = np.linspace(0.0, float(distance[known].max()), 60)
        lines.append(Curve("model", x, nugget + (sill - nugget) * (1 - np.exp(-3 * x / reach)), "b"))
    label = f"Variogram of {words(name)}: range {quantity(reach)} km"
    return curves(label, lines, y_zero=True, y_label=axis_score, axis=Axis("distance, km"))


def facts(part: object, prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of a JSON object, innermost ones in one line: what a part holds, whatever it is."""
    found: list[tuple[str, str]] = []
    for key, value in part.items() if isinstance(part, Mapping) else ():
        name = f"{prefix}{words(key)}"
        if value is None or value in ([], {}, ()):
            continue
        if isinstance(value, Mapping) and any(isinstance(part, Mapping) for part in value.values()):
            found += facts(value, f"{name}: ")
        elif isinstance(value, Mapping):
            found.append((name, clean(_item(dict(list(value.items())[:_MOST_ITEMS])), 600)))
        elif isinstance(value, list | tuple):
            more = f"; and {len(value) - 5:,} more" if len(value) > 5 else ""
            found.append((name, clean("; ".join(map(_item, value[:5])), 600) + more))
        else:
            found.append((name, _item(value)))
    return found[:_MOST_FACTS] if not prefix else found


def _item(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{words(k)} {_item(v)}" for k, v in value.items() if v not in (None, [], {}))
    if isinstance(value, list | tuple):
        return ", ".join(map(_item, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return quantity(value) if isinstance(value, int | float) else clean(value, 300)
