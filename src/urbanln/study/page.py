"""A study's results for people: ``study.json``, ``study.csv``, ``study.md`` and the page ``study.html``.

Of a grid of conditions also ``study.svg``, the small multiples as a file of their own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from urbanln.base.files import write_json, write_text
from urbanln.pages.charts import Canvas, DotPlot
from urbanln.pages.render import render, standalone
from urbanln.pages.text import DASH, clean, cut, finite, score, words
from urbanln.study.gains import sentences
from urbanln.study.multiples import GAINS, gains_table, multiples

_WIDTH, _LABEL, _VALUE, _ROW = 860.0, 250.0, 190.0, 24.0
_R2 = {"key": "r2", "name": "R²", "each": "indicator", "digits": 2}  # of results before there was another


def write_results(folder: Path, result: Mapping[str, Any], name: str = "study") -> Path:
    """Write all forms of a study's result.

    Args:
        folder: Where to.
        result: From :func:`urbanln.study.scores.collect`.
        name: Of the files.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    write_text(folder / f"{name}.csv", results_csv(result))
    write_text(folder / f"{name}.md", results_markdown(result))
    if gained := _gained(result):
        write_text(folder / f"{name}.svg", standalone(gained[0]["plot"]))
    page = folder / f"{name}.html"
    write_text(page, results_html(result))
    write_json(folder / f"{name}.json", result)
    return page


def results_csv(result: Mapping[str, Any]) -> str:
    """One line per split, head and predictor, scores per indicator and seed at the end; no rounding."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    indicators, seeds, key = result["indicators"], list(map(str, result["seeds"])), _measure(result)["key"]
    columns = ["name", "kind", "split", "head", *_ends(key), *_ends("diff"), "about"]
    each = [*(f"{key} {name}" for name in indicators), *(f"{key} seed {seed}" for seed in seeds)]
    writer.writerow([*columns, *each])
    for row in result["rows"]:
        of, by_seed = row["by_indicator"], row.get("by_seed", {})
        scores = [*(of.get(name, {}).get(key) for name in indicators), *map(by_seed.get, seeds)]
        writer.writerow([*(row[name] for name in columns), *scores])
    return buffer.getvalue()


def _ends(key: str) -> list[str]:
    return [key, f"{key}_low", f"{key}_high"]


def _measure(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """What scores are: key, name, what they are a mean over, digits."""
    return result.get("measure", _R2)


def results_markdown(result: Mapping[str, Any]) -> str:
    """The tables as Markdown: one per split and head, and one of R² per indicator."""
    parts = [f"# {result['name']}", *([result["about"]] if result["about"] else []), _facts(result)]
    measure = _measure(result)
    key, name, each, digits = (measure[part] for part in ("key", "name", "each", "digits"))
    names = result["indicators"]
    for one in _gained(result):
        parts.append(f"## When does each part pay? {one['heading']}")
        parts += one["sentences"]
        lines = [[_cell(text) for text in line] for line in one["table"]]
        parts.append(_markdown(GAINS, lines))
    for split, head, rows in _tables(result):
        parts.append(f"## {_heading(result, split, head)}")
        lines = [
            [
                _cell(row["name"]),
                _range(row, key, digits),
                _range(row, "diff", sign=True),
                _cell(row["about"]),
            ]
            for row in rows
        ]
        parts.append(_markdown(["variant", name, f"− {_cell(result['reference'])}", "what it is"], lines))
        lines = [[_cell(row["name"]), *(_each(row, one, measure) for one in names)] for row in rows]
        parts.append(_markdown([f"{name.removeprefix('mean ')} per {each}", *map(_cell, names)], lines))
    parts.append(result["covered"])
    for fault in result["failed"]:
        place = f"{fault['variant']}, {Path(fault['city']).name}, seed {fault['seed']}"
        parts.append(f"Failed: {place}: {fault['reason']}")
    return "\n\n".join(parts) + "\n"


def results_html(result: Mapping[str, Any]) -> str:
    """The page: escaped, no scripts, nothing from the network."""
    measure = _measure(result)
    tables = [
        {
            "heading": (heading := _heading(result, split, head)),
            "rows": rows,
            "plot": forest(rows, result["reference"], heading, measure["name"]),
        }
        for split, head, rows in _tables(result)
    ]
    context = {
        "title": result["name"], "result": result, "tables": tables, "facts": _facts(result), **measure,
        "gained": _gained(result), "gain_columns": GAINS,
    }  # fmt: skip
    helpers = {"one_score": partial(_each, measure=measure), "interval": _range, "words": words}
    return render("urbanln.study", "study.html.j2", context | helpers)


def _gained(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per split and head what the parts were worth: heading, sentences, table, picture."""
    found = []
    for split, head, _ in _tables(result):
        rows = [row for row in result.get("gains", []) if (row["split"], row["head"]) == (split, head)]
        if not rows:
            continue
        heading = _heading(result, split, head)
        found.append(
            {
                "heading": heading,
                "sentences": sentences(rows),
                "table": gains_table(rows),
                "plot": multiples(rows, _measure(result)["name"], heading),
            }
        )
    return found


