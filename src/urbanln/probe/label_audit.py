"""What an audit of labels found, and how it is said: sentences, lines for a terminal, rows of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd

from urbanln.base.autocorrelation import Moran
from urbanln.base.files import plain
from urbanln.base.missing import Code
from urbanln.base.variogram import Variogram
from urbanln.probe.advice import Advice
from urbanln.probe.labels import NO_LOGARITHM
from urbanln.probe.twins import COINCIDE, MANY, ONE_SOURCE

_ALIKE = 0.3  # Moran's I from which neighbours tell much of each other
FEW_VALUES = 20
"""No more different values than this, each held by two regions or more: a class or a small count."""


def few_values(distinct: int, n: int) -> bool:
    """Whether a label is rather a class or a small count: no more than 20 values, each held twice or more."""
    return distinct <= FEW_VALUES and 2 * distinct <= n


@dataclass(frozen=True)
class Saturated:
    """A value that many regions hold.

    Attributes:
        value: The value; never 0, which is counted apart.
        regions: Regions that hold it.
        share: Of the regions with a value.
        is_median: Whether it is the label's median.
        together: Whether they lie beside each other, more than chance would have it.
    """

    value: float
    regions: int
    share: float
    is_median: bool
    together: bool = False


@dataclass(frozen=True)
class IndicatorAudit:
    """What was found in one label.

    Attributes:
        n: Regions with a value.
        missing: Regions without one.
        zeros, negatives: Regions with such a value.
        minimum, median, maximum: Of the values; NaN where there is none.
        distinct: Number of different values.
        saturated: Values other than 0 that more than 2 % of the regions hold, five times as many as hold the
            values beside it in size (whole numbers repeat by nature); most frequent first. None are looked
            for where there are ``few_values``.
        codes: Values that look like codes for a missing one (:func:`urbanln.base.missing.missing_codes`).
        twins: Share of the regions whose exact value, if not 0, another region has.
        twin_km: Median distance from such a region to the nearest one with its value, in km; NaN without.
        near_twins: Share of the regions that have such another region beside them, within 1.5 spacings.
        near_by_chance: What that share would be if the same values were dealt out at random.
        one_source: Whether one value of the source seems to cover them (:mod:`urbanln.probe.twins`).
        max_to_p95: Largest value over the 95th percentile; NaN where that is not positive.
        skew, skew_log: Skewness as it is, and after ``log1p`` (NaN where a value is negative).
        heavy_tail: The largest value is more than ten times the 95th percentile.
        transform: What the probe's ``auto`` takes: :func:`urbanln.probe.labels.auto_transform`.
        moran: Moran's I after the transform.
        variogram: After the transform.
        advice: Blocks and buffer; None where there are too few regions to say.
        unit: For reading.
    """

    n: int
    missing: int
    zeros: int
    negatives: int
    minimum: float
    median: float
    maximum: float
    distinct: int
    saturated: Sequence[Saturated]
    codes: Sequence[Code]
    twins: float
    twin_km: float
    near_twins: float
    near_by_chance: float
    one_source: bool
    max_to_p95: float
    skew: float
    skew_log: float
    heavy_tail: bool
    transform: str
    moran: Moran
    variogram: Variogram
    advice: Advice | None
    unit: str = ""

    def as_json(self) -> dict[str, Any]:
        """JSON values; what is not defined is null."""
        values = {"kind": "number", **asdict(self)}
        values["variogram"] = values.pop("variogram")  # the long one last
        return dict(plain(values))

    def sentences(self, name: str) -> list[tuple[int, str]]:
        """What to know of it, as (badness, sentence): 3 spoils a score, 2 flatters it, 1 is to know."""
        return _sentences(name, self)

    def lines(self) -> list[str]:
        """The audit as lines to print."""
        return _lines(self)

    def row(self, name: str) -> dict[str, Any]:
        """The audit as a row of a table."""
        return _row(name, self)


class Audited(Protocol):
    """What was found in one label, of whatever kind."""

    @property
    def advice(self) -> Advice | None:
        """Blocks and buffer; None where there are too few regions to say."""

    @property
    def unit(self) -> str:
        """For reading."""

    def as_json(self) -> dict[str, Any]:
        """JSON values, ``kind`` among them."""

    def sentences(self, name: str) -> list[tuple[int, str]]:
        """What to know of it, as (badness, sentence): 3 spoils a score, 2 flatters it, 1 is to know."""

    def lines(self) -> list[str]:
        """The audit as lines to print."""

    def row(self, name: str) -> dict[str, Any]:
        """The audit as a row of a table."""


@dataclass(frozen=True)
class LabelAudit:
    """The audit of a table of labels.

    Attributes:
        regions: Regions with a position.
        spacing_km: Median distance to the nearest other region.
        labels: Indicator → what was found.
        unplaced: Regions with labels and no position, which are in no other count.
    """

    regions: int
    spacing_km: float
    labels: Mapping[str, Audited] = field(default_factory=dict)
    unplaced: int = 0

    def found(self) -> list[tuple[int, str]]:
        """What a user should know, as (badness, sentence): 3 spoils a score, 2 flatters it, 1 is to know."""
        said = [pair for name, audit in self.labels.items() for pair in audit.sentences(name)]
        return said + _of_the_map(self)

    def suggested(self) -> dict[str, Any] | None:
        """Blocks and buffer that serve all labels: the largest of each; None where none could be given."""
        given = {name: audit.advice for name, audit in self.labels.items() if audit.advice}
        if not given:
            return None
        widest = max(given, key=lambda name: given[name].block_km)
        block = given[widest].block_km
        buffer = max(advice.buffer_km for advice in given.values())
        return {
            "block_km": block,
            "buffer_km": buffer,
            "limited_by": given[widest].limited_by,
            "because": widest,
            "options": f"--set probe.block_km={block:g} --set probe.buffer_km={buffer:g}",
        }

    def as_json(self) -> dict[str, Any]:
        """JSON values, by indicator."""
        return {name: audit.as_json() for name, audit in self.labels.items()}

    def table(self) -> pd.DataFrame:
        """One row per indicator."""
        return pd.DataFrame([audit.row(name) for name, audit in self.labels.items()])

    def lines(self) -> list[str]:
        """The audit as lines to print."""
        lines = [f"{self.regions} regions, {self.spacing_km:.2g} km apart (median)"]
        for name, audit in self.labels.items():
            lines += [f"{name}{f' ({audit.unit})' if audit.unit else ''}", *audit.lines()]
        if suggested := self.suggested():
            lines.append(f"for spatial splits: {suggested['options']}")
        return lines


def _sentences(name: str, audit: IndicatorAudit) -> list[tuple[int, str]]:
    if audit.n == 0:
        return [(3, f"{name}: no region has a value.")]
    if audit.distinct == 1:
        return [
            (3, f"{name}: every region has the value {_number(audit.minimum)}: there is nothing to predict.")
        ]
    said: list[tuple[int, str]] = []
    for one in audit.saturated:
        what = "the label's median, so it looks filled in" if one.is_median else "a cap, a code or a filling"
        if not one.is_median and one.value not in (audit.minimum, audit.maximum):
            many = "one figure for a whole district or raster cell" if one.together else "a round number"
            what = f"a code, a filling, or {many}"
        said.append(
            (3, f"{name}: {one.regions:,} regions ({one.share:.1%}) hold exactly {one.value!r}: {what}.")
        )
    told = {one.value for one in audit.saturated}
    said += [
        (3 if code.certain else 2, f"{name}: {_looks_missing(code)}.")
        for code in audit.codes
        if code.certain or code.value not in told
    ]
    few = few_values(audit.distinct, audit.n)
    if few:
        said.append((1, f"{name}: only {audit.distinct} different values; R² and RMSE may not suit it."))
    else:
        said += _of_twins(name, audit)
    if audit.heavy_tail:
        said.append(
            (2, f"{name}: heavy tail, the largest value is {audit.max_to_p95:.0f} × the 95th percentile.")
        )
    if math.isfinite(audit.moran.i) and audit.moran.i > _ALIKE and audit.moran.p <= 0.05:
        alike = f"neighbours are alike (Moran's I {audit.moran.i:.2f}{reach_said(audit.variogram)})"
        said.append((2, f"{name}: {alike}; a random split tests interpolation."))
    for count, what in ((audit.missing, "have no value"), (0 if few else audit.zeros, "are 0")):
        if count:
            share = count / (audit.n + audit.missing)
            said.append((1, f"{name}: {count:,} regions ({share:.1%}) {what}."))
    return said + no_blocks(name, audit.n, audit.advice)


def no_blocks(name: str, n: int, advice: Advice | None) -> list[tuple[int, str]]:
    """What is said where no blocks can be suggested, as (badness, sentence).

    Args:
        name: Of the label.
        n: Regions that have it.
        advice: What is suggested.
    """
    if advice is not None:
        return []
    return [(2, f"{name}: {n} regions are too few, or too near together, to suggest blocks.")]


def _looks_missing(code: Code) -> str:
    return f"{code.text} looks like a code for a missing value ({code.rows:,} regions hold it)"


def _of_twins(name: str, audit: IndicatorAudit) -> list[tuple[int, str]]:
    by_chance = f"{audit.near_by_chance:.1%} if dealt out at random"
    if audit.one_source:
        what = f"{audit.near_twins:.0%} of the regions hold the exact value of one beside them ({by_chance})"
        return [(2, f"{name}: {what}: {ONE_SOURCE}; a random split puts the answer on both sides.")]
    if audit.twins > MANY and not audit.saturated:  # else they are those already named
        what = f"{audit.twins:.0%} of the regions share their exact value with another"
        return [
            (1, f"{name}: {what}, {audit.near_twins:.1%} with one beside them ({by_chance}): {COINCIDE}.")
        ]
    return []


def _of_the_map(audit: LabelAudit) -> list[tuple[int, str]]:
    """What to know of all labels together, as (badness, sentence)."""
    said = []
    short = [name for name, one in audit.labels.items() if one.advice and one.advice.limited_by == "map"]
    if short and (suggested := audit.suggested()):
        reach = f"blocks of {suggested['block_km']:g} km are shorter than the reach of {', '.join(short)}"
        why = "also in a block split, test regions resemble the training regions nearest to them"
        said.append((2, f"{reach}: {why}."))
    if audit.unplaced:
        said.append((1, f"{audit.unplaced:,} regions with labels have no position; they are left out."))
    return said


def reach_said(gram: Variogram) -> str:
    """How far likeness reaches, to go on with: ``, over 5 km``; nothing where no range was found."""
    if not gram.range_km > 0:
        return ""
    return f", over {'more than ' if gram.limited else ''}{gram.range_km:.3g} km"


def _lines(audit: IndicatorAudit) -> list[str]:
    """The audit of one label as lines to print."""
    if audit.n == 0:
        return ["  no value at all"]
    lines = [
        f"  {audit.n} values, {audit.missing} missing, {audit.zeros} zero, {audit.negatives} negative; "
        f"{_number(audit.minimum)} to {_number(audit.maximum)}, median {_number(audit.median)}",
        f"  {audit.distinct} different values; {audit.twins:.1%} of the regions have a twin"
        + (f", {audit.twin_km:.2g} km away (median)" if math.isfinite(audit.twin_km) else "")
        + (f"; {audit.near_twins:.1%} have one beside them" if audit.twins else ""),
    ]
    lines += [f"  saturated: {one.value!r} in {one.regions} ({one.share:.1%})" for one in audit.saturated]
    tail = f"max / p95 {audit.max_to_p95:.3g}, " if math.isfinite(audit.max_to_p95) else ""
    log = f", in log {audit.skew_log:.2f}" if math.isfinite(audit.skew_log) else ""
    if math.isfinite(audit.skew):
        why = f", since {NO_LOGARITHM}" if audit.transform == "none" else ""
        lines.append(f"  {tail}skewness {audit.skew:.2f}{log}: transform {audit.transform}{why}")
    if math.isfinite(audit.moran.i):
        lines.append(
            f"  Moran's I {audit.moran.i:.3f} (p {audit.moran.p:.3g}), {range_said(audit.variogram)}"
        )
    return lines + blocks_said(audit.advice)


def blocks_said(advice: Advice | None) -> list[str]:
    """The blocks that are suggested, as a line to print; none where there are none."""
    if advice is None:
        return []
    return [f"  blocks of {advice.block_km:g} km, buffer {advice.buffer_km:g} km: {advice.reason}"]


def range_said(gram: Variogram) -> str:
    """A variogram's range in words."""
    if not math.isfinite(gram.range_km):
        return "no variogram"
    if gram.range_km == 0:
        return "no range found"
    return f"range {'over ' if gram.limited else ''}{gram.range_km:.3g} km"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _row(name: str, audit: IndicatorAudit) -> dict[str, Any]:
    """The audit of one label as a row of a table."""
    worst = audit.saturated[0] if audit.saturated else None
    return {
        "indicator": name,
        "kind": "number",
        "n": audit.n,
        "missing": audit.missing,
        "zeros": audit.zeros,
        "negatives": audit.negatives,
        "minimum": audit.minimum,
        "median": audit.median,
        "maximum": audit.maximum,
        "saturated_value": worst.value if worst else np.nan,
        "saturated_share": worst.share if worst else 0.0,
        "twins": audit.twins,
        "twin_km": audit.twin_km,
        "near_twins": audit.near_twins,
        "near_by_chance": audit.near_by_chance,
        "max_to_p95": audit.max_to_p95,
        "heavy_tail": audit.heavy_tail,
        "transform": audit.transform,
        "morans_i": audit.moran.i,
        "morans_p": audit.moran.p,
        **of_space(audit.variogram, audit.advice),
    }


def of_space(gram: Variogram, advice: Advice | None) -> dict[str, Any]:
    """What a row of a table says of range and blocks."""
    return {
        "range_km": gram.range_km,
        "range_limited": gram.limited,
        "block_km": advice.block_km if advice else np.nan,
        "buffer_km": advice.buffer_km if advice else np.nan,
    }
