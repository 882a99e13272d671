"""How far the splits keep their sides apart, as the page prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urbanln.pages.text import DASH, clean, finite, quantity, words
from urbanln.report.reading import length, split_title, splits_of, unique


def leakage_table(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per split: sizes, distances, what its sides share, and the label ranges of its folds."""
    found = scores.get("splits") or {}
    entries: list[dict[str, Any]] = []
    for name in unique([*splits_of(scores), *found]):
        report = found.get(name)
        if not isinstance(report, Mapping):
            continue
        labels = report.get("by_indicator")
        given = labels.items() if isinstance(labels, Mapping) else ()
        parts = [(words(indicator), part) for indicator, part in given if isinstance(part, Mapping)]
        sentences = [str(sentence) for sentence in report.get("found") or []]
        for indicator, part in parts:
            sentences += [f"{indicator}: {sentence}" for sentence in part.get("found") or []]
        entries.append(
            {
                "title": split_title(name),
                "skipped": None,
                "how": _how(report),
                "facts": _facts(report, parts),
                "found": [clean(sentence, 1000) for sentence in sentences],
                "ranges": [_ranges(indicator, part) for indicator, part in parts if part.get("label_range")],
            }
        )
    return entries + _not_made(scores)


def _not_made(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Splits that were asked for and could not be made, each with the reasons and whom they concern."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for entry in scores.get("skipped_splits") or []:
        by_reason = reasons.setdefault(str(entry.get("split")), {})
        by_reason.setdefault(str(entry.get("reason")), []).append(words(entry.get("indicator")))
    return [
        {
            "title": split_title(split),
            "skipped": clean("; ".join(f"{why} ({', '.join(of)})" for why, of in found.items()), 1000),
        }
        for split, found in reasons.items()
    ]


def _how(report: Mapping[str, Any]) -> str:
    edge, buffer = length(report.get("edge_km")), length(report.get("buffer_km"))
    shape = " (H3)" if report.get("blocks") == "h3" else ""
    parts = [
        report.get("folds") and f"{report['folds']} folds",
        report.get("seeds") and f"{report['seeds']} seeds",
        edge and f"blocks of {edge}{shape}",
        buffer and f"buffer of {buffer}",
    ]
    return clean(", ".join(part for part in parts if part), 300)


def fact_names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is known of any split, in the order of the first that tells it."""
    return unique([name for entry in entries for name in entry.get("facts") or {}])


def _facts(report: Mapping[str, Any], parts: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    facts = {}
    for title, side in (("learned from", "train"), ("choosing by", "val"), ("held out", "test")):
        low, high = finite(report.get(f"{side}_min")), finite(report.get(f"{side}_max"))
        if low is not None and high is not None:
            facts[title] = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
    for key, title in (("nearest_km_median", "median"), ("nearest_km_min", "least")):
        near = length(report.get(key), rounded=True)
        if near:
            facts[f"nearest region learned from, {title}"] = near
    for key, title in (
        ("shared_groups", "held out, but its picture was learned from"),
        ("same_place", "held out, but its place was learned from"),
        ("never_held_out", "never held out"),
    ):
        count = finite(report.get(key))
        if count is not None:
            facts[title] = f"{count:,.0f}"
    for name, part in parts:
        twins = finite(part.get("twins"))
        if twins is not None:
            facts[f"same value as a region learned from (twins): {name}"] = f"{100 * twins:.0f} %"
    return {title: clean(value, 600) for title, value in facts.items()}


def _ranges(indicator: str, part: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        (str(fold.get("fold", number)), _spread(fold.get("test")), _spread(fold.get("known")))
        for number, fold in enumerate(part["label_range"])
        if isinstance(fold, Mapping)
    ]
    return {"indicator": indicator, "rows": rows}


def _spread(values: object) -> str:
    if not isinstance(values, list | tuple) or len(values) != 3:
        return DASH
    return " · ".join(map(quantity, values))
