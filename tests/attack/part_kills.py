"""Every verb is killed at random points, then called again: it must end as if nothing had happened.

Half of the points are acts on files, counted by an audit hook, and are the same at each run of a seed; the
others are moments, so that a kill also falls into a computation.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.attack.case import Attack, Case
from tests.attack.judge import Outcome
from tests.attack.world import VERBS, cost, expected, verb

import urbanln

PART = "kills"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Verbs with most to lose are killed more often.
_MORE = {"pretrain": 3, "caption": 2, "ingest": 2, "gather": 2, "synthetic": 2, "embed": 2, "probe": 2}
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every verb, with each signal."""
    found = []
    for name in VERBS:
        for number in range(_MORE.get(name, 1)):
            for sign in SIGNALS:
                share, by_act = rng.random(), (number + sign) % 2 == 0
                label = f"{name}-{sign.name}-{'act' if by_act else 'moment'}-{share:.3f}"
                found.append(Attack(PART, label, _killed(name, sign, share, by_act)))
    found += [
        Attack(PART, f"twice-{name}", _twice(name))
        for name in ("pretrain", "caption", "ingest", "gather", "synthetic")
    ]
    found += [
        Attack(PART, f"at-start-{sign.name}-{share:.2f}", _at_start(sign, share))
        for sign in SIGNALS[1:]
        for share in (0.02, 0.3, 0.7)
    ]
    return found


def _killed(name: str, sign: signal.Signals, share: float, by_act: bool) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        case.take(*chosen.needs)
        _kill(case, name, sign, share, by_act)
        _again(case, name)

    return do


def _twice(name: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*verb(name, case.world).needs)
        for sign, share in ((signal.SIGKILL, 0.4), (signal.SIGTERM, 0.8), (signal.SIGKILL, 0.95)):
            _kill(case, name, sign, share * (0.5 + case.rng.random() / 2), by_act=True)
        _again(case, name)

    return do


def _kill(case: Case, name: str, sign: signal.Signals, share: float, by_act: bool) -> None:
    chosen = verb(name, case.world)
    acts, seconds = cost(name, case.world)
    how: dict[str, Any] = (
        {"kill": (sign, 1 + int(share * acts))} if by_act else {"kill_after": (sign, share * seconds)}
    )
    outcome = case.run(*chosen.argv, expect="killed", changes=chosen.changes, limit=200, **how)
    _told(case, outcome, sign)


def _told(case: Case, outcome: Outcome, sign: signal.Signals) -> None:
    """Who asks a process to stop is told how to go on, in one line."""
    if sign == signal.SIGKILL or outcome.code == 0:
        return
    if outcome.code != _CODES[sign]:
        case.fault(
            "unclear", f"{sign.name} ended {outcome.argv[0]} with {outcome.code}: {outcome.err[-600:]}"
        )
    elif "stopped" not in outcome.err or "again" not in outcome.err:
        case.fault("unclear", f"{sign.name} does not say how to go on: {outcome.err[-600:]!r}")


def _again(case: Case, name: str) -> None:
    chosen = verb(name, case.world)
    # Where the kill came after the last act, the folder is whole, and a city is not made over another one.
    outcome = case.run(*chosen.argv, expect="told", changes=chosen.changes, limit=200)
    if outcome.code != 0 and chosen.argv[0] not in ("synthetic", "ingest", "gather"):
        case.fault("loss", f"the same command again failed: {outcome.err[-1500:]}")
    for made, theirs in expected(name, case.world):
        case.same(made, theirs, f"{made} after a kill and the same command again (exit {outcome.code})")


def _at_start(sign: signal.Signals, share: float) -> Callable[[Case], None]:
    """A real process of its own, hit while it imports."""

    def do(case: Case) -> None:
        chosen = verb("pretrain", case.world)
        case.take(*chosen.needs)
        environment = {
            **os.environ,
            **case.command().env,
            "PYTHONPATH": str(Path(urbanln.__file__).parents[1]),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "urbanln", *chosen.argv], cwd=case.root, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        time.sleep(share * 5)
        with suppress(ProcessLookupError):
            process.send_signal(sign)
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            case.fault("hang", f"{sign.name} during imports")
            return
        outcome = Outcome(tuple(chosen.argv), process.returncode, out, err)
        case.said.append(f"$ {' '.join(chosen.argv)}\n[exit {outcome.code}]\n{err}")
        if "Traceback" in err:
            case.fault("traceback", err[-2000:])
        # In its first moments the interpreter itself is at work, and nothing of the package is.
        if share > 0.1:
            _told(case, outcome, sign)
        _again(case, "pretrain")

    return do
