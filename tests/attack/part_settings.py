"""Every setting with values that are too much, too little, or no value at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from pydantic import BaseModel
from tests.attack.case import Attack, Case
from tests.attack.world import PROBE, TRAIN, sets

PART = "settings"
_VALUES = (
    "inf", "-inf", "nan", "-1", "0", "1000000000000", "1" + "0" * 22, "1e308", "1e-320", "9" * 5000, "true",
    '"x"', '""', "[]", "[[]]", "{}", "[1, 1]", '"\\u001b[2J"', "1979-05-27", "[" * 2000, "'''", "../x",
)  # fmt: skip
_ROUNDS = 2
# Words that are no setting at all.
_ODD = ("", "=", "train", "train=", "train.lr", "train.lr=", ".=1", "a.b.c.d=1", "train..lr=1", "TRAIN.LR=1",
        "train.lr.x=1", "train.\x1b[2J=1", "x" * 5000 + "=1", "probe.block_km=1\n[train]\nlr=2", "train.é=1",
        ".".join(["a"] * 5000) + "=1", "run.base=1", "train.lr=1e-5 # why", "train.lr='\\ud800'")  # fmt: skip


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Each setting with a few values drawn at random."""
    from urbanln.base.config import Settings
    from urbanln.captions.settings import CaptionerSettings, CaptionSettings

    keys = [*_keys(Settings), *_keys(CaptionSettings)]
    keys += [f"captioners.x.{name}" for name in CaptionerSettings.model_fields]
    found = []
    for key in keys:
        for number in sorted(rng.sample(range(len(_VALUES)), _ROUNDS)):
            found.append(Attack(PART, f"{key}-{number}", _set(key, f"{key}={_VALUES[number]}")))
    found += [Attack(PART, f"odd-{i}", _set("probe", text)) for i, text in enumerate(_ODD)]
    return found


def _keys(model: type[BaseModel]) -> list[str]:
    return [
        f"{section}.{name}"
        for section, field in model.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for name in field.annotation.model_fields
    ]


def _set(key: str, text: str) -> Callable[[Case], None]:
    section = key.partition(".")[0]
    if section in ("model", "train", "cache"):
        argv, needs, changes = ["pretrain", "c", "--out", "run", *sets(*TRAIN)], ["c", "base"], ["run"]
        argv += sets("train.epochs=1")
    elif section == "embed":
        argv, needs = ["embed", "c", "--model", "base", "--out", "v.parquet"], ["c", "base"]
        changes = ["v.parquet", "v.parquet.parts"]
    elif section == "probe":
        argv, needs, changes = ["probe", "c", "--out", "s", "--indicator", "population"], ["c"], ["s"]
        argv += sets(*PROBE)
    elif section == "captioners":
        argv, needs, changes = ["caption", "c", "--plan", "--captioner", "x"], ["c"], []
        argv += sets("captioners.x.model=m", "captioners.x.base_url=http://127.0.0.1:9/v1")
    else:
        argv, needs = ["caption", "c", "--captioner", "simulated-a", "--limit", "3"], ["c"]
        argv += sets("vote.processes=1")
        changes = ["c/captions.sqlite", "c/captions.parquet"]

    def do(case: Case) -> None:
        case.take(*needs)
        case.run(*argv, "--set", text, expect="either", changes=changes, limit=60)

    return do
