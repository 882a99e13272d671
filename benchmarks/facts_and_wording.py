"""Does a changed fact cost more agreement than other words for the same facts?

    python -m benchmarks facts_and_wording [--together 1] [--wrong]

``facts_and_wording.csv`` holds, beside 30 for tuning, 60 kept texts that no rule or number was tuned on: each
with a paraphrase and with a version in which one fact is another. The order is right where the paraphrase
agrees with the text more than the changed version does. Intervals are percentiles of 10,000 bootstrap
samples of the items. ``--together 3`` joins each text with the next two of its set, as captions are long: one
side says all three in other words, the other changes one fact. ``--wrong`` prints items in the wrong order.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import markdown, options
from urbanln.captions.capture import Mode, Scorer
from urbanln.captions.parsing.parse import load_parser

ITEMS = Path(__file__).with_suffix(".csv")
_TEXTS = ("text", "paraphrase", "changed")
_SAMPLES = 10_000


def main(argv: Sequence[str] | None = None) -> None:
    """Print by set and kind how often the order is right, and the mean margin."""
    asked = options(__doc__, argv, together=1, wrong=False)
    rows = []
    for which in ("tuning", "kept"):
        items = joined(read_items(which), asked.together)
        for mode in ("strict", "legacy"):
            scores = scores_of(items, mode)
            rows.append([which, mode, "all", *_shown(scores)])
            if which == "kept":
                kinds = np.array([item["kind"] for item in items])
                rows += [[which, mode, kind, *_shown(scores[kinds == kind])] for kind in dict.fromkeys(kinds)]
            if asked.wrong and mode == "strict":
                for item, (same, changed) in zip(items, scores.tolist(), strict=True):
                    if same <= changed:
                        print(f"{same:.2f} {changed:.2f}", *(item[name] for name in _TEXTS), sep="\n  ")
    head = ["set", "mode", "kind", "items", "paraphrase", "changed", "margin", "order right"]
    print(markdown(head, rows), end="")


def read_items(which: str) -> list[dict[str, str]]:
    """The items of a set, ``"kept"`` or ``"tuning"``: ``kind``, ``text``, ``paraphrase``, ``changed``."""
    with ITEMS.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["set"] == which]


def joined(items: list[dict[str, str]], together: int) -> list[dict[str, str]]:
    """Each item with those that follow it, of which the changed version keeps the text as it is."""
    found = []
    for start, item in enumerate(items):
        after = [items[(start + k) % len(items)] for k in range(1, together)]
        told = {
            name: " ".join([item[name], *(one[name] for one in after)]) for name in ("text", "paraphrase")
        }
        changed = " ".join([item["changed"], *(one["text"] for one in after)])
        found.append({**item, **told, "changed": changed})
    return found


def scores_of(items: list[dict[str, str]], mode: Mode) -> np.ndarray:
    """(N, 2) agreement of each text with its paraphrase and with its changed version."""
    scorer = Scorer(mode)
    texts = [item[name] for item in items for name in _TEXTS]
    graphs = load_parser("spacy").parse(texts)
    said = [scorer.elements(graph, text) for graph, text in zip(graphs, texts, strict=True)]
    pairs = [(said[i], said[i + k]) for i in range(0, len(said), 3) for k in (1, 2)]
    return np.array(scorer.scores(pairs)).reshape(-1, 2)


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the means of samples with replacement."""
    drawn = np.random.default_rng(0).integers(len(values), size=(_SAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _shown(scores: np.ndarray) -> list[str]:
    margins = scores[:, 0] - scores[:, 1]
    shown = []
    for values, digits in ((margins, 2), (margins > 0, 2)):
        low, high = bootstrap(values.astype(float))
        shown.append(f"{values.mean():.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]")
    return [str(len(scores)), *(f"{value:.2f}" for value in scores.mean(axis=0)), *shown]
