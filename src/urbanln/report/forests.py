"""Score plots: one per indicator, all on one R² axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from urbanln.pages.text import clean, finite, score, words
from urbanln.report.plots import Dot, SplitDots, forest
from urbanln.report.reading import (
    floors_of,
    indicators,
    is_joint,
    ordered,
    rows_of,
    scale_of,
    splits_of,
    strongest_floor,
    unique,
)

# What there is room for beside a plot.
_SHORT = {
    "coordinates": "coordinates: nearest",
    "coordinates-boosting": "coordinates: boosting",
    "coordinates-gp": "coordinates: Gaussian",
}


def forests(scores: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Name and score plot of every indicator: floors and tables under every split, with intervals."""
    rows = [r for r in scores.get("rows") or [] if not is_joint(str(r.get("features")))]
    ends = [finite(r.get(key)) for r in rows for key in ("r2", "r2_low", "r2_high")]
    known = [e for e in ends if e is not None]
    if not known:
        return []
    low = min(0.0, max(-0.5, min(known)))
    high = max(min(1.0, max(known)), 0.2)
    # Round ends, so that the axis closes on a tick.
    low, high = -0.1 * -(-abs(low) // 0.1), 0.1 * -(-high // 0.1)
    return [
        (
            words(name),
            forest(
                _label(scores, name),
                _groups(scores, name),
                (low, high),
                f"R² of {_scale(scores, name)}, held out",
            ),
        )
        for name in indicators(scores)
    ]


def _scale(scores: Mapping[str, Any], indicator: str) -> str:
    scale = scale_of(scores, indicator)
    return scale if scale.startswith("ln") else "the label"


def _groups(scores: Mapping[str, Any], indicator: str) -> list[SplitDots]:
    groups = []
    floors = floors_of(scores, indicator)
    for split, title in splits_of(scores).items():
        rows = {
            (str(r["features"]), str(r.get("head") or "")): r
            for r in rows_of(scores, indicator=indicator, split=split)
        }
        pairs = [p for p in ordered(scores, indicator) if p in rows]
        if not pairs:
            continue
        heads = unique([head for features, head in pairs if features not in floors])
        strongest = strongest_floor(scores, indicator, split)
        lines = {f: finite(rows[f, h].get("r2")) for f, h in pairs if f == "mean" or f == strongest}
        dots = tuple(
            Dot(
                name=f"{f}, {h}" if len(heads) > 1 and f not in floors else _SHORT.get(f, f),
                r2=finite(rows[f, h].get("r2")),
                low=finite(rows[f, h].get("r2_low")),
                high=finite(rows[f, h].get("r2_high")),
                main=f == scores.get("main"),
            )
            for f, h in pairs
        )
        drawn = {
            "mean" if name == "mean" else "strongest": value
            for name, value in lines.items()
            if value is not None
        }
        groups.append(SplitDots(split, title, dots, drawn))
    return groups


def _label(scores: Mapping[str, Any], indicator: str) -> str:
    parts = [
        f"{r['features']} under the {r['split']} split {score(r.get('r2'))}"
        for r in rows_of(scores, indicator=indicator)
        if not is_joint(str(r["features"]))
    ]
    return clean(f"R² for {words(indicator)}: " + "; ".join(parts), 600)
