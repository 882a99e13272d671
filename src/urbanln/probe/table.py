"""Scores as tables to read: a frame, Markdown, CSV, LaTeX, and what the terminal shows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pandas as pd

from urbanln.base.errors import printable
from urbanln.base.kinds import Kind
from urbanln.probe.headline import headline
from urbanln.probe.kinds import SCORE_NAMES, SCORE_WORDS, kind_of, main_score
from urbanln.probe.names import MAP, NO_HEAD
from urbanln.probe.verdict import judged_split, short, strongest_floor, with_interval

if TYPE_CHECKING:
    from rich.table import Table

_NAMES = {"random": "random", "block": "blocks", "district": "districts", "city": "cities"}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$", "–": "--", "²": "$^2$",
}  # fmt: skip


def scores_table(scores: Mapping[str, Any]) -> pd.DataFrame:
    """The main score with its 95 % interval: a row per features and head, a column per indicator and split.

    Args:
        scores: What :func:`urbanln.probe.run.probe_tables` found, or ``scores.json`` read back.
    """
    told = {
        (row["features"], row["head"], row["indicator"], row["split"]): with_interval(*main_score(row))
        for row in scores["rows"]
    }
    lines = list(dict.fromkeys((features, head) for features, head, _, _ in told))
    columns = list(dict.fromkeys((indicator, split) for _, _, indicator, split in told))
    return pd.DataFrame(
        [[told.get((*line, *column), "–") for column in columns] for line in lines],
        index=pd.MultiIndex.from_tuples(lines, names=["features", "head"]),
        columns=pd.MultiIndex.from_tuples(columns, names=["indicator", "split"]),
    )


def scores_markdown(scores: Mapping[str, Any]) -> str:
    """The long table in Markdown, followed by what it comes to, the verdicts and notes."""
    header = _header(scores)
    parts = [f"| {' | '.join(map(_cell, header))} |", f"|{'---|' * len(header)}"]
    parts += [f"| {' | '.join(map(_cell, line))} |" for line in _lines(scores)]
    sentences = [headline(scores), *(verdict["sentence"] for verdict in scores["verdicts"]), *scores["notes"]]
    parts += ["", _caption(scores), "", *(f"- {_one_line(sentence)}" for sentence in sentences)]
    return "\n".join(parts) + "\n"


def scores_csv(scores: Mapping[str, Any]) -> str:
    """Every number of every row, for programs: a column ``vs NAME`` (with ``low``, ``high``) per rival.

    Scores of each seed are joined by spaces; what is missing, or not of this kind of label, is empty; control
    characters in names are escaped. Tables within a row (``confusion``, ``by_part``) stay in ``scores.json``.
    """
    rivals = list(dict.fromkeys(name for row in scores["rows"] for name in row["vs"]))
    keys = dict.fromkeys(key for row in scores["rows"] for key in row)
    seeds = [key for key in keys if key.endswith("_seeds")]
    plain = [key for key in keys if key not in ("vs", "confusion", "by_part", *seeds)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    ends = ("diff", "low", "high")
    heads = [f"vs {printable(name)} {end}" for name in rivals for end in ends]
    writer.writerow([*plain, *seeds, *heads])
    for row in scores["rows"]:
        gaps = [row["vs"].get(name, {}).get(end) for name in rivals for end in ends]
        own = [printable(value) if isinstance(value := row.get(key), str) else value for key in plain]
        writer.writerow([*own, *(_joined(row.get(key)) for key in seeds), *gaps])
    return file.getvalue()


def _joined(values: Sequence[float | None] | None) -> str:
    return " ".join("" if value is None else repr(value) for value in values or ())


def scores_latex(scores: Mapping[str, Any]) -> str:
    """The long table for a paper: ``tabular`` with booktabs, everything escaped."""
    header = _header(scores)
    parts = [
        "% Needs \\usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering\small",
        rf"\begin{{tabular}}{{lll{'r' * (len(header) - 3)}}}",
        r"\toprule",
        " & ".join(map(_escaped, header)) + r" \\",
    ]
    for _, lines in groupby(_lines(scores), itemgetter(0)):
        parts.append(r"\midrule")
        # A group: a line that begins with "[" would else be read as an argument of the \\ before it.
        parts += ["{}" + " & ".join(map(_escaped, line)) + r" \\" for line in _named_once(lines)]
    parts += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{_escaped(_caption(scores))}}}", r"\end{table}"]
    return "\n".join(parts) + "\n"


def scores_rich(scores: Mapping[str, Any]) -> Table:
    """The long table for the terminal, a section per indicator; its caption carries the notes."""
    from rich.markup import escape
    from rich.table import Table

    caption = "\n".join(map(printable, [_caption(scores), *scores["notes"]]))
    table = Table(caption=escape(caption), caption_justify="left", title_justify="left")
    for number, name in enumerate(_header(scores)):
        table.add_column(
            escape(printable(name)), justify="left" if number < 3 else "right", no_wrap=number < 3
        )
    for _, lines in groupby(_lines(scores), itemgetter(0)):
        table.add_section()  # which closes the rows before, if there are any
        for line in _named_once(lines):
            style = "bold" if line[1] == scores["main"] else None
            table.add_row(*(escape(printable(cell)) for cell in line), style=style)
    return table


def _named_once(lines: Iterable[list[str]]) -> Iterator[list[str]]:
    """The lines of an indicator, whose name stands in the first of them alone."""
    for number, line in enumerate(lines):
        yield ["", *line[1:]] if number else line


def _splits(scores: Mapping[str, Any]) -> dict[str, str]:
    """Splits scored and what a column calls them."""
    edge = f"{scores['settings']['block_km']:g} km"
    blocks = f"H3 {edge}" if scores["settings"].get("blocks") == "h3" else f"{edge} blocks"
    return {split: {**_NAMES, "block": blocks}[split] for split in scores["splits"]}


def _rivals(scores: Mapping[str, Any]) -> list[str]:
    """Rivals with a column of paired differences; "" is the strongest floor, another for each indicator."""
    if not scores["main"]:
        return ["mean"]
    joint = [MAP] if any(MAP in row["vs"] for row in scores["rows"]) else []
    return ["", *([scores["baseline"]] if scores["baseline"] else []), *joint]


def _header(scores: Mapping[str, Any]) -> list[str]:
    judged = _NAMES[judged_split(scores)]
    rivals = [f"{judged} − {name or 'strongest floor'}" for name in _rivals(scores)]
    return ["indicator", "features", "head", *_splits(scores).values(), *rivals]


def _lines(scores: Mapping[str, Any]) -> list[list[str]]:
    """One line per indicator, features and head: the main score per split, then paired differences."""
    pairs: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in scores["rows"]:
        pairs.setdefault((row["indicator"], row["features"], row["head"]), {})[row["split"]] = row
    lines = []
    for (indicator, features, head), by_split in pairs.items():
        cells = []
        for split in _splits(scores):
            row = by_split.get(split)
            cells.append(with_interval(*main_score(row)) if row else "–")
        judged = judged_split(scores, indicator)
        gaps = by_split.get(judged, {}).get("vs", {})
        for rival in _rivals(scores):
            gap = gaps.get(rival or strongest_floor(scores, indicator, judged))
            # Floors are what the others are measured by: their own differences would only crowd the table.
            told = gap and (head != NO_HEAD or rival == "mean")
            cells.append(with_interval(gap["diff"], gap["low"], gap["high"]) if told else "")
        lines.append([indicator, features, "–" if head == NO_HEAD else head, *cells])
    return lines


def _caption(scores: Mapping[str, Any]) -> str:
    chosen, judged = scores["settings"], scores["splits"][judged_split(scores)]
    near = []
    for split, facts in scores["splits"].items():
        buffer = f", buffer {facts['buffer_km']:g} km" if facts["buffer_km"] is not None else ""
        near.append(f"{short(facts['nearest_km_median'])} km ({split}{buffer})")
    seeds = f"mean of {chosen['seeds']} seeds" if chosen["seeds"] > 1 else "one seed"
    return (
        f"{_what(scores)} on pooled held-out rows, {seeds}, 95 % interval by "
        f"bootstrap of {judged['n_blocks']} blocks. {judged['n']:,} regions; nearest training region: "
        f"{', '.join(near)}, median."
    )


def _what(scores: Mapping[str, Any]) -> str:
    """What the numbers are: ``R² of log labels``; of several kinds of labels each with its labels."""
    by_kind: dict[Kind, list[str]] = {}
    for row in scores["rows"]:
        by_kind.setdefault(kind_of(row), []).append(row["indicator"])
    log = any(row["transform"] != "none" for row in scores["rows"])
    words: dict[Kind, str] = {
        "number": "log labels" if log else "labels",
        "classes": "classes",
        "shares": "shares",
    }
    told = []
    for kind, names in by_kind.items():
        which = f" ({', '.join(dict.fromkeys(names))})" if len(by_kind) > 1 else ""
        told.append(f"{SCORE_WORDS[SCORE_NAMES[kind]]} of {words[kind]}{which}")
    return ", ".join(told)


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table: no sign of it ends the cell, the line or the text."""
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _one_line(text: str) -> str:
    """Text for Markdown, which shows HTML as HTML; a control sign or a line break becomes a space."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain.replace("&", "&amp;").replace("<", "&lt;")


def _escaped(text: str) -> str:
    """Text for LaTeX; a control sign of the terminal or a line break becomes a space."""
    return "".join(_LATEX.get(sign, sign if sign.isprintable() else " ") for sign in text)
