"""The page of an audit: its numbers, and what of the city they speak of can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import UrbanLNError
from urbanln.base.files import read_table
from urbanln.base.parsing import read_json
from urbanln.city.ingest_report import REPORT_FILE
from urbanln.city.store import City
from urbanln.gather.coverage import COVERAGE_FILE, WORDS
from urbanln.report.audit_page import Seen, Suspect, write_audit_page
from urbanln.stages.audit import Audit


def audit_page(found: Audit, out: Path) -> Path:
    """Write what was found as a page, with a map, histograms, pictures to look at and what sources cover.

    Args:
        found: What :func:`urbanln.stages.audit.audit` or ``look`` returned.
        out: HTML file to write.

    Raises:
        ArtefactError: A table that gather left, or the note of ingest, is damaged.
        StorageError: The file cannot be written.
    """
    said = found.as_json()
    columns = [str(c) for name, part in said["labels"].items() for c in part.get("columns") or [name]]
    return write_audit_page(out, found.name, said, found.synthetic, _seen(found, columns))


def _seen(found: Audit, columns: Sequence[str]) -> Seen:
    """What can be seen; the columns are those of the labels that were looked at."""
    if isinstance(found.source, City):
        return _of_city(found, found.source, columns)
    if isinstance(found.source, pd.DataFrame) and columns:
        return _of_table(found.source, columns)
    return Seen()


def _of_table(frame: pd.DataFrame, columns: Sequence[str]) -> Seen:
    """Points, and the labels that were looked at."""
    placed = frame.rename(columns=str).dropna(subset=["lon", "lat"]).reset_index(drop=True)
    ids = placed["region_id"] if "region_id" in placed.columns else pd.Series(placed.index)
    placed["region_id"] = ids.astype(str)
    kept = ["region_id", *(["city"] if "city" in placed.columns else [])]
    points = gpd.points_from_xy(placed["lon"], placed["lat"])
    regions = gpd.GeoDataFrame(placed[kept], geometry=points, crs="EPSG:4326")
    return Seen(regions, placed[["region_id", *columns]])


def _of_city(found: Audit, city: City, columns: Sequence[str]) -> Seen:
    suspects = list(_suspects(found, city))
    rejected = _rejected(city)
    if not city.meta.places:
        return Seen(suspects=suspects, rejected=rejected)
    labels = city.indicators[["region_id", *columns]] if columns else None
    coverage = city.folder / COVERAGE_FILE
    return Seen(
        regions=city.regions[["region_id", "geometry"]],
        labels=labels,
        pictures=_counts(city),
        suspects=suspects,
        rejected=rejected,
        coverage=read_table(coverage, kind="coverage") if coverage.is_file() else None,
        states=WORDS,
    )


def _counts(city: City) -> pd.DataFrame | None:
    """Pictures per region, of each view of which not all regions have equally many."""
    if city.images.empty:
        return None
    counts = city.images.groupby(["region_id", "view"]).size().unstack(fill_value=0)
    counts = counts.reindex(city.regions["region_id"], fill_value=0)
    telling = [view for view in counts.columns if counts[view].nunique() > 1]
    return counts[telling].rename_axis(columns=None).reset_index() if telling else None


def _suspects(found: Audit, city: City) -> Iterator[Suspect]:
    images = city.images.set_index("image_id")

    def region(image: str) -> str:
        return str(images.at[image, "region_id"])

    def shown(*ids: str) -> list[tuple[str, str, bytes | None]]:
        return [(one, region(one), _bytes(city, str(images.at[one, "path"]))) for one in ids]

    for view, audit in found.pictures.items():
        for image, reason in audit.unreadable[:5]:
            yield Suspect(f"cannot be read: {reason}", view, [(image, region(image), None)])
        for held_out, trained in audit.leak_examples:
            yield Suspect("held out (left), and in train (right)", view, shown(held_out, trained))
        for one, other in audit.exact_examples:
            yield Suspect("byte for byte the same in two places", view, shown(one, other))
        for one, other, _ in audit.examples:
            yield Suspect("nearly the same in two places", view, shown(one, other))
        for image in audit.flat_examples:
            yield Suspect("flat: water, haze or blank", view, shown(image))


def _bytes(city: City, path: str) -> bytes | None:
    try:
        return city.image_bytes(path)
    except UrbanLNError:
        return None  # a picture that went missing since is no reason to have no page


def _rejected(city: City) -> list[tuple[str, str]]:
    """Pictures that ingest left out, each with the reason."""
    note = city.folder / REPORT_FILE
    if not note.is_file():
        return []
    kept: dict[str, Any] = read_json(note, dict[str, Any], remedy="ingest the city again")
    pairs = kept.get("rejected")
    return [
        (str(pair[0]), str(pair[1]))
        for pair in (pairs if isinstance(pairs, list) else [])
        if isinstance(pair, list) and len(pair) == 2
    ]
