"""Tables of classes and shares part by part, and the confusion of classes as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from urbanln.pages.text import clean, count, finite, interval, score, words
from urbanln.probe.kinds import kind_of
from urbanln.report.plots import matrix
from urbanln.report.reading import indicators, main_row

MEASURES = {
    "R²": "R² of numbers: 0 is what their mean gets.",
    "macro F1": "Macro F1 of classes: the mean of F1 over classes; guessing gets one over their number.",
    "KL skill": "KL skill of shares: 0 is what the mean share gets.",
}
"""What a main score means, beside others."""
MOST_CLASSES = 20
"""As many a picture of a confusion has room for."""


def part_tables(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per label of classes or shares, of the main vectors: scores beside the main one, and a row per part."""
    made = []
    for name in indicators(scores):
        row = main_row(scores, name)
        kind = kind_of(row)
        if kind == "number" or not row.get("by_part"):
            continue
        classes = kind == "classes"
        made.append(
            {
                "indicator": words(name),
                "kind": kind,
                "facts": _class_facts(row) if classes else _share_facts(row),
                "rows": [_line(part, classes) for part in row["by_part"]],
                "picture": _confusion(words(name), row) if classes else None,
            }
        )
    return made


def _class_facts(row: Mapping[str, Any]) -> str:
    return (
        f"balanced accuracy {score(row.get('balanced_accuracy'))}, accuracy {score(row.get('accuracy'))}, "
        f"log loss {score(row.get('log_loss'))} nats, macro F1 of guessing {score(row.get('chance'))}"
    )


def _share_facts(row: Mapping[str, Any]) -> str:
    apart, error = score(row.get("kl")), score(row.get("mae"))
    return f"Kullback-Leibler divergence {apart} nats, mean absolute error {error}"


def _line(part: Mapping[str, Any], classes: bool) -> dict[str, str]:
    told = {
        "name": clean(part.get("name"), 80),
        "coverage": score(part.get("coverage")),
        "range": interval(part.get("coverage_low"), part.get("coverage_high")),
        "moran": score(part.get("morans_i")),
    }
    if classes:
        return told | {
            "n": count(int(finite(part.get("n")) or 0)),
            "first": score(part.get("f1")),
            "second": score(part.get("recall")),
        }
    return told | {"n": "", "first": score(part.get("mean")), "second": score(part.get("mae"))}


def _confusion(title: str, row: Mapping[str, Any]) -> Markup | None:
    """Rows of true classes, columns of predicted ones: the share of each true class, darker for more."""
    names = [clean(part.get("name"), 60) for part in row["by_part"]]
    table: Sequence[Sequence[float]] = row.get("confusion") or []
    whole = len(table) == len(names) and all(len(counts) == len(names) for counts in table)
    if not table or not whole or len(names) > MOST_CLASSES:
        return None
    cells: dict[tuple[str, str], float | None] = {}
    said = []
    for at, (name, counts) in enumerate(zip(names, table, strict=True)):
        total = sum(counts)
        cells |= {(name, guess): n / total for guess, n in zip(names, counts, strict=True) if total}
        most = names[max(range(len(names)), key=lambda guess: counts[guess])]
        said.append(f"{name}: {score(counts[at] / total if total else None)} right, most often called {most}")
    label = f"Confusion of {title}, as shares of each true class, rows true, columns predicted. "
    return matrix(label + "; ".join(said), names, names, cells)
