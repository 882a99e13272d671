"""What a run was started with, and whether what goes on is the same: the content of ``run.toml``."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from urbanln.base.config import FREE_SETTINGS, Settings, settings_hash
from urbanln.base.errors import InputError
from urbanln.base.files import SCHEMA_VERSION
from urbanln.base.version import __version__
from urbanln.city.store import City
from urbanln.city.views import settle_views
from urbanln.model.context import settled_context
from urbanln.model.source import find_source

# Settings there once were, with the value at which they changed nothing.
_FORMER = {"accumulation": 1}
# Settings whose outcome is compared, and not their wording: "auto" may come to another precision, and an
# unpinned name on the hub to another commit.
_RESOLVED = {("train", "precision"), ("model", "revision")}
# Labels are not read in pre-training.
_READ_TABLES = ("regions", "images", "captions")
_PACKAGES = ("torch", "transformers", "accelerate", "peft", "numpy", "pillow")
_AS_STARTED = "choose another --out, or call it again as it was started"


def settled(settings: Settings, cities: Sequence[City]) -> Settings:
    """Settings that name the view that is trained on and the text positions, where nobody did.

    Args:
        settings: As they were given.
        cities: What is trained on.

    Raises:
        InputError: No such base model.
        ArtefactError: Its configuration is damaged.
    """
    views = {view for city in cities for view in city.images["view"]}
    settings = settle_views(settings, views, where=", ".join(city.name for city in cities))
    model = settings.model
    context = model.context or settled_context(find_source(model.name, model.revision))
    return settings.model_copy(update={"model": model.model_copy(update={"context": context})})


def describe_run(
    settings: Settings,
    cities: Sequence[City],
    *,
    processes: int = 1,
    device: str = "cpu",
    precision: str = "fp32",
) -> dict[str, Any]:
    """The content of ``run.toml``: the resolved settings, and under ``run`` what else it was started with.

    Args:
        settings: As :func:`settled` gives them.
        cities: What is trained on.
        processes: That share the work.
        device: Kind of device: ``"cpu"``, ``"cuda"``, ``"mps"``.
        precision: What ``train.precision`` came to there.

    Raises:
        InputError: No such base model.
        ArtefactError: Its weights are missing.
    """
    base = find_source(settings.model.name, settings.model.revision)
    made_from = [
        {
            "name": city.name,
            "synthetic": city.meta.synthetic,
            **{kind: sha for kind, sha in city.fingerprint().items() if kind in _READ_TABLES},
        }
        for city in cities
    ]
    run = {
        "schema_version": SCHEMA_VERSION,
        "settings_hash": settings_hash(settings),
        "processes": processes,
        "device": device,
        "precision": precision,
        "base": base.weights_hash(),
        **({"base_commit": base.revision} if base.revision else {}),
        "base_config": base.config_hashes(),
        "versions": {
            "urbanln": __version__,
            "python": platform.python_version(),
            **_versions(),
        },
        "cities": made_from,
    }
    return {**settings.model_dump(mode="json"), "run": run}


def _versions() -> dict[str, str]:
    """Of the packages a result depends on; one that was installed without its own description is left out."""
    found = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def check_same(old: Mapping[str, Any], new: Mapping[str, Any], file: Path, *, finished: bool) -> None:
    """Refuse to go on with anything else than the run was started with.

    Args:
        old: Its description.
        new: What :func:`describe_run` gives now.
        file: Of the old one, for errors.
        finished: There is nothing left to compute, so where and how exactly it would be does not matter.

    Raises:
        InputError: Something differs; says what, and both values.
    """
    for name, was, now, remedy in (
        *_settings(old, new, finished),
        *_base(old.get("run", {}), new["run"]),
        *_work(old.get("run", {}), new, finished),
        *_data(old.get("run", {}), new["run"]),
    ):
        if was != now:
            raise InputError(
                f"this run was started with another {name}",
                value=f"{_short(was)} then, {_short(now)} now",
                where=file,
                remedy=remedy,
            )


_Pair = tuple[str, Any, Any, str]


def _settings(old: Mapping[str, Any], new: Mapping[str, Any], finished: bool) -> Iterator[_Pair]:
    # A setting that came later had its default in a run that does not name it.
    defaults = Settings().model_dump(mode="json")
    resolved = set() if finished or "precision" not in old.get("run", {}) else _RESOLVED
    for part in ("model", "train"):
        for key, value in new[part].items():
            if key not in FREE_SETTINGS.get(part, ()) and (part, key) not in resolved:
                yield f"{part}.{key}", old.get(part, {}).get(key, defaults[part][key]), value, _AS_STARTED
    for key, was in _FORMER.items():
        yield f"train.{key}", old.get("train", {}).get(key, was), was, _AS_STARTED


def _base(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[_Pair]:
    """The base model. What an earlier version did not note is not compared."""
    config, commit = old.get("base_config", new["base_config"]), old.get("base_commit")
    moved = old.get("base") != new["base"] or config != new["base_config"]
    again = _AS_STARTED
    if commit and "base_commit" in new and moved:
        again = f"set model.revision={commit}, or choose another --out"
        yield "commit of the base model", commit, new["base_commit"], again
    yield "base model", old.get("base"), new["base"], again
    for name in sorted({*config, *new["base_config"]}):
        yield f"{name} of the base model", config.get(name), new["base_config"].get(name), again


def _work(old: Mapping[str, Any], new: Mapping[str, Any], finished: bool) -> Iterator[_Pair]:
    run = new["run"]
    yield "number of processes", old.get("processes"), run["processes"], _AS_STARTED
    if finished or "device" not in old:
        return
    precision, device = old.get("precision"), old["device"]
    if not new["train"]["any_device"]:
        go_on = f"go on where there is a {device}, choose another --out, or go on here all the same"
        yield "kind of device", device, run["device"], f"{go_on}: --set train.any_device=true"
    again = f"set train.precision={precision}, or choose another --out"
    yield "precision", precision, run["precision"], again


def _data(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[_Pair]:
    before, after = old.get("cities", []), new["cities"]
    yield "number of cities", len(before), len(after), _AS_STARTED
    for earlier, now in zip(before, after, strict=False):
        for key in ("name", *_READ_TABLES):
            yield f"{key} of the city {now['name']}", earlier.get(key), now.get(key), _AS_STARTED


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "…"
