"""The page of a result: what the map alone reaches, small multiples, tables, what has to be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urbanln.cityrep.compared import strongest
from urbanln.cityrep.metrics import better
from urbanln.cityrep.splits import BUFFERED
from urbanln.cityrep.tables import (
    SPLIT_WORDS,
    city_tables,
    labels_of,
    mean_table,
    name_of,
    notes_of,
    rank_table,
    source_of,
)
from urbanln.cityrep.told import METRIC_WORDS, label_words, shown
from urbanln.pages.charts import Canvas, DotPlot, axis_score
from urbanln.pages.render import render
from urbanln.pages.text import cut, finite, quantity

_WIDTH, _LABEL, _VALUE, _ROW = 520.0, 168.0, 52.0, 22.0
_UNDER = {
    "block": "Under CityRep’s blocks",
    "random": "Under its random split",
    BUFFERED: "With a buffer around its blocks",
}
_BEST = 3  # of CityRep's models in a small chart
_TOLD = {
    "block": "CityRep’s main split: a fifth of its 10 × 10 blocks is held out, with no strip cleared around "
    "them; means of five seeds.",
    "random": "CityRep’s other split: a fifth of the samples is held out, wherever they are; means of five "
    "seeds.",
    BUFFERED: "The same blocks, each held out once, and training samples near to a held-out one left out. "
    "The intervals are over resampled cities and blocks. CityRep publishes nothing under this split.",
}


def cityrep_page(result: Mapping[str, Any]) -> str:
    """One self-contained HTML page.

    Args:
        result: From :func:`urbanln.cityrep.written.collect`.
    """
    context = {
        "title": "CityRep",
        "synthetic": False,
        "facts": _facts(result),
        "sentences": sentences(result),
        "marks": [{"split": split, "told": _mark(result, split)} for split in result["splits"]],
        "charts": [_chart(result, label) for label in dict.fromkeys(row["label"] for row in result["means"])],
        "splits": [
            {
                "heading": SPLIT_WORDS[split][0].upper() + SPLIT_WORDS[split][1:],
                "told": _TOLD[split],
                "tables": [mean_table(result, split), rank_table(result, split)],
            }
            for split in result["splits"]
        ],
        "labels": [
            {"name": _upper(label), "tables": city_tables(result, label)} for label in labels_of(result)
        ],
        "notes": notes_of(result),
    }
    return render("urbanln.cityrep", "cityrep.html.j2", context)


def _mark(result: Mapping[str, Any], split: str) -> str:
    """What a mark of the charts stands for; the first is filled, and has the interval."""
    told = SPLIT_WORDS[split] + (f" of {result['buffer_km']:g} km" if split == BUFFERED else "")
    return told + (", with the interval over cities" if split == result["splits"][0] else "")


def sentences(result: Mapping[str, Any]) -> list[str]:
    """What comes out under each split: the map against CityRep's models, vectors against the map."""
    found = []
    for split in result["splits"]:
        own = [row for row in result["means"] if row["split"] == split]
        labels = list(dict.fromkeys(row["label"] for row in own))
        pairs = [(label, *_pair(own, label)) for label in labels]
        known = [(label, floor, best) for label, floor, best in pairs if best is not None]
        if known:
            ahead = [label for label, floor, best in known if _gain(floor, best) > 0]
            named = f": {', '.join(map(label_words, ahead))}" if ahead else ""
            found.append(
                f"{_UNDER[split]} the strongest floor of the map is above all of CityRep’s "
                f"models on {len(ahead)} of {len(known)} labels{named}. {_by_task(result, split)}"
            )
        for name in result["vectors"]:
            rows = [
                row for row in result["above_the_map"]
                if row["split"] == split and row["features"] == name and not row["theirs"]
            ]  # fmt: skip
            above = sum(row["gain"] > 0 for row in rows)
            sure = sum((finite(row["low"]) or 0) > 0 for row in rows)
            more = f", and on {sure} the interval says so" if split == BUFFERED else ""
            found.append(
                f"{_UNDER[split]} {name} is above the strongest floor of the map on {above} of "
                f"{len(rows)} tasks{more}."
            )
    return found


