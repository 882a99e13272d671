"""A study's results for people: ``study.json``, ``study.csv``, ``study.md`` and the page ``study.html``.

Of a grid of conditions also ``study.svg``, the small multiples as a file of their own. Each kind of label has
tables and pictures of its own, those of the kind that the study names first; nothing sums them up.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from urbanln.base.files import write_json, write_text
from urbanln.base.kinds import RARE, few
from urbanln.pages.charts import Canvas, DotPlot
from urbanln.pages.render import render, standalone
from urbanln.pages.text import DASH, clean, cut, finite, score, words
from urbanln.probe.names import NO_HEAD
from urbanln.study.gains import sentences
from urbanln.study.multiples import GAINS, gains_table, multiples

_WIDTH, _LABEL, _VALUE, _ROW = 860.0, 250.0, 190.0, 24.0
_OF = {"number": "numbers", "classes": "classes", "shares": "shares"}


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
    """One line per measure, split, head and predictor, scores per indicator and seed at the end; no rounding.

    With labels of several kinds a column says which score a line is of; those of the others are empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    measures, seeds = result["measures"], list(map(str, result["seeds"]))
    which = ["measure"] if len(measures) > 1 else []
    scores = [column for measure in measures for column in _ends(measure["key"])]
    columns = ["name", "kind", *which, "split", "head", *scores, *_ends("diff"), "about"]
    by_indicator = [(measure["key"], name) for measure in measures for name in measure["indicators"]]
    by_seed = [(measure["key"], seed) for measure in measures for seed in seeds]
    each = [f"{key} {name}" for key, name in by_indicator] + [f"{key} seed {seed}" for key, seed in by_seed]
    writer.writerow([*columns, *each])
    for row in result["rows"]:
        of, own = row["by_indicator"], {row["measure"]: row["by_seed"]}
        values = [of.get(name, {}).get(key) for key, name in by_indicator]
        values += [own.get(key, {}).get(seed) for key, seed in by_seed]
        writer.writerow([*map(row.get, columns), *values])
    return buffer.getvalue()


def _capital(name: str) -> str:
    return f"{name[0].upper()}{name[1:]}"


def _ends(key: str) -> list[str]:
    return [key, f"{key}_low", f"{key}_high"]


def results_markdown(result: Mapping[str, Any]) -> str:
    """The tables as Markdown: one per measure, split and head, and one of the score per indicator."""
    parts = [f"# {result['name']}", *([result["about"]] if result["about"] else []), _facts(result)]
    for one in _gained(result):
        parts.append(f"## When does each part pay? {one['heading']}")
        parts += [*one["sentences"], f"{one['measure']} with a part less that without it, paired:"]
        lines = [[_cell(text) for text in line] for line in one["table"]]
        parts.append(_markdown(GAINS, lines))
    for table in _tables(result):
        measure, rows = table.measure, table.rows
        key, name, each, digits = (measure[part] for part in ("key", "name", "each", "digits"))
        names = measure["indicators"]
        parts += [f"## {table.heading}", *map(_cell, _notes(result, table))]
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
    parts += [result["covered"], *map(_cell, _missing(result))]
    return "\n\n".join(parts) + "\n"


def results_html(result: Mapping[str, Any]) -> str:
    """The page: escaped, no scripts, nothing from the network."""
    tables = [
        {
            "heading": table.heading,
            "rows": table.rows,
            "notes": _notes(result, table),
            "plot": forest(table.rows, result["reference"], table.heading, table.measure["name"]),
            "one_score": partial(_each, measure=table.measure),
            **table.measure,
        }
        for table in _tables(result)
    ]
    context = {
        "title": result["name"], "result": result, "tables": tables, "facts": _facts(result),
        "gained": _gained(result), "gain_columns": GAINS, "missing": _missing(result),
        "drawn": [Path(city).name for city in result["synthetic"]],
    }  # fmt: skip
    helpers = {"interval": _range, "words": words}
    return render("urbanln.study", "study.html.j2", context | helpers)


def _gained(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per measure, split and head what the parts were worth: heading, sentences, table, picture."""
    found = []
    for table in _tables(result):
        place = (table.measure["key"], table.split, table.head)
        rows = [row for row in result["gains"] if (row["measure"], row["split"], row["head"]) == place]
        if not rows:
            continue
        found.append(
            {
                "heading": table.heading,
                "measure": _capital(table.measure["name"]),
                "predicted": any(row["predicted"] for row in rows),
                "guessed": any(row["guessed"] for row in rows),
                "sentences": sentences(rows),
                "table": gains_table(rows),
                "plot": multiples(rows, table.measure["name"], table.heading),
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


class _Table(NamedTuple):
    """Rows of one measure, split and head."""

    measure: Mapping[str, Any]
    split: str
    head: str
    heading: str
    rows: list[Mapping[str, Any]]


def _tables(result: Mapping[str, Any]) -> list[_Table]:
    """Rows by measure, split and head, the hardest split first; floors stand beside every head."""
    found = []
    for measure in result["measures"]:
        for split in sorted(result["splits"], key=lambda split: split == "random"):
            for head in result["heads"]:
                rows: dict[str, Mapping[str, Any]] = {}
                for row in result["rows"]:
                    if (row["measure"], row["split"]) == (measure["key"], split) and row["head"] in (
                        head, NO_HEAD,
                    ):  # fmt: skip
                        rows.setdefault(row["name"], row)
                heading = _heading(result, measure, split, head)
                found.append(_Table(measure, split, head, heading, list(rows.values())))
    return found


def _heading(result: Mapping[str, Any], measure: Mapping[str, Any], split: str, head: str) -> str:
    if "retrieve" in result:
        return f"{split}, {head}"
    of = f"{_OF[measure['of']]}, " if len(result["measures"]) > 1 else ""
    return f"{of}{split} split, {head} head"


def _notes(result: Mapping[str, Any], table: _Table) -> list[str]:
    """What has to be known of a table: its labels where kinds are several, who has none, what is chance."""
    said, measure = [], table.measure
    if len(result["measures"]) > 1:
        said.append(f"{_capital(measure['name'])} of {', '.join(map(words, measure['indicators']))}.")
    there = {city for row in table.rows for city in row["cities"]}
    if lacking := [Path(city).name for city in result["cities"] if city not in there]:
        said.append(f"Nothing of this is scored in {', '.join(lacking)}.")
    if (chance := measure.get("chance")) is not None:
        said.append(
            f"Guessing reaches a macro F1 of {score(chance, 2)} at most, and naming the most frequent class "
            "everywhere less: the mean floor can be beaten by what knows nothing."
        )
    said += [
        f"{words(one['indicator'])}, {Path(one['city']).name}: classes of fewer than {RARE} regions, whose "
        f"F1 is chance: {few([clean(name, 120) for name in one['classes']])}."
        for one in measure.get("rare", [])
    ]
    return said


def _missing(result: Mapping[str, Any]) -> list[str]:
    """What failed, and which labels could not be scored."""
    told = [
        f"Failed: {clean(one['variant'], 120)}, {Path(one['city']).name}, seed {one['seed']}: "
        f"{clean(one['reason'])}"
        for one in result["failed"]
    ]
    for one in result["left_out"]:
        where = f", {one['split']} split" if one["split"] else ""
        told.append(
            f"Not scored: {words(one['indicator'])}, {Path(one['city']).name}{where}: {clean(one['reason'])}"
        )
    return told


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
