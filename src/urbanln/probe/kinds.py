"""The one score that speaks for a kind of label, and the one way to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from urbanln.base.kinds import Kind

SCORE_NAMES: dict[Kind, str] = {"number": "r2", "classes": "macro_f1", "shares": "kl_skill"}
"""The main score of each kind in ``scores.json``: higher is better, 1 is perfect."""
SCORE_WORDS = {"r2": "R²", "macro_f1": "macro F1", "kl_skill": "KL skill"}


class MainScore(NamedTuple):
    """The main score of a row of ``scores.json`` with its 95 % interval; None where there is none."""

    value: float | None
    low: float | None
    high: float | None


def main_score(row: Mapping[str, Any]) -> MainScore:
    """The score that speaks for a row, whatever the kind of its label: the one way to read it.

    Args:
        row: A row of ``scores.json``, of its ``curves`` or ``transfer``; those written before there were
            other kinds have R² alone.
    """
    name = "score" if "score" in row else "r2"
    return MainScore(*(row.get(key) for key in (name, f"{name}_low", f"{name}_high")))


def score_words(row: Mapping[str, Any]) -> str:
    """What the main score of a row is called in a sentence: ``R²``, ``macro F1``, ``KL skill``."""
    return SCORE_WORDS[str(row.get("score_name", "r2"))]


def kind_of(row: Mapping[str, Any]) -> Kind:
    """The kind of a row's label; a number where nothing is said, as before there were other kinds."""
    found: Kind = row.get("kind", "number")
    return found
