"""What a prediction leans on: the pictures whose mean a region's vector is, each ninth of them left out, and
the regions it was learned from.

A linear model speaks for all kinds of labels: a ridge for a number, multinomial logistic regression for
classes and shares. A number is then a sum over what a vector is made of, and so are the log-odds of a class,
or the logarithm of the ratio of two parts, against another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from urbanln.base.errors import InputError
from urbanln.base.softmax import softmax
from urbanln.base.space import square_blocks
from urbanln.explore.content import Column, Content, Doubles, Floats, Ints, Reader
from urbanln.explore.evidence import PICTURES, boxes, told
from urbanln.pages.text import clean, quantity, score
from urbanln.probe.columns import column_scale
from urbanln.probe.logistic import logits
from urbanln.probe.names import NO_HEAD
from urbanln.probe.ridge import ridge
from urbanln.probe.splits import Fold

_AWAY = 0.1  # of the city's longer edge: regions nearer than this teach nothing about one
_INNER = 5
_LEAST = 20
_MOST = 1000  # regions that a logistic regression learns from here: a second or two
_FEW = 3  # regions that speak for a prediction, and as many against it
_WIDE = 2**25  # numbers in the vectors learned from, above which regions are not told apart: 256 MB
_ROUNDING = 1e-7  # of a prediction: differences that are no summand


class _Label(NamedTuple):
    """A label as the model learns it.

    Args:
        values: (N,) a number, as it is or its logarithm; or (N, C) parts. NaN where there is none.
        parts: Names of the parts; none for a number.
        asked: Which of them is explained.
        hard: The parts are classes.
    """

    values: Doubles
    parts: tuple[str, ...] = ()
    asked: int = 0
    hard: bool = False


class _Made(NamedTuple):
    """What the model says of rows.

    Args:
        scores: (m,) of each: numbers, or log-odds.
        known: (n,) of the rows it was learned from.
        error: (n,) by how much their labels lie above what it gives them: of parts that of the explained
            one less that of the other.
        told: What it says of the first one, in a sentence.
        lost: What a gain is a loss of.
    """

    scores: Doubles
    known: Doubles
    error: Doubles
    told: str
    lost: str


def prediction(
    content: Content, row: int, column: Column, pictures: Sequence[int], reader: Reader
) -> dict[str, Any]:
    """What a region's prediction is the sum of, and what it loses without each part of its pictures.

    The model is fitted on the vectors without the region and all within a tenth of the city's longer edge,
    so its prediction is not quite the held-out one that is shown. Of a class it tells the log-odds against
    the next likely one; of a share those against the largest other.

    Args:
        content, row: Whose vectors and labels; the region.
        column: Of the prediction.
        pictures: All pictures that the region's vector is the mean of, rows of the table.
        reader: That made the vectors.

    Returns:
        ``sum``: ``text`` and ``gain`` of each summand, together ``total``; ``regions``: ``row``, ``label``
        and ``gain`` of those that carry it most, and ``others``; ``parts`` of pictures; ``note``. Of
        predictions by the map alone the ``note`` only.

    Raises:
        InputError: The region has no vector, or too few regions far from it have a label, or one of this
            class.
    """
    if column.head == NO_HEAD:
        return {"note": "These predictions are made of the map alone: no picture is in them. Ask what is "
                "near or alike, or probe vectors: urbanln probe --vectors."}  # fmt: skip
    vectors = content.vectors
    assert vectors is not None
    its_own = np.flatnonzero(vectors.rows == row)
    label = _label(content, column, row)
    values = label.values[vectors.rows]
    known, metres, span = _far(content, row, values)
    where = str(content.regions["region_id"].iloc[row])
    if not len(its_own) or not len(pictures) or len(known) < _LEAST:
        raise InputError(
            "there is too little to explain this prediction by",
            value=f"{len(known)} labelled regions far from it",
            where=where, remedy="choose a region with a vector and pictures",
        )  # fmt: skip
    shown = pictures[:PICTURES]
    read = [reader.parts(content.open_picture(picture), boxes()) for picture in shown]
    changed = np.concatenate([(one[1:] - one[0]) / len(pictures) for one in read])
    vector = np.asarray(vectors.search.vectors[its_own[0]])
    learnt = vectors.search.vectors[known]
    first = [vector, learnt.mean(axis=0), *(one[0] for one in read)]
    asked = np.concatenate([np.stack(first), vector + changed])
    made = _made(column, label, learnt, values[known], asked, _fold(metres, span), where)
    gains = np.split(made.scores[0] - made.scores[len(first) :], len(shown))
    parts = [one for picture, own in zip(shown, gains, strict=True) for one in told(picture, own)]
    return {
        "phrases": [], "parts": sorted(parts, key=lambda one: -abs(one["gain"])),
        "sum": _sum(made.scores[: len(first)], len(pictures)), "total": float(made.scores[0]),
        "of": made.lost, **_carried(made, learnt, vector, _named(content, column, vectors.rows[known])),
        "note": f"{_instead(column)}{made.told} It was fitted without this region and all within "
        f"{_AWAY * span / 1000:.3g} km of it, on {len(known):,} regions; the gain is what {made.lost} "
        "would lose where a part of a picture is grey. It tells what the prediction leans on, not what "
        "causes the label.",
    }  # fmt: skip


def _far(content: Content, row: int, values: Doubles) -> tuple[Ints, Doubles, float]:
    """Vectors to learn from, where they lie in metres, and the longer edge of the region's own city.

    Args:
        content: See :func:`prediction`.
        row: See there.
        values: Label of each vector, (M,) or (M, C); of parts so many rows are taken as a fit has time for.
    """
    assert content.vectors is not None
    metres = content.metres()
    places = metres[content.vectors.rows]
    # Of the region's own city: cities stand so far apart that a tenth of the whole would be all of one.
    city = next(one for one in content.places if one.first <= row < one.last)
    span = float(np.ptp(metres[city.first : city.last], axis=0).max())
    apart = np.hypot(*(places - metres[row]).T)
    has = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=1)
    known = np.flatnonzero(has & (apart > _AWAY * span))
    if values.ndim == 2 and len(known) > _MOST:
        known = known[np.linspace(0, len(known) - 1, _MOST).astype(np.int64)]
    return known, places[known], span


def _label(content: Content, column: Column, row: int) -> _Label:
    columns = content.columns
    if column.kind == "class":
        number = columns[f"label:{column.of}"].values.astype(np.float64)
        hot = np.eye(len(column.classes))[np.nan_to_num(number).astype(np.int64)]
        hot[~np.isfinite(number)] = np.nan
        return _Label(hot, column.classes, int(column.values[row]), hard=True)
    if column.whole:
        own = [one for one in columns.values() if one.group == "label" and one.whole == column.whole]
        values = np.stack([one.values for one in own], axis=1).astype(np.float64)
        values /= values.sum(axis=1, keepdims=True)  # drawn in float32, which sums to one but for rounding
        return _Label(values, tuple(one.of for one in own), [one.of for one in own].index(column.of))
    values = columns[f"label:{column.of}"].values.astype(np.float64)
    return _Label(np.log1p(values) if column.log else values)


def _made(
    column: Column,
    label: _Label,
    learnt: Floats,
    values: Doubles,
    asked: npt.NDArray[Any],
    fold: Fold,
    where: str,
) -> _Made:
    """What a model of the known regions says of the rows that are asked about, the region's own first."""
    n, table = len(values), np.concatenate([learnt, asked])
    fold = Fold(fold.train, fold.val, np.arange(len(table)), fold.inner)  # the known ones, too
    target = np.concatenate([values, np.zeros((len(asked), *values.shape[1:]))])
    if not label.parts:
        scores = ridge(table, target, fold)
        number = quantity(np.expm1(scores[n]) if column.log else scores[n])
        unit = "of its logarithm" if column.log else column.unit
        said = f"A ridge gives {number}{f' {column.unit}' if column.unit else ''}."
        lost = f"its prediction{f' ({unit})' if unit else ''}"
        return _Made(scores[n:], scores[:n], values - scores[:n], said, lost)
    made = logits(table.astype(np.float64), target, fold)
    mine, others = label.asked, np.delete(np.arange(made.shape[1]), label.asked)
    rival = int(others[np.argmax(made[n, others])])
    if not np.isfinite(made[n, [mine, rival]]).all():
        raise InputError(
            "regions far from this one have too few classes to explain its own by", where=where,
            value=label.parts[mine], remedy="ask about a class that is found all over the city",
        )  # fmt: skip
    away = values - softmax(made[:n])
    part = softmax(made[n : n + 1])[0]
    a, b = (clean(label.parts[at], 80) for at in (mine, rival))
    first, other = score(part[mine]), score(part[rival])
    said = (
        f"A multinomial logistic regression gives {a} {first} and {b}, {_rank(label, part, rival)}, {other}."
    )
    lost = f"the {'log-odds' if label.hard else 'log-ratio'} of {a} against {b}"
    scores = made[:, mine] - made[:, rival]
    return _Made(scores[n:], scores[:n], away[:, mine] - away[:, rival], said, lost)


