"""Is a phrase in the picture? Detectors and similarities that say so, and how strict they turn out to be.

A score is compared with a threshold; phrases below it are rejected. What a score means depends on the
grounder and on the pictures: thresholds were found on photographs, so the keep rate on a city's own pictures
is reported (:class:`Calibration`) and the threshold is a setting.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.captions.captioners.base import STAGES, Box, Picture, cut_out
from urbanln.captions.facts import Facts

Similarity = Callable[[list[Image.Image], list[str]], np.ndarray]
"""Cosines of pictures and phrases, float (pictures, phrases): of a CLIP, handed in by the caller."""

NEUTRAL = ("something", "a surface", "the ground", "nothing in particular", "a picture", "an empty place")


class Grounder(Protocol):
    """Scores how surely phrases are in a picture: a pure function of picture, boxes and each phrase.

    One that has to cut long phrases counts them in an attribute ``cut``, which the calibration reports.
    """

    @property
    def version(self) -> str:
        """Part of the key under which scores are kept: another version, other scores."""

    @property
    def threshold(self) -> float:
        """Its own default: phrases that score below are rejected."""

    def ground(self, picture: Picture, boxes: Sequence[Box], phrases: Sequence[str]) -> list[float]:
        """One finite score per phrase, in order.

        Args:
            picture: Where the phrases are looked for.
            boxes: Its salient parts, for grounders that look closer there.
            phrases: Words such as ``"tree"`` or ``"red bus"``.
        """


class NoGrounder:
    """Checks nothing and keeps every phrase; the report says so."""

    version = "none"
    threshold = 0.0

    def ground(self, picture: Picture, boxes: Sequence[Box], phrases: Sequence[str]) -> list[float]:
        """1 for every phrase."""
        return [1.0] * len(phrases)


@dataclass(frozen=True)
class Scored:
    """A phrase with its score.

    Attributes:
        phrase: As it was looked for.
        stage: Whose text named it first: ``"describe"``, ``"local"``, ``"merge"`` or ``"repair"``.
        score: By the grounder.
        kept: Whether the score reaches the threshold.
    """

    phrase: str
    stage: str
    score: float
    kept: bool


class ClipGrounder:
    """Compares phrases with the picture and its parts by CLIP.

    A cosine alone says little: it lies in a narrow band that differs from model to model. So each phrase is
    set against neutral ones that fit anything: with cosines c of the phrase and n of the K neutral phrases,
    both times CLIP's own scale s, the score is the logistic function of s c − log(1/K Σ exp(s n)): over 0.5
    where the phrase fits better than neutral words do. The highest score over the whole picture and its parts
    counts.

    It is as good as its CLIP. With the tiny base CLIP of this package it hardly tells present from absent
    things (see ``docs/benchmarks.md``); that model is for trying the commands.

    Args:
        similarity: Cosines of pictures and phrases.
        model: Names the CLIP behind it in the version: a hash of its weights where possible.
        scale: CLIP's factor on cosines, the exponential of its ``logit_scale``.
        template: Sentence with ``{}`` that phrases, neutral ones too, are put into.
        threshold: Default, 0.5: as good as neutral.
    """

    def __init__(
        self,
        similarity: Similarity,
        *,
        model: str,
        scale: float = 100.0,
        template: str = "a picture of {}",
        threshold: float = 0.5,
    ) -> None:
        self.version = f"clip:{model}:{scale:g}:{hash_bytes(repr((template, NEUTRAL)).encode())[:8]}"
        self.threshold = threshold
        self._similarity, self._scale, self._template = similarity, scale, template

    def ground(self, picture: Picture, boxes: Sequence[Box], phrases: Sequence[str]) -> list[float]:
        """A score in (0, 1) per phrase.

        Raises:
            InputError, OSError: The picture cannot be read.
        """
        whole = picture.load()
        images = [whole, *(cut_out(whole, box) for box in boxes)]
        texts = [self._template.replace("{}", phrase) for phrase in (*phrases, *NEUTRAL)]
        logits = self._scale * np.asarray(self._similarity(images, texts), dtype=np.float64)
        neutral = np.logaddexp.reduce(logits[:, len(phrases) :], axis=1) - math.log(len(NEUTRAL))
        odds = (logits[:, : len(phrases)] - neutral[:, None]).max(axis=0)
        return [float(score) for score in 0.5 * (1 + np.tanh(odds / 2))]


def ground_phrases(
    picture: Picture,
    boxes: Sequence[Box],
    phrases: Sequence[str],
    grounder: Grounder,
    facts: Facts,
) -> list[float]:
    """Scores of phrases, each worked out once per picture, parts and grounder.

    Args:
        picture: Its ``sha256`` must be known.
        boxes: Its salient parts.
        phrases: To be looked for.
        grounder: Who looks.
        facts: Where scores are kept.

    Returns:
        One score per phrase, in order.

    Raises:
        InputError: The grounder gave another number of scores, or one that is no number.
    """
    if grounder.version == NoGrounder.version or not phrases:
        return grounder.ground(picture, boxes, phrases)
    kind = f"ground:{grounder.version}"
    where = hash_bytes(repr((picture.sha256, [tuple(box) for box in boxes])).encode())
    keys = {phrase: f"{where[:32]}:{phrase}" for phrase in dict.fromkeys(phrases)}
    known = facts.get_facts(kind, list(keys.values()))
    missing = [phrase for phrase, key in keys.items() if key not in known]
    if missing:
        scores = [float(score) for score in grounder.ground(picture, boxes, missing)]
        if len(scores) != len(missing) or not all(math.isfinite(score) for score in scores):
            raise InputError(
                f"the grounder '{grounder.version}' must give one finite score per phrase",
                value=scores[:8],
                where=picture.path,
                remedy="use another refine.grounder",
            )
        # What another process kept meanwhile is the same: scores are a pure function of the key.
        fresh = {keys[phrase]: score for phrase, score in zip(missing, scores, strict=True)}
        facts.put_facts(kind, fresh)
        known |= fresh
    return [float(known[keys[phrase]]) for phrase in phrases]


class Calibration:
    """How many phrases a grounder keeps on these pictures, and where its scores lie.

    A keep rate near 1 means that the threshold checks nothing; one far below what the captioners deserve
    means that true things are struck out.

    Args:
        grounder: Whose scores they are.
        threshold: That was used; None: the grounder's own.
    """

    def __init__(self, grounder: Grounder, threshold: float | None = None) -> None:
        self.threshold = grounder.threshold if threshold is None else threshold
        self._grounder = grounder
        self._scores: dict[str, array[float]] = {}

    def add(self, phrases: Iterable[Scored]) -> None:
        """Count the phrases of one picture."""
        for phrase in phrases:
            self._scores.setdefault(phrase.stage, array("f")).append(phrase.score)

    def lines(self) -> list[str]:
        """The report: keep rate overall and by stage, and quantiles of the scores."""
        total = sum(len(scores) for scores in self._scores.values())
        if self._grounder.version == NoGrounder.version:
            return ["grounding: none; nothing that was said was looked for in the pictures"]
        if not total:
            return [f"grounding by {self._grounder.version}: no phrase was checked"]
        every = np.concatenate([np.frombuffer(scores, np.float32) for scores in self._scores.values()])
        lines = [
            f"grounding by {self._grounder.version}, threshold {self.threshold:g}: "
            f"{self._rate(every)} of {total} phrases kept"
        ]
        for stage in STAGES:
            if stage in self._scores:
                scores = np.frombuffer(self._scores[stage], np.float32)
                lines.append(f"  named first by {stage}: {self._rate(scores)} of {len(scores)}")
        points = (0.05, 0.25, 0.5, 0.75, 0.95)
        found = ", ".join(
            f"{100 * p:g} % {q:.4g}" for p, q in zip(points, np.quantile(every, points), strict=True)
        )
        lines.append(f"  scores below which lie: {found}")
        cut = int(getattr(self._grounder, "cut", 0))
        return [*lines, f"  phrases too long for the grounder, and cut: {cut}"] if cut else lines

    def _rate(self, scores: np.ndarray) -> str:
        return f"{100 * float((scores >= np.float32(self.threshold)).mean()):.1f} %"
