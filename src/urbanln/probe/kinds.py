"""Kinds of labels: numbers, classes, shares that sum to one; and the one score that speaks for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from urbanln.base.errors import InputError

Kind = Literal["number", "classes", "shares"]
KINDS: tuple[Kind, ...] = ("number", "classes", "shares")
SCORE_NAMES: dict[Kind, str] = {"number": "r2", "classes": "macro_f1", "shares": "kl_skill"}
"""The main score of each kind in ``scores.json``: higher is better, 1 is perfect."""
SCORE_WORDS = {"r2": "R²", "macro_f1": "macro F1", "kl_skill": "KL skill"}


class LabelKind(NamedTuple):
    """What a label is.

    Args:
        kind: ``"number"``, ``"classes"`` (one name of several) or ``"shares"`` (parts that sum to one).
        columns: The columns of shares, in order; none for the others, whose column has the label's name.
    """

    kind: Kind = "number"
    columns: tuple[str, ...] = ()


NUMBER = LabelKind()


def label_kinds(given: Mapping[str, Any] | None, where: str = "labels") -> dict[str, LabelKind]:
    """Kinds as a city's description has them: ``{"age": {"kind": "shares", "columns": ["young", "old"]}}``.

    Args:
        given: By label, a mapping with ``kind`` and, for shares, ``columns``; or a :class:`LabelKind`.
            A label that is not named is a number.
        where: Whose they are, for errors.

    Raises:
        InputError: No such kind, shares of fewer than two columns, or a column in two labels.
    """
    found = {name: _label_kind(name, value, where) for name, value in (given or {}).items()}
    columns = [column for kind in found.values() for column in kind.columns]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        remedy = "name each column in one label"
        raise InputError("a column is a share of two labels", value=twice[0], where=where, remedy=remedy)
    return found


def _label_kind(name: str, value: Any, where: str) -> LabelKind:
    if isinstance(value, LabelKind):
        kind, columns = value
    else:
        parts: Sequence[Any] = value.get("columns") or ()
        kind, columns = value.get("kind", "number"), tuple(map(str, parts))
    if kind not in KINDS:
        remedy = f"there are: {', '.join(KINDS)}"
        raise InputError("no such kind of label", value=kind, where=f"{where}, {name}", remedy=remedy)
    if kind == "shares" and len(set(columns)) < max(2, len(columns)):
        raise InputError(
            "shares are two columns or more, each named once",
            value=", ".join(columns) or None,
            where=f"{where}, {name}",
            remedy="name the columns that sum to one",
        )
    return LabelKind(kind, columns if kind == "shares" else ())


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
