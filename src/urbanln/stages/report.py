"""The report of a probe and of the run behind it, out of files and cities."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.base.files import hash_file
from urbanln.base.parsing import read_events, read_run
from urbanln.base.version import __version__
from urbanln.city.store import City
from urbanln.report.details import Example
from urbanln.report.drawn import read_predictions
from urbanln.report.page import write_report
from urbanln.report.scores import read_scores
from urbanln.stages.cities import join_cities, join_regions
from urbanln.tables.cities import prefix

PICTURES = ("image_id", "region_id", "view", "path", "sha256", "split")
"""Columns of a city's pictures that a report and its audit read."""
_EXAMPLES = 6  # pictures to show


def report_run(
    cities: City | Sequence[City],
    scores: Path,
    out: Path,
    *,
    run: Path | None = None,
    command: str = "",
    audit: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of one probe, and of the run behind it.

    Args:
        cities: The cities that were scored, in the same order.
        scores: Folder that the probe wrote.
        out: HTML file to write.
        run: Run folder, for its curves and settings.
        command: The command to print.
        audit: What :mod:`urbanln.stages.audit` found, as JSON values.
    """
    cities = [cities] if isinstance(cities, City) else list(cities)
    for city in cities:
        city.need_places()
    joint = join_cities(cities)
    found = read_scores(scores / "scores.json")
    trained = _run_note(run) if run else {}
    described = trained.pop("run", {})
    facts: dict[str, Any] = {
        "commands": _commands(found, command),
        "city": ", ".join(city.name for city in cities),
        "settings of the probe": _as_toml(found.get("settings")),
        "settings of the training": _as_toml(trained),
        "settings_hash": described.get("settings_hash"),
        "versions": {"urbanln": __version__, "python": platform.python_version()}
        | described.get("versions", {}),
        "hashes": {**joint.made_from, "scores": hash_file(scores / "scores.json")},
    }
    return write_report(
        out,
        title=facts["city"],
        run=facts,
        regions=join_regions(cities),
        scores=found,
        predictions=read_predictions(scores / "predictions.parquet", found),
        metrics=read_events(run / "metrics.jsonl", dict[str, Any]) if run else [],
        examples=_examples(cities, trained.get("train", {}).get("view", "both")),
        synthetic=_synthetic(cities),
        units=joint.units,
        audit=audit,
        notes=[f"Data of {city.name}: {city.meta.terms()}." for city in cities],
    )


def _commands(scores: Mapping[str, Any], command: str) -> dict[str, str]:
    """What each command made; scores of older probes, and of calls from Python, do not say theirs."""
    made_by = scores.get("command")
    return {
        "Command that made the scores": str(made_by)
        if made_by
        else "Not recorded with these scores; their settings stand below.",
        "Command that made this page": command,
    }


def _as_toml(settings: Mapping[str, Any] | None) -> str | None:
    known = {name: value for name, value in (settings or {}).items() if value is not None}
    return tomli_w.dumps(known) if known else None


def _examples(cities: Sequence[City], view: str) -> list[Example]:
    """Pictures of all cities, about as many of each, by the names regions have among them."""
    share = -(-_EXAMPLES // len(cities))
    found = [(city, one) for city in cities for one in _pick(city, share, view)]
    return [replace(one, region_id=prefix(cities, city) + one.region_id) for city, one in found[:_EXAMPLES]]


def _synthetic(cities: Sequence[City]) -> bool | str:
    """Whether the cities are synthetic; the names of those that are, where others are not."""
    names = [city.name for city in cities if city.meta.synthetic]
    return ", ".join(names) if 0 < len(names) < len(cities) else bool(names)


def _run_note(run: Path) -> dict[str, Any]:
    if not (run / "run.toml").is_file():
        raise InputError("no run in this folder", where=run, remedy="give a pretrain's folder")
    note: dict[str, Any] = read_run(run / "run.toml")
    return note


def _pick(city: City, count: int, view: str) -> list[Example]:
    """Some pictures of a view, spread over the city, with the caption selected for each."""
    captions = city.captions
    chosen = captions[captions["selected"]][["image_id", "caption", "captioner"]]
    table = city.images.merge(chosen, on="image_id", how="inner" if len(chosen) else "left")
    groups = [group for name, group in table.groupby("view", sort=True) if view in ("both", name)]
    share = -(-count // max(len(groups), 1))
    # At equal distances, so that they are spread over the city.
    spread = [group.iloc[:: max(1, len(group) // max(share, 1))].head(share) for group in groups]
    picked = [row for group in spread for row in group.to_dict("records")]
    examples = []
    for row in picked[:count]:
        try:
            data = city.image_bytes(str(row["path"]))
        except UrbanLNError:
            continue  # a picture that went missing since is no reason to have no report
        text = {key: row[key] if isinstance(row[key], str) else "" for key in ("caption", "captioner")}
        examples.append(Example(data, text["caption"], row["view"], row["region_id"], text["captioner"]))
    return examples
