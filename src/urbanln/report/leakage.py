"""How far the splits keep their sides apart, as the page prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urbanln.pages.text import DASH, clean, finite, quantity, words
from urbanln.report.reading import SPLITS, length, splits_of, unique


def leakage_table(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One entry per split: sizes, distances, what its sides share, and the label ranges of its folds."""
    found = scores.get("splits") or {}
    order = [name for name in splits_of(scores) if name in found]
    order += [name for name in found if name not in order]
    entries: list[dict[str, Any]] = []
    for name in order:
        report = found.get(name)
        if not isinstance(report, Mapping):
            continue
        labels = report.get("by_indicator")
        by_indicator = labels if isinstance(labels, Mapping) else {}
        entries.append(
            {
                "title": _title(name),
                "skipped": None,
                "how": _how(report),
                "facts": _facts(report, by_indicator),
                "found": _sentences(report, by_indicator),
                "ranges": [
                    _ranges(words(indicator), part)
                    for indicator, part in by_indicator.items()
                    if isinstance(part, Mapping) and part.get("label_range")
                ],
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
            "title": _title(split),
            "skipped": clean("; ".join(f"{why} ({', '.join(of)})" for why, of in found.items()), 1000),
        }
        for split, found in reasons.items()
    ]


def _title(name: str) -> str:
    return clean(SPLITS.get(name, f"{name.capitalize()} split"), 80)


def _how(report: Mapping[str, Any]) -> str:
    parts = []
    if report.get("folds"):
        parts.append(f"{report['folds']} folds")
    if report.get("seeds"):
        parts.append(f"{report['seeds']} seeds")
    edge, buffer = length(report.get("edge_km")), length(report.get("buffer_km"))
    if edge:
        shape = " (H3)" if report.get("blocks") == "h3" else ""
        parts.append(f"blocks of {edge}{shape}")
    if buffer:
        parts.append(f"buffer of {buffer}")
    return clean(", ".join(parts), 300)


def fact_names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is known of any split, in the order of the first that tells it."""
    return unique([name for entry in entries for name in entry.get("facts") or {}])


def _facts(report: Mapping[str, Any], by_indicator: Mapping[str, Any]) -> dict[str, str]:
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
    for name, part in _parts(by_indicator):
        twins = finite(part.get("twins"))
        if twins is not None:
            facts[f"same value as a region learned from (twins): {words(name)}"] = f"{100 * twins:.0f} %"
    return {title: clean(value, 600) for title, value in facts.items()}


def _parts(by_indicator: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(name), part) for name, part in by_indicator.items() if isinstance(part, Mapping)]


def _sentences(report: Mapping[str, Any], by_indicator: Mapping[str, Any]) -> list[str]:
    found = [str(sentence) for sentence in report.get("found") or []]
    for name, part in _parts(by_indicator):
        found += [f"{words(name)}: {sentence}" for sentence in part.get("found") or []]
    return [clean(sentence, 1000) for sentence in found]


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
    low, middle, high = (quantity(value) for value in values)
    return f"{low} · {middle} · {high}"
