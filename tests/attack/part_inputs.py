"""Artefacts of ours that were tampered with, and what people bring that is not what it seems."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attack import brought
from tests.attack.case import Attack, Case
from tests.attack.tamper import BROKEN, JSON, QUIET, TABLE, TOML, Spoil
from tests.attack.world import expected

PART = "inputs"
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
# A city is one without them as well, and what a run wrote down before is not known without its file.
_OPTIONAL = ("c/captions.sqlite", "c/captions.parquet", "run/metrics.jsonl", "half/metrics.jsonl")
_NO_FILE = ("gone", "folder", "pipe", "loop")
_BROUGHT = 220  # of about twice as many: another seed draws others


@dataclass(frozen=True)
class Artefact:
    """A file that a verb wrote.

    Attributes:
        path: In the world.
        readers: Verbs that read it.
        spoils: Besides what every file is spoiled with.
        rounds: How many ways of spoiling each reader is shown.
    """

    path: str
    readers: Sequence[str]
    spoils: Mapping[str, Spoil]
    rounds: int = 3


ARTEFACTS = (
    Artefact("c/city.toml", ("audit", "embed", "probe", "pretrain", "report", "explore"), TOML, 4),
    Artefact("c/regions.parquet", ("audit", "embed-pixels", "probe", "report", "explore"), TABLE, 4),
    Artefact("c/images.parquet", ("audit", "embed", "pretrain", "caption-c", "show", "explore"), TABLE, 3),
    Artefact("c/indicators.parquet", ("audit", "probe", "report", "explore"), TABLE, 4),
    Artefact(
        "c/captions.parquet",
        ("audit", "pretrain", "embed-text", "caption-c", "report", "retrieve", "explore"),
        TABLE,
        3,
    ),
    Artefact("c/captions.sqlite", ("audit", "export", "show", "caption-c"), {}, 4),
    Artefact(
        "c/images/satellite/@", ("audit", "embed", "pretrain", "embed-pixels", "report", "explore"), {}, 2
    ),
    Artefact("c/images/satellite/@.scene.json", ("caption",), JSON, 4),
    Artefact("run/run.toml", ("embed", "report", "pretrain", "export-model", "explore"), TOML, 4),
    Artefact("run/metrics.jsonl", ("report", "pretrain"), JSON, 7),
    Artefact("run/model/config.json", ("embed", "pretrain", "export-model"), JSON, 4),
    Artefact("run/model/urbanln.json", ("embed", "pretrain", "export-model", "explore"), JSON, 4),
    Artefact("run/model/tokenizer.json", ("embed-model", "pretrain"), JSON, 2),
    Artefact("run/model/preprocessor_config.json", ("embed", "embed-model"), JSON, 4),
    Artefact("run/model/model.safetensors", ("embed", "embed-model", "pretrain", "export-model"), {}, 4),
    Artefact("base/config.json", ("pretrain",), JSON, 6),
    Artefact("base/tokenizer.json", ("pretrain",), JSON, 3),
    Artefact("base/model.safetensors", ("pretrain",), {}, 4),
    Artefact("half/run.toml", ("resume",), TOML, 4),
    Artefact("half/metrics.jsonl", ("resume",), JSON, 6),
    Artefact("half/checkpoint/@", ("resume",), JSON, 10),
    Artefact("v.parquet", ("probe", "probe-v", "explore"), TABLE, 6),
    Artefact("s/scores.json", ("report", "explore"), JSON, 12),
    Artefact("s/predictions.parquet", ("report", "explore"), TABLE, 6),
    Artefact("s/folds.parquet", ("report",), TABLE, 3),
    Artefact("ledger.parquet", ("import",), TABLE, 9),
    Artefact("study.toml", ("study-plan",), TOML, 10),
    Artefact("settings.toml", ("settings", "settings-caption"), TOML, 6),
)


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every artefact for every reader, spoiled in ways drawn at random, and some of what is brought."""
    found = []
    for artefact in ARTEFACTS:
        ways = {**BROKEN, **QUIET, **artefact.spoils}
        for reader in artefact.readers:
            for way in rng.sample(sorted(ways), min(artefact.rounds, len(ways))):
                label = f"{artefact.path.replace('/', '-')}-{way}-{reader}"
                found.append(Attack(PART, label, _spoiled(artefact, reader, way, ways[way])))
    everything = brought.attacks()
    some = rng.sample(sorted(everything), min(_BROUGHT, len(everything)))
    return [*found, *(Attack(PART, f"brought-{name}", everything[name]) for name in some)]


def _spoiled(artefact: Artefact, reader: str, way: str, spoil: Spoil) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        argv, needs, changes, name = brought.reading(reader, case)
        case.take(*needs, artefact.path.split("/", 1)[0])
        path = brought.pick(case, artefact.path)
        spoil(path, case.rng)
        outcome = case.run(*argv, expect="either", changes=changes, limit=60)
        # What a flipped byte or another value does to a file without a hash is not promised.
        if outcome.code != 0 or name is None or way not in BROKEN or way in ("other", "ends", "cut"):
            return
        results = expected(name, case.world)
        # One picture of many may be missing, if that is said.
        if path.suffix in _PICTURES and path.stem in outcome.out + outcome.err + _pages(case, results):
            return
        if artefact.path in _OPTIONAL and (way in ("gone", "loop") or path.suffix == ".jsonl"):
            return
        # A finished run is not read again; who reads its model is another reader here.
        if artefact.path.startswith("run/model") and reader == "pretrain" and way not in _NO_FILE:
            return
        for made, theirs in results:
            case.same(made, theirs, f"{made} from a {artefact.path} that is {way}, with exit 0")

    return do


def _pages(case: Case, results: Sequence[tuple[str, Path]]) -> str:
    """The text of what was made that people read."""
    files = [case.root / made for made, _ in results]
    return "".join(file.read_text() for file in files if file.suffix in (".html", ".json") and file.exists())
