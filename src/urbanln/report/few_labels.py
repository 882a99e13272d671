"""How few labels will do: scores by their number, and transfer from one city to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from urbanln.pages.charts import axis_score
from urbanln.pages.text import DASH, clean, finite, interval, quantity, score, words
from urbanln.probe.kinds import main_score, score_words
from urbanln.probe.names import NEAREST, OLDER
from urbanln.report.plots import STYLES, Axis, Curve, curves, matrix
from urbanln.report.reading import FLOOR_LABELS, Row, floors_of, unique
from urbanln.report.tables import difference

FLOORS = {
    **FLOOR_LABELS,
    "mean": "mean of the source",
    "nearest-distribution": "mean of the source most alike",
    "target-mean": "mean of the k labels",
    NEAREST: "nearest of the k labels",
    OLDER: "nearest of the k labels",
}
_SHORT = dict.fromkeys((NEAREST, OLDER), "neighbours")  # as there is room for beside a curve


def efficiency(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A curve chart with a line of summary per indicator, split and head of ``scores["curves"]``."""
    given = [
        row
        for row in scores.get("curves") or []
        if finite(main_score(row).value) is not None and row.get("k")
    ]
    out = []
    for name, split in unique([(str(row.get("indicator")), str(row.get("split"))) for row in given]):
        own = [row for row in given if (str(row.get("indicator")), str(row.get("split"))) == (name, split)]
        # Floors have no head: they stand beside every head's tables.
        heads = unique([_head(row) for row in own])
        for head in [head for head in heads if head] or [""]:
            lines = _efficiency_lines(scores, [row for row in own if _head(row) in (head, "")])
            shots = sorted({float(x) for line in lines for x in line.x})
            ends = ", ".join(f"{line.name} {score(line.y[-1])}" for line in lines if line.x[-1] == shots[-1])
            summary = f"With {int(shots[-1]):,} labelled regions: {ends}."
            picture = curves(
                f"{score_words(own[0])} for {words(name)} by the number of labelled regions. {summary}",
                lines,
                y_zero=False,
                y_label=axis_score,
                axis=Axis("labelled regions", shots, log=True),
                y_floor=-0.5,  # few labels can give scores far below 0
            )
            shown = f"{split} split, {head} head" if head else f"{split} split"
            item = {
                "indicator": words(name),
                "measure": score_words(own[0]),
                "how": clean(shown, 120),
                "summary": summary,
                "picture": picture,
            }
            out.append(item)
    return out


def _head(row: Row) -> str:
    """The head of a row; nothing for a floor's."""
    return "" if row.get("head") in (None, "none") else str(row["head"])


def _efficiency_lines(scores: Mapping[str, Any], rows: Sequence[Row]) -> list[Curve]:
    """The main vectors first and with a band; the mean last, as the line of chance."""
    names = unique([str(row["features"]) for row in rows])
    rank = [scores.get("main"), scores.get("baseline"), *floors_of(scores)]
    names.sort(key=lambda name: (name == "mean", rank.index(name) if name in rank else len(rank)))
    styles = iter(STYLES)
    lines = []
    for name in names:
        own = sorted((r for r in rows if str(r["features"]) == name), key=lambda r: r["k"])
        told = [(r.get("k"), *main_score(r)) for r in own]
        x, y, low, high = np.array([[finite(value) for value in one] for one in told], dtype=float).T
        style = "chance" if name == "mean" else next(styles, STYLES[-1])
        banded = name == scores.get("main") and np.isfinite([low, high]).all()
        band = (low, high) if banded else (None, None)
        lines.append(Curve(_SHORT.get(name, name), x, y, style, *band))
    return lines


