"""Who may ask now: claims on questions, and what answers have cost or may cost."""

from __future__ import annotations

from typing import Literal, NamedTuple

from urbanln.captions.asking.ledger_schema import Database

Claim = Literal["mine", "answered", "held", "reserved", "spent"]
"""What :meth:`.ledger.Ledger.claim` says: ask it now; it has been answered; somebody asks it now; calls under
way may use up the budget; the budget is used up."""


class Budget(NamedTuple):
    """What a question may cost: checked and set aside in one transaction, over all processes on a ledger.

    Attributes:
        reserve_usd: Set aside for this question until its answer is recorded.
        captioner_usd: What all answers of this captioner in the ledger may cost; None: no limit.
        total_usd: What all answers in the ledger may cost; None: no limit.
    """

    reserve_usd: float = 0.0
    captioner_usd: float | None = None
    total_usd: float | None = None


_IF_ANY = "CAST(?1 AS TEXT) IS NULL OR captioner = ?1"  # of this captioner, or of everybody


def spent_query(captioner: str | None) -> tuple[str, tuple[str | None]]:
    """What a captioner has spent (everybody, for None), as a question with its value."""
    return f"SELECT sum(usd) FROM spent WHERE {_IF_ANY}", (captioner,)  # noqa: S608


def _short_of(
    db: Database, reserve: float, limit: float, captioner: str | None
) -> Literal["reserved", "spent"] | None:
    """Whether the limit allows no further call, for good or as long as others are under way."""
    spent = db.execute(*spent_query(captioner)).fetchone()[0] or 0.0
    claimed = f"SELECT sum(reserved) FROM claims WHERE {_IF_ANY}"  # noqa: S608
    under_way = db.execute(claimed, (captioner,)).fetchone()[0]
    if spent + reserve > limit:
        return "spent"
    return "reserved" if spent + (under_way or 0.0) + reserve > limit else None


def add_spent(db: Database, captioner: str, cost_usd: float) -> None:
    """Add to what a captioner has cost: a running sum, so that a check of a budget reads one row."""
    db.later(
        "INSERT INTO spent VALUES (?, ?) "
        "ON CONFLICT (captioner) DO UPDATE SET usd = spent.usd + excluded.usd",
        (captioner, cost_usd),
    )


def stands(db: Database, key: str, captioner: str, budget: Budget) -> Claim:
    """How a claim stands: what is in its way, or "mine" where nothing is.

    Args:
        db: Within a transaction that writes.
        key: Of the question.
        captioner: Whose budget it goes to.
        budget: What may be spent.
    """
    sql = "SELECT (SELECT count(*) FROM texts WHERE key = ?1), (SELECT count(*) FROM claims WHERE key = ?1)"
    answered, held = db.execute(sql, (key,)).fetchone()
    if answered or held:
        return "answered" if answered else "held"
    for limit, name in ((budget.captioner_usd, captioner), (budget.total_usd, None)):
        if limit is not None and (short := _short_of(db, budget.reserve_usd, limit, name)):
            return short
    return "mine"
