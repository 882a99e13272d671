"""Parts as DetailCaps' authors choose them: boxes clustered, clusters merged, large ones emptied.

Kept for comparison. Their public code (foundation-multimodal-models/CAPTURE, stage 2) is followed in what it
does, its one-cell slip at the far edges of empty rectangles included, and written anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from urbanln.captions.captioners.base import Box

CLUSTERS = 10
MERGE_ENCLOSED = 0.1
EMPTIED, RECTANGLES, CELL_PX = 3, 2, 4
LEAST_FREE = 0.3


def cluster_parts(boxes: Sequence[Box], size: tuple[int, int]) -> list[Box]:
    """Boxes of parts from boxes of segments.

    Args:
        boxes: Of the segments, each between 0.1 % and 90 % of the picture.
        size: Width and height of the picture in pixels; distances and cells are in pixels.

    Returns:
        The merged boxes but the three largest, then up to two empty rectangles of each of these.
    """
    width, height = size
    scale = np.array([width, height, width, height])
    # Rounded, or 12 pixels that became a fraction and back are cut to 11.
    merged = merge_hulls(_hulls(np.round(np.array(boxes) * scale, 6)))
    order = sorted(merged, key=area, reverse=True)
    emptied, rest = order[:EMPTIED], order[EMPTIED:]
    for box in emptied:
        rest += empty_rectangles(box, rest)
    fractions = (np.array(box) / scale for box in rest)
    return [(float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in fractions]


def _hulls(boxes: np.ndarray) -> list[tuple[int, ...]]:
    """The box around each cluster of boxes (N, 4), by k-means on their corners and centres."""
    from sklearn.cluster import KMeans

    points = np.hstack([boxes, (boxes[:, :2] + boxes[:, 2:]) / 2])
    clusters = min(CLUSTERS, len(np.unique(points, axis=0)))
    means = KMeans(n_clusters=clusters, n_init=10, init="k-means++", random_state=0).fit(points)
    return [_around(boxes[means.labels_ == label]) for label in np.unique(means.labels_)]


def _around(boxes: np.ndarray) -> tuple[int, ...]:
    corners = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    return tuple(int(c) for c in corners)


def merge_hulls(hulls: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Merge, beginning with the smallest box, every box that overlaps it well or nearly encloses it.

    With g = (hull − union) / hull of two boxes, they are merged when IoU − g > 0 or g < 0.1. One pass: what a
    merged box has grown into is not merged again.
    """
    left = sorted((tuple(int(c) for c in hull) for hull in hulls), key=area)
    merged = []
    while left:
        smallest = left[0]
        joined = [box for box in left if box is smallest or _belongs(smallest, box)]
        left = [box for box in left if not any(box is one for one in joined)]
        merged.append(_around(np.array(joined)))
    return merged


def _belongs(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    sides = [max(min(one[i + 2], other[i + 2]) - max(one[i], other[i]), 0) for i in (0, 1)]
    shared = sides[0] * sides[1]
    union = area(one) + area(other) - shared
    hull = area(_around(np.array([one, other])))
    # Boxes thinner than a pixel have no area; they overlap nothing.
    if union <= 0 or hull <= 0:
        return False
    gap = (hull - union) / hull
    return shared / union - gap > 0 or gap < MERGE_ENCLOSED


def area(box: Sequence[float]) -> float:
    """Width times height of a box, in the square of its unit."""
    return (box[2] - box[0]) * (box[3] - box[1])


def empty_rectangles(box: Sequence[int], others: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Up to two large rectangles of a box that the other boxes leave free.

    Args:
        box: In pixels.
        others: In pixels; what they cover is not free.

    Returns:
        Rectangles in pixels, largest first; none where less than 30 % of the box is free, or the largest
        rectangle covers less than 30 % of it.
    """
    free = np.ones((max(box[3] - box[1], 0), max(box[2] - box[0], 0)), dtype=bool)
    for other in others:
        left, upper = max(other[0] - box[0], 0), max(other[1] - box[1], 0)
        free[upper : max(other[3] - box[1], 0), left : max(other[2] - box[0], 0)] = False
    rows, columns = free.shape[0] // CELL_PX, free.shape[1] // CELL_PX
    whole = free[: rows * CELL_PX, : columns * CELL_PX].reshape(rows, CELL_PX, columns, CELL_PX)
    cells = whole.sum(axis=(1, 3)) >= CELL_PX**2 / 2
    found = []
    for _ in range(RECTANGLES):
        if not cells.size or cells.mean() < LEAST_FREE:
            break
        left, upper, right, lower = largest_rectangle(cells)
        cells[upper:lower, left:right] = False
        if (right - left) * (lower - upper) / cells.size < LEAST_FREE:
            break
        corner = np.array([box[0], box[1], box[0], box[1]])
        found.append(tuple((corner + CELL_PX * np.array([left, upper, right, lower])).tolist()))
    return found


def largest_rectangle(cells: np.ndarray) -> tuple[int, int, int, int]:
    """Left, upper, right and lower edge of the largest all-true rectangle of a map (H, W).

    The last column and row it covers are given as its far edges, which are read as exclusive: one cell short,
    as published. The first of equal ones, by right edge, then by the row that bounds its width.
    """
    run = np.zeros(cells.shape[0], dtype=int)
    best, found = 0, (0, 0, 0, 0)
    for column in range(cells.shape[1]):
        run = np.where(cells[:, column], run + 1, 0)
        upper, lower = _extent(run), len(run) - 1 - _extent(run[::-1])[::-1]
        areas = run * (lower - upper + 1)
        row = int(areas.argmax())
        if areas[row] > best:
            best = int(areas[row])
            found = (column - int(run[row]) + 1, int(upper[row]), column, int(lower[row]))
    return found


def _extent(run: np.ndarray) -> np.ndarray:
    """For each row the first of the rows just before it whose run is not shorter than its own."""
    first = np.arange(len(run))
    for row in range(len(run)):
        above = row - 1
        while above >= 0 and run[above] >= run[row]:
            above = first[above] - 1
        first[row] = above + 1
    return first
