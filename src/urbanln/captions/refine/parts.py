"""Salient parts of a picture: segments, the best of them chosen, as boxes that are described one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from urbanln.base.errors import require
from urbanln.base.pictures import upright_rgb
from urbanln.captions.captioners.base import Box
from urbanln.captions.refine.legacy_parts import area, cluster_parts
from urbanln.captions.settings import RefineSettings

SMALLEST_SHARE, LARGEST_SHARE = 0.001, 0.9
SAME_IOU = 0.7
_LONGEST_EDGE = 512
_SCALES = (80.0, 200.0, 500.0)
_SMALLEST_SIDE_PX = 2


@dataclass(frozen=True)
class Segment:
    """A piece of a picture that belongs together.

    Attributes:
        box: Around it.
        area: Its own share of the picture's pixels, at most that of its box.
        stability: How little it changes with the segmenter's thresholds, in [0, 1].
    """

    box: Box
    area: float
    stability: float


@dataclass(frozen=True)
class Part:
    """A part of a picture worth a description of its own.

    Attributes:
        box: Grown by the dilation, within the picture, rounded to 4 decimals.
        score: Area × stability of the segment behind it; of a legacy part the share of its box.
    """

    box: Box
    score: float


class Segmenter(Protocol):
    """Cuts pictures into segments: a pure function of the pixels."""

    @property
    def version(self) -> str:
        """Part of the key under which parts are kept: another version, other parts."""

    def segment(self, image: Image.Image) -> list[Segment]:
        """Segments of an RGB picture, in any order; they may overlap."""


class FelzenszwalbSegmenter:
    """Graph-based segments of even colour (Felzenszwalb and Huttenlocher, 2004): no weights needed.

    The picture is segmented at three scales, each pooling larger pieces. A segment's stability is how well
    its box is found again at another scale (largest IoU): what depends on the scale is seldom a thing.
    """

    version = "felzenszwalb-1"

    def segment(self, image: Image.Image) -> list[Segment]:
        """Segments of a picture, scaled down to at most 512 pixels.

        Raises:
            MissingExtraError: scikit-image is not installed.
        """
        felzenszwalb = require("skimage.segmentation").felzenszwalb
        small = image.copy()
        small.thumbnail((_LONGEST_EDGE, _LONGEST_EDGE), Image.Resampling.BICUBIC)
        pixels = np.asarray(small, dtype=np.float64) / 255
        least = max(int(SMALLEST_SHARE * pixels.shape[0] * pixels.shape[1]), 4)
        scales = [
            _boxes_of(felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=least)) for scale in _SCALES
        ]
        found = []
        for number, (boxes, areas) in enumerate(scales):
            others = np.concatenate([b for n, (b, _) in enumerate(scales) if n != number])
            stability = overlap(boxes, others).max(axis=1)
            found += [
                Segment((float(b[0]), float(b[1]), float(b[2]), float(b[3])), float(area), float(stable))
                for b, area, stable in zip(boxes, areas, stability, strict=True)
            ]
        return found


def _boxes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) and areas (N,) of the labels 0 to N − 1 of a map (H, W), as shares of the picture."""
    from scipy.ndimage import find_objects

    height, width = labels.shape
    found = find_objects(labels + 1)  # which counts from 1
    edges = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in found]
    return np.array(edges) / (width, height, width, height), np.bincount(labels.ravel()) / labels.size


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with boxes (M, 4): (N, M); 0 where both are empty."""
    upper = np.maximum(one[:, None, :2], other[None, :, :2])
    lower = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(lower - upper, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    """Non-maximum suppression: indices of boxes that overlap no better one by more than ``iou``, best first.

    Args:
        boxes: (N, 4).
        scores: (N,); among equal ones the earlier box is the better.
        iou: Largest overlap let through.
    """
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if (overlap(boxes[[index]], boxes[kept]) <= iou).all():
            kept.append(int(index))
    return kept


def find_parts(image: Image.Image, settings: RefineSettings, segmenter: Segmenter) -> list[Part]:
    """The parts of a picture that are to be described, best first.

    Segments whose box is under 0.1 % or over 90 % of the picture are left out. ``selection = "nms"`` takes
    the ``max_crops`` best by area × stability of which no two overlap by more than 0.7; ``"legacy"`` clusters
    boxes as published (:mod:`urbanln.captions.refine.legacy_parts`), up to 13 of them. Every part then grows
    by ``dilation`` of the picture's width and height on each side.

    Args:
        image: Of any size, and any mode of 8 bits per channel.
        settings: Of refinement.
        segmenter: Finds the segments.

    Returns:
        None or more parts: a picture of one colour has none.
    """
    rgb = upright_rgb(image)
    segments = [s for s in segmenter.segment(rgb) if SMALLEST_SHARE <= area(s.box) <= LARGEST_SHARE]
    if not segments:
        return []
    if settings.selection == "legacy":
        chosen = [(box, area(box)) for box in cluster_parts([s.box for s in segments], rgb.size)]
    else:
        scores = np.array([s.area * s.stability for s in segments])
        best = suppress(np.array([s.box for s in segments]), scores, SAME_IOU)[: settings.max_crops]
        chosen = [(segments[index].box, float(scores[index])) for index in best]
    grown = (Part(_grow(box, settings.dilation), round(score, 6)) for box, score in chosen)
    return [part for part in grown if _visible(part.box, rgb.size)]


def parts_version(settings: RefineSettings, segmenter: Segmenter) -> str:
    """What decides the parts of a picture besides its pixels: the key under which they are kept."""
    how = "legacy" if settings.selection == "legacy" else f"nms-{settings.max_crops}"
    return f"{segmenter.version}:{how}:{settings.dilation:g}"


def _grow(box: Box, by: float) -> Box:
    left, upper = max(box[0] - by, 0.0), max(box[1] - by, 0.0)
    right, lower = min(box[2] + by, 1.0), min(box[3] + by, 1.0)
    return (round(left, 4), round(upper, 4), round(right, 4), round(lower, 4))


def _visible(box: Box, size: tuple[int, int]) -> bool:
    sides = ((box[2] - box[0]) * size[0], (box[3] - box[1]) * size[1])
    return min(sides) > _SMALLEST_SIDE_PX
