"""From ``scores.json`` to what the page prints: verdicts, the table against the floors, score plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from urbanln.report import charts
from urbanln.report.text import DASH, clean, finite, interval, quantity, score, words

FLOORS = ("mean", "coordinates")
SPLITS = {"block": "Block split", "random": "Random split"}
_STATES = {
    "yes": ("✓", "Yes", "the interval of the difference lies above 0"),
    "no": ("✕", "No", "the interval of the difference lies below 0"),
    "undecided": ("?", "Undecided", "the interval of the difference holds 0, or there is none"),
    "unknown": (DASH, "Not scored", "no score to judge by"),
}
Row = Mapping[str, Any]


def rows_of(scores: Mapping[str, Any], **wanted: object) -> list[Row]:
    """The score rows whose fields equal ``wanted``."""
    rows = scores.get("rows") or []
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def unique(values: Sequence[Any]) -> list[Any]:
    """The values in order of first appearance."""
    return list(dict.fromkeys(values))


def indicators(scores: Mapping[str, Any]) -> list[str]:
    """The indicators scored, in order."""
    return unique([str(row["indicator"]) for row in scores.get("rows") or []])


def subject(scores: Mapping[str, Any]) -> str:
    """Whose predictions the page draws: the main vectors, or the coordinates floor when none were scored."""
    return str(scores.get("main") or "coordinates")


def main_head(scores: Mapping[str, Any]) -> str | None:
    """The head of maps and verdicts: the first of the settings, as in the probe's verdicts."""
    found = [row.get("head") for row in rows_of(scores, features=subject(scores))]
    chosen = [head for head in (scores.get("settings") or {}).get("heads") or [] if head in found]
    return (chosen or found or [None])[0]


def is_log(scores: Mapping[str, Any], indicator: str) -> bool:
    """Whether the heads were fitted on, and R² is of, ln(1 + label)."""
    rows = rows_of(scores, indicator=indicator)
    return bool(rows) and "log" in str(rows[0].get("transform") or "")


def shown_split(scores: Mapping[str, Any]) -> str | None:
    """``"block"`` where there is one, else whatever split was scored."""
    names = unique([row.get("split") for row in scores.get("rows") or []])
    return "block" if "block" in names else (str(names[0]) if names else None)