def _rank(label: _Label, part: Doubles, rival: int) -> str:
    """What the part that the explained one is held against is among all."""
    if part[label.asked] >= part[rival]:
        return "the next likely class" if label.hard else "the next large part"
    return "the most likely class, which it would say itself" if label.hard else "the largest part"


def _sum(scores: Doubles, pictures: int) -> list[dict[str, Any]]:
    """What the first of the scores is the sum of: the mean region, each picture shown, and the others.

    The model is linear in the vector, and the vector is the mean of the pictures' vectors.

    Args:
        scores: Of the region, of the mean of those it was learned from, and of each picture shown.
        pictures: How many the region has.
    """
    whole, level, *each = scores.tolist()
    found = [{"text": "the mean of the regions it learnt from", "gain": level}]
    for number, one in enumerate(each, 1):
        name = "its picture" if pictures == 1 else f"picture {number} of {pictures}"
        found.append({"text": name, "gain": (one - level) / pictures})
    rest = whole - sum(one["gain"] for one in found)
    others = pictures - len(each)
    if others or abs(rest) > _ROUNDING * max(abs(whole), 1.0):
        name = f"the other {others} pictures" if others > 1 else "the other picture"
        found.append(
            {"text": name if others else "the stored vector, beside its pictures read again", "gain": rest}
        )
    return found


