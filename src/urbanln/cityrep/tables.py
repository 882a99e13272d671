"""The tables of a result, for the page and as Markdown: means over cities, ranks, a score per city."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from urbanln.cityrep.predicted import MAP_FLOORS
from urbanln.cityrep.told import METRIC_WORDS, label_words, shown
from urbanln.pages.text import DASH, words

SPLIT_WORDS = {"block": "blocks", "random": "random", "block+buffer": "blocks with a buffer"}


Line = tuple[str, list[str]]


class Table(NamedTuple):
    """A table to print.

    Attributes:
        title: Its heading.
        header: Names of columns.
        lines: Cells, and whether the line is CityRep's own model, of ours, or a floor: a class of the page.
    """

    title: str
    header: list[str]
    lines: list[Line]


def source_of(row: Mapping[str, Any]) -> str:
    """Whose a row is: ``floor``, ``theirs`` or ``ours``."""
    return "floor" if row["features"] in MAP_FLOORS else "theirs" if row["theirs"] else "ours"


def name_of(row: Mapping[str, Any]) -> str:
    """What a predictor is called in a table; CityRep's own say that they are."""
    return f"{row['features']} (CityRep)" if row["theirs"] else str(row["features"])


def mean_table(result: Mapping[str, Any], split: str) -> Table:
    """Means over cities under a split: a line per predictor, a column per label."""
    own = [row for row in result["means"] if row["split"] == split]
    labels = list(dict.fromkeys(row["label"] for row in own))
    header = [""]
    for label in labels:
        first = next(row for row in own if row["label"] == label)
        header.append(
            f"{label_words(label)}, {METRIC_WORDS[first['metric']].split(' (')[0]} ({first['cities']})"
        )
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in own:
        text = shown(row["metric"], row["mean"])
        if split == "block+buffer":
            text += f" [{shown(row['metric'], row['low'])}, {shown(row['metric'], row['high'])}]"
        cells.setdefault((source_of(row), name_of(row)), {})[row["label"]] = text
    return Table(f"Mean over cities, {SPLIT_WORDS[split]}", header, _lines(cells, labels))


def _lines(cells: Mapping[tuple[str, str], Mapping[str, str]], columns: Sequence[str]) -> list[Line]:
    """A line per predictor, floors first and CityRep's own last, from its cells by column."""
    order = ("floor", "ours", "theirs")
    ordered = sorted(cells.items(), key=lambda item: order.index(item[0][0]))
    return [
        (source, [name, *(own.get(column, DASH) for column in columns)]) for (source, name), own in ordered
    ]


def rank_table(result: Mapping[str, Any], split: str) -> Table:
    """Mean ranks under a split, best first."""
    own = [row for row in result["ranks"] if row["split"] == split]
    lines = [
        (
            source_of(row),
            [name_of(row), f"{row['rank']:.1f}", f"{row['low']:.1f} – {row['high']:.1f}",
             f"{100 * row['first']:.0f} %"],
        )
        for row in own
    ]  # fmt: skip
    count = own[0]["labels"] if own else 0
    title = f"Mean rank over {count} labels, {SPLIT_WORDS[split]}"
    return Table(title, ["", "mean rank", "95 % interval over cities", "first in"], lines)


def city_tables(result: Mapping[str, Any], label: str) -> list[Table]:
    """Scores of a label in each city: strongest floor, vectors, best of CityRep's models, split by split."""
    rows = [row for row in result["rows"] if row["label"] == label]
    made = []
    for split in dict.fromkeys(row["split"] for row in rows):
        own = [row for row in rows if row["split"] == split]
        cities = list(dict.fromkeys(row["city"] for row in own))
        scores: dict[tuple[str, str], dict[str, str]] = {}
        for row in own:
            scores.setdefault((source_of(row), name_of(row)), {})[row["city"]] = shown(
                row["metric"], row["score"]
            )
        metric = METRIC_WORDS[own[0]["metric"]]
        made.append(
            Table(f"{metric}, {SPLIT_WORDS[split]}", ["", *map(words, cities)], _lines(scores, cities))
        )
    return made


def markdown(result: Mapping[str, Any]) -> str:
    """The tables of means and ranks, and what has to be known."""
    parts = ["# CityRep"]
    for split in result["splits"]:
        for table in (mean_table(result, split), rank_table(result, split)):
            parts += [f"## {table.title}", _markdown(table)] if table.lines else []
    parts += ["## To know", "\n".join(f"- {note}" for note in notes_of(result))]
    return "\n\n".join(parts) + "\n"


def _markdown(table: Table) -> str:
    lines = [table.header, ["---"] * len(table.header), *(cells for _, cells in table.lines)]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain.replace("|", "\\|").replace("<", "&lt;")


def notes_of(result: Mapping[str, Any]) -> list[str]:
    """What has to be known to read the tables."""
    notes = list(result["notes"])
    compared, equal = result["split_files"]["compared"], result["split_files"]["equal"]
    if compared:
        notes.append(f"Splits: {equal} of {compared} are CityRep's own files, sample for sample (SHA-256).")
    if result["absent"]:
        notes.append(f"Not in the clone: {', '.join(result['absent'])}.")
    if result["left_out_of_means"]:
        notes.append(f"In no mean and no rank: {', '.join(result['left_out_of_means'])}.")
    return notes


def labels_of(result: Mapping[str, Any]) -> Sequence[str]:
    """The labels, in order."""
    return list(dict.fromkeys(row["label"] for row in result["rows"]))
