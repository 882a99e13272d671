"""The audit of a label of classes: how many, how uneven, which are rare, and whether neighbours are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.autocorrelation import Joins, join_counts
from urbanln.base.files import plain
from urbanln.base.kinds import MAX_CLASSES, RARE, class_counts, few, much_alike, quoted
from urbanln.base.space import Floats, square_blocks
from urbanln.base.variogram import Variogram, variogram_of_parts
from urbanln.probe.advice import Advice, advise
from urbanln.probe.label_audit import blocks_said, no_blocks, of_space, range_said, reach_said

_ALIKE = 0.15  # as three classes are that are cut out of a number whose Moran's I is .3
_MOST = 0.8  # share of the regions from which one class is nearly all
_SHOWN = 5


@dataclass(frozen=True)
class ClassFound:
    """One class.

    Attributes:
        name: Of the class.
        regions: Regions of it.
        share: Of the regions that have a class.
        alike: Share of the neighbours of its regions that are of it too; NaN where that says nothing.
        blocks: Squares of the suggested size in which it stands; None where none is suggested.
    """

    name: str
    regions: int
    share: float
    alike: float
    blocks: int | None


@dataclass(frozen=True, eq=False)
class ClassAudit:
    """What was found in one label of classes.

    Attributes:
        n: Regions with a class.
        missing: Regions without one.
        classes: The most frequent first.
        effective: Effective number of classes, the exponential of Shannon's entropy (Hill 1973): as many
            equally frequent ones would be as uncertain.
        evenness: Entropy over that of equally frequent classes (Pielou 1966); 1 is balanced.
        similar: Classes whose names differ only by case, blanks or dashes.
        joins: Neighbours of the same class: :func:`urbanln.base.autocorrelation.join_counts`.
        variogram: Share of pairs that differ, by distance.
        advice: Blocks and buffer; None where there are too few regions to say.
        unit: Empty: classes have none.
    """

    n: int
    missing: int
    classes: Sequence[ClassFound]
    effective: float
    evenness: float
    similar: Sequence[tuple[str, ...]]
    joins: Joins
    variogram: Variogram
    advice: Advice | None
    unit: str = ""

    @property
    def rare(self) -> list[ClassFound]:
        """Classes of fewer than five regions, the rarest first."""
        return [one for one in self.classes[::-1] if one.regions < RARE]

    @property
    def alike(self) -> float:
        """How far neighbours are of one class: 0 as by chance, 1 all of them."""
        return (self.joins.same - self.joins.expected) / (1 - self.joins.expected)

    def as_json(self) -> dict[str, Any]:
        """JSON values; what is not defined is null."""
        values = {"kind": "classes", **asdict(self), "rare": [one.name for one in self.rare]}
        values["joins"].pop("of")  # stands by class
        values["variogram"] = values.pop("variogram")  # the long one last
        return dict(plain(values))

    def sentences(self, name: str) -> list[tuple[int, str]]:
        """What to know of it, as (badness, sentence): 3 spoils a score, 2 flatters it, 1 is to know."""
        if not self.classes:
            return [(3, f"{name}: no region has a class.")]
        most = self.classes[0]
        if len(self.classes) == 1:
            return [(3, f"{name}: every region is {quoted(most.name)}: there is nothing to predict.")]
        said: list[tuple[int, str]] = []
        if len(self.classes) > MAX_CLASSES or 2 * len(self.classes) > self.n:
            what = f"{len(self.classes):,} classes in {self.n:,} regions are ids or names"
            said.append((3, f"{name}: {what}; group them first."))
        elif self.rare:
            have = "has" if len(self.rare) == 1 else "have"
            what = f"{len(self.rare)} of {len(self.classes)} classes {have} fewer than {RARE} regions"
            said.append((2, f"{name}: {what} ({_listed(self.rare)}), too few for every fold to hold one."))
        if most.share >= _MOST:
            what = f"{most.share:.1%} of the regions are {quoted(most.name)}"
            said.append((2, f"{name}: {what}: whoever always says so is right as often; look at macro F1."))
        said += [
            (1, f"{name}: {len(names)} classes differ only by case, blanks or dashes: {_named(names)}.")
            for names in self.similar
        ]
        if self.joins.p <= 0.05 and self.alike > _ALIKE:
            chance = f"{self.joins.expected:.0%} if dealt out at random"
            what = (
                f"{self.joins.same:.0%} of neighbours are of one class ({chance}{reach_said(self.variogram)})"
            )
            said.append((2, f"{name}: {what}; a random split tests interpolation."))
        said += self._of_blocks(name)
        if self.missing:
            share = self.missing / (self.n + self.missing)
            said.append((1, f"{name}: {self.missing:,} regions ({share:.1%}) have no class."))
        return said + no_blocks(name, self.n, self.advice)

    def _of_blocks(self, name: str) -> list[tuple[int, str]]:
        alone = [one for one in self.classes if one.blocks == 1 and one.regions >= RARE]
        if not alone or self.advice is None:
            return []
        where = (
            f"one block of {self.advice.block_km:g} km, in which all of its regions may be held out at once"
        )
        return [(2, f"{name}: {quoted(one.name)} stands in {where}.") for one in alone[:_SHOWN]]

    def lines(self) -> list[str]:
        """The audit as lines to print."""
        if not self.classes:
            return ["  no class at all"]
        lines = [
            f"  {self.n} regions of {len(self.classes)} classes, {self.missing} missing; "
            f"{self.effective:.3g} effective classes, evenness {self.evenness:.2f}",
            f"  {_listed(self.classes, share=True)}",
        ]
        if self.rare:
            lines.append(f"  fewer than {RARE} regions: {_listed(self.rare)}")
        if math.isfinite(self.joins.same):
            lines.append(
                f"  same-class neighbours {self.joins.same:.1%}, by chance {self.joins.expected:.1%} (z "
                f"{self.joins.z:.3g}, p {self.joins.p:.3g}), {range_said(self.variogram)}"
            )
        return lines + blocks_said(self.advice)

    def row(self, name: str) -> dict[str, Any]:
        """The audit as a row of a table."""
        most = self.classes[0] if self.classes else None
        return {
            "indicator": name,
            "kind": "classes",
            "n": self.n,
            "missing": self.missing,
            "classes": len(self.classes),
            "effective_classes": self.effective,
            "evenness": self.evenness,
            "largest": most.name if most else None,
            "largest_share": most.share if most else np.nan,
            "rare_classes": len(self.rare),
            "same_class": self.joins.same,
            "same_by_chance": self.joins.expected,
            "joins_z": self.joins.z,
            "joins_p": self.joins.p,
            **of_space(self.variogram, self.advice),
        }


def _listed(classes: Sequence[ClassFound], *, share: bool = False) -> str:
    told = [f"{quoted(one.name)} {one.regions:,}{f' ({one.share:.1%})' if share else ''}" for one in classes]
    return few(told)


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))


def audit_classes(
    classes: pd.Series, metres: Floats, spacing: float, *, permutations: int = 199, seed: int = 0
) -> ClassAudit:
    """Look at a label of classes.

    Args:
        classes: (N,) text, missing where a region has none.
        metres: (N, 2) positions.
        spacing: Median distance to the nearest other region, in km.
        permutations: Of the test of joins.
        seed: Of the test and of the sample of pairs.
    """
    there = classes.notna().to_numpy()
    known, places = classes[there], metres[there]
    counts = class_counts(known)
    codes = known.map({name: at for at, name in enumerate(counts.index)}).to_numpy(dtype=np.int64)
    joins = join_counts(codes, places, permutations=permutations, seed=seed)
    gram = variogram_of_parts(codes, places, seed=seed)
    advice = advise(gram, places, spacing) if len(counts) > 1 else None
    blocks = square_blocks(places, advice.block_km) if advice else None
    shares = counts.to_numpy() / max(len(known), 1)
    entropy = float(-(shares * np.log(shares)).sum())
    return ClassAudit(
        n=len(known),
        missing=int((~there).sum()),
        classes=[
            ClassFound(
                str(name), int(regions), float(shares[at]), float(joins.of[at]),
                None if blocks is None else len(np.unique(blocks[codes == at])),
            )
            for at, (name, regions) in enumerate(counts.items())
        ],
        effective=math.exp(entropy) if len(counts) else np.nan,
        evenness=entropy / math.log(len(counts)) if len(counts) > 1 else np.nan,
        similar=much_alike(counts.index),
        joins=joins,
        variogram=gram,
        advice=advice,
    )  # fmt: skip
