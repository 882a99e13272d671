"""Scores as tables to read: a frame, Markdown, and what the terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from urbanln.probe.verdict import short, with_interval

if TYPE_CHECKING:
    from rich.table import Table


def scores_table(scores: Mapping[str, Any]) -> pd.DataFrame:
    """R² (log) with its 95 % interval: a row per features and head, a column per indicator and split.

    Args:
        scores: What :func:`urbanln.probe.run.probe_tables` found, or ``scores.json`` read back.
    """
    cells: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for row in scores["rows"]:
        line = cells.setdefault((row["features"], row["head"]), {})
        line[row["indicator"], row["split"]] = with_interval(row["r2"], row["r2_low"], row["r2_high"])
    columns = dict.fromkeys((row["indicator"], row["split"]) for row in scores["rows"])
    return pd.DataFrame(
        [[line.get(column, "–") for column in columns] for line in cells.values()],
        index=pd.MultiIndex.from_tuples(list(cells), names=["features", "head"]),
        columns=pd.MultiIndex.from_tuples(list(columns), names=["indicator", "split"]),
    )


def scores_markdown(scores: Mapping[str, Any]) -> str:
    """The long table in Markdown, followed by the verdicts and notes."""
    header, lines = _header(scores), _lines(scores)
    parts = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    parts += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
    parts += ["", _caption(scores), ""]
    parts += [f"- {sentence}" for sentence in _sentences(scores)]
    return "\n".join(parts) + "\n"


def scores_rich(scores: Mapping[str, Any]) -> Table:
    """The long table for the terminal, a section per indicator; its caption carries the notes."""
    from rich.markup import escape
    from rich.table import Table

    caption = "\n".join([_caption(scores), *scores["notes"]])
    table = Table(caption=escape(caption), caption_justify="left", title_justify="left")
    for number, name in enumerate(_header(scores)):
        table.add_column(escape(name), justify="left" if number < 3 else "right", no_wrap=number < 3)
    last = None
    for line in _lines(scores):
        if last not in (None, line[0]):
            table.add_section()
        shown = "" if line[0] == last else line[0]
        last = line[0]
        style = "bold" if line[1] == scores["main"] else None
        table.add_row(*(escape(cell) for cell in (shown, *line[1:])), style=style)
    return table


def _rivals(scores: Mapping[str, Any]) -> list[str]:
    named = ["coordinates", scores["baseline"]] if scores["main"] else ["mean"]
    return [name for name in named if name]


def _header(scores: Mapping[str, Any]) -> list[str]:
    under = f"{scores['settings']['block_km']:g} km blocks"
    return ["indicator", "features", "head", "random", under, *(f"blocks − {n}" for n in _rivals(scores))]


def _lines(scores: Mapping[str, Any]) -> list[list[str]]:
    """One line per indicator, features and head: R² under both splits, then paired differences."""
    pairs: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in scores["rows"]:
        pairs.setdefault((row["indicator"], row["features"], row["head"]), {})[row["split"]] = row
    lines = []
    for (indicator, features, head), by_split in pairs.items():
        line = [indicator, features, "–" if head == "none" else head]
        for split in ("random", "block"):
            row = by_split.get(split)
            line.append(with_interval(row["r2"], row["r2_low"], row["r2_high"]) if row else "–")
        gaps = by_split.get("block", {}).get("vs", {})
        for rival in _rivals(scores):
            gap = gaps.get(rival)
            line.append(with_interval(gap["diff"], gap["low"], gap["high"]) if gap else "")
        lines.append(line)
    return lines


def _caption(scores: Mapping[str, Any]) -> str:
    chosen, block = scores["settings"], scores["splits"]["block"]
    return (
        f"R² of log labels on pooled held-out rows, mean of {chosen['seeds']} seeds, 95 % interval by "
        f"bootstrap of {block['n_blocks']} blocks. {block['n']:,} regions; nearest training region: "
        f"{short(scores['splits']['random']['nearest_km_median'])} km (random), "
        f"{short(block['nearest_km_median'])} km (blocks, buffer {chosen['buffer_km']:g} km), median."
    )


def _sentences(scores: Mapping[str, Any]) -> list[str]:
    return [*(verdict["sentence"] for verdict in scores["verdicts"]), *scores["notes"]]
