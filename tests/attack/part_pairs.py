"""Two processes at once on all that can be shared: both end right, or the second is told who is at work.

One of them is halted before an act on a file that is drawn at random, the other one starts and has some
seconds to end or to wait; then the first goes on. In some pairs both simply run at once.
"""

from __future__ import annotations

import os
import random
import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.attack.case import Attack, Case
from tests.attack.forks import Running
from tests.attack.judge import Outcome, compare, judge, snapshot
from tests.attack.values import differences
from tests.attack.world import PROBE, TRAIN, VERBS, cost, expected, sets

PART = "pairs"
_PATIENCE = 4.0  # seconds the second one has before the first goes on


@dataclass(frozen=True)
class Pair:
    """Two commands on one thing.

    Attributes:
        name: Of the pair.
        first: Words of the one that is halted.
        second: And of the other.
        needs: What both read, to be taken from the world.
        changes: What they may make or change.
        check: Says what is wrong once both have ended; it gets their outcomes.
        like: The verb whose number of acts tells where to halt.
        setup: As of a command.
        rounds: How many halts are drawn.
    """

    name: str
    first: Sequence[str]
    second: Sequence[str]
    needs: Sequence[str]
    changes: Sequence[str]
    check: Callable[[Case, Pair, tuple[Outcome, Outcome]], None]
    like: str
    setup: Callable[[], None] | None = None
    rounds: int = 2
    made: Sequence[str] = field(default_factory=tuple)


def _as_undisturbed(case: Case, pair: Pair, outcomes: tuple[Outcome, Outcome]) -> None:
    for made, theirs in expected(pair.like, case.world):
        case.same(made, theirs, f"{made} after two at once (exits {_codes(outcomes)})")


def _one_of_both(case: Case, pair: Pair, outcomes: tuple[Outcome, Outcome]) -> None:
    """The result is that of one command alone, whole, and of one that said it had ended well."""
    good = []
    for number, (argv, outcome) in enumerate(zip((pair.first, pair.second), outcomes, strict=True)):
        if outcome.code != 0:
            continue
        alone = Case(case.cage / f"alone-{number}", case.world, case.seed, f"{case.name} {number}")
        alone.take(*pair.needs)
        alone.run(*argv, changes=pair.changes, setup=pair.setup, limit=200)
        case.faults += alone.faults
        good.append(
            [found for made in pair.made for found in differences(case.root / made, alone.root / made)]
        )
    if good and all(good):
        case.fault("loss", f"the result is none of both (exits {_codes(outcomes)}): {good[0][:3]}")


def _both_captioners(case: Case, pair: Pair, outcomes: tuple[Outcome, Outcome]) -> None:
    import pandas as pd

    table = case.root / "c0" / "captions.parquet"
    found = set(pd.read_parquet(table)["captioner"]) if table.exists() else set()
    for argv, outcome in zip((pair.first, pair.second), outcomes, strict=True):
        if outcome.code == 0 and argv[3] not in found:
            case.fault("loss", f"the captions of {argv[3]} are gone (exits {_codes(outcomes)})")


def _nothing(case: Case, pair: Pair, outcomes: tuple[Outcome, Outcome]) -> None:
    """That both ended well or clearly is all there is to see."""


def _codes(outcomes: tuple[Outcome, Outcome]) -> str:
    return f"{outcomes[0].code} and {outcomes[1].code}"


def _small_parts() -> None:
    import urbanln.embed.parts

    urbanln.embed.parts.PART_SIZE = 4


