"""What the verdicts of a probe come to: do the vectors add to the map, and do they beat it by themselves?

The one place that says so: the terminal, the report, the explorer and cards read it here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

from urbanln.probe.names import joint_name

State = Literal["yes", "no", "undecided", "unknown"]
STATES: tuple[State, ...] = ("yes", "no", "undecided", "unknown")
_MISS = 0.05  # what a 95 % interval misses
_ADDS = {
    "yes": "the vectors clearly add to the map",
    "no": "the map is clearly worse with the vectors beside it",
    "undecided": "it is undecided whether the vectors add to the map",
    "unknown": "map and vectors together were not scored",
}
_BEATS = {
    "yes": "by themselves they clearly beat it",
    "no": "by themselves they are clearly worse than it",
    "undecided": "it is undecided whether they beat it by themselves",
    "unknown": "by themselves they were not scored",
}
_ALONE = {
    "yes": "by themselves the vectors clearly beat the map",
    "no": "by themselves the vectors are clearly worse than the map",
    "undecided": "it is undecided whether the vectors beat the map by themselves",
    "unknown": "by themselves the vectors were not scored",
}
_MAP = {
    "yes": "the map alone clearly beats the mean",
    "no": "the map alone is clearly worse than the mean",
    "undecided": "it is undecided whether the map alone beats the mean",
    "unknown": "the map alone was not scored",
}


class Judged(NamedTuple):
    """The verdicts of one label; each is empty where there is none.

    Args:
        indicator: The label.
        adds: Map and vectors together against the best that the map gives alone.
        alone: The vectors against the strongest floor; without vectors, the map against the mean.
    """

    indicator: str
    adds: Mapping[str, Any]
    alone: Mapping[str, Any]

    @property
    def leads(self) -> Mapping[str, Any]:
        """The one that speaks first: what the vectors add, where that was asked."""
        return self.adds or self.alone


def state_of(verdict: Mapping[str, Any]) -> State:
    """What a verdict says, whether as a word or, in older scores, as a truth value."""
    beats = verdict.get("beats")
    said = ("yes" if beats else "no") if isinstance(beats, bool) else beats
    return next((state for state in STATES if state == said), "unknown")


def judge(scores: Mapping[str, Any]) -> list[Judged]:
    """The verdicts of every label, in the order of the scores.

    Args:
        scores: What :func:`urbanln.probe.run.probe_tables` found, or ``scores.json`` read back.
    """
    given: dict[str, list[Mapping[str, Any]]] = {
        str(row["indicator"]): [] for row in scores.get("rows") or []
    }
    for verdict in scores.get("verdicts") or []:
        given.setdefault(str(verdict.get("indicator")), []).append(verdict)
    joint = joint_name(str(scores.get("main")))
    found = []
    for name, verdicts in given.items():
        adds = [one for one in verdicts if one.get("features") == joint]
        alone = [one for one in verdicts if one.get("features") != joint]
        found.append(Judged(name, *(next(iter(some), {}) for some in (adds, alone))))
    return found


def headline(scores: Mapping[str, Any]) -> str:
    """One sentence on all labels: first what the vectors add to the map, then what they are by themselves.

    Each is a question of its own with its own count: neither makes up for the other.
    """
    found = judge(scores)
    if not found:
        return "No label was scored."
    adds, alone = [state_of(one.adds) for one in found], [state_of(one.alone) for one in found]
    if scores.get("main") is None:
        told = [_told(_MAP, alone)]
    elif any(one.adds for one in found):
        told = [_told(_ADDS, adds, "clearly worse with them"), _told(_BEATS, alone)]
    else:
        told = [_told(_ALONE, alone), "together with the map they were not scored"]
    who = f"{found[0].indicator}:" if len(found) == 1 else f"Of {len(found)} labels,"
    return f"{who} {'; '.join(told)}."


def _told(words: Mapping[str, str], states: Sequence[State], worse: str = "clearly worse") -> str:
    """In words for one label, else as counts: ``… for 4 (clearly worse for 1, undecided for 1)``."""
    if len(states) == 1:
        return words[states[0]]
    counts = Counter(states)
    others: dict[State, str] = {"no": worse, "undecided": "undecided", "unknown": "not scored"}
    rest = [f"{said} for {counts[state]}" for state, said in others.items() if counts[state]]
    yes = "none" if not counts["yes"] else counts["yes"] if rest else f"all {counts['yes']}"
    return f"{words['yes']} for {yes}" + (f" ({', '.join(rest)})" if rest else "")


def by_chance(scores: Mapping[str, Any]) -> list[str]:
    """What is said where several labels are looked at and something is clear: how much of it chance makes.

    An interval of 95 % leaves 0 out once in twenty where there is no difference. Which verdicts stay when all
    intervals are to hold at once (Bonferroni) is told by widening each as a normal deviation would be.
    """
    found = [
        (f"{one.indicator} {how}".strip(), verdict)
        for one in judge(scores)
        for how, verdict in (("with the map", one.adds), ("alone" if one.adds else "", one.alone))
        if None not in (verdict.get("diff"), verdict.get("low"), verdict.get("high"))
    ]
    clear = [(name, one) for name, one in found if state_of(one) in ("yes", "no")]
    if len(judge(scores)) < 2 or not clear:
        return []
    normal = NormalDist()
    wider = normal.inv_cdf(1 - _MISS / (2 * len(found))) / normal.inv_cdf(1 - _MISS / 2)
    gone = [name for name, one in clear if not _stands(one, wider)]
    left = (
        f"no longer clear {'is' if len(gone) == 1 else 'are'}: {', '.join(gone)}"
        if gone
        else "all that is clear stays so"
    )
    return [
        f"Of the {len(found)} intervals of these verdicts about {_MISS * len(found):.1f} leave 0 out by "
        f"chance where there is no difference; when that is allowed for (Bonferroni), {left}."
    ]


def _stands(verdict: Mapping[str, Any], wider: float) -> bool:
    """Whether the end towards 0 stays on its side when it is farther from the middle."""
    middle = verdict["diff"]
    end = verdict["low"] if middle > 0 else verdict["high"]
    return (middle + (end - middle) * wider) * middle > 0
