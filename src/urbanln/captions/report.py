"""What captioning a city came to: counted while it went, told in plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from urbanln.captions.asking.queues import Asked
from urbanln.captions.cleaning.clean import Cleaned
from urbanln.captions.table import CLIP_LENGTHS, FILLERS, lengths_told

_SKIPPED_SHOWN = 10


@dataclass(frozen=True)
class CaptionReport:
    """What captioning a city came to.

    Attributes:
        n_images: Pictures that were to be described.
        captioners: Names of the captioners that were asked.
        asked: What each gave, what failed and what was left.
        cleaned: What cleaning found and did.
        table: The caption table as written: ``captions.parquet``.
        remarks: What the captioners said beforehand, what became of captions that were there, and how
            refined texts were checked.
        max_tokens: Text positions of the model that will read the captions.
    """

    n_images: int
    captioners: Sequence[str]
    asked: Asked
    cleaned: Cleaned
    table: pd.DataFrame
    remarks: Sequence[str]
    max_tokens: int = CLIP_LENGTHS[-1]

    @property
    def per_captioner(self) -> dict[str, int]:
        """Captioner → number of texts it gave in this run, from the ledger or anew."""
        counts = self.asked.texts["captioner"].value_counts()
        return {name: int(counts.get(name, 0)) for name in self.captioners}

    @property
    def skipped(self) -> list[str]:
        """One line per picture that could not be read: path and reason."""
        return [self.asked.skipped[path] for path in sorted(self.asked.skipped)]

    @property
    def complete(self) -> bool:
        """Whether every captioner was asked about every picture and none was stopped on the way."""
        return not self.asked.stopped

    @property
    def shared(self) -> float:
        """Share of the described pictures whose selected caption another picture has word for word."""
        selected = self.table.loc[self.table["selected"], "caption"]
        return float(selected.str.lower().duplicated(keep=False).mean())

    def lines(self) -> list[str]:
        """The report as lines to print."""
        described = int(self.table["selected"].sum())
        lines = [f"{self.n_images} pictures to describe; {described} pictures have captions now"]
        lines += [self._captioner_line(name) for name in self.captioners]
        lines += self.remarks
        if self.asked.calibration is not None:
            left = f"{self.asked.remaining} rejected phrases stand in them still"
            lines.append(f"refined texts: {self.asked.refined}; {left}")
            lines += self.asked.calibration.lines()
        lines += self.cleaned.lines()
        lines += table_lines(self.table, self.max_tokens)
        lines.append(f"pictures that share their caption with another one: {self.shared:.1%}")
        return lines + self._left_out()

    def _captioner_line(self, name: str) -> str:
        asked, counts = self.asked, self.asked.counts[name]
        parts = [f"{self.per_captioner[name]} captions"]
        parts.append(f"{counts.from_ledger} answers from the ledger, {counts.answered} new")
        parts += [f"{counts.retries} tries repeated"] if counts.retries else []
        parts += [f"${counts.cost_usd:.4f}"] if counts.cost_usd else []
        parts += [f"nothing for {asked.nothing[name]}"] if name in asked.nothing else []
        if name in asked.failed:
            parts.append(f"no answer for {asked.failed[name]} ({asked.fault_line(name)})")
        if name in asked.stopped:
            reason, left = asked.stopped[name]
            parts.append(f"stopped with {left} {'picture' if left == 1 else 'pictures'} left: {reason}")
        return f"{name}: {', '.join(parts)}"

    def _left_out(self) -> list[str]:
        if not self.skipped:
            return []
        lines = [f"{len(self.skipped)} pictures left out:"]
        lines += [f"  {line}" for line in self.skipped[:_SKIPPED_SHOWN]]
        more = len(self.skipped) - _SKIPPED_SHOWN
        return lines + ([f"  … and {more} more"] if more > 0 else [])


def table_lines(table: pd.DataFrame, max_tokens: int) -> list[str]:
    """A caption table in lines: how the vote went, lengths in words and tokens.

    Args:
        table: With the columns of ``captions.parquet``.
        max_tokens: Text positions of the model that will read them.
    """
    lines = []
    chosen = table.drop(columns="caption")[table["selected"]]
    # Two always agree with one another equally: between equals no vote decides.
    voted = chosen[chosen["margin"] > 0]
    if len(voted):
        lines.append(f"chosen by vote: {len(voted)} pictures ({_winners(voted)})")
        lines.append(f"agreement of the chosen: {_spread(voted['agreement'].to_numpy(), 2)}")
    several = chosen.drop(index=voted.index).query("n_candidates > 1")
    if len(several):
        lines.append(f"chosen without a vote among several: {len(several)} pictures ({_winners(several)})")
    filled = chosen["captioner"].isin(FILLERS)
    if filled.any() and not filled.all():
        lines.append(f"measured, since nobody described them: {int(filled.sum())} pictures")
    words = np.fromiter((len(text.split()) for text in table["caption"]), dtype=np.int64)
    if len(words):
        lines.append(f"words per caption: {_spread(words)}")
    if len(table) and not table["tokens"].isna().any():
        tokens = table["tokens"].to_numpy(dtype=np.int64)
        over = [f"{(tokens > limit).mean():.1%} over {limit}" for limit in lengths_told(max_tokens)]
        lines.append(f"tokens per caption: {_spread(tokens)}; {', '.join(over)}")
    return lines


def _winners(rows: pd.DataFrame) -> str:
    counts = rows["captioner"].value_counts()
    return ", ".join(f"{name} {count / len(rows):.0%}" for name, count in counts.items())


def _spread(values: np.ndarray, digits: int = 0) -> str:
    low, middle, high = np.percentile(values, (5, 50, 95))
    return f"median {middle:.{digits}f}, 5 to 95 % {low:.{digits}f} to {high:.{digits}f}"