def verdicts(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per indicator: the sentences of ``probe`` with a state that colour, sign and word all tell.

    The state is that of the indicator's first verdict, which is about the stronger floor.
    """
    given: dict[str, list[Row]] = {name: [] for name in indicators(scores)}
    for verdict in scores.get("verdicts") or []:
        given.setdefault(str(verdict.get("indicator")), []).append(verdict)
    return [_verdict(name, found) for name, found in given.items()]


def _verdict(name: str, found: Sequence[Row]) -> dict[str, Any]:
    beats = found[0].get("beats") if found else None
    state = {True: "yes", False: "no"}.get(beats, str(beats)) if beats is not None else "unknown"
    state = state if state in _STATES else "unknown"
    sign, word, meaning = _STATES[state]
    sentences = [clean(v.get("sentence"), 1000).removeprefix(f"{name}: ") for v in found]
    return {
        "indicator": words(name),
        "state": state,
        "sign": sign,
        "word": word,
        "meaning": meaning,
        "sentences": [s for s in sentences if s] or ["No verdict was written for this indicator."],
    }


def _role(scores: Mapping[str, Any], features: str) -> str:
    if features in FLOORS:
        return "floor"
    if features == scores.get("main"):
        return "main"
    return "baseline" if features == scores.get("baseline") else "other"


def _ordered(scores: Mapping[str, Any], indicator: str) -> list[tuple[str, str]]:
    """(features, head) pairs of an indicator: floors, others, the baseline, the main vectors."""
    pairs = unique(
        [(str(r["features"]), str(r.get("head") or "")) for r in rows_of(scores, indicator=indicator)]
    )
    rank = {"floor": 1, "other": 2, "baseline": 3, "main": 4}
    return sorted(pairs, key=lambda pair: (rank[_role(scores, pair[0])], pair[0] != "mean"))


def score_table(scores: Mapping[str, Any], units: Mapping[str, str]) -> list[dict[str, Any]]:
    """The table's groups (one per indicator) with every cell already written out."""
    return [
        {
            "indicator": words(name),
            "unit": units.get(name, ""),
            "log": is_log(scores, name),
            "n": max((int(r.get("n") or 0) for r in rows_of(scores, indicator=name)), default=0),
            "rows": [_table_row(scores, name, *pair) for pair in _ordered(scores, name)],
        }
        for name in indicators(scores)
    ]


def _table_row(scores: Mapping[str, Any], indicator: str, features: str, head: str) -> dict[str, Any]:
    found = {
        str(row.get("split")): row
        for row in rows_of(scores, indicator=indicator, features=features)
        if str(row.get("head") or "") == head
    }
    judged = found.get(shown_split(scores) or "", {})
    against = judged.get("vs") or {}
    role = _role(scores, features)
    return {
        "label": clean(features, 120),
        "head": head if role != "floor" else "",
        "role": role,
        "r2": {
            split: (
                score(found.get(split, {}).get("r2")),
                interval(found.get(split, {}).get("r2_low"), found.get(split, {}).get("r2_high")),
            )
            for split in SPLITS
        },
        "coordinates": _difference(against.get("coordinates")),
        "baseline": _difference(against.get(scores.get("baseline") or "")),
        "rmse": quantity(judged.get("rmse")),
        "spearman": score(judged.get("spearman")),
    }


def _difference(against: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """A difference, its interval, and whether that lies above, below or across zero."""
    if not against or finite(against.get("diff")) is None:
        return DASH, "", ""
    low, high = finite(against.get("low")), finite(against.get("high"))
    clear = "above" if (low or 0.0) > 0 else "below" if (high or 0.0) < 0 else "across"
    return score(against.get("diff"), sign=True), interval(low, high), clear


def forests(scores: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """A score plot per indicator, all on one R² axis."""
    rows = scores.get("rows") or []
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
            charts.forest(
                _forest_label(scores, name), _groups(scores, name), (low, high), _axis(scores, name)
            ),
        )
        for name in indicators(scores)
    ]


def _axis(scores: Mapping[str, Any], indicator: str) -> str:
    return "R² of ln(1 + label), held out" if is_log(scores, indicator) else "R², held out"


def _groups(scores: Mapping[str, Any], indicator: str) -> list[charts.SplitDots]:
    groups = []
    for split, title in SPLITS.items():
        rows = {
            (str(r["features"]), str(r.get("head") or "")): r
            for r in rows_of(scores, indicator=indicator, split=split)
        }
        if not rows:
            continue
        pairs = [p for p in _ordered(scores, indicator) if p in rows]
        heads = unique([head for features, head in pairs if features not in FLOORS])
        floors = {f: finite(rows[f, h].get("r2")) for f, h in pairs if f in FLOORS}
        dots = tuple(
            charts.Dot(
                name=f"{f}, {h}" if len(heads) > 1 and f not in FLOORS else f,
                r2=finite(rows[f, h].get("r2")),
                low=finite(rows[f, h].get("r2_low")),
                high=finite(rows[f, h].get("r2_high")),
                main=f == scores.get("main"),
            )
            for f, h in pairs
            if f != "mean"
        )
        groups.append(
            charts.SplitDots(split, title, dots, {f: v for f, v in floors.items() if v is not None})
        )
    return groups


def _forest_label(scores: Mapping[str, Any], indicator: str) -> str:
    parts = [
        f"{r['features']} under the {r['split']} split {score(r.get('r2'))}"
        for r in rows_of(scores, indicator=indicator)
    ]
    return clean(f"R² for {words(indicator)}: " + "; ".join(parts), 600)


def split_facts(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers the explanations name: folds, block edge, buffer, seeds; ``None`` where not said."""
    settings, splits = scores.get("settings") or {}, scores.get("splits") or {}
    block = splits.get("block") or {}
    seeds = settings.get("seeds")
    return {
        "has": {name: bool(rows_of(scores, split=name)) for name in SPLITS},
        "folds": block.get("folds"),
        "edge": _length(block.get("edge_km")),
        "buffer": _length(block.get("buffer_km")),
        "seeds": len(seeds) if isinstance(seeds, list | tuple) else seeds,
        "nearest": {
            name: _length((splits.get(name) or {}).get("nearest_km_median"), rounded=True) for name in SPLITS
        },
    }


def _length(km: object, rounded: bool = False) -> str | None:
    value = finite(km)
    if value is None:
        return None
    value = float(f"{value:.2g}") if rounded else value
    return f"{value:g} km" if value >= 1 else f"{value * 1000:g} m"
