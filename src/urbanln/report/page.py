"""The report: one HTML file that holds everything it shows and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import geopandas as gpd
import jinja2
import pandas as pd
from markupsafe import Markup

from urbanln.errors import InputError
from urbanln.files import write_text
from urbanln.report import reading, tables
from urbanln.report.audit import audit_context
from urbanln.report.details import Example, example_pictures, run_facts
from urbanln.report.drawn import draw_maps, draw_scatters, held_out
from urbanln.report.efficiency import efficiency
from urbanln.report.forests import forests
from urbanln.report.leakage import fact_names, leakage_table
from urbanln.report.reliability import coverage_lines, residual_lines
from urbanln.report.text import clean, finalize, finite, words
from urbanln.report.training import training_charts
from urbanln.report.transfer import transfer_sections

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
        run: What ran, printed as given: ``command``, ``settings`` (TOML), ``hashes``, ``versions``, …
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
        "n_regions": len(regions),
        **_score_facts(scores, merged),
        **_drawn_facts(regions, scores, held_out(scores, predictions), merged),
        "training": training_charts(metrics),
        "examples": pictures,
        "example_notes": example_notes,
        "audit": audit_context(audit),
        "run": run_facts(run),
        "notes": list(map(str, notes)),
    }
    write_text(path, render("page.html.j2", context))
    return Path(path)


def write_audit_page(path: Path | str, title: str, audit: Mapping[str, Any], synthetic: bool = False) -> Path:
    """Write the audit alone as a page.

    Args:
        path: The HTML file to write.
        title: Heading of the page, usually the city's name.
        audit: See :func:`urbanln.report.audit.audit_context`.
        synthetic: Say on top that the city is synthetic and its labels simulated.

    Raises:
        InputError: There is nothing in the audit.
        StorageError: The file could not be written.
    """
    found = audit_context(audit)
    if found is None:
        raise InputError("there is no audit to write", remedy="pass what audit(...).as_json() returns")
    context = {
        "title": clean(title, 200) or "Audit",
        "synthetic": synthetic,
        "audit": found,
        "map_json": None,
    }
    write_text(path, render("audit_page.html.j2", context))
    return Path(path)


def _check(regions: gpd.GeoDataFrame, scores: Mapping[str, Any], predictions: pd.DataFrame) -> None:
    for name, frame, needed in (
        ("regions", regions, ("region_id", "geometry")),
        ("predictions", predictions, _PREDICTION_COLUMNS),
    ):
        missing = [column for column in needed if column not in frame.columns]
        if missing:
            raise InputError(f"the report's {name} lack a column", value=", ".join(missing), where=name)
    if scores.get("kind", "scores") != "scores":
        raise InputError(
            "not a table of scores", value=scores.get("kind"), remedy="pass the scores.json that probe wrote"
        )


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
        "floor_names": [tables.floor_label(name) for name in reading.floors_of(scores)],
        "has_unit_r2": any(finite(row.get("r2_unit")) is not None for row in scores.get("rows") or []),
        "table": tables.score_table(scores, units),
        "joint": tables.joint_lines(scores),
        "forests": forests(scores),
        "leakage": apart,
        "leakage_facts": fact_names(apart),
        "coverage": coverage_lines(scores, units),
        "level": None if level is None else f"{100 * level:.0f} %",
        "residuals": residual_lines(scores),
        "efficiency": efficiency(scores),
        "transfer": transfer_sections(scores),
    }


def _drawn_facts(
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    shown: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
) -> dict[str, Any]:
    """What the page draws of the held-out predictions."""
    map_json, stills, places, notes = draw_maps(regions, scores, shown, units)
    return {
        "map_json": map_json,
        "stills": stills,
        "map_names": [(words(name), units.get(name, "")) for name in shown],
        "map_places": places,
        "map_notes": notes,
        "has_intervals": any(rows["low"].notna().any() for rows in shown.values()),
        "scatters": draw_scatters(scores, shown, units),
    }


def _asset(name: str) -> str:
    return resources.files("urbanln.report").joinpath(*name.split("/")).read_text(encoding="utf-8")


def _script(*names: str) -> Markup:
    """Scripts of ours and MapLibre's, joined, as they stand between the script tags."""
    parts = [_asset(name) for name in names]
    # Without its map address: a browser's developer tools would ask for it.
    lines = [
        line for part in parts for line in part.split("\n") if not line.startswith("//# sourceMappingURL")
    ]
    return Markup("\n".join(lines).replace("</script", "<\\/script"))  # noqa: S704 (files of the package)


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page's text: every value is cleaned and escaped, scripts are allowed by their hash alone.

    Args:
        template: File name in the folder of templates.
        context: What it prints; with ``map_json`` the maps' scripts come along.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _asset(f"templates/{name}")),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    mapped = context.get("map_json")
    script = _script("assets/maplibre/maplibre-gl.js", "templates/map.js") if mapped else Markup("")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    styles = _asset("templates/page.css")
    if script:
        styles = _asset("assets/maplibre/maplibre-gl.css") + styles
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; worker-src blob:; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        **context,
        script=script,
        styles=Markup(styles),  # noqa: S704 (files of the package)
        policy=policy,
        map_licence=_asset("assets/maplibre/LICENSE.txt") if script else "",
    )