def _by_task(result: Mapping[str, Any], split: str) -> str:
    """On how many tasks no model of CityRep's is above the map."""
    best: dict[str, float] = {}
    for row in result["above_the_map"]:
        if row["split"] == split and row["theirs"] and row["task"] not in result["left_out_of_means"]:
            best[row["task"]] = max(row["gain"], best.get(row["task"], row["gain"]))
    return f"Task by task, on {sum(gain <= 0 for gain in best.values())} of {len(best)}."


def _pair(rows: Sequence[Mapping[str, Any]], label: str) -> tuple[Any, Any]:
    """The strongest floor of a label, and the best of CityRep's models."""
    own = [row for row in rows if row["label"] == label]
    return strongest([row for row in own if source_of(row) == "floor"]), strongest(own, theirs=True)


def _gain(row: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return float(better(row["metric"]) * (row["mean"] - other["mean"]))


def _facts(result: Mapping[str, Any]) -> str:
    cities = {row["city"] for row in result["rows"]}
    absent = f"; {len(result['absent'])} are not in the clone" if result["absent"] else ""
    vectors = f" Vectors: {', '.join(result['vectors'])}." if result["vectors"] else ""
    return f"{len(result['tasks'])} tasks of {len(cities)} cities{absent}.{vectors}"


def _upper(label: str) -> str:
    text = label_words(label)
    return text[:1].upper() + text[1:]


def _chart(result: Mapping[str, Any], label: str) -> dict[str, Any]:
    """A row per floor, table of vectors and leading model, with its means under all splits."""
    rows = [row for row in result["means"] if row["label"] == label]
    main = next(split for split in result["splits"] if any(row["split"] == split for row in rows))
    own = [row for row in rows if row["split"] == main]
    theirs = [row for row in own if row["theirs"]][:_BEST]
    chosen = [row for row in own if not row["theirs"] and row["features"] != "mean"] + theirs
    by_split = {(name_of(row), row["split"]): row for row in rows}
    metric = own[0]["metric"]
    drawn = [
        finite(row[key])
        for name in map(name_of, chosen)
        for split in result["splits"]
        if (row := by_split.get((name, split))) is not None
        for key in ("mean", *(("low", "high") if split == main else ()))
    ]
    known = [value for value in drawn if value is not None]
    low, high = (0.0, max([*known, 1e-9])) if metric == "KL" else (max(min([0.0, *known]), -0.5), 1.0)
    margin = 0.03 * (high - low)
    bottom = 8 + _ROW * len(chosen)
    told = f"{METRIC_WORDS[metric]}, mean of {own[0]['cities']} cities"
    canvas = Canvas(_WIDTH, bottom + 20, f"{label_words(label)}, {told}: ")
    plot = DotPlot(canvas, _LABEL, _WIDTH - _VALUE, low - margin, high + margin)
    plot.axis(2, bottom, 4, quantity if metric == "KL" else axis_score)
    for number, row in enumerate(chosen):
        _row(plot, 16 + _ROW * number, row, by_split, result["splits"], number)
    return {"name": _upper(label), "told": told, "plot": canvas.svg()}


def _row(
    plot: DotPlot, y: float, row: Mapping[str, Any], by_split: Mapping[tuple[str, str], Mapping[str, Any]],
    splits: Sequence[str], number: int,
) -> None:  # fmt: skip
    name, metric, ours = name_of(row), row["metric"], not row["theirs"]
    text = shown(metric, row["mean"])
    plot.canvas.label += f"{'; ' if number else ''}{name}"
    for split in splits:
        other = by_split.get((name, split))
        if other is None:
            continue
        plot.canvas.label += f", {SPLIT_WORDS[split]} {shown(metric, other['mean'])}"
        if other is row or finite(other["mean"]) is None:
            continue
        x = plot.place(other["mean"])
        if split == BUFFERED and splits[0] != BUFFERED:
            plot.canvas.path([(x, y - 5.5), (x + 5, y + 4), (x - 5, y + 4)], "end b", closed=True)
        else:
            plot.canvas.circle(x, y, 4.5, f"dot {'main' if ours else 'other'} hollow")
    ends = (finite(row["low"]), finite(row["high"]))
    plot.row(y, cut(name, 26), text, finite(row["mean"]), ends, main=ours)
