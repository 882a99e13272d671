"""The audit as the page prints it: labels, pictures, captions, and what was found in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from urbanln.pages.charts import axis_score
from urbanln.pages.text import DASH, clean, count, finite, kind_of, quantity, score, share, words, written
from urbanln.report.caption_faults import caption_faults
from urbanln.report.plots import Axis, Curve, curves

_FEW = 5


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
        "any": bool(labels),
        "labels": [_label(name, part) for name, part in labels.items() if _kind(part) == "number"],
        "classes": [_classes(name, part) for name, part in labels.items() if _kind(part) == "classes"],
        "shares": [_shares(name, part) for name, part in labels.items() if _kind(part) == "shares"],
        "reasons": _reasons(labels),
        "variograms": [
            (words(name), _variogram(name, gram))
            for name, gram in ((name, part.get("variogram")) for name, part in labels.items())
            if isinstance(gram, Mapping) and len(gram.get("gamma") or []) >= 2
        ],
        "pictures": _pictures(audit.get("pictures") or {}),
        "captions": caption_faults(audit.get("captions") or {}),
    }


def _kind(part: Mapping[str, Any]) -> str:
    return str(part.get("kind") or "number")


def _of_space(part: Mapping[str, Any]) -> dict[str, str]:
    """How far likeness reaches, and the blocks that are suggested."""
    gram, advice = (part.get(key) or {} for key in ("variogram", "advice"))
    reach = finite(gram.get("range_km"))
    return {
        "reach": DASH if reach is None else f"{'≥ ' if gram.get('limited') else ''}{quantity(reach)} km",
        "blocks": f"{quantity(advice.get('block_km'))} / {quantity(advice.get('buffer_km'))} km"
        if advice
        else DASH,
    }


def _classes(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """A label of classes as a row."""
    found = [one for one in part.get("classes") or [] if isinstance(one, Mapping)]
    joins = part.get("joins") or {}
    rare = [
        f"{one.get('name')} {count(one.get('regions'))}"
        for one in found
        if one.get("name") in part.get("rare", ())
    ]
    most = found[0] if found else {}
    return {
        "indicator": words(name),
        "n": count(part.get("n")),
        "missing": count(part.get("missing")),
        "classes": count(len(found)),
        "effective": quantity(part.get("effective")),
        "evenness": score(part.get("evenness")),
        "largest": f"{clean(most.get('name'), 60)} {share(most.get('share'))}" if found else DASH,
        "rare": clean(
            "; ".join(rare[:_FEW]) + (f" … and {len(rare) - _FEW} more" if len(rare) > _FEW else ""), 300
        )
        or DASH,
        "same": share(joins.get("same")),
        "chance": share(joins.get("expected")),
        "z": quantity(joins.get("z")),
        **_of_space(part),
    }


def _shares(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """A label of shares as a group of rows, one per part."""
    parts = [one for one in part.get("parts") or [] if isinstance(one, Mapping)]
    n = finite(part.get("n")) or 0
    rows = [
        {
            "name": words(one.get("name")),
            "mean": score(one.get("mean")),
            "range": f"{score(one.get('minimum'))} · {score(one.get('maximum'))}",
            "zeros": share((finite(one.get("zeros")) or 0) / n) if n else DASH,
            "largest": share(one.get("largest")),
            "moran": score((one.get("moran") or {}).get("i")),
        }
        for one in sorted(parts, key=lambda one: -(finite(one.get("mean")) or 0))
    ]
    return {
        "indicator": words(name),
        "unit": clean(part.get("unit"), 60),
        "n": count(part.get("n")),
        "missing": count(part.get("missing")),
        "rows": rows,
        **_of_space(part),
    }


def _label(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    moran = part.get("moran") or {}
    unit = f" {part['unit']}" if part.get("unit") else ""
    told = [part.get(key) for key in ("minimum", "median", "maximum")]
    kind = kind_of(name, [number for one in told if (number := finite(one)) is not None])
    held = [
        f"{written(one.get('value'), kind)} in {share(one.get('share'))}"
        for one in part.get("saturated") or []
    ]
    return {
        "indicator": words(name),
        "unit": clean(unit, 60),
        "n": count(part.get("n")),
        "missing": count(part.get("missing")),
        "zeros": count(part.get("zeros")),
        "range": " · ".join(written(one, kind) for one in told),
        "saturated": clean("; ".join(held), 300) or DASH,
        "twins": share(part.get("twins")),
        "heavy": bool(part.get("heavy_tail")),
        "tail": quantity(part.get("max_to_p95")),
        "moran": score(moran.get("i")),
        **_of_space(part),
    }


def _reasons(labels: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Labels whose blocks have one reason, and that reason."""
    found: dict[str, list[str]] = {}
    for name, part in labels.items():
        if reason := clean((part.get("advice") or {}).get("reason"), 600):
            found.setdefault(reason, []).append(words(name))
    return [(", ".join(names), reason) for reason, names in found.items()]


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


_PICTURES = (
    ("pictures", "Pictures"),
    ("regions", "Regions"),
    ("without", "Regions without"),
    ("unreadable", "Unreadable"),
    ("flat", "Flat"),
    ("exact", "Same bytes elsewhere"),
    ("near", "Nearly the same elsewhere"),
    ("leaks", "Held out, and in train"),
)


def _pictures(views: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that any view has something to say of, and a row per view."""
    parts = {str(view): part for view, part in views.items() if isinstance(part, Mapping) and part}
    there = [(key, title) for key, title in _PICTURES if any(p.get(key) is not None for p in parts.values())]
    rows = []
    for view, part in parts.items():
        listed = {key: len(value) if isinstance(value, list) else value for key, value in part.items()}
        rows.append((words(view), [count(listed.get(key)) for key, _ in there]))
    return {"columns": [title for _, title in there], "rows": rows}
