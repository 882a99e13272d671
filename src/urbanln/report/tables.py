"""From ``scores.json`` to verdicts and tables: against the floors, with the map, of intervals and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urbanln.pages.text import DASH, clean, finite, interval, quantity, score, words
from urbanln.probe.headline import judge, state_of
from urbanln.probe.kinds import kind_of, main_score
from urbanln.probe.names import MAP
from urbanln.report.answer import badge
from urbanln.report.reading import (
    FLOOR_LABELS,
    Row,
    floor_label,
    indicators,
    length,
    main_row,
    measure_of,
    ordered,
    role,
    rows_of,
    scale_of,
    shown_split,
    splits_of,
    strongest_floor,
)


def verdicts(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per label: the sentences of ``probe``, each with a state that colour, sign and word tell.

    The state of the whole is that of what speaks first: what the vectors add, where that was asked.
    """
    given: dict[str, list[Row]] = {}
    for verdict in scores.get("verdicts") or []:
        given.setdefault(str(verdict.get("indicator")), []).append(verdict)
    return [
        {
            "indicator": words(one.indicator),
            "state": state_of(one.leads),
            "sentences": [
                _sentence(one.indicator, verdict)
                for verdict in sorted(given.get(one.indicator, []), key=lambda said: said is not one.leads)
            ],
        }
        for one in judge(scores)
    ]


def _sentence(name: str, verdict: Row) -> dict[str, str]:
    said = clean(verdict.get("sentence"), 1000).removeprefix(f"{name}: ")
    # Alone on a line it begins with a capital; names of tables keep their own spelling.
    said = "T" + said[1:] if said.startswith("the ") else said
    return badge(verdict) | {"text": said or "No sentence was written for this verdict."}


def score_table(scores: Mapping[str, Any], units: Mapping[str, str]) -> list[dict[str, Any]]:
    """The table's groups (one per indicator) with every cell already written out."""
    groups = []
    for name in indicators(scores):
        floor = strongest_floor(scores, name, shown_split(scores))
        groups.append(
            {
                "indicator": words(name),
                "unit": units.get(name, ""),
                "scale": scale_of(scores, name),
                "measure": measure_of(scores, name),
                "n": max((int(r.get("n") or 0) for r in rows_of(scores, indicator=name)), default=0),
                "floor": floor_label(floor),
                "rows": [_table_row(scores, name, floor, *pair) for pair in ordered(scores, name)],
            }
        )
    return groups


def _table_row(
    scores: Mapping[str, Any], indicator: str, floor: str | None, features: str, head: str
) -> dict[str, Any]:
    found = {
        str(row.get("split")): row
        for row in rows_of(scores, indicator=indicator, features=features)
        if str(row.get("head") or "") == head
    }
    judged = found.get(shown_split(scores) or "", {})
    against = judged.get("vs") or {}
    kind = role(scores, features)
    return {
        "label": floor_label(features),
        "head": head if kind != "floor" else "",
        "role": kind,
        "strongest": features == floor,
        "scores": [_with_range(found.get(split, {})) for split in splits_of(scores)],
        "r2_unit": score(judged.get("r2_unit")),
        "floor": difference(against.get(floor or "")),
        "baseline": difference(against.get(scores.get("baseline") or "")),
        "rmse": quantity(judged.get("rmse")),
        "spearman": score(judged.get("spearman")),
    }


def _with_range(row: Row) -> tuple[str, str]:
    value, *ends = main_score(row)
    return score(value), interval(*ends)


