"""What is drawn of scores and held-out predictions: score plots, maps with their pictures, scatters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from markupsafe import Markup

from urbanln.base.files import read_table
from urbanln.base.written import as_floats
from urbanln.pages import maps
from urbanln.pages.map_tool import map_tool
from urbanln.pages.text import clean, finite, kind_of, score, words
from urbanln.probe.kinds import main_score
from urbanln.probe.names import NEAREST, OLDER
from urbanln.report.drawn_parts import PART_VALUES, HeldParts, part_layers
from urbanln.report.plots import Dot, SplitDots, forest, scatter
from urbanln.report.reading import (
    floors_of,
    indicators,
    is_joint,
    is_log,
    main_head,
    main_row,
    measure_of,
    ordered,
    rows_of,
    scale_of,
    shown_split,
    splits_of,
    strongest_floor,
    subject,
    unique,
)

VALUES = ["truth", "prediction", "low", "high"]
# What there is room for beside a plot.
_SHORT = {
    **dict.fromkeys((NEAREST, OLDER), "coordinates: nearest"),
    "coordinates-boosting": "coordinates: boosting",
    "coordinates-gp": "coordinates: Gaussian",
}


def forests(scores: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Name and score plot of every indicator: floors and tables under every split, with intervals."""
    rows = [r for r in scores.get("rows") or [] if not is_joint(str(r.get("features")))]
    ends = [finite(end) for r in rows for end in main_score(r)]
    known = [e for e in ends if e is not None]
    if not known:
        return []
    low = min(0.0, max(-0.5, min(known)))
    high = max(min(1.0, max(known)), 0.2)
    # Round ends, so that the axis closes on a tick.
    low, high = -0.1 * -(-abs(low) // 0.1), 0.1 * -(-high // 0.1)
    out = []
    for name in indicators(scores):
        scale = scale_of(scores, name).replace("label as it is", "label")
        measure = measure_of(scores, name)
        axis, label = f"{measure} of {scale}, held out", f"{measure} for {words(name)}"
        out.append((words(name), forest(label, _groups(scores, name), (low, high), axis)))
    return out


def _groups(scores: Mapping[str, Any], indicator: str) -> list[SplitDots]:
    groups = []
    floors = floors_of(scores, indicator)
    for split, title in splits_of(scores).items():
        rows = {
            (str(r["features"]), str(r.get("head") or "")): r
            for r in rows_of(scores, indicator=indicator, split=split)
        }
        pairs = [p for p in ordered(scores, indicator) if p in rows]
        if not pairs:
            continue
        heads = unique([head for features, head in pairs if features not in floors])
        strongest = strongest_floor(scores, indicator, split)
        dots = tuple(
            Dot(
                name=f"{f}, {h}" if len(heads) > 1 and f not in floors else _SHORT.get(f, f),
                value=finite(main_score(rows[f, h]).value),
                low=finite(main_score(rows[f, h]).low),
                high=finite(main_score(rows[f, h]).high),
                main=f == scores.get("main"),
            )
            for f, h in pairs
        )
        marked = [(f, finite(main_score(rows[f, h]).value)) for f, h in pairs if f in ("mean", strongest)]
        lines = {"mean" if f == "mean" else "strongest": at for f, at in marked if at is not None}
        groups.append(SplitDots(split, title, dots, lines))
    return groups


def read_predictions(path: Path, scores: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of ``predictions.parquet`` that are drawn: those of the main vectors under the shown split.

    Raises:
        InputError: No such file.
        ArtefactError: It is damaged, or of another kind.
    """
    wanted = {"split": shown_split(scores), "features": subject(scores)}
    columns = ("region_id", "indicator", *wanted, "head", "seed", *VALUES)
    columns += PART_VALUES if scores.get("kinds") else ()
    known = {name: text for name, text in wanted.items() if text is not None}
    return read_table(path, kind="predictions", columns=columns, only=known)


def drawn_rows(scores: Mapping[str, Any], predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of the main vectors under the shown split, by the head that speaks."""
    chosen = predictions[
        (predictions["split"] == shown_split(scores)) & (predictions["features"] == subject(scores))
    ]
    head = main_head(scores)
    return chosen if head is None else chosen[chosen["head"] == head]


def held_out(scores: Mapping[str, Any], predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per indicator that is a number: region_id with truth, prediction and interval of the main vectors.

    Each is the mean over seeds; ``low`` and ``high`` are missing where the predictions have none.
    """
    chosen = drawn_rows(scores, predictions)
    chosen = chosen[~chosen["indicator"].isin(list(scores.get("kinds") or {}))]
    plain = chosen.reindex(columns=["region_id", "indicator", *VALUES])
    plain = plain.astype({"region_id": str, "indicator": str})
    values = plain[VALUES].apply(as_floats)
    plain[VALUES] = values.where(np.isfinite(values))
    found = {str(name): rows for name, rows in plain.groupby("indicator", sort=False)}
    return {
        name: found[name].groupby("region_id", sort=False)[VALUES].mean().reset_index()
        for name in unique([*indicators(scores), *found])
        if name in found
    }


def draw_maps(
    regions: gpd.GeoDataFrame,
    scores: Mapping[str, Any],
    shown: Mapping[str, pd.DataFrame],
    units: Mapping[str, str],
    parts: Mapping[str, HeldParts] | None = None,
) -> dict[str, Any]:
    """The maps of truth, prediction and error, as :func:`urbanln.pages.map_tool.map_tool` makes them."""

    def layers(ids: list[str]) -> list[dict[str, Any]]:
        made = []
        for name, rows in shown.items():
            placed = rows.set_index("region_id").reindex(ids)
            truth, prediction, low, high = (placed[column].to_numpy(float) for column in VALUES)
            unit = clean(units.get(name, ""), 60)
            made.append(predicted(words(name), unit, truth, prediction, is_log(scores, name), (low, high)))
        for name, own in (parts or {}).items():
            made += part_layers(words(name), own, ids, predicted)
        return made

    return map_tool(regions, layers, none="There are no held-out predictions to draw.")


def predicted(
    name: str,
    unit: str,
    truth: np.ndarray,
    prediction: np.ndarray,
    log: bool,
    ends: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """A layer of three views, (N,) each in the order of the regions drawn: truth, prediction, error.

    Args:
        name, unit: Of the indicator.
        truth, prediction: In its unit; they share a scale, that of the truth.
        log: Scale and error are of ln(1 + x).
        ends: Lower and upper ends of the predictions' intervals, NaN where there is none.
    """
    stops = maps.spread(truth if np.isfinite(truth).any() else prediction, log)
    note = (
        "Error is ln(1 + prediction) − ln(1 + truth): red too high, blue too low; +.69 is about double, "
        "−.69 about half."
        if log
        else "Error is prediction − truth: red too high, blue too low."
    )
    made = maps.layer(
        name,
        [
            maps.ramp_view("truth", truth, stops, unit, kind_of(name, truth)),
            maps.ramp_view("prediction", prediction, stops, unit),
            maps.difference_view("error", errors(truth, prediction, log), log, unit),
        ],
        note,
        None if ends is None else (*ends, truth),
    )
    if "outside" in made:
        made["note"] += " A strong edge on the map of errors: the truth lies outside the region’s interval."
    return made


def errors(truth: np.ndarray, prediction: np.ndarray, log: bool) -> np.ndarray:
    """Prediction minus truth, (N,): of ln(1 + x) where ``log``, else in the indicator's unit."""
    if not log:
        return prediction - truth
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.log1p(prediction) - np.log1p(truth)
    return np.where(np.isfinite(difference), difference, np.nan)


def draw_scatters(
    scores: Mapping[str, Any], shown: Mapping[str, pd.DataFrame], units: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Truth against prediction, one picture per indicator."""
    out = []
    for name, rows in shown.items():
        row = main_row(scores, name)
        known = int(rows[["truth", "prediction"]].notna().all(axis=1).sum())
        log = is_log(scores, name)
        summary = (
            f"R² {score(row.get('r2'))}{f' of {scale_of(scores, name)}' if log else ''}, "
            f"rank correlation {score(row.get('spearman'))}, {known:,} regions"
        )
        picture = scatter(
            f"{words(name)}: truth against held-out prediction. {summary}",
            rows["truth"].to_numpy(float),
            rows["prediction"].to_numpy(float),
            log=log,
            unit=clean(units.get(name, ""), 40),
        )
        out.append({"indicator": words(name), "picture": picture, "summary": summary})
    return out
