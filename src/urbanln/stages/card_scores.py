"""Scores of a model's vectors as its card tells them: beside floor, interval and seeds, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Required

from typing_extensions import TypedDict

from urbanln.base.errors import InputError
from urbanln.base.kinds import Kind
from urbanln.base.parsing import read_json
from urbanln.base.saying import say
from urbanln.model.card import Section
from urbanln.pages.text import finite, interval, score, words
from urbanln.probe.headline import headline
from urbanln.probe.kinds import kind_of, main_score, score_words
from urbanln.report.reading import (
    FLOOR_LABELS,
    SPLITS,
    Row,
    head_of,
    indicators,
    rows_of,
    splits_of,
    strongest_floor,
)
from urbanln.report.scores import read_scores
from urbanln.report.tables import difference


class _Asked(TypedDict, total=False):
    name: Required[str]
    weights: str | None
    context: Required[int]
    cut: int
    seen: bool


class _Recall(TypedDict, total=False):
    model: Required[str]
    direction: Required[str]
    rule: Required[str]
    k: Required[int]
    recall: Required[float]
    low: float | None
    high: float | None
    chance: Required[float]


class _Found(TypedDict, total=False):
    name: Required[str]
    synthetic: bool
    split: Required[str]
    asked: Required[str]
    pictures: Required[int]
    texts: Required[int]
    distinct: Required[int]
    models: Required[list[_Asked]]
    rows: Required[list[_Recall]]


_COLUMNS = ("label", "split", "head", "R²", "strongest floor", "its R²", "difference", "regions", "seeds")
# Type and name of the metric, and the task, as ``model-index`` has them.
_METRICS: dict[Kind, tuple[str, str, str]] = {
    "number": ("r_squared", "R2", "tabular-regression"),
    "classes": ("f1", "macro F1", "tabular-classification"),
    "shares": ("kl_skill", "KL skill", "tabular-regression"),
}
_SCORES = "scores.json"


def card_sections(paths: Sequence[Path], weights: str) -> list[Section]:
    """Read scores for the card of a model.

    Args:
        paths: Folders that ``probe`` wrote, or the ``scores.json`` in them; files that ``retrieve`` wrote.
        weights: SHA-256 of the model's weights: scores are of a table of vectors that notes it.

    Raises:
        InputError: No such file, or the scores are of other models' vectors.
        ArtefactError: They are damaged.
    """
    sections = []
    for path in paths:
        file = path / _SCORES if path.is_dir() else path
        if read_json(file, dict[str, Any]).get("kind") == "retrieval":
            sections.append(_retrieval(file, weights))
        else:
            sections.append(_section(file, read_scores(file), weights))
    return sections


def _retrieval(file: Path, weights: str) -> Section:
    found: dict[str, Any] = read_json(
        file, _Found, fault="these scores are damaged", remedy="make them again: urbanln retrieve --out"
    )
    own = next((model for model in found["models"] if model.get("weights") == weights), None)
    if own is None:
        raise _foreign(file, [str(model["name"]) for model in found["models"]])
    rows = [row for row in found["rows"] if row["model"] == own["name"]]
    synthetic = " (synthetic)" if found.get("synthetic") else ""
    sentences = [
        f"{found['pictures']:,} pictures and {found['texts']:,} texts ({found['asked']}), of which "
        f"{found['distinct']:,} are distinct; ties count against the model.",
        "Intervals over pictures drawn anew; chance is that of a random order, exactly.",
        "Single truth: only a picture's own texts are right. Equal captions: those equal to one of them too.",
    ]
    if own.get("cut"):
        sentences.append(f"{own['cut']:,} texts are longer than its {own['context']} positions and were cut.")
    if own.get("seen"):
        sentences.append("It was trained on pictures of this split, which flatters it.")
    return Section(
        title=f"Retrieval on {found['name']}{synthetic}, split {found['split']}",
        columns=("direction", "right answers", "k", "recall at k", "chance"),
        rows=[
            [
                row["direction"], row["rule"], str(row["k"]),
                f"{score(row['recall'], 3)} {interval(row.get('low'), row.get('high'))}".strip(),
                score(row["chance"], 3),
            ]
            for row in rows
        ],
        sentences=sentences,
    )  # fmt: skip


def _foreign(file: Path, models: Sequence[str]) -> InputError:
    return InputError(
        "these scores are not of this model",
        value=", ".join(models) or "floors alone",
        where=file,
        remedy="score this one: 'urbanln embed --model' and 'urbanln probe', or 'urbanln retrieve --model'",
    )


def _section(file: Path, scores: Mapping[str, Any], weights: str) -> Section:
    table, known = _table_of(file, scores, weights)
    rows = [
        row
        for label in indicators(scores)
        for split in splits_of(scores)
        for row in rows_of(scores, indicator=label, split=split, features=table)
        if row.get("head") == head_of(scores, table)
    ]
    sentences = [] if known else ["The scores do not say which model made these vectors."]
    if table == scores.get("main"):
        sentences.append(headline(scores))
        sentences += [str(verdict.get("sentence") or "") for verdict in scores.get("verdicts") or []]
    else:
        sentences.append(f"No verdict here: that of these scores is about {scores.get('main')}.")
    sentences += [str(note) for note in scores.get("notes") or []]
    trainings = len((scores.get("models") or {}).get(table, [None]))
    if trainings > 1:
        sentences.append(f"The seeds take the vectors of {trainings} trainings in turn; this is one of them.")
    others = dict.fromkeys(score_words(row) for row in rows if kind_of(row) != "number")
    other = f", where it is not said to be {' or '.join(others)}" if others else ""
    return Section(
        title=f"Labels of {_cities(scores)}, from frozen vectors",
        columns=_COLUMNS,
        rows=[_told(scores, row) for row in rows],
        sentences=[
            f"{_COLUMNS[3]} on pooled held-out regions{other}; intervals over resampled blocks of the map.",
            *(sentence for sentence in sentences if sentence),
        ],
        results=[result for row in rows if (result := _result(scores, row))],
    )


def _table_of(file: Path, scores: Mapping[str, Any], weights: str) -> tuple[str, bool]:
    """The table of vectors that a model made, and whether the scores know that it did."""
    models, main = scores.get("models") or {}, scores.get("main")
    own = [name for name, made_by in models.items() if weights in made_by]
    if own:
        return str(main) if main in own else own[0], True
    if main is not None and None in models.get(main, [None]):
        say(f"note: {file} does not say which model made the vectors {main}; its card says so")
        return str(main), False
    raise _foreign(file, list(models))


def _cities(scores: Mapping[str, Any]) -> str:
    named = scores.get("cities") or []
    told = [f"{city['name']} (synthetic)" if city.get("synthetic") else str(city["name"]) for city in named]
    return ", ".join(told) or "a city that the scores do not name"


def _told(scores: Mapping[str, Any], row: Row) -> list[str]:
    floor, floor_row = _floor(scores, row)
    gap = difference((row.get("vs") or {}).get(floor or ""))
    value, *ends = main_score(row)
    measure = "" if kind_of(row) == "number" else f" {score_words(row)}"
    return [
        words(row["indicator"]),
        _split(scores, row["split"]),
        str(row.get("head") or ""),
        f"{score(value)} {interval(*ends)}{measure}".strip(),
        FLOOR_LABELS.get(floor or "", floor or "none scored"),
        score(main_score(floor_row).value),
        f"{gap[0]} {gap[1]}".strip(),
        f"{int(finite(row.get('n')) or 0):,}",
        _seeds(scores),
    ]


def _result(scores: Mapping[str, Any], row: Row) -> dict[str, Any] | None:
    """An entry of ``model-index``: never without the floor, where one was scored."""
    floor, floor_row = _floor(scores, row)
    value, beside = finite(main_score(row).value), finite(main_score(floor_row).value)
    if value is None:
        return None
    split = _split(scores, row["split"])
    kind = _METRICS[kind_of(row)]
    metrics = [{"type": kind[0], "name": f"{kind[1]}, {split}", "value": round(value, 4)}]
    if beside is not None:
        name = f"{kind[1]} of the strongest floor ({FLOOR_LABELS.get(floor or '', floor)}), {split}"
        metrics.append({"type": kind[0], "name": name, "value": round(beside, 4)})
    return {
        "task": {"type": kind[2], "name": "labels of regions from frozen vectors"},
        "dataset": {"type": "urbanln", "name": f"{_cities(scores)}: {words(row['indicator'])}"},
        "metrics": metrics,
    }


def _floor(scores: Mapping[str, Any], row: Row) -> tuple[str | None, Row]:
    floor = strongest_floor(scores, row["indicator"], row["split"])
    found = rows_of(scores, indicator=row["indicator"], split=row["split"], features=floor)
    return floor, found[0] if found else {}


def _split(scores: Mapping[str, Any], split: str) -> str:
    edge = finite((scores.get("settings") or {}).get("block_km"))
    name = SPLITS.get(split, split).lower()
    return f"{name}, {edge:g} km" if split == "block" and edge else name


def _seeds(scores: Mapping[str, Any]) -> str:
    seeds = (scores.get("settings") or {}).get("seeds")
    return str(len(seeds) if isinstance(seeds, list) else seeds or "?")