def difference(against: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """A difference, its interval, and whether that lies above, below or across zero."""
    if not against or finite(against.get("diff")) is None:
        return DASH, "", ""
    low, high = finite(against.get("low")), finite(against.get("high"))
    clear = "above" if (low or 0.0) > 0 else "below" if (high or 0.0) < 0 else "across"
    return score(against.get("diff"), sign=True), interval(low, high), clear


_ADDS = {"yes": "adds to it", "no": "does not reach it", "undecided": "adds nothing that is clear"}


def joint_lines(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line per label, as its verdict has it: map and vectors together against the best of the map alone.

    That is the strongest floor, or the same head on the map's columns where it scores higher.
    """
    lines = []
    for one in judge(scores):
        of = {"indicator": one.indicator, "split": one.adds.get("split")}
        best = str(one.adds.get("against"))
        both = rows_of(scores, **of, features=one.adds.get("features"), head=one.adds.get("head"))
        alone = rows_of(scores, **of, features=best)
        if one.adds and both and alone:
            lines.append(
                {
                    "indicator": words(one.indicator),
                    "map": _with_range(alone[0]),
                    "best": f"the head ({alone[0].get('head')})"
                    if best == MAP
                    else FLOOR_LABELS.get(best, best),
                    "both": _with_range(both[0]),
                    "gap": difference(one.adds),
                    "word": _ADDS.get(state_of(one.adds), DASH),
                }
            )
    return lines


def coverage_lines(scores: Mapping[str, Any], units: Mapping[str, str]) -> list[dict[str, Any]]:
    """Per indicator: the coverage that the intervals of regions reach against what was asked, in words.

    Of shares also what the intervals of all parts at once reach, and the ball around the prediction.
    """
    level = finite((scores.get("settings") or {}).get("level"))
    lines = []
    for name in indicators(scores):
        row = main_row(scores, name)
        unit = f" {units[name]}" if units.get(name) else ""
        if kind_of(row) == "classes":
            told = [("", "", f"{quantity(row.get('set_size'))} classes", "sets")]
        elif kind_of(row) == "number":
            told = [("", "", f"{quantity(row.get('width'))}{unit}", "intervals")]
        else:
            told = [
                ("", ", each part", quantity(row.get("width")), "intervals of each part by itself"),
                ("joint_", ", all parts", quantity(row.get("joint_width")), "intervals of all parts at once"),
                ("radius_", ", distance", quantity(row.get("radius")), "distances, in total variation,"),
            ]
        for key, title, wide, what in told:
            of = [finite(row.get(f"{key}{part}")) for part in ("coverage", "coverage_low", "coverage_high")]
            if of[0] is not None:
                about = {"indicator": f"{words(name)}{title}", "kind": kind_of(row), "width": wide}
                lines.append(about | _reached(of, level, what))
    return lines


def _reached(of: Sequence[float | None], level: float | None, what: str) -> dict[str, str]:
    """A coverage and its ends against what was asked."""
    reached, low, high = (_percent(end) if end is not None else "" for end in of)
    ends = f" [{low}, {high}]" if low and high else ""
    asked = f" of the {_percent(level)} asked for" if level is not None else ""
    if level is None or of[1] is None or of[2] is None:
        judged = "whether that differs from what was asked cannot be told"
    elif of[2] < level:
        judged = "they are too narrow here, and promise more than they keep"
    elif of[1] > level:
        judged = "they are wider than they need be"
    else:
        judged = "what was asked lies within the uncertainty of what was reached"
    return {
        "asked": _percent(level) if level is not None else DASH,
        "reached": reached,
        "range": ends.strip(),
        "sentence": f"The {what} hold {reached}{ends} of the truths{asked}: {judged}.",
    }


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
                "sentence": sentence + _most_alike(row, p),
            }
        )
    return lines


def _most_alike(row: Mapping[str, Any], p: float | None) -> str:
    """Of classes and shares: the part whose errors are most alike, where errors are."""
    parts = [part for part in row.get("by_part") or [] if finite(part.get("morans_i")) is not None]
    if len(parts) < 3 or p is None or p >= 0.05:  # of two parts the errors are each other's
        return ""
    most = max(parts, key=lambda part: float(part["morans_i"]))
    return f" Most so for {clean(most.get('name'), 80)} ({score(most['morans_i'])})."


def split_facts(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers the explanations name: folds, block edge, buffer, seeds; ``None`` where not said."""
    settings, splits = scores.get("settings") or {}, scores.get("splits") or {}
    block = splits.get("block") or {}
    seeds = settings.get("seeds")
    scored = splits_of(scores)
    return {
        "has": {name: name in scored for name in ("block", "random", "district", "city")},
        "folds": block.get("folds"),
        "edge": length(block.get("edge_km")),
        "buffer": length(block.get("buffer_km")),
        "seeds": len(seeds) if isinstance(seeds, list | tuple) else seeds,
        "nearest": {
            name: length((splits.get(name) or {}).get("nearest_km_median"), rounded=True)
            for name in ("block", "random")
        },
    }
