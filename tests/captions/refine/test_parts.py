from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw

from urbanln.base.errors import MissingExtraError
from urbanln.captions.refine.legacy_parts import (
    cluster_parts,
    empty_rectangles,
    largest_rectangle,
    merge_hulls,
)
from urbanln.captions.refine.parts import FelzenszwalbSegmenter, Segment, find_parts, overlap, suppress
from urbanln.captions.settings import RefineSettings


class Fixed:
    version = "fixed"

    def __init__(self, *segments: Segment) -> None:
        self.segments = list(segments)

    def segment(self, image: Image.Image) -> list[Segment]:
        return self.segments


def picture() -> Image.Image:
    """Grey ground with a red square at 10–40 % and a blue one at 60–90 % of both sides."""
    image = Image.new("RGB", (200, 200), (120, 120, 120))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 79, 79), fill=(200, 30, 30))
    draw.rectangle((120, 120, 179, 179), fill=(30, 30, 200))
    return image


def test_felzenszwalb_finds_what_stands_out() -> None:
    parts = find_parts(picture(), RefineSettings(dilation=0.0), FelzenszwalbSegmenter())
    boxes = np.array([part.box for part in parts])
    for truth in ((0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9)):
        assert overlap(np.array([truth]), boxes).max() > 0.85


def test_a_picture_of_one_colour_has_no_parts() -> None:
    for selection in ("nms", "legacy"):
        chosen = RefineSettings(selection=selection)
        assert find_parts(Image.new("RGB", (96, 64), "green"), chosen, FelzenszwalbSegmenter()) == []


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError) as raised:
        FelzenszwalbSegmenter().segment(picture())
    assert "urbanln[caption]" in str(raised.value)


@pytest.mark.parametrize("selection", ["nms", "legacy"])
@pytest.mark.parametrize("size", [(200, 120), (31, 7)])
def test_parts_lie_within_the_picture_and_do_not_change(selection: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.NEAREST)
    chosen = RefineSettings(selection=selection)
    parts = find_parts(image, chosen, FelzenszwalbSegmenter())
    assert parts == find_parts(image, chosen, FelzenszwalbSegmenter())
    assert selection == "legacy" or 0 < len(parts) <= chosen.max_crops
    for left, upper, right, lower in (part.box for part in parts):
        assert 0 <= left < right <= 1
        assert 0 <= upper < lower <= 1


def test_the_best_of_overlapping_segments_stays_and_tiny_and_huge_ones_go() -> None:
    good, poor = Segment((0.1, 0.1, 0.5, 0.5), 0.16, 0.9), Segment((0.1, 0.1, 0.5, 0.52), 0.16, 0.5)
    other = Segment((0.6, 0.6, 0.9, 0.9), 0.05, 1.0)
    tiny, huge = Segment((0.0, 0.0, 0.02, 0.02), 0.0004, 1.0), Segment((0.0, 0.0, 1.0, 0.95), 0.9, 1.0)
    segmenter = Fixed(poor, tiny, other, huge, good)
    parts = find_parts(picture(), RefineSettings(dilation=0.02), segmenter)
    assert [part.box for part in parts] == [(0.08, 0.08, 0.52, 0.52), (0.58, 0.58, 0.92, 0.92)]
    assert len(find_parts(picture(), RefineSettings(max_crops=1), segmenter)) == 1


boxes = arrays(np.float64, st.tuples(st.integers(1, 25), st.just(4)), elements=st.floats(0, 1, width=16)).map(
    lambda a: np.hstack([np.minimum(a[:, :2], a[:, 2:]), np.maximum(a[:, :2], a[:, 2:])])
)


@settings(max_examples=60, deadline=None)
@given(boxes, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.7]))
def test_suppression_keeps_no_two_that_overlap_and_drops_none_without_reason(
    found: np.ndarray, seed: int, iou: float
) -> None:
    scores = np.random.default_rng(seed).random(len(found))
    kept = suppress(found, scores, iou)
    shared = overlap(found, found)
    assert all(shared[a, b] <= iou for a in kept for b in kept if a != b)
    for index in set(range(len(found))) - set(kept):
        assert any(shared[index, better] > iou and scores[better] >= scores[index] for better in kept)


@settings(max_examples=80, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_largest_rectangle_against_all_rectangles(cells: np.ndarray) -> None:
    sums = np.pad(cells.astype(int).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, columns = cells.shape
    best = 0
    for upper in range(rows):
        for lower in range(upper + 1, rows + 1):
            for left in range(columns):
                for right in range(left + 1, columns + 1):
                    inside = sums[lower, right] - sums[upper, right] - sums[lower, left] + sums[upper, left]
                    area = (lower - upper) * (right - left)
                    best = max(best, area if inside == area else 0)
    left, upper, right, lower = largest_rectangle(cells)
    if best:
        assert cells[upper : lower + 1, left : right + 1].all()
        assert (right - left + 1) * (lower - upper + 1) == best
    else:
        assert (left, upper, right, lower) == (0, 0, 0, 0)


def test_hulls_merge_by_the_published_rule() -> None:
    # IoU .5 with nothing else in the hull; the third lies far off.
    assert merge_hulls([(0, 0, 10, 10), (0, 0, 10, 20), (80, 80, 90, 99)]) == [
        (0, 0, 10, 20),
        (80, 80, 90, 99),
    ]
    # They only touch, but their hull holds nothing else: g = 0 < 0.1.
    assert merge_hulls([(0, 0, 10, 10), (10, 0, 20, 10)]) == [(0, 0, 20, 10)]
    # One pass: the first merges with its neighbour, and what they become is not merged with the third.
    chain = [(0, 0, 10, 10), (10, 0, 21, 10), (21, 0, 33, 10)]
    assert merge_hulls(chain) == [(0, 0, 21, 10), (21, 0, 33, 10)]


def test_large_boxes_become_what_the_others_leave_free() -> None:
    # The right half is taken: the left half, one cell short at its far edges.
    assert empty_rectangles((0, 0, 80, 80), [(40, 0, 80, 80)]) == [(0, 0, 36, 76)]
    assert empty_rectangles((0, 0, 80, 80), [(0, 0, 80, 70)]) == []
    assert empty_rectangles((0, 0, 3, 3), []) == []


def test_legacy_drops_the_three_largest_for_their_free_parts() -> None:
    small = (0.02, 0.02, 0.12, 0.12)
    large = [(0.0, 0.3, 0.3, 1.0), (0.4, 0.5, 0.65, 1.0), (0.75, 0.0, 1.0, 0.6)]
    parts = cluster_parts([small, *large], (400, 400))
    assert parts[0] == pytest.approx(small)
    assert len(parts) == 4
    shrunk = overlap(np.array(parts[1:]), np.array(large)).max(axis=1)
    assert (shrunk > 0.85).all()
    assert (shrunk < 1).all()
    assert cluster_parts([small, small, small], (400, 400)) == cluster_parts([small], (400, 400))


def test_legacy_boxes_keep_their_pixels() -> None:
    # 4 pixels of 187 as a fraction, times 187, are 3.9999…
    small = (198, 4, 212, 30)
    large = [(0, 60, 60, 187), (80, 90, 140, 187), (160, 60, 230, 187)]
    size = np.array([230, 187, 230, 187])
    parts = cluster_parts([tuple(np.array(box) / size) for box in (small, *large)], (230, 187))  # type: ignore[misc]
    assert np.round(np.array(parts[0]) * size).tolist() == list(small)
