"""A hostile captioning server: what comes of it is clear, and nothing of it gets into the captions.

A good one that takes its place afterwards gets all that is missing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tests.attack.case import Attack, Case
from tests.attack.hostile import BEHAVIOURS, PASSES, serving
from tests.attack.values import ledger
from tests.attack.world import sets

PART = "server"
_CITY = "k"
# Of a text that is trained on: control characters, control tokens of models, thoughts.
_FOREIGN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|<\||</?s>|<unused|<think|</think")


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every behaviour."""
    return [Attack(PART, name, _hostile(name)) for name in BEHAVIOURS]


def _argv(url: str, retries: int) -> list[str]:
    captioner = {
        "model": "m",
        "base_url": url,
        "retries": retries,
        "timeout_s": 1.5,
        "concurrency": 4,
        "usd_per_million_in": 1.0,
        "usd_per_million_out": 1.0,
    }
    chosen = sets(*(f"captioners.m.{key}={value}" for key, value in captioner.items()))
    return ["caption", _CITY, "--captioner", "m", "--limit", "8", "--budget-usd", "5", *chosen]


def _hostile(name: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(_CITY)
        changes = [f"{_CITY}/captions.sqlite", f"{_CITY}/captions.parquet"]
        with serving(name) as url:
            outcome = case.run(
                *_argv(url, 3 if name == "some-429" else 0), expect="either", changes=changes, limit=120
            )
        if name in PASSES and outcome.code != 0:
            case.fault(
                "loss", f"the answers were sound, and it ended with {outcome.code}: {outcome.err[-500:]}"
            )
        _look(case, name)
        # A text that was an answer, if a poor one, is not asked for again.
        kept = ledger(case.root / _CITY / "captions.sqlite")["texts"]
        with serving("good") as url:
            again = case.run(*_argv(url, 0), expect="told" if kept else "done", changes=changes, limit=120)
        if again.code == 0:
            _look(case, f"{name}, then a good server")
        if not kept:
            _all_there(case)
        case.run("audit", _CITY, "--page", "a.html", changes=["a.html"])
        if "<script>alert(1)" in (case.root / "a.html").read_text():
            case.fault("loss", "a caption's markup came into a page")

    return do


def _look(case: Case, when: str) -> None:
    import pandas as pd

    table = case.root / _CITY / "captions.parquet"
    if table.exists():
        for text in pd.read_parquet(table)["caption"]:
            if found := _FOREIGN.search(text):
                case.fault("loss", f"{when}: {found.group(0)!r} came into a caption: {text[:200]!r}")
                return


def _all_there(case: Case) -> None:
    import pandas as pd

    found = pd.read_parquet(case.root / _CITY / "captions.parquet")["image_id"].nunique()
    if found != 8:
        case.fault("loss", f"{found} of 8 pictures have a caption after a good server")
