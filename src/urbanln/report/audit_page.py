"""The audit as a page of its own: beside the numbers a map, histograms, pictures to look at, and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from markupsafe import Markup

from urbanln.base.errors import InputError
from urbanln.base.files import write_text
from urbanln.pages import maps
from urbanln.pages.map_tool import map_tool
from urbanln.pages.render import render
from urbanln.pages.text import clean, count, share, words
from urbanln.report.audit import audit_context
from urbanln.report.audit_labels import MOST_LABELS, Drawn, drawn_labels, label_figures, label_layers
from urbanln.report.details import thumbnail

_MOST_REJECTED = 200
_SIDE = 200  # of a thumbnail, pixels


@dataclass(frozen=True)
class Suspect:
    """Pictures that somebody should look at, beside each other.

    Args:
        why: What is odd, ``nearly the same in two regions``; equal ones are shown together.
        view: ``"satellite"`` or ``"street"``.
        pictures: (image_id, region_id, encoded picture or None where it cannot be read).
    """

    why: str
    view: str
    pictures: Sequence[tuple[str, str, bytes | None]]


@dataclass(frozen=True)
class Seen:
    """What a page of the audit shows beside its numbers; what is left out is not on it.

    Args:
        regions: region_id and geometry, in any CRS; EPSG:4326 when none is set.
        labels: region_id and the columns of labels: of shares one per part.
        pictures: region_id and a column per view: pictures of that region.
        suspects: Pictures to look at.
        rejected: (path, reason) of pictures that were left out when the city was made.
        coverage: region_id and a column of states per source; ``NAME_cover``: share of a region's area.
        states: State → what it is called, in the order of the legend.
    """

    regions: gpd.GeoDataFrame | None = None
    labels: pd.DataFrame | None = None
    pictures: pd.DataFrame | None = None
    suspects: Sequence[Suspect] = ()
    rejected: Sequence[tuple[str, str]] = ()
    coverage: pd.DataFrame | None = None
    states: Mapping[str, str] = field(default_factory=dict)


def write_audit_page(
    path: Path | str,
    title: str,
    audit: Mapping[str, Any],
    synthetic: bool = False,
    seen: Seen | None = None,
) -> Path:
    """Write the audit alone as a page.

    Args:
        path: The HTML file to write.
        title: Heading of the page, usually the city's name.
        audit: See :func:`urbanln.report.audit.audit_context`.
        synthetic: Say on top that the city is synthetic and its labels simulated.
        seen: What is shown beside the numbers; none when left out.

    Raises:
        InputError: There is nothing in the audit.
        StorageError: The file could not be written.
    """
    found = audit_context(audit)
    if found is None:
        raise InputError(
            "there is no audit to write", remedy="pass what audit(...).as_json() returns", where="audit"
        )
    seen = seen or Seen()
    labels = drawn_labels(seen.labels, audit.get("labels") or {})
    shown = labels[:MOST_LABELS]
    drawn = _maps(seen, shown) if seen.regions is not None else {"map_json": None}
    context = {
        "title": clean(title, 200) or "Audit",
        "synthetic": synthetic,
        "audit": found,
        "facts": _facts(audit),
        "left_out": _left_out(len(labels)),
        "histograms": label_figures(seen.labels, shown),
        "suspects": _suspects(seen.suspects),
        "rejected": [(clean(file, 200), clean(why, 300)) for file, why in seen.rejected[:_MOST_REJECTED]],
        "n_rejected": count(len(seen.rejected)),
        "n_listed": count(_MOST_REJECTED) if len(seen.rejected) > _MOST_REJECTED else "",
        "coverage": _coverage(seen),
        **drawn,
    }
    write_text(path, render("urbanln.report", "audit_page.html.j2", context))
    return Path(path)


def _facts(audit: Mapping[str, Any]) -> str:
    """How much was looked at, in one line."""
    labels, captions = audit.get("labels") or {}, audit.get("captions") or {}
    pictures = sum(part.get("pictures") or 0 for part in (audit.get("pictures") or {}).values())
    told = (
        (audit.get("regions"), "region"), (len(labels), "label"),
        (pictures, "picture"), (captions.get("captions"), "caption"),
    )  # fmt: skip
    return " · ".join(f"{count(n)} {what}{'' if n == 1 else 's'}" for n, what in told if n)


def _left_out(labels: int) -> str:
    """What is said where labels are more than a page has room for."""
    if labels <= MOST_LABELS:
        return ""
    return (
        f"Map and pictures show the first {MOST_LABELS} of {count(labels)} labels, the tables have all. "
        "urbanln audit --label NAME shows those it names."
    )


def _maps(seen: Seen, labels: Sequence[Drawn]) -> dict[str, Any]:
    """One map, of whatever there is per region: labels, pictures, coverage."""
    assert seen.regions is not None

    def layers(ids: list[str]) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if seen.labels is not None:
            made += label_layers(seen.labels, labels, _rows(seen.labels, ids))
        for frame, title in ((seen.pictures, "pictures: {}"), (_shares(seen), "{}")):
            if frame is not None:
                rows = _rows(frame, ids)
                named = [
                    Drawn(title.format(column), (column,), {})
                    for column in frame.columns.drop("region_id")[:MOST_LABELS]
                ]
                made += label_layers(frame, named, rows)
        return made + _coverage_layers(seen, ids)

    return map_tool(seen.regions, layers, none="There is nothing to draw on a map.", chooser="Show")


def _rows(frame: pd.DataFrame | None, ids: list[str]) -> np.ndarray:
    """Row of each id in a frame, −1 where it has none."""
    known = [] if frame is None else frame["region_id"].astype(str).tolist()
    place = {region: row for row, region in enumerate(known)}
    return np.array([place.get(region, -1) for region in ids], dtype=np.int64)


def _sources(seen: Seen) -> list[str]:
    """Columns of the coverage that hold states."""
    if seen.coverage is None:
        return []
    own = (c for c in seen.coverage.columns if c not in ("region_id", "geometry"))
    return [c for c in own if not pd.api.types.is_numeric_dtype(seen.coverage[c])]


def _shares(seen: Seen) -> pd.DataFrame | None:
    """Shares of regions that sources cover, where the coverage holds any."""
    if seen.coverage is None:
        return None
    return pd.DataFrame(seen.coverage.drop(columns=["geometry", *_sources(seen)], errors="ignore"))


def _coverage_layers(seen: Seen, ids: list[str]) -> list[dict[str, Any]]:
    made = []
    rows = _rows(seen.coverage, ids)
    for name in _sources(seen):
        assert seen.coverage is not None
        states = [str(value) for value in seen.coverage[name]]
        there = [states[row] if row >= 0 else None for row in rows]
        shown = f"coverage: {clean(name, 80)}"
        made.append(maps.layer(shown, [maps.class_view(shown, there, seen.states)]))
    return made


def _coverage(seen: Seen) -> dict[str, Any]:
    """Regions by source and state, as a table."""
    counts = {}
    for name in _sources(seen):
        assert seen.coverage is not None
        counts[clean(name, 80)] = seen.coverage[name].astype(str).value_counts()
    used = [state for state in seen.states if any(state in found for found in counts.values())]
    regions = len(seen.coverage) if seen.coverage is not None else 0
    rows = [
        (name, [_of(int(found.get(state, 0)), regions) for state in used]) for name, found in counts.items()
    ]
    return {"columns": [seen.states[state] for state in used], "rows": rows}


def _of(number: int, regions: int) -> tuple[str, str]:
    return count(number), share(number / regions) if number and regions else ""


def _suspects(given: Sequence[Suspect]) -> list[dict[str, Any]]:
    """By what is odd, each a row of pictures; ones that cannot be read keep their names."""
    groups: dict[tuple[str, str], list[list[tuple[str, str, Markup | None]]]] = {}
    for one in given:
        shown = [
            (clean(image, 120), clean(region, 120), thumbnail(data, _SIDE) if data is not None else None)
            for image, region, data in one.pictures
        ]
        groups.setdefault((words(one.view), clean(one.why, 200)), []).append(shown)
    return [{"view": view, "why": why, "rows": rows} for (view, why), rows in groups.items()]
