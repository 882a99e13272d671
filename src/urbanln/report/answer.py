"""The first screen: what the vectors add to the map, label by label, and what they are by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.pages.text import DASH, clean, finite, interval, score, words
from urbanln.probe.headline import STATES, Judged, State, headline, judge, state_of
from urbanln.probe.kinds import kind_of, main_score, score_words
from urbanln.report.reading import (
    Row,
    floor_label,
    floors_of,
    main_row,
    rows_of,
    shown_split,
    strongest_floor,
)

BADGES: dict[State, tuple[str, str, str]] = {
    "yes": ("✓", "Yes", "the interval of the difference lies above 0"),
    "no": ("✕", "No", "the interval of the difference lies below 0"),
    "undecided": ("?", "Undecided", "the interval of the difference holds 0, or there is none"),
    "unknown": (DASH, "Not scored", "no score to judge by"),
}
"""State of a verdict → its sign, its word, and what it means."""
_GUESSED = "the interval of the difference lies above 0, but the score may be that of guessing by frequency"


def answer(scores: Mapping[str, Any], units: Mapping[str, str], regions: int) -> dict[str, Any]:
    """One sentence, and a row per label: the best without vectors, the vectors, and their two verdicts.

    Rows are in the order of the states of what speaks first (what the vectors add, where that was asked),
    then of the other, so that what can be predicted stands at the top.

    Args:
        scores: The content of ``scores.json``.
        units: By indicator.
        regions: Regions of the city, labelled or not.
    """
    found = judge(scores)
    labelled = {one.indicator: _labelled(scores, one.indicator) for one in found}
    ranked = sorted(found, key=lambda one: [STATES.index(state_of(v)) for v in (one.leads, one.alone)])
    rows = []
    for one in ranked:
        told = {"unit": clean(units.get(one.indicator, ""), 60), "labelled": f"{labelled[one.indicator]:,}"}
        rows.append(_row(scores, one) | told)
    return {
        "sentence": clean(headline(scores), 600),
        "rows": rows,
        "asked_adds": any(one.adds for one in found),
        "has_classes": any(kind_of(main_row(scores, one.indicator)) == "classes" for one in found),
        "regions": _regions(list(labelled.values()), regions),
        "of": f"{regions:,}",
    }


def badge(verdict: Mapping[str, Any]) -> dict[str, str]:
    """The state of a verdict, as colour, sign and word tell it."""
    state = state_of(verdict)
    sign, word, meaning = BADGES[state]
    if state == "undecided" and (finite(verdict.get("low")) or 0) > 0:
        meaning = _GUESSED
    return {"state": state, "sign": sign, "word": word, "meaning": meaning}


def _row(scores: Mapping[str, Any], one: Judged) -> dict[str, Any]:
    split, name = shown_split(scores), one.indicator
    floor = str(one.alone.get("against"))
    if floor not in floors_of(scores, name):
        floor = strongest_floor(scores, name, split) or ""
    own = main_row(scores, name)
    rival = (rows_of(scores, indicator=name, split=split, features=floor) or [{}])[0]
    known = finite(one.alone.get("diff")) is not None
    gap = one.alone if known else (own.get("vs") or {}).get(floor) or {}
    return {
        "indicator": words(name),
        "alone": badge(one.alone) | _gap(gap),
        "adds": badge(one.adds) | _gap(one.adds),
        "floor": floor_label(floor),
        "measure": score_words(own),
        "floor_score": score(main_score(rival).value),
        "score": score(main_score(own).value),
        "range": interval(*main_score(own)[1:]),
    }


def _gap(verdict: Row) -> dict[str, str]:
    ends = interval(verdict.get("low"), verdict.get("high"))
    return {"diff": score(verdict.get("diff"), sign=True), "range": ends}


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
