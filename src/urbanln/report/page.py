"""The report: one HTML file that holds everything it shows and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import geopandas as gpd
import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from urbanln.errors import InputError
from urbanln.files import write_text
from urbanln.report import charts, maps, tables
from urbanln.report.still import stills
from urbanln.report.text import clean, finalize, score, words
from urbanln.report.training import training_charts

CAPTION_LIMIT = 2000
_THUMBNAIL = 288
_PREDICTION_COLUMNS = ("region_id", "indicator", "split", "features", "head", "seed", "truth", "prediction")


@dataclass(frozen=True)
class Example:
    """A picture with one of its captions, as training read them.

    Args:
        image_bytes: The encoded picture (JPEG, PNG, …); shown as a thumbnail.
        caption: Its text; cut to 2,000 characters on the page.
        view: ``"satellite"`` or ``"street"``.
        region_id: The region it belongs to.
        captioner: Who wrote the caption.
    """

    image_bytes: bytes
    caption: str
    view: str
    region_id: str
    captioner: str


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
    synthetic: bool = False,
    notes: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
) -> Path:
    """Write the report page; the same input gives the same bytes.

    Args:
        path: The HTML file to write.
        title: Heading of the page, usually the city's name.
        run: What ran, printed as given: ``command``, ``settings`` (TOML), ``hashes``, ``versions``, …
        regions: region_id and geometry, polygons or points, in any CRS; EPSG:4326 when none is set.
        scores: The content of ``scores.json``.
        predictions: The rows of ``predictions.parquet``: region_id, indicator, split, features, head, seed,
            truth and prediction (in the indicator's unit).
        metrics: The events of ``metrics.jsonl``; empty when the vectors came from elsewhere.
        examples: Pictures with captions to show.
        synthetic: Say on top that the city is synthetic and its labels simulated.
        notes: Sentences printed with the limits (licences, weak points of the data).
        units: Unit per indicator; those of ``scores`` where not given.

    Returns:
        The path written.

    Raises:
        InputError: A column the page needs is missing, or ``scores`` is of another kind.
        StorageError: The file could not be written.
    """
    _check(regions, scores, predictions)
    merged = {str(k): str(v) for k, v in ((scores.get("units") or {}) | dict(units or {})).items()}
    shown = _held_out(scores, predictions)
    maps_json, pictures_of_maps, map_notes = _maps(regions, scores, shown, merged)
    pictures, example_notes = _examples(examples)
    context: dict[str, Any] = {
        "title": clean(title, 200) or "Report",
        "synthetic": synthetic,
        "n_regions": len(regions),
        **_score_facts(scores, merged),
        "map_json": maps_json,
        "stills": pictures_of_maps,
        "map_names": [(words(name), merged.get(name, "")) for name in shown],
        "map_notes": map_notes,
        "scatters": _scatters(scores, shown, merged),
        "training": training_charts(metrics),
        "examples": pictures,
        "example_notes": example_notes,
        "run": _run_facts(run),
        "notes": list(map(str, notes)),
    }
    write_text(path, render(context))
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
    return {
        "verdicts": tables.verdicts(scores),
        "main": clean(tables.subject(scores), 120),
        "vectors": bool(scores.get("main")),
        "weak_points": [str(note) for note in scores.get("notes") or []],
        "baseline": clean(scores["baseline"], 120) if scores.get("baseline") else None,
        "splits": tables.split_facts(scores),
        "split": tables.shown_split(scores),
        "head": tables.main_head(scores),
        "table": tables.score_table(scores, units),
        "forests": tables.forests(scores),
    }


def _held_out(scores: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per indicator: region_id, truth and held-out prediction of the main vectors, the mean over seeds."""
    split, head, main = tables.shown_split(scores), tables.main_head(scores), tables.subject(scores)
    chosen = predictions[(predictions["split"] == split) & (predictions["features"] == main)]
    if head is not None:
        chosen = chosen[chosen["head"] == head]
    chosen = chosen.assign(region_id=chosen["region_id"].astype(str))
    for column in ("truth", "prediction"):
        values = pd.to_numeric(chosen[column], errors="coerce").astype(float)
        chosen = chosen.assign(**{column: values.where(np.isfinite(values))})
    out = {}
    for name in tables.unique([*tables.indicators(scores), *chosen["indicator"].astype(str)]):
        rows = chosen[chosen["indicator"].astype(str) == name]
        if len(rows):
            mean = rows.groupby("region_id", sort=False)[["truth", "prediction"]].mean()
            out[name] = mean.reset_index()
    return out


def _maps(
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    shown: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
) -> tuple[Markup | None, list[dict[str, Any]], list[str]]:
    if not shown:
        return None, [], ["There are no held-out predictions to draw."]
    ids, shapes, notes = maps.region_shapes(regions)
    if not ids:
        return None, [], [*notes, "No region has a geometry, so there is no map."]
    layers = []
    for name, rows in shown.items():
        placed = rows.set_index("region_id").reindex(ids)
        truth, prediction = placed["truth"].to_numpy(float), placed["prediction"].to_numpy(float)
        unit = clean(units.get(name, ""), 60)
        layers.append(maps.layer(words(name), unit, truth, prediction, tables.is_log(scores, name)))
    return maps.map_data(ids, shapes, layers), stills(shapes, layers), notes


def _scatters(
    scores: Mapping[str, Any], shown: Mapping[str, pd.DataFrame], units: Mapping[str, str]
) -> list[dict[str, Any]]:
    out = []
    for name, rows in shown.items():
        found = tables.rows_of(
            scores,
            indicator=name,
            features=tables.subject(scores),
            split=tables.shown_split(scores),
            head=tables.main_head(scores),
        )
        row = found[0] if found else {}
        known = int(rows[["truth", "prediction"]].notna().all(axis=1).sum())
        log = tables.is_log(scores, name)
        summary = (
            f"R² {score(row.get('r2'))}{' of ln(1 + label)' if log else ''}, "
            f"rank correlation {score(row.get('spearman'))}, {known:,} regions"
        )
        picture = charts.scatter(
            f"{words(name)}: truth against held-out prediction. {summary}",
            rows["truth"].to_numpy(float),
            rows["prediction"].to_numpy(float),
            log=log,
            unit=clean(units.get(name, ""), 40),
        )
        out.append({"indicator": words(name), "picture": picture, "summary": summary})
    return out


def _examples(examples: Sequence[Example]) -> tuple[list[dict[str, Any]], list[str]]:
    pictures, unreadable = [], 0
    for example in examples:
        source = _thumbnail(example.image_bytes)
        if source is None:
            unreadable += 1
            continue
        pictures.append(
            {
                "source": source,
                "caption": clean(example.caption, CAPTION_LIMIT).strip(),
                "cut": len(str(example.caption)) > CAPTION_LIMIT,
                "length": len(str(example.caption)),
                "view": clean(example.view, 40),
                "region_id": clean(example.region_id, 120),
                "captioner": clean(example.captioner, 120),
            }
        )
    return pictures, [f"{unreadable} example pictures could not be read."] if unreadable else []


def _thumbnail(data: bytes) -> Markup | None:
    """A JPEG data address of a picture, or ``None`` when it cannot be read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))
            small = image.convert("RGB")
        small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82, optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Markup("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())  # noqa: S704


def _run_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    """Sorted by how they are printed: the command, short facts, groups of facts, long texts to unfold."""
    facts: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    for key, value in run.items():
        if key == "command":
            continue
        if isinstance(value, Mapping):
            long = {str(k): str(v) for k, v in value.items() if "\n" in str(v)}
            texts |= {f"{words(key)}: {k}": v for k, v in long.items()}
            short = {str(k): str(v) for k, v in value.items() if str(k) not in long}
            if short:
                groups[words(key)] = short
        elif isinstance(value, str) and ("\n" in value or len(value) > 160):
            texts[words(key)] = value
        elif isinstance(value, (list, tuple)):
            facts[words(key)] = ", ".join(map(str, value))
        elif value is not None:
            facts[words(key)] = str(value)
    command = run.get("command")
    if isinstance(command, (list, tuple)):
        command = "\n".join(map(str, command))
    return {"command": command, "facts": facts, "groups": groups, "texts": texts}


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


def render(context: Mapping[str, Any]) -> str:
    """The page's text: every value is cleaned and escaped, scripts are allowed by their hash alone."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _asset(f"templates/{name}")),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    script = (
        _script("assets/maplibre/maplibre-gl.js", "templates/map.js") if context["map_json"] else Markup("")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    styles = _asset("templates/page.css")
    if script:
        styles = _asset("assets/maplibre/maplibre-gl.css") + styles
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; worker-src blob:; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html.j2").render(
        **context,
        script=script,
        styles=Markup(styles),  # noqa: S704 (files of the package)
        policy=policy,
        map_licence=_asset("assets/maplibre/LICENSE.txt") if script else "",
    )