def _named(content: Content, column: Column, rows: Ints) -> list[dict[str, Any]]:
    """Regions and their labels, as they are told."""
    values = content.columns[f"label:{column.of}"].values[rows].tolist()
    classes = [clean(one, 80) for one in column.classes]
    said = [classes[int(one)] if classes else quantity(one) for one in values]
    return [{"row": int(row), "label": one} for row, one in zip(rows, said, strict=True)]


def _carried(
    made: _Made, learnt: Floats, vector: Floats, named: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the regions learned from make of a prediction: those that carry it most, for and against it.

    Weights of a linear model with an L2 penalty are sums over its rows, each as far as the model errs there
    (set the slope of its loss to 0). So what a region has above the mean is a sum over them, too: of that
    error times how alike the two vectors are about the mean, all by one factor, which the known rows tell.

    Args:
        made: By the model.
        learnt: (n, D) vectors that it learned from.
        vector: (D,) of the region, first of the scores; the second is of the mean.
        named: Of each of the n regions what is told of it.
    """
    if learnt.size > _WIDE:
        return {}
    everything = np.arange(len(learnt))
    scale = column_scale(learnt, everything)
    near = scale.wide(learnt, everything)
    lean = near @ (near.T @ made.error)
    level, size = made.scores[1], float(lean @ lean)
    factor = float(lean @ (made.known - level)) / size if size else 0.0
    gains = factor * made.error * (near @ scale.wide(vector[None], np.arange(1))[0])
    order = np.argsort(-gains, kind="stable")
    told = [*(at for at in order[:_FEW] if gains[at] > 0), *(at for at in order[-_FEW:] if gains[at] < 0)]
    found = [{**named[at], "gain": float(gains[at])} for at in told]
    rest = float(made.scores[0] - level - gains[told].sum())
    return {"regions": found, "others": {"count": len(named) - len(found), "gain": rest}}


def _instead(column: Column) -> str:
    """Where another head made what is shown: why it is not explained, and what is."""
    if column.head in ("", "ridge"):
        return ""
    return (
        f"What is shown was predicted by {column.head}, which is no sum of what pictures give, and cannot be "
        "told apart so; explained is a linear model of the same vectors in its place. "
        "(--set 'probe.heads=[\"ridge\"]' shows what such a one predicts.) "
    )


def _fold(metres: Doubles, span: float) -> Fold:
    """All known rows to fit on, judged by blocks of a fifth of the city; nothing to predict yet."""
    blocks = square_blocks(metres, max(span / 1000 / _INNER, 1e-3))
    inner = np.unique(blocks % _INNER, return_inverse=True)[1]
    rows: Ints = np.arange(len(metres))
    held = inner == inner[0] if inner.max() else rows % _INNER == 0
    return Fold(rows[~held], rows[held], rows[:0], inner)
