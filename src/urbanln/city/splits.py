"""What pictures are for, as somebody's table divides them: to train on, to validate with, to test on."""

from __future__ import annotations

import pandas as pd

from urbanln.base.columns import at_row, first, need_columns, refuse, text_column
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text

SPLIT = "split"
"""Column of images that says what each is for, where somebody divided them."""
SPLITS = ("train", "val", "test")
_SPELLED = {**{name: name for name in SPLITS}, "valid": "val", "validation": "val", "dev": "val"}
_SHOWN = 8


def read_splits(frame: pd.DataFrame, column: str, table: str) -> pd.Series:
    """The split of every row, as one of :data:`SPLITS`.

    Args:
        frame: The table.
        column: That says it: train, val (or valid, validation, dev) or test, in letters of any case.
        table: Name of the table, for errors.

    Raises:
        InputError: No such column, or it says something else; names the values seen.
    """
    need_columns(frame.columns, [column], table)
    said = id_text(frame[column]).str.strip()
    found = said.str.lower().map(_SPELLED)
    if (row := first(found.isna())) is not None:
        seen = [str(value) for value in said.fillna("(empty)").replace("", "(empty)").unique()]
        raise InputError(
            f"the split of a picture is train, val (or valid, validation, dev) or test, and '{column}' says "
            "something else",
            value=", ".join(seen[:_SHOWN]) + (", …" if len(seen) > _SHOWN else ""),
            where=at_row(table, row),
            remedy="write one of these in every row, or name another column with --split-column",
        )
    return found.astype("str")


def check_splits(images: pd.DataFrame, table: str) -> pd.Series:
    """The column ``split`` of a city's images, checked.

    Args:
        images: With ``region_id`` and ``split``.
        table: Name of the table, for errors.

    Raises:
        InputError: A picture has none, or one of another name; a region stands in two.
    """
    found = text_column(images, SPLIT, table, required=True)
    refuse(
        ~found.isin(SPLITS),
        "a picture is there to train on, to validate with or to test on",
        found,
        table,
        f"write {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, or take the column '{SPLIT}' out",
    )
    refuse_straddling(images, "region_id", "region", table)
    return found


def refuse_straddling(rows: pd.DataFrame, by: str, what: str, table: str) -> None:
    """Refuse a table in which one thing stands in two splits.

    Args:
        rows: With ``split`` and the column ``by``; rows without a value there are nobody's.
        by: What tells the things apart.
        what: What they are, for the error: ``"picture"``, ``"region"``.
        table: Name of the table, for errors.

    Raises:
        InputError: Names the first one and its splits.
    """
    count = rows.groupby(by, sort=False)[SPLIT].nunique()
    if (row := first(count > 1)) is not None:
        seen = rows.loc[rows[by] == count.index[row], SPLIT].unique()
        raise InputError(
            f"a {what} stands in two splits: what is tested on would be trained on",
            value=f"{count.index[row]}: {', '.join(sorted(seen))}",
            where=table,
            remedy=f"give all rows of a {what} the same split",
        )


def count_splits(images: pd.DataFrame) -> tuple[dict[str, int], list[str]]:
    """How many pictures are in each split, and what there is to say of equal ones.

    Args:
        images: A city's; without a column ``split`` there is nothing to count.
    """
    if SPLIT not in images.columns:
        return {}, []
    counts = images[SPLIT].value_counts()
    trained = images[SPLIT] == "train"
    known = images.loc[trained, "sha256"].dropna()
    leaks = int((~trained & images["sha256"].isin(known)).sum())
    notes = [f"{leaks} pictures of val or test are byte for byte one of train"] if leaks else []
    return {name: int(counts.get(name, 0)) for name in SPLITS}, notes
