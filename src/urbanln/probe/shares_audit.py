"""The audit of a label of shares: how large its parts are, which are 0, which is all, and how they lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from urbanln.base.autocorrelation import Moran, morans_i_of_parts
from urbanln.base.files import plain
from urbanln.base.kinds import quoted, simplex
from urbanln.base.space import Floats
from urbanln.base.variogram import Variogram, variogram_of_parts
from urbanln.probe.advice import Advice, advise
from urbanln.probe.label_audit import blocks_said, no_blocks, of_space, range_said, reach_said

_ALIKE = 0.3  # Moran's I from which neighbours tell much of each other
_NEARLY_ALL = (
    0.9  # of the regions, in which one part is the largest, or in which one part is nearly the whole
)
_ONE = 0.99  # a part that is nearly the whole
_EQUAL = 1e-9
_SHOWN = 5


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        name: The column it stands in.
        mean: Mean share.
        minimum, maximum: Of the share.
        zeros: Regions that have nothing of it.
        largest: Share of the regions of which it is the largest part; the first of several that are.
        moran: Moran's I of the share.
    """

    name: str
    mean: float
    minimum: float
    maximum: float
    zeros: int
    largest: float
    moran: Moran


@dataclass(frozen=True, eq=False)
class SharesAudit:
    """What was found in one label of shares.

    Attributes:
        n: Regions with shares.
        missing: Regions without.
        columns: Of the parts.
        parts: In the order of the columns.
        sums: Least and largest sum of a region's parts, before they are divided by it.
        with_zeros: Regions of which a part is 0.
        single: Regions of which one part is more than .99.
        effective: Effective number of parts, the exponential of the entropy of the mean shares (Hill 1973).
        constant: Whether all regions have the same shares.
        variogram: Half the mean squared distance of two regions' shares, by their distance on the ground.
        advice: Blocks and buffer; None where there are too few regions to say.
        unit: For reading.
    """

    n: int
    missing: int
    columns: Sequence[str]
    parts: Sequence[Part]
    sums: tuple[float, float]
    with_zeros: int
    single: int
    effective: float
    constant: bool
    variogram: Variogram
    advice: Advice | None
    unit: str = ""

    def as_json(self) -> dict[str, Any]:
        """JSON values; what is not defined is null."""
        values = {"kind": "shares", **asdict(self)}
        values["variogram"] = values.pop("variogram")  # the long one last
        return dict(plain(values))

    def sentences(self, name: str) -> list[tuple[int, str]]:
        """What to know of it, as (badness, sentence): 3 spoils a score, 2 flatters it, 1 is to know."""
        if self.n == 0:
            return [(3, f"{name}: no region has shares.")]
        if self.constant:
            return [(3, f"{name}: every region has the same shares: there is nothing to predict.")]
        said: list[tuple[int, str]] = []
        if nothing := [part.name for part in self.parts if part.maximum == 0]:
            said.append((2, f"{name}: {_named(nothing)} 0 everywhere: leave it out."))
        most = max(self.parts, key=lambda part: part.largest)
        if most.largest >= _NEARLY_ALL:
            what = f"{quoted(most.name)} is the largest part of {most.largest:.1%} of the regions"
            said.append((2, f"{name}: {what} ({most.mean:.2f} on average): the mean shares alone are near."))
        if self.single >= _NEARLY_ALL * self.n:
            what = f"one part is more than {_ONE:g} in {self.single / self.n:.1%} of the regions"
            said.append((2, f"{name}: {what}: these are rather classes."))
        elif self.with_zeros:
            what = f"{self.with_zeros / self.n:.1%} of the regions have a part that is 0"
            most = max(self.parts, key=lambda part: part.zeros)
            said.append(
                (1, f"{name}: {what} (most often {quoted(most.name)}, in {most.zeros / self.n:.1%}).")
            )
        alike = max(self.parts, key=lambda part: np.nan_to_num(part.moran.i, nan=-1.0))
        if alike.moran.i > _ALIKE and alike.moran.p <= 0.05:
            what = f"neighbours are alike (Moran's I of {quoted(alike.name)} {alike.moran.i:.2f}"
            said.append(
                (2, f"{name}: {what}{reach_said(self.variogram)}); a random split tests interpolation.")
            )
        if self.missing:
            share = self.missing / (self.n + self.missing)
            said.append((1, f"{name}: {self.missing:,} regions ({share:.1%}) have no shares."))
        return said + no_blocks(name, self.n, self.advice)

    def lines(self) -> list[str]:
        """The audit as lines to print."""
        if self.n == 0:
            return ["  no shares at all"]
        largest = sorted(self.parts, key=lambda part: -part.mean)
        told = [
            f"{part.name} {part.mean:.3f} (largest in {part.largest:.1%}, 0 in {part.zeros}, Moran's I "
            f"{part.moran.i:.2f})"
            for part in largest
        ]
        more = [f"… and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
        return [
            f"  {self.n} regions of {len(self.parts)} parts, {self.missing} missing; "
            f"{self.effective:.3g} effective parts; sums from {self.sums[0]:.6g} to {self.sums[1]:.6g}",
            *(f"  {one}" for one in (*told[:_SHOWN], *more)),
            f"  {range_said(self.variogram)}",
            *blocks_said(self.advice),
        ]

    def row(self, name: str) -> dict[str, Any]:
        """The audit as a row of a table."""
        most = max(self.parts, key=lambda part: part.largest) if self.n else None
        alike = [part.moran.i for part in self.parts if math.isfinite(part.moran.i)]
        return {
            "indicator": name,
            "kind": "shares",
            "n": self.n,
            "missing": self.missing,
            "parts": len(self.parts),
            "effective_parts": self.effective,
            "with_zeros": self.with_zeros,
            "largest": most.name if most else None,
            "largest_share": most.largest if most else np.nan,
            "morans_i": max(alike, default=np.nan),
            **of_space(self.variogram, self.advice),
        }


def _named(names: Sequence[str]) -> str:
    told = ", ".join(map(quoted, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")
    return f"{told} {'is' if len(names) == 1 else 'are'}"


def audit_shares(
    shares: npt.ArrayLike,
    columns: Sequence[str],
    metres: Floats,
    spacing: float,
    unit: str = "",
    *,
    permutations: int = 199,
    seed: int = 0,
) -> SharesAudit:
    """Look at a label of shares.

    Args:
        shares: (N, C) parts that sum to one; a row that lacks one is missing.
        columns: (C,) names of the parts.
        metres: (N, 2) positions.
        spacing: Median distance to the nearest other region, in km.
        unit: For reading.
        permutations: Of Moran's test.
        seed: Of the test and of the sample of pairs.
    """
    given = np.asarray(shares, dtype=np.float64)
    there = np.isfinite(given).all(axis=1)
    parts, places = simplex(given[there]), metres[there]
    n = len(parts)
    sums = given[there].sum(axis=1)
    alike = morans_i_of_parts(parts, places, permutations=permutations, seed=seed)[1]
    largest = np.bincount(parts.argmax(axis=1), minlength=len(columns)) / max(n, 1)
    gram = variogram_of_parts(parts, places, seed=seed)
    means = parts.mean(axis=0) if n else np.full(len(columns), np.nan)
    some = means[means > 0]
    return SharesAudit(
        n=n,
        missing=int((~there).sum()),
        columns=tuple(columns),
        parts=[
            Part(
                name, float(means[at]), float(parts[:, at].min(initial=np.inf)),
                float(parts[:, at].max(initial=-np.inf)), int((parts[:, at] == 0).sum()), float(largest[at]),
                alike[at],
            )
            for at, name in enumerate(columns)
        ],
        sums=(float(sums.min(initial=np.inf)), float(sums.max(initial=-np.inf))),
        with_zeros=int((parts == 0).any(axis=1).sum()),
        single=int((parts.max(axis=1, initial=0) > _ONE).sum()),
        effective=math.exp(float(-(some * np.log(some)).sum())) if n else np.nan,
        constant=bool(n) and bool((np.ptp(parts, axis=0) <= _EQUAL).all()),
        variogram=gram,
        advice=advise(gram, places, spacing),
        unit=unit,
    )  # fmt: skip
