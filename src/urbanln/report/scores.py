"""``scores.json`` as the page needs it: what is missing is left out of the page, what is wrong is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Required

from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError
from urbanln.base.kinds import Kind
from urbanln.base.parsing import fitting, read_json

_REMEDY = "make it again with 'urbanln probe'"


class _Score(TypedDict, total=False):
    kind: Kind
    score_name: Literal["r2", "macro_f1", "kl_skill"]
    score: float | None
    score_low: float | None
    score_high: float | None


class _Row(_Score, total=False):
    indicator: Required[str]
    split: Required[str]
    features: Required[str]
    head: str | None
    r2: float | None
    n: float | None
    by_part: list[dict[str, Any]] | None
    confusion: list[list[float]] | None
    vs: dict[str, dict[str, Any]] | None


class _Point(_Score, total=False):
    indicator: Required[str]
    split: Required[str]
    features: Required[str]
    head: str | None
    k: Required[float]


class _Pair(_Score, total=False):
    indicator: Required[str]
    source: Required[str | None]
    target: Required[str | None]
    features: Required[str | None]
    k: Required[int | None]
    r2: float | None
    vs: dict[str, dict[str, Any]] | None


class _Verdict(TypedDict, total=False):
    indicator: Required[str]
    sentence: str | None
    beats: bool | str | None


class _Labels(TypedDict, total=False):
    found: list[str] | None
    label_range: list[Any] | None


class _Split(TypedDict, total=False):
    found: list[str] | None
    by_indicator: dict[str, _Labels] | None


class _Settings(TypedDict, total=False):
    heads: list[str] | None
    level: float | None
    seeds: int | list[int] | None


class _Regions(TypedDict, total=False):
    labelled: dict[str, float | None] | None


class _City(TypedDict, total=False):
    name: Required[str]
    synthetic: bool | None


class _Label(TypedDict):
    kind: Kind
    names: list[str]


class _Scores(TypedDict, total=False):
    rows: Required[list[_Row]]
    command: str | None
    main: str | None
    baseline: str | None
    cities: list[_City] | None
    models: dict[str, list[str | None]] | None
    units: dict[str, str] | None
    regions: _Regions | None
    notes: list[str] | None
    settings: _Settings | None
    verdicts: list[_Verdict] | None
    curves: list[_Point] | None
    transfer: list[_Pair] | None
    splits: dict[str, _Split] | None
    skipped_splits: list[dict[str, Any]] | None
    kinds: dict[str, _Label]


def read_scores(path: Path) -> dict[str, Any]:
    """The content of a ``scores.json``.

    Raises:
        InputError: No such file.
        ArtefactError: It is damaged, of another kind, or lacks what every one has.
    """
    scores: dict[str, Any] = read_json(path, dict[str, Any], remedy=_REMEDY)
    kind = scores.get("kind", "scores")
    if kind != "scores":
        raise ArtefactError("not a table of scores", value=kind, where=path, remedy=_REMEDY)
    try:
        fitting(scores, _Scores)
        if any("score" not in row and "r2" not in row for row in scores["rows"]):
            raise ValueError("a row of scores has none")
    except ValueError as error:
        what = "these scores are damaged"
        raise ArtefactError(what, value=str(error), where=path, remedy=_REMEDY) from error
    return scores