def _pairs() -> list[Pair]:
    found = []
    for name in VERBS:
        chosen = VERBS[name]
        if name not in ("show", "synthetic-many"):
            found.append(Pair(f"same-{name}", chosen.argv, chosen.argv, chosen.needs, chosen.changes,
                              _as_undisturbed, name))  # fmt: skip
    train, probe = [*sets(*TRAIN)], [*sets(*PROBE)]
    ledger = ("c0/captions.sqlite", "c0/captions.parquet")
    caption = ["caption", "c0", "--captioner"]
    vote = sets("vote.enabled=false")
    found += [
        Pair("two-captioners", [*caption, "simulated-a", *vote], [*caption, "simulated-b", *vote], ("c0",),
             ledger, _both_captioners, "caption", rounds=4),
        Pair("two-seeds", ["pretrain", "c", "--out", "run", *train], ["pretrain", "c", "--out", "run", *train,
             "--set", "train.seed=1"], ("c", "base"), ("run",), _one_of_both, "pretrain", rounds=4,
             made=("run/model", "run/run.toml", "run/metrics.jsonl")),
        Pair("two-synthetic", ["synthetic", "c0", "--regions", "9"], ["synthetic", "c0", "--regions", "9",
             "--seed", "1"], (), ("c0",), _one_of_both, "synthetic", made=("c0",)),
        Pair("two-ingest", VERBS["ingest"].argv, [*VERBS["ingest"].argv, "--limit", "10"], ("pics", "t.csv"),
             ("k",), _one_of_both, "ingest", made=("k",)),
        Pair("two-probes", VERBS["probe"].argv, ["probe", "c", "--out", "s", "--indicator", "carbon", *probe],
             VERBS["probe"].needs, ("s",), _one_of_both, "probe",
             made=("s/scores.json", "s/predictions.parquet")),
        Pair("two-models", VERBS["embed"].argv, ["embed", "c", "--model", "base", "--out", "v.parquet"],
             ("c", "run", "base"), ("v.parquet", "v.parquet.parts"), _one_of_both, "embed",
             made=("v.parquet",)),
        Pair("two-shares", [*VERBS["embed"].argv, "--part", "1/2"], [*VERBS["embed"].argv, "--part", "2/2"],
             ("c", "run"), ("v.parquet", "v.parquet.parts"), _shares, "embed", _small_parts, rounds=4),
        Pair("share-and-whole", [*VERBS["embed"].argv, "--part", "1/2"], VERBS["embed"].argv,
             ("c", "run"), ("v.parquet", "v.parquet.parts"), _shares, "embed", _small_parts),
        Pair("caption-and-train", [*caption[:1], "c", "--captioner", "simulated-c", *vote],
             VERBS["pretrain"].argv, ("c", "base"), ("c/captions.sqlite", "c/captions.parquet", "run"),
             _nothing, "caption"),
        Pair("caption-and-export", [*caption[:1], "c", "--captioner", "simulated-c", *vote],
             VERBS["export"].argv, ("c",), ("c/captions.sqlite", "c/captions.parquet", "ledger.parquet"),
             _nothing, "caption"),
        Pair("caption-and-import", [*caption, "simulated-c", *vote], VERBS["import"].argv,
             ("c0", "ledger.parquet"), ledger, _nothing, "caption"),
        Pair("train-and-embed", VERBS["pretrain"].argv, VERBS["embed"].argv, ("c", "base"),
             ("run", "v.parquet", "v.parquet.parts"), _nothing, "pretrain"),
        Pair("probe-and-report", VERBS["probe"].argv, VERBS["report"].argv,
             ("c", "run", "s", "v.parquet", "px.parquet"), ("s", "r.html"), _nothing, "probe"),
        Pair("synthetic-and-audit", VERBS["synthetic"].argv, ["audit", "c0"], (), ("c0",), _nothing,
             "synthetic"),
    ]  # fmt: skip
    return found


def _shares(case: Case, pair: Pair, outcomes: tuple[Outcome, Outcome]) -> None:
    """The table is there, whole and right, once both shares have ended well."""
    if [outcome.code for outcome in outcomes] == [0, 0]:
        alone = Case(case.cage / "alone", case.world, case.seed, f"{case.name} alone")
        alone.take(*pair.needs)
        alone.run(*VERBS["embed"].argv, changes=pair.changes, setup=pair.setup, limit=150)
        case.faults += alone.faults
        case.same("v.parquet", alone.root / "v.parquet", "v.parquet of two shares at once")


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every pair at once, and with one of them halted."""
    found = []
    for pair in _pairs():
        found.append(Attack(PART, f"{pair.name}-at-once", _at_once(pair)))
        for share in sorted(rng.random() for _ in range(pair.rounds)):
            found.append(Attack(PART, f"{pair.name}-halted-{share:.3f}", _halted(pair, share)))
    return found


def _at_once(pair: Pair) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*pair.needs)
        before = snapshot(case.root)
        running = [Running(_command(case, pair, argv)) for argv in (pair.first, pair.second)]
        _end(case, pair, before, (running[0].finish(), running[1].finish()))

    return do


def _halted(pair: Pair, share: float) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*pair.needs)
        before = snapshot(case.root)
        told, tell = os.pipe()
        read, go = os.pipe()
        act = 1 + int(share * cost(pair.like, case.world)[0])
        first = Running(_command(case, pair, pair.first, pause=(act, tell, read)))
        os.close(tell)  # so that the other end reads its end too
        os.close(read)
        select.select([told], [], [], 60)
        second = Running(_command(case, pair, pair.second))
        second.wait(_PATIENCE)
        with suppress(BrokenPipeError):  # it has ended before this act
            os.write(go, b"!")
        os.close(go)
        outcomes = first.finish(), second.finish()
        os.close(told)
        _end(case, pair, before, outcomes)

    return do


def _command(case: Case, pair: Pair, argv: Sequence[str], **how: Any) -> Any:
    return case.command(*argv, limit=150, setup=pair.setup, **how)


def _end(case: Case, pair: Pair, before: dict[str, str], outcomes: tuple[Outcome, Outcome]) -> None:
    for outcome in outcomes:
        case.note(outcome)
        case.blame(outcome, judge(outcome, "told"))
    case.blame(outcomes[1], compare(before, snapshot(case.root), pair.changes))
    codes = [outcome.code for outcome in outcomes]
    # Who reads what is still being made may be refused; of two who write, one at least ends well.
    if 0 not in codes:
        case.fault("loss", f"neither of both ended well: {_codes(outcomes)}\n{outcomes[0].err[-700:]}")
        return
    pair.check(case, pair, outcomes)
    for argv, outcome in zip((pair.first, pair.second), outcomes, strict=True):
        if outcome.code != 0:
            case.run(*argv, expect="told", changes=pair.changes, setup=pair.setup, limit=150)
    if pair.check in (_as_undisturbed, _both_captioners):
        pair.check(case, pair, outcomes)
