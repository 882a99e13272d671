"""Describe every picture of a city with every captioner, and write the caption table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from urbanln.captions.captioner import Captioner, Picture, pictures_of
from urbanln.captions.measured import MeasuredCaptioner
from urbanln.captions.recorded import read_recorded
from urbanln.captions.simulated import SIMULATED
from urbanln.captions.table import TokenCounter, candidates_table, merge_candidates
from urbanln.city.pixels import READ_ERRORS, unreadable
from urbanln.city.synthetic.scene import read_scene
from urbanln.errors import InputError
from urbanln.progress import progress

if TYPE_CHECKING:
    from urbanln.city.store import City

# CLIP's own length, and the stretched one.
_SHORT, _LONG = 77, 248
_BATCH = 2048


class DescribesScenes(Protocol):
    """A simulated captioner: it is shown the true scene instead of the picture."""

    @property
    def name(self) -> str:
        """Stands in the caption table."""

    def describe(self, scene: Mapping[str, Any], image_id: str) -> str:
        """A text for the scene, with omissions and errors that depend on the image's id."""


class SceneCaptioner:
    """Shows a simulated captioner the true scene kept beside each synthetic picture.

    Args:
        simulated: Describes a scene with omissions and errors of its own.
    """

    sources: Mapping[str, str] = {}  # never changed

    def __init__(self, simulated: DescribesScenes) -> None:
        self._simulated = simulated
        self.name = simulated.name

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Check that there are scenes.

        Raises:
            InputError: Not one picture has a scene.
        """
        bare = sum(picture.scene_path is None for picture in pictures)
        if pictures and bare == len(pictures):
            raise InputError(
                "simulated captions need a synthetic city: no true scene is kept beside any picture",
                where=pictures[0].path,
                remedy="describe real pictures with the captioner 'measured' or 'recorded:TABLE'",
            )
        return [f"{self.name}: {bare} pictures have no true scene beside them"] if bare else []

    def caption(self, picture: Picture) -> str | None:
        """Describe the scene of one picture; None where there is no scene.

        Raises:
            ArtefactError: The file is no scene.
        """
        if picture.scene_path is None:
            return None
        return self._simulated.describe(read_scene(picture.scene_path.with_suffix("")), picture.image_id)


def captioner_from_name(spec: str) -> list[Captioner]:
    """The captioners a word on the command line stands for.

    Args:
        spec: ``"measured"``; ``"simulated"`` (all the simulated ones) or the name of one of them;
            ``"recorded:TABLE"`` (every captioner named in the table).

    Raises:
        InputError: There is no such captioner, or its table cannot be used.
    """
    kind, _, rest = spec.partition(":")
    simulated: dict[str, Captioner] = {one.name: SceneCaptioner(one) for one in SIMULATED}
    if spec == "measured":
        return [MeasuredCaptioner()]
    if spec == "simulated":
        return list(simulated.values())
    if spec in simulated:
        return [simulated[spec]]
    if kind == "recorded" and rest:
        return list(read_recorded(Path(rest)))
    raise InputError(
        "there is no such captioner",
        value=spec,
        remedy=f"use measured, simulated, recorded:TABLE, or one of {', '.join(simulated)}",
    )


@dataclass(frozen=True)
class CaptionReport:
    """What captioning a city came to.

    Attributes:
        n_images: Pictures that were to be described.
        per_captioner: Captioner → number of texts it gave in this run.
        nothing: Captioner → number of pictures it had nothing for, where there are any.
        skipped: One line per picture that could not be read: path and reason.
        remarks: What the captioners said beforehand, and what became of captions that were there.
        words: (n,) words of every caption now in the table.
        tokens: (n,) tokens of every caption, or None when they were not counted.
        shared: Share of the described pictures whose selected caption another picture has word for word.
        n_described: Pictures that have a caption now.
    """

    n_images: int
    per_captioner: Mapping[str, int]
    nothing: Mapping[str, int]
    skipped: Sequence[str]
    remarks: Sequence[str]
    words: np.ndarray = field(repr=False)
    tokens: np.ndarray | None = field(repr=False)
    shared: float
    n_described: int

    def lines(self) -> list[str]:
        """The report as lines to print."""
        lines = [f"{self.n_images} pictures to describe; {self.n_described} pictures have captions now"]
        for name, count in self.per_captioner.items():
            missing = f", nothing for {self.nothing[name]}" if self.nothing.get(name) else ""
            lines.append(f"{name}: {count} captions{missing}")
        lines += self.remarks
        if len(self.words):
            lines.append(f"words per caption: {_spread(self.words)}")
        if self.tokens is not None and len(self.tokens):
            over = [f"{(self.tokens > limit).mean():.1%} over {limit}" for limit in (_SHORT, _LONG)]
            lines.append(f"tokens per caption: {_spread(self.tokens)}; {', '.join(over)}")
        lines.append(f"pictures that share their caption with another one: {self.shared:.1%}")
        if self.skipped:
            lines.append(f"{len(self.skipped)} pictures left out:")
            lines += [f"  {line}" for line in self.skipped[:10]]
            if len(self.skipped) > 10:
                lines.append(f"  … and {len(self.skipped) - 10} more")
        return lines


def _spread(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, (5, 50, 95))
    return f"median {middle:.0f}, 5 to 95 % {low:.0f} to {high:.0f}"


def caption_city(
    city: City,
    captioners: Sequence[Captioner],
    *,
    count_tokens: TokenCounter | None = None,
    workers: int | None = None,
    limit: int | None = None,
    replace: bool = False,
) -> CaptionReport:
    """Describe the pictures of a city and write ``captions.parquet``.

    Captions that are there already are kept, but for those of the same captioners on the same pictures.
    Every text is a candidate with equal weight; the first captioner's stands selected until a vote.

    Args:
        city: An open city.
        captioners: In order of preference; their names differ.
        count_tokens: Gives the number of tokens of each text, untruncated; without it tokens stay unknown.
        workers: Threads; default: one per processor, at most 8. The result does not depend on it.
        limit: Only the first so many pictures, for a try.
        replace: Drop all captions that are there.

    Raises:
        InputError: No captioner, two of one name, or one that can say nothing about this city.
        StorageError: The table cannot be written.
    """
    _check_captioners(captioners)
    pictures = pictures_of(city)
    remarks = [remark for captioner in captioners for remark in captioner.prepare(pictures)]
    pictures = pictures[:limit]
    candidates, skipped = _describe_all(pictures, captioners, workers)
    counts = candidates.groupby("captioner").size()
    if candidates.empty:
        raise InputError(
            "not one picture could be described",
            value=skipped[0] if skipped else f"{len(pictures)} pictures",
            where=city.folder,
        )
    if not replace:
        candidates, said = _with_earlier(candidates, city)
        remarks += said
    table = candidates_table(_in_order(candidates, city), count_tokens)
    sources = {f"captions from {n}": digest for c in captioners for n, digest in c.sources.items()}
    city.save_captions(table, made_from=sources)
    done = {captioner.name: int(counts.get(captioner.name, 0)) for captioner in captioners}
    return _report(table, len(pictures), done, skipped, remarks)


def _report(
    table: pd.DataFrame, n_images: int, done: Mapping[str, int], skipped: list[str], remarks: list[str]
) -> CaptionReport:
    selected = table.loc[table["selected"], "caption"]
    return CaptionReport(
        n_images=n_images,
        per_captioner=done,
        nothing={name: n_images - len(skipped) - n for name, n in done.items()},
        skipped=skipped,
        remarks=remarks,
        words=np.array([len(text.split()) for text in table["caption"]]),
        tokens=None if table["tokens"].isna().any() else table["tokens"].to_numpy(dtype=np.int64),
        shared=float(selected.str.lower().duplicated(keep=False).mean()),
        n_described=len(selected),
    )


def _with_earlier(candidates: pd.DataFrame, city: City) -> tuple[pd.DataFrame, list[str]]:
    """The candidates together with those in the city's table, and remarks on what became of these."""
    earlier = city.captions
    if earlier.empty:
        return candidates, []
    merged = merge_candidates(earlier.sort_values("rank", kind="stable"), candidates)
    kept, replaced = len(merged) - len(candidates), len(earlier) + len(candidates) - len(merged)
    remarks = [f"captions that were there: {kept} kept, {replaced} replaced"]
    if earlier["agreement"].notna().any():
        remarks.append("the earlier vote no longer holds, as the candidates changed")
    return merged, remarks


