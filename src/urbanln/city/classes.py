"""Labels that are classes: read as text, refused where they are ids or numbers, one per region."""

from __future__ import annotations

import shlex

import numpy as np
import pandas as pd

from urbanln.base.columns import need_columns, refuse_nested
from urbanln.base.errors import InputError
from urbanln.base.frames import id_text
from urbanln.base.kinds import MAX_CLASSES, RARE, class_counts, few, much_alike, quoted
from urbanln.base.missing import missing_codes
from urbanln.base.written import as_floats, each
from urbanln.city.indicators import Missing, held

NOTHING = frozenset(("NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "Null", "<NA>", "#N/A"))
"""Words that programs write for nothing: no class is called so."""
MAYBE = frozenset(
    ("unknown", "none", "-", "--", "–", "—", "?", ".", "no data", "nodata", "no_data", "missing", "n.a.",
     "undefined", "not available", "not applicable", "unclassified", "not classified", "unspecified")
)  # fmt: skip
"""Words, in any case, that may stand for nothing, and may be a class."""
_SHOWN = 5


def take_classes(frame: pd.DataFrame, name: str, *, table: str, rule: Missing) -> tuple[pd.Series, list[str]]:
    """A column of classes as text, missing where there is none, and what was done to it in words.

    Names are taken as they are written but for blanks around them; whole numbers are codes. What programs
    write for nothing (``NA``, ``null``) is missing, and said; what only may stand for nothing is kept, and
    said, like classes whose names differ only by case or blanks.

    Args:
        frame: The table, read with this column as text.
        name: The column.
        table: Name of the table, for errors.
        rule: What the user says stands for a missing label.

    Raises:
        InputError: The column is not there, holds lists, or decimals, or so many classes that they are ids.
    """
    need_columns(frame.columns, [name], table)
    refuse_nested(frame, name, table)
    series = frame[name]
    if series.dtype == object:
        series = each(series, _utf8)
    text = id_text(_whole(series, name, table))
    said = []
    spelt = series[text.notna()].astype("str")
    if merged := spelt.nunique() - spelt.str.strip().nunique():
        said.append(f"label {name}: blanks around a class do not count; {merged} spellings fewer for it")
    if codes := rule.codes(name):
        told = held(text, codes)
        text = text.mask(told)
        said.append(f"label {name}: {int(told.sum())} rows hold {' or '.join(codes)}, missing as you say")
    if not rule.keeps(name):
        text, more = _without_nothing(text, name)
        said += more
    _refuse_ids(text, name, table)
    for alike in much_alike(text.dropna().unique()):
        named = " and ".join(map(quoted, alike))
        said.append(
            f"label {name}: {len(alike)} classes differ only by case, blanks or dashes, kept: {named}"
        )
    return text.rename(name), said


def _utf8(value: object) -> object:
    """Bytes as text, and text without what UTF-8 cannot write."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _whole(series: pd.Series, name: str, table: str) -> pd.Series:
    """The column with whole numbers as such, also where they were stored as 1.0; decimals are no classes."""
    texts = series.dropna().astype("str").str.strip()
    texts = texts[(texts != "") & ~texts.isin(list(NOTHING))]
    numbers = as_floats(texts)
    if texts.empty or not np.isfinite(numbers).all():
        return series
    if (broken := numbers[numbers != np.floor(numbers)]).size:
        raise InputError(
            f"'{name}' holds numbers with decimals, which are no names or codes of classes",
            value=float(broken.iloc[0]),
            where=table,
            remedy=f"take it as a number: --label {shlex.quote(name)}; or write the class of each range",
        )
    if not texts.str.fullmatch(r"[-+]?(0|[1-9]\d*)(\.0*)?").all():  # 07 is a code that is not 7
        return series
    codes = series.astype(object)
    codes[texts.index] = texts.str.replace(r"\.0*$", "", regex=True)
    return codes


def _without_nothing(text: pd.Series, name: str) -> tuple[pd.Series, list[str]]:
    """Without what stands for nothing, and what was found."""
    counts = class_counts(text)
    found = [(word, int(counts[word]), word in NOTHING) for word in counts.index if _may_be_nothing(word)]
    text = text.mask(text.isin(list(NOTHING)))
    codes = as_floats(text)
    if codes.notna().any() and bool((codes.notna() | text.isna()).all()):
        for code in missing_codes(codes.to_numpy(), "int64"):
            if code.certain or code.value not in range(10):  # a single digit is a class like any
                found.append((code.text, code.rows, code.certain))
                text = text.mask((codes == code.value) & code.certain)
    return text, [_said_of_nothing(name, *one) for one in found]


def _may_be_nothing(word: str) -> bool:
    return word in NOTHING or word.casefold() in MAYBE


def _said_of_nothing(name: str, word: str, rows: int, certain: bool) -> str:
    if certain:
        keeps = f"--missing {shlex.quote(f'{name}=none')} keeps them"
        return f"label {name}: {rows} rows hold {word}, taken as missing ({keeps})"
    takes = f"--missing {shlex.quote(f'{name}={word}')} takes them as missing"
    return f"label {name}: {rows} rows hold {word!r}, which may stand for nothing, kept ({takes})"


def _refuse_ids(text: pd.Series, name: str, table: str) -> None:
    classes, rows = text.nunique(), int(text.notna().sum())
    if classes <= 1 or (classes <= MAX_CLASSES and 2 * classes <= rows):
        return
    raise InputError(
        f"'{name}' looks like a column of ids, names or numbers: {classes:,} classes in {rows:,} rows",
        value=", ".join(map(quoted, text.dropna().unique()[:_SHOWN])),
        where=table,
        remedy=f"group them to at most {MAX_CLASSES} classes of two rows or more; take numbers as --label",
    )


def frequent_per_region(
    classes: pd.Series, region_ids: pd.Series, regions: pd.Series
) -> tuple[pd.Series, list[str]]:
    """The class that most rows of a region hold; none where two are held equally often.

    Args:
        classes: (rows,) text, missing where there is none.
        region_ids: (rows,) region of each row.
        regions: (N,) ids of all regions.

    Returns:
        (N,) classes in the order of ``regions``, and what there is to say.
    """
    rows = pd.DataFrame({"region": region_ids.to_numpy(), "class": classes.to_numpy()}).dropna()
    counts = rows.groupby(["region", "class"], sort=False).size().rename("n").reset_index()
    counts = counts.sort_values("n", ascending=False, kind="stable")
    best = counts.drop_duplicates("region").set_index("region")
    as_many = counts["n"] == counts["region"].map(best["n"])
    ties = counts["region"][as_many].value_counts()
    tied = ties.index[ties > 1]
    mixed = int((counts["region"].value_counts() > 1).sum())
    found = best["class"].drop(tied).reindex(regions.to_numpy()).astype("str")
    said = []
    if mixed:
        said.append(
            f"label {classes.name}: {mixed} regions have rows of several classes; the most frequent counts"
        )
    if len(tied):
        said.append(f"label {classes.name}: {len(tied)} regions have several equally often, and so no value")
    return found.reset_index(drop=True), said


def told_of_classes(name: str, classes: pd.Series) -> list[str]:
    """What there is to say of a label of classes: how many, the rarest, and whether there is but one.

    Args:
        name: Of the label.
        classes: (N,) class of each region, missing where there is none.
    """
    counts = class_counts(classes)
    if len(counts) < 2:
        if counts.empty:
            return []
        return [f"label {name}: every region is {quoted(counts.index[0])}: there is nothing to predict"]
    most, least = counts.index[0], counts.index[-1]
    ends = f"from {quoted(most)} ({counts[most]:,} regions) to {quoted(least)} ({counts[least]:,})"
    said = [f"label {name}: {len(counts)} classes, {ends}"]
    if rare := [f"{quoted(str(one))} {n}" for one, n in counts[::-1].items() if n < RARE]:
        said.append(f"label {name}: fewer than {RARE} regions have one of these classes: {few(rare)}")
    return said
