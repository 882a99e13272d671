"""The report: one HTML file that holds everything it shows and asks the network for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.files import write_text
from urbanln.pages.render import render
from urbanln.pages.text import clean, finite
from urbanln.report import reading, tables
from urbanln.report.answer import answer
from urbanln.report.audit import audit_context
from urbanln.report.details import Example, example_pictures, run_facts, training_charts
from urbanln.report.drawn import draw_maps, draw_scatters, drawn_rows, forests, held_out
from urbanln.report.drawn_parts import held_parts
from urbanln.report.few_labels import efficiency, transfer_sections
from urbanln.report.leakage import fact_names, leakage_table
from urbanln.report.parts import MEASURES, part_tables

_PREDICTION_COLUMNS = ("region_id", "indicator", "split", "features", "head", "seed", "truth", "prediction")


def write_report(
    path: Path | str,
    *,
    title: str,
    run: Mapping[str, Any],
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    predictions: pd.DataFrame,
    metrics: Sequence[Mapping[str, Any]] = (),
    examples: Sequence[Example] = (),
    synthetic: bool | str = False,
    notes: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    audit: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report page; the same input gives the same bytes.

    Args:
        path: The HTML file to write.
        title: Heading of the page, usually the city's name.
        run: What ran, printed as given: ``commands`` by what they made, settings (TOML), ``hashes``, …
        regions: region_id and geometry, polygons or points, in any CRS; EPSG:4326 when none is set. With a
            column ``city`` that names several, maps show one city at a time.
        scores: The content of ``scores.json``; what an older one lacks is left out of the page.
        predictions: The rows of ``predictions.parquet``: region_id, indicator, split, features, head, seed,
            truth and prediction, perhaps low and high (all in the indicator's unit).
        metrics: The events of ``metrics.jsonl``; empty when the vectors came from elsewhere.
        examples: Pictures with captions to show.
        synthetic: Say on top that the city is synthetic and its labels simulated; the names of the cities
            that are, where others are real.
        notes: Sentences printed with the limits (licences, weak points of the data).
        units: Unit per indicator; those of ``scores`` where not given.
        audit: What ``urbanln audit`` found, as its JSON: see :func:`urbanln.report.audit.audit_context`.

    Returns:
        The path written.

    Raises:
        InputError: A column the page needs is missing, or ``scores`` is of another kind.
        StorageError: The file could not be written.
    """
    _check(regions, scores, predictions)
    merged = {str(k): str(v) for k, v in ((scores.get("units") or {}) | dict(units or {})).items()}
    pictures, example_notes = example_pictures(examples)
    context: dict[str, Any] = {
        "title": clean(title, 200) or "Report",
        "synthetic": synthetic,
        "answer": answer(scores, merged, len(regions)),
        **_score_facts(scores, merged),
        **_drawn_facts(regions, scores, predictions, merged),
        "training": training_charts(metrics),
        "examples": pictures,
        "example_notes": example_notes,
        "audit": audit_context(audit),
        "run": run_facts(run),
        "notes": list(map(str, notes)),
    }
    context["absent"] = _absent(context)
    write_text(path, render("urbanln.report", "page.html.j2", context))
    return Path(path)


def _check(regions: gpd.GeoDataFrame, scores: Mapping[str, Any], predictions: pd.DataFrame) -> None:
    for name, frame, needed in (
        ("regions", regions, ("region_id", "geometry")),
        ("predictions", predictions, _PREDICTION_COLUMNS),
    ):
        missing = [column for column in needed if column not in frame.columns]
        if missing:
            raise InputError(
                f"the report's {name} lack a column",
                value=", ".join(missing),
                where=name,
                remedy="make them again with urbanln probe",
            )
    if scores.get("kind", "scores") != "scores":
        raise InputError(
            "not a table of scores",
            value=scores.get("kind"),
            remedy="pass the scores.json that probe wrote",
            where="scores",
        )


def _absent(context: Mapping[str, Any]) -> list[str]:
    """A sentence for each section that is left out, since there is nothing to show in it."""
    ran = any(context["run"].values())
    given = (
        (context["table"], "There are no scores: nothing was probed."),
        (context["scatters"], "There are no held-out predictions of these vectors to draw."),
        (context["training"], "No training log was given: these vectors were made elsewhere."),
        (context["examples"], "No example pictures were given."),
        (ran, "Nothing was recorded about the run."),
    )
    notes = [] if context["map_json"] else context["map_notes"]
    unread = [] if context["examples"] else context["example_notes"]
    return [*(sentence for there, sentence in given if not there), *notes, *unread]


def _score_facts(scores: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, Any]:
    """What the page prints from the scores alone."""
    level = finite((scores.get("settings") or {}).get("level"))
    apart = leakage_table(scores)
    return {
        "verdicts": tables.verdicts(scores),
        "main": clean(reading.subject(scores), 120),
        "vectors": bool(scores.get("main")),
        "weak_points": [str(note) for note in scores.get("notes") or []],
        "baseline": clean(scores["baseline"], 120) if scores.get("baseline") else None,
        "splits": tables.split_facts(scores),
        "split_names": reading.splits_of(scores),
        "split": reading.shown_split(scores),
        "head": reading.main_head(scores),
        "floor_names": [reading.floor_label(name) for name in reading.floors_of(scores)],
        "has_unit_r2": any(finite(row.get("r2_unit")) is not None for row in scores.get("rows") or []),
        "table": tables.score_table(scores, units),
        **_measures(scores),
        "part_tables": part_tables(scores),
        "joint": tables.joint_lines(scores),
        "forests": forests(scores),
        "leakage": apart,
        "leakage_facts": fact_names(apart),
        "coverage": tables.coverage_lines(scores, units),
        "level": None if level is None else f"{100 * level:.0f} %",
        "residuals": tables.residual_lines(scores),
        "efficiency": efficiency(scores),
        "transfer": transfer_sections(scores),
    }


def _measures(scores: Mapping[str, Any]) -> dict[str, Any]:
    """What the main scores are called, and what each means where there are several."""
    used = dict.fromkeys(reading.measure_of(scores, name) for name in reading.indicators(scores))
    told = " ".join(MEASURES[name] for name in used)
    several = len(used) > 1 or not set(used) <= {"R²"}
    only = next(iter(used), "R²")
    return {"measure": "Score" if len(used) > 1 else only, "measures": told, "several": several}


def _drawn_facts(
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    predictions: pd.DataFrame,
    units: Mapping[str, str],
) -> dict[str, Any]:
    """What the page draws of the held-out predictions."""
    shown, parts = held_out(scores, predictions), held_parts(scores, drawn_rows(scores, predictions))
    return {
        **draw_maps(regions, scores, shown, units, parts),
        "of_classes": any(own.kind == "classes" for own in parts.values()),
        "has_intervals": any(rows["low"].notna().any() for rows in shown.values()),
        "scatters": draw_scatters(scores, shown, units),
    }
