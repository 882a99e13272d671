"""The first screen: which labels the vectors predict better than the map alone, and by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from urbanln.pages.text import DASH, clean, finite, interval, score, words
from urbanln.probe.kinds import main_score, score_words
from urbanln.report.reading import (
    Row,
    floor_label,
    floors_of,
    indicators,
    main_row,
    rows_of,
    shown_split,
    strongest_floor,
)

STATES = {
    "yes": ("✓", "Yes", "the interval of the difference lies above 0"),
    "no": ("✕", "No", "the interval of the difference lies below 0"),
    "undecided": ("?", "Undecided", "the interval of the difference holds 0, or there is none"),
    "unknown": (DASH, "Not scored", "no score to judge by"),
}
"""State of a verdict → its sign, its word, and what it means."""
_SAID = {"yes": "clearly better", "no": "clearly worse", "undecided": "undecided", "unknown": "not scored"}


def answer(scores: Mapping[str, Any], units: Mapping[str, str], regions: int) -> dict[str, Any]:
    """One sentence, and a row per indicator: the best without vectors, the vectors, their difference.

    The verdict of a row is its indicator's first in ``scores``, which is about the strongest floor; rows are
    in the order of ``STATES``, so that what can be predicted stands first.

    Args:
        scores: The content of ``scores.json``.
        units: By indicator.
        regions: Regions of the city, labelled or not.
    """
    first: dict[str, Row] = {}
    for verdict in scores.get("verdicts") or []:
        first.setdefault(str(verdict.get("indicator")), verdict)
    names = list(dict.fromkeys([*indicators(scores), *first]))
    labelled = {name: _labelled(scores, name) for name in names}
    rows = [_row(scores, name, first.get(name, {})) for name in names]
    for name, row in zip(names, rows, strict=True):
        row |= {"unit": clean(units.get(name, ""), 60), "labelled": f"{labelled[name]:,}"}
    counts = Counter(row["state"] for row in rows)
    parts = [f"{count} {_SAID[state]}" for state in STATES if (count := counts[state])]
    return {
        "sentence": f"Of {len(rows)} label{'' if len(rows) == 1 else 's'}: {', '.join(parts)}.",
        "rows": sorted(rows, key=lambda row: list(STATES).index(row["state"])),
        "regions": _regions(list(labelled.values()), regions),
        "of": f"{regions:,}",
    }


def state_of(verdict: Mapping[str, Any] | None) -> str:
    """One of ``STATES``: what a verdict says, whether as a word or, in older scores, as a truth value."""
    beats = (verdict or {}).get("beats")
    state = {True: "yes", False: "no"}.get(beats, str(beats)) if beats is not None else "unknown"
    return state if state in STATES else "unknown"


def judged(name: str, verdict: Mapping[str, Any] | None) -> dict[str, str]:
    """An indicator and the state of its verdict, as pages tell both."""
    state = state_of(verdict)
    sign, word, meaning = STATES[state]
    return {"indicator": words(name), "state": state, "sign": sign, "word": word, "meaning": meaning}


def _row(scores: Mapping[str, Any], name: str, verdict: Row) -> dict[str, Any]:
    split = shown_split(scores)
    floor = str(verdict.get("against"))
    if floor not in floors_of(scores, name):
        floor = strongest_floor(scores, name, split) or ""
    own = main_row(scores, name)
    rival = (rows_of(scores, indicator=name, split=split, features=floor) or [{}])[0]
    gap = verdict if finite(verdict.get("diff")) is not None else (own.get("vs") or {}).get(floor) or {}
    return {
        **judged(name, verdict),
        "floor": floor_label(floor),
        "measure": score_words(own),
        "floor_score": score(main_score(rival).value),
        "score": score(main_score(own).value),
        "range": interval(*main_score(own)[1:]),
        "diff": score(gap.get("diff"), sign=True),
        "diff_range": interval(gap.get("low"), gap.get("high")),
    }


def _labelled(scores: Mapping[str, Any], name: str) -> int:
    """Regions that have this label; in older scores, those that were scored."""
    said = finite(((scores.get("regions") or {}).get("labelled") or {}).get(name))
    scored = [int(finite(row.get("n")) or 0) for row in rows_of(scores, indicator=name)]
    return int(said) if said is not None else max(scored, default=0)


def _regions(labelled: list[int], regions: int) -> str:
    """How many there are, and how many of them have labels."""
    said = f"{regions:,} region{'' if regions == 1 else 's'}"
    if not labelled:
        return said
    low, high = min(labelled), max(labelled)
    if low == high:
        return f"{said}, all labelled" if low == regions else f"{said}, {low:,} of them labelled"
    return f"{said}, {low:,} to {high:,} of them labelled"
