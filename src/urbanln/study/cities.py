"""The cities of a study before anything is done: what stages depend on, views, kinds of labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from urbanln.base.bounds import MAX_SEED, MOST
from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes, hash_file, reading_parquet
from urbanln.base.kinds import KINDS, label_kinds
from urbanln.captions.asking.ledger_place import has_ledger
from urbanln.city.meta import CITY_FILE, read_meta
from urbanln.city.store import CAPTIONS_FILE
from urbanln.city.views import settle_views
from urbanln.probe.heads import find_head
from urbanln.study.spec import Study

SYNTHETIC = "synthetic"


def are_corpora(study: Study) -> bool:
    """Whether a study is over corpora of pictures without places.

    Raises:
        InputError: Over some, and over cities; or over some, and something of it needs places.
    """
    folders = {spec: Path(spec) for spec in study.cities if not spec.startswith(f"{SYNTHETIC}:")}
    found = [s for s, folder in folders.items() if _is_city(folder) and not read_meta(folder).places]
    if not found:
        return False
    if len(found) < len(study.cities):
        raise InputError(
            "cities and corpora of pictures without places stand in one study",
            value=", ".join(study.cities),
            where="study.cities",
            remedy="make two studies of it: in cities labels are predicted, in corpora texts are looked for",
        )
    for variant in study.variants:
        if variant.pretrain == "train-blocks":
            raise InputError(
                "pre-training on the train blocks needs places, and these pictures have none",
                value=variant.name,
                where="pretrain",
                remedy="leave it out: of divided pictures the part to train on is trained on anyway",
            )
    if silent := [spec for spec in found if not (Path(spec) / CAPTIONS_FILE).exists()]:
        what, remedy = "this corpus has no captions to look for", "run 'urbanln caption' on it first"
        raise InputError(what, where=silent[0], remedy=remedy)
    there = [views_of(Path(spec) / "images.parquet") for spec in found]
    views = {settle_views(one.settings, own).embed.view for one in study.variants for own in there}
    if len(views) > 1:
        what, remedy = "variants look for pictures of different views", "set common.embed.view"
        raise InputError(what, value=", ".join(sorted(views)), where="embed.view", remedy=remedy)
    return True


def is_synthetic(spec: str) -> bool:
    """Whether pictures and labels of a city are drawn and simulated."""
    folder = Path(spec)
    return spec.startswith(f"{SYNTHETIC}:") or (_is_city(folder) and read_meta(folder).synthetic)


def check_kinds(study: Study, corpora: bool) -> None:
    """Check that the kind of label which a study speaks of is there, and named where that matters.

    Args:
        study: What is asked.
        corpora: Whether it is over corpora, which have no labels.

    Raises:
        InputError: No city has a label of this kind; or there are gains over labels of several kinds, and
            none is named: what was predicted is of one score alone.
    """
    if not (study.kind or study.gains):
        return  # each kind has tables of its own, and none speaks for the others
    found = set() if corpora else set().union(*map(_kinds_of, study.cities))
    there = [kind for kind in KINDS if kind in found]
    if study.kind and study.kind not in there:
        raise InputError(
            "no city of this study has a label of this kind",
            value=study.kind,
            where="study.kind",
            remedy=f"leave it out; there are: {', '.join(there) or 'no labels'}",
        )
    if study.gains and len(there) > 1 and not study.kind:
        raise InputError(
            "the cities have labels of several kinds, and gains are told of one first",
            value=", ".join(there),
            where="study.kind",
            remedy=f'say which; predictions are of its score: kind = "{there[0]}"',
        )


def check_heads(study: Study) -> None:
    """Check that the heads are there, and can learn every kind of label, before anything is trained.

    Raises:
        InputError: One is not, or cannot.
    """
    for kind in dict.fromkeys(kind for spec in study.cities for kind in KINDS if kind in _kinds_of(spec)):
        for head in study.first.settings.probe.heads:
            find_head(head, kind)


def _kinds_of(spec: str) -> set[str]:
    """The kinds of a city's labels; a synthetic one has numbers alone."""
    table = Path(spec) / "indicators.parquet"
    if not table.exists():
        return {"number"}
    with reading_parquet(table):
        columns = pq.read_schema(table).names
    return {label.kind for label in label_kinds(columns, read_meta(Path(spec)).kinds(), str(table)).values()}


def views_of(table: Path) -> list[str]:
    """Views that there are pictures of, in a city's table of images."""
    with reading_parquet(table):
        return list(pd.read_parquet(table, columns=["view"])["view"].unique())


def city_payload(spec: str, views: Sequence[str]) -> dict[str, Any]:
    """What a city depends on: the recipe of a synthetic one, the hashes of a folder's tables.

    Raises:
        InputError: The spelling is wrong, or the folder holds no city.
    """
    kind, _, rest = spec.partition(":")
    if kind == SYNTHETIC and rest:
        numbers = rest.split(":")
        good = len(numbers) == 2 and all(re.fullmatch("[0-9]{1,10}", part) for part in numbers)
        if not good or int(numbers[0]) > MOST or int(numbers[1]) > MAX_SEED:
            what = "a synthetic city is written synthetic:REGIONS:SEED"
            raise InputError(what, value=spec, where="cities", remedy="e.g. synthetic:256:0")
        return {"regions": int(numbers[0]), "seed": int(numbers[1]), "street": "street" in views}
    folder = Path(spec).resolve()
    if not _is_city(folder):
        raise InputError(
            "not a city folder: there is no city.toml",
            where=spec,
            remedy="give the folder that urbanln ingest wrote",
        )
    return {"folder": str(folder), **{k: table_hash(spec, k) for k in ("regions", "images")}}


def _is_city(folder: Path) -> bool:
    return (folder / CITY_FILE).exists()


def said(spec: str) -> Any:
    """What the captions of a city folder depend on; equal ones of a picture are in its ledger alone."""
    table = table_hash(spec, "captions")
    return [table, "ledger"] if has_ledger(Path(spec)) else table


def table_hash(spec: str, name: str) -> str:
    """Hash of a table of a city folder; nothing for a synthetic city, whose recipe says it all."""
    path = Path(spec) / f"{name}.parquet"
    return "" if spec.startswith(f"{SYNTHETIC}:") or not path.exists() else hash_file(path)


def labels_hash(spec: str) -> str:
    """Hash of the labels of a city folder, and of what is said of those that are no numbers."""
    table = table_hash(spec, "indicators")
    kinds = read_meta(Path(spec)).kinds() if table else {}
    # These were once left out of the scores: what was made then is not taken for what is made now.
    return hash_bytes(f"{table} {kinds} scored".encode()) if kinds else table