def forest(rows: Sequence[Mapping[str, Any]], reference: str, heading: str, measure: str = "R²") -> Markup:
    """Paired differences to the reference with intervals, one line per variant and floor.

    What goes beyond the axis, which spans the variants, ends in an arrow at its edge.
    """
    shown = [row for row in rows if finite(row["diff"]) is not None]
    columns = ("diff", "diff_low", "diff_high")
    drawn = [finite(row[name]) for row in shown if row["kind"] == "variant" for name in columns]
    known = [value for value in drawn if value is not None]
    low, high = min([-0.02, *known]), max([0.02, *known])
    margin = 0.04 * (high - low)
    bottom = 14 + _ROW * len(shown)
    canvas = Canvas(_WIDTH, bottom + 30, f"Difference in {measure} to {reference}, {heading}: ")
    plot = DotPlot(canvas, _LABEL, _WIDTH - _VALUE, low - margin, high + margin)
    plot.axis(6, bottom, 5, lambda tick: score(tick, sign=True))
    title = f"{measure} less that of {reference}"
    canvas.text((plot.left + plot.right) / 2, bottom + 28, title, anchor="middle")
    for number, row in enumerate(shown):
        text, ends = _range(row, "diff", sign=True), (finite(row["diff_low"]), finite(row["diff_high"]))
        canvas.label += f"{'; ' if number else ''}{row['name']} {text}{plot.said(row['diff'], *ends)}"
        plot.row(
            22 + _ROW * number, cut(row["name"], 36), text, row["diff"], ends, main=row["kind"] == "variant"
        )
    return canvas.svg()


def _tables(result: Mapping[str, Any]) -> list[tuple[str, str, list[Mapping[str, Any]]]]:
    """Rows by split and head, the hardest split first; floors stand beside every head."""
    found = []
    for split in sorted(result["splits"], key=lambda split: split == "random"):
        for head in result["heads"]:
            rows: dict[str, Mapping[str, Any]] = {}
            for row in result["rows"]:
                if row["split"] == split and row["head"] in (head, "none"):
                    rows.setdefault(row["name"], row)
            found.append((split, head, list(rows.values())))
    return found


def _heading(result: Mapping[str, Any], split: str, head: str) -> str:
    return f"{split}, {head}" if "retrieve" in result else f"{split} split, {head} head"


def _facts(result: Mapping[str, Any]) -> str:
    kind = "Cities"
    if "retrieve" in result:
        kind, chosen = "Corpora", result["retrieve"]
        of = f"split {chosen['split']}, texts: {chosen['texts']}"
        sizes = {city: f"{count:,} pictures, {of}" for city, count in result["pictures"].items()}
    else:
        regions, blocks = result["regions"], result["blocks"]
        sizes = {city: f"{regions[city]} regions, {blocks[city]} blocks" for city in regions}
    cities = ", ".join(f"{Path(city).name} ({sizes.get(city, 'not scored')})" for city in result["cities"])
    seeds = ", ".join(map(str, result["seeds"]))
    said = f"{kind}: {cities}. Training seeds: {seeds}. Reference: {result['reference']}."
    if len(result["seeds"]) == 1:
        said += " With one training seed the intervals do not hold the spread between trainings."
    return said


def _range(row: Mapping[str, Any], name: str, digits: int = 3, *, sign: bool = False) -> str:
    """``.12 [.05, .19]``, with three decimals for differences, which are small."""
    value, low, high = (score(row[key], digits, sign) for key in (name, f"{name}_low", f"{name}_high"))
    return value if DASH in (value, low, high) else f"{value} [{low}, {high}]"


def _each(row: Mapping[str, Any], name: str, measure: Mapping[str, Any]) -> str:
    """The score of one indicator; with its interval where there are few enough for that: the recalls."""
    found, key, digits = row["by_indicator"].get(name, {}), measure["key"], measure["digits"]
    return _range(found, key, digits) if found and key == "recall" else score(found.get(key), digits)


def _cell(text: str) -> str:
    return clean(text, 400).replace("\n", " ").replace("|", "\\|")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
