"""What each part was worth under each condition, in words: paid, cost, nothing, undecided; and as expected?

An interval within ±.005 says that a part is worth nothing there; a wider one that holds 0 decides nothing.
Where many are looked at, some leave 0 out by chance: how many that would be is said, and which gains stand
when it is allowed for (Bonferroni: 95 % for all of them at once).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from urbanln.pages.text import score

PAYS, COSTS, NOTHING, UNDECIDED = "pays", "costs", "nothing", "undecided"
_NOTHING_WITHIN = 0.005  # nobody would choose by less, however sure it is
_MISS = 0.05  # what a 95 % interval misses

Row = Mapping[str, Any]


def mark_standing(rows: Sequence[dict[str, Any]]) -> None:
    """Note which gains of one table stand when all of them are looked at: ``stands``.

    Args:
        rows: With ``gain`` and ``gain_sd``, the deviation over the resamples; either may be None.
    """
    known = [row for row in rows if row["gain"] is not None]
    limit = NormalDist().inv_cdf(1 - _MISS / (2 * max(len(known), 1)))
    for row in rows:
        row["stands"] = row["gain"] is not None and abs(row["gain"]) > limit * row["gain_sd"]


def verdict(row: Row) -> str:
    """Whether a part pays under a condition; undecided where the better macro F1 may be that of guessing."""
    low, high = row["gain_low"], row["gain_high"]
    if low is not None and high is not None and max(-low, high) <= _NOTHING_WITHIN:
        return NOTHING
    if low is None or high is None or low <= 0 <= high or row["guessed"]:
        return UNDECIDED
    return PAYS if low > 0 else COSTS


def expected(row: Row) -> str:
    """How a gain lies to what was predicted; nothing where nothing was."""
    if row["predicted"] is None or row["gain"] is None:
        return ""
    low, high = row["predicted"]
    return "as predicted" if low <= row["gain"] <= high else "more" if row["gain"] > high else "less"


def range_text(ends: Sequence[float] | None) -> str:
    """A predicted range, ``−.005 … +.020``."""
    return "" if ends is None else " … ".join(score(end, 3, sign=True) for end in ends)


def sentences(rows: Sequence[Row]) -> list[str]:
    """When parts pay, when they cost, and where nothing was found, in three sentences; and the predictions.

    Args:
        rows: Gains of one split and head.
    """
    known = [row for row in rows if row["gain"] is not None]
    if not known:
        return []
    of = {kind: [row for row in known if verdict(row) == kind] for kind in (PAYS, COSTS, NOTHING, UNDECIDED)}
    found = [
        f"It pays: {_listed(of[PAYS])}."
        if of[PAYS]
        else "No part pays under any condition, as far as these intervals can tell.",
        f"It costs: {_listed(of[COSTS])}." if of[COSTS] else "None costs anything for certain.",
    ]
    stands = [row for row in of[PAYS] + of[COSTS] if row["stands"]]
    after = f"these stand: {_listed(stands, numbers=False)}" if stands else "none stands"
    undecided = f": {_listed(of[UNDECIDED], numbers=False)}" if of[UNDECIDED] else ""
    chance = f"{_MISS * len(known):.1f}"
    near = _listed(of[NOTHING], numbers=False)
    nothing = f"Worth nothing, within ±.005: {near}. " if near else ""
    found.append(
        f"{nothing}Undecided are {len(of[UNDECIDED])} of {len(known)}{undecided}; of so many intervals about "
        f"{chance} leave 0 out by chance, and when that is allowed for, {after}."
    )
    if guessed := [row for row in known if row["guessed"]]:
        found.append(
            f"Where even the better macro F1 may be that of guessing, a difference is held undecided: "
            f"{_listed(guessed, numbers=False)}."
        )
    foreseen = [row for row in known if row["predicted"] is not None]
    if foreseen:
        held = sum(expected(row) == "as predicted" for row in foreseen)
        found.append(f"{held} of {len(foreseen)} gains lie in the range that was predicted.")
    return found


def _listed(rows: Sequence[Row], *, numbers: bool = True) -> str:
    """``vote (centre +.02 [+.01, +.03], 60 % false …), queue (…)``."""
    parts: dict[str, list[str]] = {}
    for row in rows:
        told = f"{row['condition']} {gain_text(row)}" if numbers else row["condition"]
        parts.setdefault(row["part"], []).append(told)
    return "; ".join(f"{part} ({', '.join(told)})" for part, told in parts.items())


def gain_text(row: Row) -> str:
    """``+.012 [+.003, +.021]``."""
    value, low, high = (score(row[key], 3, sign=True) for key in ("gain", "gain_low", "gain_high"))
    return value if row["gain_low"] is None else f"{value} [{low}, {high}]"