def transfer_sections(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per indicator: the matrix of scores, the table of pairs, the few-shot curve, what was left out."""
    given = scores.get("transfer") or []
    rows = given.get("rows") or [] if isinstance(given, Mapping) else given
    scored = [row for row in rows if finite(main_score(row).value) is not None]
    main = _subject(scores, scored)
    sections = []
    for name in unique([str(row.get("indicator")) for row in rows]):
        own = [row for row in scored if str(row.get("indicator")) == name]
        left_out = [row for row in rows if str(row.get("indicator")) == name and row.get("reason")]
        lowest = min((int(row["k"]) for row in own), default=0)
        shown = [row for row in own if row["features"] == main and int(row["k"]) == lowest]
        sections.append(
            {
                "indicator": words(name),
                "features": clean(main, 120),
                "k": lowest,
                "measure": score_words((own or [{}])[0]),
                "picture": _matrix(name, main, shown) if shown else None,
                "rows": [_line(row, own) for row in shown],
                "curve": _curve(name, main, own),
                "reasons": [clean(reason, 600) for reason in unique(list(map(_reason, left_out)))],
            }
        )
    return sections


def _subject(scores: Mapping[str, Any], rows: Sequence[Row]) -> str:
    names = [str(row["features"]) for row in rows]
    main = str(scores.get("main") or "")
    tables = [name for name in names if name not in FLOORS]
    return main if main in names else (tables or names or ["mean"])[0]


def _reason(row: Row) -> str:
    return f"{row['source']} to {row['target']}: {row['reason']}" if row.get("source") else str(row["reason"])


def _matrix(indicator: str, main: str, shown: Sequence[Row]) -> Any:
    sources = unique([str(row["source"]) for row in shown])
    targets = unique([str(row["target"]) for row in shown])
    # Cities in the order of the targets, all others together at the end.
    sources.sort(key=lambda name: targets.index(name) if name in targets else len(targets))
    cells = {(str(row["source"]), str(row["target"])): finite(main_score(row).value) for row in shown}
    parts = [f"{a} to {b} {score(value)}" for (a, b), value in cells.items()]
    label = (
        f"{score_words(shown[0])} of {words(indicator)} by {main}, rows fitted on, columns predicted: "
        + "; ".join(parts)
    )
    return matrix(label, sources, targets, cells)


def _line(row: Row, own: Sequence[Row]) -> dict[str, Any]:
    rivals = [
        other
        for other in own
        if (other["source"], other["target"], other["k"]) == (row["source"], row["target"], row["k"])
        and str(other["features"]) in FLOORS
    ]
    best = max(rivals, key=lambda other: main_score(other).value or 0.0, default=None)
    versus = row.get("vs") or {}
    return {
        "source": clean(row["source"], 80),
        "target": clean(row["target"], 80),
        "n": f"{int(finite(row.get('n')) or 0):,}",
        "score": (score(main_score(row).value), interval(*main_score(row)[1:])),
        "spearman": score(row.get("spearman")),
        "floor": clean(FLOORS.get(str(best["features"]), best["features"]), 80) if best else DASH,
        "gap": difference(versus.get(str(best["features"]))) if best else (DASH, "", ""),
        "shift": _shift(row),
    }


def _shift(row: Row) -> str:
    """How far the medians of the labels differ, as a factor where labels are on a logarithmic scale."""
    shift = finite(row.get("level_shift"))
    if shift is None:
        return DASH
    if str(row.get("transform") or "").startswith("log"):
        return f"× {quantity(math.exp(min(shift, 50.0)))}"
    return quantity(shift)


def _curve(indicator: str, main: str, own: Sequence[Row]) -> dict[str, Any] | None:
    """The main score by the number of target labels, meaned over pairs of single cities that have all."""
    shots = sorted({int(row["k"]) for row in own})
    pairs = unique([(row["source"], row["target"]) for row in own if row["source"] != "all others"])
    found = {
        (row["source"], row["target"], str(row["features"]), int(row["k"])): main_score(row).value or 0.0
        for row in own
    }
    complete = [pair for pair in pairs if all((*pair, main, k) in found for k in shots)]
    if len(shots) < 2 or not complete:
        return None
    names = unique([str(row["features"]) for row in own if row["features"] not in FLOORS])
    names = [*sorted(names, key=lambda name: name != main), "target-mean", NEAREST, OLDER, "mean"]
    near = dict.fromkeys((NEAREST, OLDER), "nearest of k")
    shown = near | {"target-mean": "mean of k", "mean": "source mean"}
    styles = iter(STYLES)
    lines = []
    for name in names:
        has = [k for k in shots if all((*pair, name, k) in found for pair in complete)]
        if has:
            levels = [float(np.mean([found[(*pair, name, k)] for pair in complete])) for k in has]
            style = "chance" if name == "mean" else next(styles, STYLES[-1])
            lines.append(Curve(shown.get(name, name), np.array(has, dtype=float), np.array(levels), style))
    ends = ", ".join(f"{line.name} {score(line.y[-1])}" for line in lines)
    count = f"{len(complete)} pair{'' if len(complete) == 1 else 's'} of cities"
    summary = f"Mean over {count}; with {shots[-1]:,} labels of the target: {ends}."
    picture = curves(
        f"{score_words(own[0])} of {words(indicator)} by the number of labelled regions of the target. "
        f"{summary}",
        lines,
        y_zero=False,
        y_label=axis_score,
        axis=Axis("labelled regions of the target", [float(k) for k in shots], log=True),
        y_floor=-1.0,
    )
    return {"picture": picture, "summary": summary}
