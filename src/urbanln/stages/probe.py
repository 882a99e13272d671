"""The probe of cities: tables of vectors against labels, beside the floors, and from city to city."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from urbanln.base.config import Settings
from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind, label_kinds
from urbanln.city.store import City
from urbanln.probe.saved import check_folder
from urbanln.stages.cities import Joint, join_cities
from urbanln.tables.cities import as_vectors

if TYPE_CHECKING:
    from urbanln.probe.run import ProbeResult

PICTURES = ("region_id", "sha256")
"""Columns of a city's pictures that a probe reads."""


def run_probe(
    cities: City | Sequence[City],
    vectors: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    settings: Settings,
    *,
    baseline: str | None = None,
    indicators: Sequence[str] = (),
    transductive: bool | None = None,
    command: str | None = None,
) -> ProbeResult:
    """Score tables of region vectors against the labels of one or several cities, beside the floors.

    Regions that show the same picture never stand on two sides of a fold. Several cities are scored as one,
    and then from one to another (``scores["transfer"]``).

    Args:
        cities: Give labels, units and centroids. With several, regions are called ``CITYNAME/region_id``.
        vectors: Tables by name, with ``region_id`` and ``vector``, or foreign ones as ``read_vectors`` takes
            them; the first is the one the verdict speaks of. None at all: floors only. A list of tables is
            one encoder trained several times.
        settings: Its ``probe`` section is used.
        baseline: Name of a table the first one is compared with besides the floors.
        indicators: Columns to score; all when empty.
        transductive: Whether pre-training saw the pictures of the test regions; None: what the first table
            says (see :func:`urbanln.tables.vectors.read_embeddings`), which may be that it is not known.
        command: By which it was asked for, to be kept with the scores.

    Raises:
        InputError: No such indicator, or a table of vectors that does not fit the cities.
    """
    from urbanln.probe.run import probe_tables
    from urbanln.probe.transfer import transfer

    cities = [cities] if isinstance(cities, City) else list(cities)
    for city in cities:
        city.need_places()
    joint = join_cities(cities)
    labels = _chosen_labels(joint, indicators, cities)
    tables = {
        name: [as_vectors(name, part, cities) for part in ([t] if isinstance(t, pd.DataFrame) else t)]
        for name, t in vectors.items()
    }
    main = next(iter(tables), None)
    shared: dict[str, Any] = {"groups": joint.groups, "kinds": _kinds(joint, labels)}
    result = probe_tables(
        tables,
        labels,
        joint.where,
        settings.probe,
        main=main,
        baseline=baseline,
        units=joint.units,
        transductive=_transductive(tables) if transductive is None else transductive,
        made_from=joint.made_from,
        **shared,
    )
    result.scores.update(_whose(tables, cities) | {"command": command})
    if len(cities) > 1:
        result.scores["transfer"] = transfer(tables, labels, joint.where, settings.probe, main, **shared)
    return result


def check_out(
    out: Path,
    cities: Sequence[City],
    tables: Sequence[str],
    settings: Settings,
    *,
    baseline: str | None,
    indicators: Sequence[str],
    inputs: Iterable[Path],
    replace: bool,
) -> None:
    """Refuse a folder that holds scores of another probe, or something else, before anything is scored.

    Args:
        out: Folder the scores are to go to.
        cities: As of :func:`run_probe`, like ``settings``, ``baseline`` and ``indicators``.
        tables: Names of the tables of vectors, in order.
        inputs: Files of vectors.
        replace: Take the place of other scores.

    Raises:
        InputError: See :func:`urbanln.probe.saved.check_folder`.
        StorageError: The folder cannot be written.
    """
    joint = join_cities(cities)
    labels = _chosen_labels(joint, indicators, cities)
    asked = {
        "settings": settings.probe.model_dump(mode="json"),
        "tables": list(tables),
        "main": next(iter(tables), None),
        "baseline": baseline,
        "labels": list(label_kinds(labels.columns, _kinds(joint, labels))),
        # Pictures and captions are not scored against: only regions and labels make another probe.
        "made_from": {k: v for k, v in joint.made_from.items() if k.endswith(("regions", "indicators"))},
    }
    check_folder(out, asked, replace=replace, inputs=inputs)


def _chosen_labels(joint: Joint, chosen: Sequence[str], cities: Sequence[City]) -> pd.DataFrame:
    """``region_id`` and the columns of the labels to score; of shares all of its parts."""
    where = ", ".join(str(city.folder) for city in cities)
    if not joint.kinds:
        remedy = "make the city again and name one: urbanln ingest … --label COLUMN"
        raise InputError("there is no label to score", where=where, remedy=remedy)
    if unknown := [name for name in chosen if name not in joint.kinds]:
        raise InputError(
            "no such indicator",
            value=unknown[0],
            where=where,
            remedy=f"there are: {', '.join(joint.kinds)}",
        )
    columns = [
        column for name in dict.fromkeys(chosen or joint.kinds) for column in joint.kinds[name].columns
    ]
    return joint.indicators[["region_id", *columns]]


def _kinds(joint: Joint, labels: pd.DataFrame) -> dict[str, LabelKind]:
    """Those of the chosen labels that are no numbers."""
    there = set(labels.columns)
    noted = {name: label for name, label in joint.kinds.items() if label.kind != "number"}
    return {name: label for name, label in noted.items() if there.issuperset(label.columns)}


def _whose(tables: Mapping[str, Sequence[pd.DataFrame]], cities: Sequence[City]) -> dict[str, Any]:
    """What was scored on: names of the cities, and of each table the weights that made it."""
    models = {name: [table.attrs.get("model") for table in copies] for name, copies in tables.items()}
    named = [{"name": city.name, "synthetic": city.meta.synthetic} for city in cities]
    return {"cities": named, "models": models}


def _transductive(tables: Mapping[str, Sequence[pd.DataFrame]]) -> bool | None:
    """What the first table says of itself; None where it says nothing, and where there is no table."""
    first = [table for copies in tables.values() for table in copies][:1]
    return first[0].attrs.get("transductive") if first else None
