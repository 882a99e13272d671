"""What captions of synthetic pictures are worth: errors against the true scenes, choices among candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from urbanln.captions.simulation.naming import object_errors

Scenes = Mapping[str, Mapping[str, Any]]
"""The true scene of each picture by ``image_id``."""

ORDER = (
    "vote",
    "random",
    "longest",
    "best single (by truth)",
    "median single (by truth)",
    "best of all (by truth)",
)
"""Ways to choose one of a picture's candidates. Those by truth need what nobody has for real pictures."""
_SAME = 1e-12


def count_errors(texts: pd.DataFrame, scenes: Scenes) -> pd.DataFrame:
    """Compare texts with the true scenes.

    Args:
        texts: Columns ``image_id``, ``captioner``, ``caption``.
        scenes: A scene per picture.

    Returns:
        A row per text: ``image_id``, ``captioner``, ``view``, ``words``, ``named`` and ``true`` (kinds of
        objects in the text and in the scene), ``hits`` (kinds in both), ``f1``.
    """
    rows = []
    for image_id, captioner, caption in texts[["image_id", "captioner", "caption"]].itertuples(index=False):
        errors = object_errors(caption, scenes[image_id])
        view, words = scenes[image_id]["view"], len(caption.split())
        rows.append((image_id, captioner, view, words, errors.named, errors.true, errors.hits, errors.f1))
    columns = ["image_id", "captioner", "view", "words", "named", "true", "hits", "f1"]
    return pd.DataFrame(rows, columns=columns)


def error_shares(errors: pd.DataFrame) -> dict[str, float]:
    """Shares over all texts together, so that a full picture counts more than an empty one.

    Returns:
        ``hallucinated``: named kinds of objects that are not in the scene, of all named; ``missed``: kinds in
        the scene that are not named, of all in scenes; ``words`` per text; ``texts``.
    """
    named, true, hits = (float(errors[column].sum()) for column in ("named", "true", "hits"))
    return {
        "hallucinated": 1 - hits / named if named else math.nan,
        "missed": 1 - hits / true if true else math.nan,
        "words": float(errors["words"].mean()) if len(errors) else math.nan,
        "texts": float(len(errors)),
    }


def picks(errors: pd.DataFrame, voted: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows that each way to choose takes of the candidates.

    The single captioner is the one of the highest (or middle) mean F1; where it has no text, the next one
    steps in. "Random" is all candidates: what is expected of it, not one draw.

    Args:
        errors: Of all candidates, from :func:`count_errors`; each index once.
        voted: Caption table after the vote; ``selected`` rows count.
    """
    by_merit, of_picture = captioners_by_merit(errors), errors.groupby("image_id")
    selected = voted.loc[voted["selected"], ["image_id", "captioner"]]
    found = (
        errors.merge(selected, on=["image_id", "captioner"]),
        errors,
        errors.loc[of_picture["words"].idxmax()],
        first_available(errors, by_merit),
        first_available(errors, median_first(by_merit)),
        errors.loc[of_picture["f1"].idxmax()],
    )
    return dict(zip(ORDER, found, strict=True))


def choices(errors: pd.DataFrame, voted: pd.DataFrame) -> dict[str, dict[str, float]]:
    """How good the chosen text is under each way to choose, and how often it is the best candidate there.

    The best candidate has the highest F1 of objects against the scene; equally good ones are all the best.
    Pictures with one candidate only are left out.

    Args:
        errors: Of all candidates, from :func:`count_errors`.
        voted: Caption table after the vote; ``selected`` rows count.

    Returns:
        Way to choose → ``best`` (share of pictures), ``f1`` (mean).
    """
    errors = errors[errors.groupby("image_id")["f1"].transform("size") > 1].copy()
    errors["best"] = errors["f1"] >= errors.groupby("image_id")["f1"].transform("max") - _SAME
    found = {}
    for how, rows in picks(errors, voted).items():
        means = rows.groupby("image_id")[["best", "f1"]].mean().mean()  # each picture counts alike
        found[how] = {"best": float(means["best"]), "f1": float(means["f1"])}
    return found


def captioners_by_merit(errors: pd.DataFrame) -> list[str]:
    """Captioners by their mean F1 against the truth, best first."""
    return list(errors.groupby("captioner")["f1"].mean().sort_values(ascending=False, kind="stable").index)


def median_first(names: Sequence[str]) -> list[str]:
    """The names with the middle one (the worse of two) put first."""
    middle = len(names) // 2
    return [names[middle], *names[:middle], *names[middle + 1 :]]


def first_available(texts: pd.DataFrame, preference: Sequence[str]) -> pd.DataFrame:
    """Per picture the row of the captioner that comes first among those that have one.

    Args:
        texts: Columns ``image_id`` and ``captioner``, and whatever else is to be kept; each index once.
        preference: All captioners, the best-liked first.
    """
    place = {name: at for at, name in enumerate(preference)}
    return texts.loc[texts["captioner"].map(place).groupby(texts["image_id"]).idxmin()]


class Interval(NamedTuple):
    """A mean over seeds and half the width of its 95 % interval (Student's t); NaN below two seeds."""

    mean: float
    half: float

    def show(self, digits: int = 3, *, sign: bool = False) -> str:
        """As "0.123 ± 0.004"."""
        half = "" if math.isnan(self.half) else f" ± {self.half:.{digits}f}"
        return f"{self.mean:{'+' if sign else ''}.{digits}f}{half}"


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % interval of independent repetitions.

    Example:
        >>> interval([1.0, 2.0, 3.0])
        Interval(mean=2.0, half=2.4841377117503346)
    """
    found = np.asarray(values, dtype=float)
    n = len(found)
    half = student.ppf(0.975, n - 1) * found.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return Interval(float(found.mean()), float(half))
