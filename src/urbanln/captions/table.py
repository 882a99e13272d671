"""From candidate texts to the caption table that training reads (``captions.parquet``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.spool import spooled
from urbanln.city.checks import CAPTION_COLUMNS, empty_captions

COLUMNS = ["image_id", "captioner", "caption"]
FILLERS = ("measured",)
"""Captioners that know nothing of what a picture is about: they are heard where nobody else was."""
CLIP_LENGTHS = (77, 248)
"""Text positions of CLIP, and of CLIP stretched."""
TokenCounter = Callable[[list[str]], Sequence[int]]
_SPOOLED = 8_192  # rows that are handed over at a time
_CONTROL = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    r"\ud800-\udfff]"
)
# What is not one blank already: a tidy text stays the object it is, and a city's are in memory once.
_BLANK = re.compile(r"[^\S ]\s*|\s{2,}")


def lengths_told(positions: int) -> tuple[int, ...]:
    """The numbers of tokens that people want to know how many captions exceed.

    Args:
        positions: Of the model that is to read the captions; of a stretched CLIP also those it came from.

    Example:
        >>> lengths_told(248), lengths_told(196)
        ((77, 248), (196,))
    """
    return CLIP_LENGTHS if positions == CLIP_LENGTHS[-1] else (positions,)


def tidy_text(text: object) -> str:
    """Strip control and invisible formatting characters; any run of white space becomes one blank.

    What is no text, such as a missing value, becomes an empty one.

    Example:
        >>> tidy_text(" a\\tgreen\\x07 roof\\n")
        'a green roof'
    """
    return _BLANK.sub(" ", _CONTROL.sub("", text)).strip() if isinstance(text, str) else ""


def tidy_candidate(text: object) -> str:
    """A caption as candidates are compared: tidied, and empty where it is missing or holds no word.

    Example:
        >>> tidy_candidate(" A  roof. "), tidy_candidate(" … "), tidy_candidate(None)
        ('A roof.', '', '')
    """
    tidied = tidy_text(text)
    return tidied if any(map(str.isalnum, tidied)) else ""


def check_columns(frame: pd.DataFrame, what: str) -> None:
    """Refuse captions without image, captioner or text.

    Args:
        frame: Any table.
        what: Of the captions, for the error: ``"candidate captions"``.

    Raises:
        InputError: A column is missing.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(
            f"{what} lack the column '{missing[0]}'",
            value=", ".join(map(str, frame.columns)),
            where=what,
            remedy=f"add '{missing[0]}'",
        )


def spoken_candidates(candidates: pd.DataFrame) -> pd.DataFrame:
    """Image, captioner and tidied text of the candidates that say something.

    Raises:
        InputError: A column is missing.
    """
    check_columns(candidates, "candidate captions")
    frame = candidates[COLUMNS].dropna()
    frame = frame.assign(caption=frame["caption"].astype(str).map(tidy_candidate))
    return frame[frame["caption"] != ""]


def on_disk(candidates: pd.DataFrame) -> pd.DataFrame:
    """Candidates that lie on disk from then on.

    Args:
        candidates: All columns are texts.
    """
    starts = range(0, len(candidates), _SPOOLED)
    parts = (candidates.iloc[start : start + _SPOOLED] for start in starts)
    return spooled(parts, candidates.iloc[:0].astype("str"))


def fill_gaps(candidates: pd.DataFrame) -> pd.DataFrame:
    """The candidates without what :data:`FILLERS` say of pictures that others describe.

    Args:
        candidates: Columns ``image_id``, ``captioner``, ``caption``, clean.
    """
    filler = candidates["captioner"].isin(FILLERS)
    if not filler.any():
        return candidates  # no copy of a city's texts
    described = candidates.loc[~filler, "image_id"]
    return candidates[~(filler & candidates["image_id"].isin(described))]


def candidates_table(candidates: pd.DataFrame, count_tokens: TokenCounter | None = None) -> pd.DataFrame:
    """The caption table before any vote: all candidates stand, with equal weights.

    The candidate that comes first is the selected one (rank 0); a vote may choose another later. Texts of
    one image that are equal after tidying collapse to the first; empty ones are dropped.

    Args:
        candidates: Columns ``image_id``, ``captioner``, ``caption``, best-liked captioner first within each
            image; the images keep the order of their first row.
        count_tokens: Gives the number of tokens of each text, untruncated; without it ``tokens`` is missing.

    Returns:
        The columns of ``captions.parquet``: agreement and margin are missing before a vote;
        ``n_candidates`` counts the non-empty texts before equal ones collapsed.

    Raises:
        InputError: A column is missing.
    """
    frame = spoken_candidates(candidates)
    if frame.empty:
        return empty_captions()
    frame["n_candidates"] = frame.groupby("image_id")["caption"].transform("size").astype("int64")
    frame = frame.drop_duplicates(["image_id", "caption"])
    order = pd.Series(pd.factorize(frame["image_id"])[0], index=frame.index)
    frame = frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)

    groups = frame.groupby("image_id", sort=False)
    frame["rank"] = groups.cumcount().astype("int64")
    frame["selected"] = frame["rank"] == 0
    frame["weight"] = 1.0 / groups["caption"].transform("size")
    frame[["agreement", "margin"]] = float("nan")
    counts = [pd.NA] * len(frame) if count_tokens is None else list(count_tokens(list(frame["caption"])))
    frame["tokens"] = pd.array(counts, dtype="Int64")
    return frame[list(CAPTION_COLUMNS)]


def merge_candidates(kept: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Candidates of a caption table and new ones together.

    A captioner's new text replaces its earlier one for the same image and takes its place in the order;
    captioners that are new to an image come after those already there.

    Args:
        kept: A caption table, ranks in order.
        new: Columns ``image_id``, ``captioner``, ``caption``.

    Returns:
        Columns ``image_id``, ``captioner``, ``caption``: one row per image and captioner.
    """
    both = pd.concat([kept[COLUMNS], new[COLUMNS]], ignore_index=True)
    key = ["image_id", "captioner"]
    both["caption"] = both.groupby(key)["caption"].transform("last")
    return both.drop_duplicates(key, ignore_index=True)
