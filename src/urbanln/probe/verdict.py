"""Plain sentences computed from the scores: what beats what, and what weakens the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FEW_BLOCKS, FEW_REGIONS = 10, 100
FLOOR_NAMES = {"coordinates": "the coordinates floor", "mean": "the mean floor"}


def short(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A score as the literature prints it: ``.62``, ``−.03``, ``1.20``; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}".removeprefix("0")
    zero = float(f"{value:.{digits}f}") == 0
    return ("−" if value < 0 and not zero else "+" if sign and not zero else "") + text


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """``.12 [.05, .19]``; without brackets where there is no interval."""
    if value is None or low is None or high is None:
        return short(value)
    return f"{short(value)} [{short(low)}, {short(high)}]"


def find_row(scores: Mapping[str, Any], **wanted: str | None) -> dict[str, Any] | None:
    """The first row of ``scores["rows"]`` with these values (``indicator``, ``split``, …), or None."""
    for row in scores["rows"]:
        if all(row[key] == value for key, value in wanted.items()):
            found: dict[str, Any] = row
            return found
    return None


def make_verdicts(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One verdict per indicator and rival, from the block split and the first head of the settings.

    The head is fixed before any score is seen, so that the better of two is not picked on the test rows.
    The first rival is the coordinates floor, or the mean where that scores higher (with few neighbours left
    by the buffer, coordinates can do worse than nothing, and beating them would say nothing); the second is
    the baseline table. Without vectors, the coordinates floor itself is held against the mean.

    Returns:
        ``indicator``, ``split``, ``features``, ``head``, ``against``, ``diff``, ``low``, ``high``,
        ``beats`` (``"yes"``: the interval lies above 0; ``"no"``: below; ``"undecided"``: it holds 0, or
        there is none) and ``sentence``.
    """
    main, baseline = scores["main"], scores["baseline"]
    head = "none" if main is None else scores["settings"]["heads"][0]
    others = [baseline] if main is not None and baseline not in (None, main) else []
    features = main or "coordinates"
    verdicts = []
    for indicator in dict.fromkeys(row["indicator"] for row in scores["rows"]):
        row = find_row(scores, indicator=indicator, split="block", features=features, head=head)
        if row is None:
            continue
        floor = "mean" if main is None else _stronger_floor(scores, indicator)
        for against in (floor, *others):
            gap = {key: _number(value) for key, value in row["vs"][against].items()}
            beats = _beats(gap)
            where = {"indicator": indicator, "split": "block", "features": features, "head": head}
            sentence = f"{indicator}: {features} {_phrase(beats, against, gap, scores)}"
            if main is not None and against == "mean":
                sentence += " The coordinates floor lies below the mean here."
            verdicts.append({**where, "against": against, **gap, "beats": beats, "sentence": sentence})
    return verdicts


def make_notes(scores: Mapping[str, Any]) -> list[str]:
    """Sentences that hold for all verdicts: what was seen before, and what makes the numbers weak."""
    block, regions = scores["splits"]["block"], scores["regions"]
    notes = []
    if scores["main"] is not None and scores["transductive"]:
        notes.append(
            "Pre-training saw the pictures of the test regions, as in the literature; no label was seen."
        )
    if block["n_blocks"] < FEW_BLOCKS:
        notes.append(f"Only {block['n_blocks']} blocks: the intervals are a rough guide.")
    if block["n"] < FEW_REGIONS:
        notes.append(f"Only {block['n']} regions: the scores themselves are a rough guide.")
    if regions["common"] < regions["total"]:
        notes.append(
            f"Scored on {regions['common']:,} of {regions['total']:,} regions: "
            "those with a vector in every table."
        )
    raw = dict.fromkeys(row["indicator"] for row in scores["rows"] if row["transform"] == "identity")
    if raw:
        notes.append(f"Scored without a logarithm, since a label is negative: {', '.join(raw)}.")
    notes += [f"Not scored: {entry['indicator']} ({entry['reason']})." for entry in scores["skipped"]]
    return notes


def _stronger_floor(scores: Mapping[str, Any], indicator: str) -> str:
    found = {
        name: find_row(scores, indicator=indicator, split="block", features=name) for name in FLOOR_NAMES
    }
    level = {name: _number(row["r2"]) for name, row in found.items() if row is not None}
    coordinates, mean = level.get("coordinates"), level.get("mean")
    return "mean" if mean is not None and (coordinates is None or coordinates < mean) else "coordinates"


def _number(value: float | None) -> float | None:
    """None for NaN, so that sentences can be made before and after the scores were written."""
    return None if value is None or value != value else float(value)


def _beats(gap: Mapping[str, float | None]) -> str:
    low, high = gap["low"], gap["high"]
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    return "yes" if low > 0 else "no"


def _phrase(beats: str, against: str, gap: Mapping[str, float | None], scores: Mapping[str, Any]) -> str:
    rival = FLOOR_NAMES.get(against, against)
    under = f"under {scores['settings']['block_km']:g} km blocks"
    size = with_interval(gap["diff"], gap["low"], gap["high"])
    if beats == "yes":
        return f"beats {rival} {under} by {size} R²."
    if beats == "no":
        return f"does not beat {rival} {under}: {size} R²."
    why = "there is no interval" if gap["low"] is None else "the interval holds 0"
    return f"against {rival} {under} is undecided: {size} R² ({why})."
