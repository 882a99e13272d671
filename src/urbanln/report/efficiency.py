"""Label-efficiency curves: how R² grows with the number of labelled regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from urbanln.pages.charts import axis_score
from urbanln.pages.text import clean, finite, score, words
from urbanln.report.curves import STYLES, Axis, Curve, curves
from urbanln.report.reading import Row, floors_of, unique

NO_HEAD = "none"
LOWEST = -0.5  # of the R² axis: few labels can give scores far below 0


def efficiency(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A curve chart with a line of summary per indicator, split and head of ``scores["curves"]``."""
    given = [row for row in scores.get("curves") or [] if finite(row.get("r2")) is not None and row.get("k")]
    tables = [row for row in given if row.get("head") not in (None, "", NO_HEAD)]
    out = []
    for name, split in unique([(str(row.get("indicator")), str(row.get("split"))) for row in given]):
        own = [row for row in given if (str(row.get("indicator")), str(row.get("split"))) == (name, split)]
        # Floors have no head: they stand beside every head's tables.
        heads = unique([str(row["head"]) for row in tables if row in own]) or [NO_HEAD]
        for head in heads:
            rows = [row for row in own if str(row.get("head") or NO_HEAD) in (head, NO_HEAD)]
            shown = f"{split} split" + (f", {head} head" if head != NO_HEAD else "")
            out.append({"indicator": words(name), "how": clean(shown, 120)} | _chart(scores, name, rows))
    return out


def _chart(scores: Mapping[str, Any], indicator: str, rows: Sequence[Row]) -> dict[str, Any]:
    lines = _lines(scores, rows)
    most = max(int(row["k"]) for row in rows)
    ends = ", ".join(f"{line.name} {score(line.y[-1])}" for line in lines if line.x[-1] == most)
    summary = f"With {most:,} labelled regions: {ends}."
    picture = curves(
        f"R² for {words(indicator)} by the number of labelled regions. {summary}",
        lines,
        y_zero=False,
        y_label=axis_score,
        axis=Axis("labelled regions", sorted({float(row["k"]) for row in rows}), log=True),
        y_floor=LOWEST,
    )
    return {"summary": summary, "picture": picture}


def _lines(scores: Mapping[str, Any], rows: Sequence[Row]) -> list[Curve]:
    """The main vectors first and with a band; the mean last, as the line of chance."""
    names = unique([str(row["features"]) for row in rows])
    rank = [scores.get("main"), scores.get("baseline"), *floors_of(scores)]
    names.sort(key=lambda name: rank.index(name) if name in rank else len(rank))
    styles = iter(STYLES)
    lines = []
    for name in names:
        own = sorted((r for r in rows if str(r["features"]) == name), key=lambda r: r["k"])
        low, high = (
            np.array([np.nan if finite(r.get(key)) is None else finite(r.get(key)) for r in own], dtype=float)
            for key in ("r2_low", "r2_high")
        )
        banded = name == scores.get("main") and np.isfinite(low).all() and np.isfinite(high).all()
        lines.append(
            Curve(
                name,
                np.array([float(r["k"]) for r in own]),
                np.array([float(r["r2"]) for r in own]),
                "chance" if name == "mean" else next(styles, STYLES[-1]),
                low if banded else None,
                high if banded else None,
            )
        )
    return lines