def _check_captioners(captioners: Sequence[Captioner]) -> None:
    names = [captioner.name for captioner in captioners]
    if not names:
        raise InputError("no captioner was given", remedy="for example --captioner measured")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError("two captioners have the same name", value=twice, remedy="give each one once")


def _describe_all(
    pictures: Sequence[Picture], captioners: Sequence[Captioner], workers: int | None
) -> tuple[pd.DataFrame, list[str]]:
    """Candidates in the order of pictures, then captioners; and a line per picture left out."""

    def one(picture: Picture) -> list[str | None] | str:
        try:
            return [captioner.caption(picture) for captioner in captioners]
        except READ_ERRORS as error:
            return unreadable(picture.path, error)

    rows: list[tuple[str, str, str]] = []
    skipped: list[str] = []
    threads = workers or min(8, os.cpu_count() or 1)
    with progress("describing pictures", len(pictures)) as advance, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            for picture, texts in zip(batch, pool.map(one, batch), strict=True):
                if isinstance(texts, str):
                    skipped.append(texts)
                else:
                    pairs = zip(captioners, texts, strict=True)
                    rows += [(picture.image_id, c.name, text) for c, text in pairs if text]
                advance(1)
    return pd.DataFrame(rows, columns=["image_id", "captioner", "caption"]), skipped


def _in_order(candidates: pd.DataFrame, city: City) -> pd.DataFrame:
    place = pd.Series(range(len(city.images)), index=city.images["image_id"])
    return candidates.iloc[place.loc[candidates["image_id"]].to_numpy().argsort(kind="stable")]
