"""What can be measured in a picture without knowing what it shows: colours, layout, edges, texture.

Used twice: for the measured captions, and as a floor that every vector from a network has to beat.
Shares are fractions of the picture (0 to 1). NW, NE, SW and SE are the picture's upper left, upper right,
lower left and lower right quarter, whatever the true bearing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
from PIL import Image

from urbanln.base.errors import InputError, MissingExtraError
from urbanln.base.pictures import upright_rgb
from urbanln.base.progress import track
from urbanln.base.saying import say
from urbanln.city.pictures import READ_ERRORS, in_threads, open_picture, unreadable
from urbanln.city.store import City

WORKING_SIZE = 256
QUADRANTS = ("nw", "ne", "sw", "se")
SURFACES = ("shadow", "vegetation", "water", "bare", "built", "other", "sky")
COLOURS = (
    "black", "dark grey", "grey", "light grey", "white", "red", "orange", "brown", "yellow", "olive", "green",
    "teal", "blue", "violet", "pink",
)  # fmt: skip
_PLACED = ("vegetation", "built", "water", "edge")
_SCALES = ("fine", "middle", "coarse")

PIXEL_FEATURES: tuple[str, ...] = (
    *(f"{name}_share" for name in SURFACES),
    *(f"{name}_{corner}" for name in _PLACED for corner in QUADRANTS),
    *(f"colour_{name.replace(' ', '_')}" for name in COLOURS),
    "brightness_mean", "brightness_std", "contrast", "saturation_mean", "saturation_std", "colourfulness",
    "edge_density", "edge_entropy", "edge_grid", "edge_line", "edge_tilt",
    *(f"texture_{scale}" for scale in _SCALES),
    "entropy",
)  # fmt: skip
"""Names of the measures, in order.

* ``*_share``: shadow (value < .2), vegetation (hue 48-170°, saturated; from 58° where bright), water (hue
  170-260°, saturated, smooth), bare (hue from 18° to vegetation's, moderately saturated, not dark), built
  (low saturation, mid to bright), sky (smooth, bright or blue, joined to the upper edge but for wires;
  always 0 in satellite pictures; a smooth pale wall that reaches the upper edge is taken for sky, and sky
  below a broad bar or between leaves for built), other. They sum to 1.
* ``vegetation_nw`` and so on: share of that quarter; ``edge_nw``: edge density of that quarter.
* ``colour_*``: share of each named colour (hue, saturation and value table); they sum to 1.
* ``brightness_*``, ``saturation_*``: mean and standard deviation, 0 to 1; ``contrast``: 95th minus 5th
  percentile of brightness; ``colourfulness``: Hasler and Süsstrunk 2003, eq. for M3, divided by 255.
* ``edge_density``: share of pixels whose brightness gradient exceeds .05 per pixel; ``edge_entropy``: entropy
  of the gradient directions (18 bins of 10°, weighted by strength; 1 = all alike); ``edge_line`` and
  ``edge_grid``: length of the mean direction vector at two- and four-fold symmetry (1 = one direction only;
  two perpendicular directions, as of a street grid); ``edge_tilt``: tilt of that grid against the picture's
  edges, 0 (parallel) to 1 (diagonal).
* ``texture_fine``, ``_middle``, ``_coarse``: standard deviation of brightness at 1-2, 2-8 and 8-32 pixels
  (what averaging over blocks of that size takes away).
* ``entropy``: of the brightness histogram, 64 bins, 1 = uniform.
"""

_EDGE = 0.05
_SMOOTH = 0.03
_BRIDGE = 7
_SAME_TONE = 0.05
_SHOWN = 5


def measure_pixels(image: Image.Image, *, view: str | None = None) -> dict[str, float]:
    """Measure one picture.

    Args:
        image: Any mode and size; scaled down to 256 pixels on the longer side (never up), so that pictures
            of different resolution compare.
        view: ``"satellite"`` looks for no sky; anything else does.

    Returns:
        A float for every name of :data:`PIXEL_FEATURES`, in that order.
    """
    rgb = _working_copy(image)
    red, green, blue = (np.asarray(band, dtype=np.float32) / 255 for band in rgb.split())
    grey = 0.299 * red + 0.587 * green + 0.114 * blue  # (H, W)
    hue, saturation, value = (np.asarray(band) for band in rgb.convert("HSV").split())
    cell = (
        (hue.astype(np.uint16) >> 2 << 10) | (saturation.astype(np.uint16) >> 3 << 5) | (value >> 3)
    )  # (H, W), 64 hues x 32 saturations x 32 values
    surface_of, colour_of = _colour_tables()
    dx, dy, strength = _gradients(grey)

    surface = surface_of[cell]
    # Water is smooth: bluish pixels in a rough neighbourhood are something else.
    rough = _local_mean(strength) > _SMOOTH
    surface[(surface == SURFACES.index("water")) & rough] = SURFACES.index("other")
    if view != "satellite":
        surface[_sky(grey, strength, blue - red, surface)] = SURFACES.index("sky")
    edges = strength > _EDGE

    shares = np.bincount(surface.ravel(), minlength=len(SURFACES)) / surface.size
    tones = np.bincount(colour_of[cell].ravel(), minlength=len(COLOURS)) / cell.size
    found: dict[str, float] = {
        **{f"{name}_share": share for name, share in zip(SURFACES, shares, strict=True)},
        **{f"colour_{n.replace(' ', '_')}": t for n, t in zip(COLOURS, tones, strict=True)},
        **_light(grey, saturation),
        "colourfulness": _colourfulness(red, green, blue),
        **_directions(dx, dy, strength),
        "edge_density": float(edges.mean()),
        **_texture(grey),
    }
    for name in _PLACED:
        mask = edges if name == "edge" else surface == SURFACES.index(name)
        found |= {f"{name}_{corner}": v for corner, v in zip(QUADRANTS, _by_quarter(mask), strict=True)}
    return {name: float(found[name]) for name in PIXEL_FEATURES}


def _working_copy(image: Image.Image) -> Image.Image:
    upright = upright_rgb(image)
    scale = WORKING_SIZE / max(upright.size)
    if scale >= 1:
        return upright
    size = (max(1, round(upright.width * scale)), max(1, round(upright.height * scale)))
    return upright.resize(size, Image.Resampling.BILINEAR)


@lru_cache(maxsize=1)
def _colour_tables() -> tuple[np.ndarray, np.ndarray]:
    """Surface and colour name of every cell of the (64 hue, 32 saturation, 32 value) grid, flattened."""
    hue = (np.arange(64)[:, None, None] + 0.5) * 360 / 64
    sat = (np.arange(32)[None, :, None] + 0.5) / 32
    val = (np.arange(32)[None, None, :] + 0.5) / 32
    hue, sat, val = np.broadcast_arrays(hue, sat, val)

    surface = np.full(hue.shape, SURFACES.index("other"), dtype=np.uint8)
    # A dark pixel's hue is noise, so vegetation needs more saturation the darker it is; what is bright and
    # between yellow and green is a pale wall more often than a leaf.
    rules = {
        "built": (sat < 0.2) & (val >= 0.2),
        "bare": (hue >= 18)
        & (hue < np.where(val < 0.5, 48, 58))
        & (sat >= 0.2)
        & (sat < 0.65)
        & (val >= 0.35),
        "water": (hue >= 170) & (hue < 260) & (sat >= 0.2) & (val < 0.85),
        "vegetation": (hue >= np.where(val < 0.5, 48, 58))
        & (hue < 170)
        & (sat >= np.where(val < 0.3, 0.16, 0.12))
        & (val >= 0.1),
        "shadow": (val < 0.2) & ~((hue >= 60) & (hue < 170) & (sat >= 0.25) & (val >= 0.1)),
    }
    for name, rule in rules.items():
        surface[rule] = SURFACES.index(name)

    colour = np.full(hue.shape, COLOURS.index("red"), dtype=np.uint8)
    for hued, start in (
        ("orange", 15), ("yellow", 45), ("green", 70), ("teal", 165), ("blue", 195), ("violet", 255),
        ("pink", 300), ("red", 345),
    ):  # fmt: skip
        colour[hue >= start] = COLOURS.index(hued)
    colour[((hue < 45) | (hue >= 345)) & (val < 0.6) & (sat < 0.8)] = COLOURS.index("brown")
    colour[(hue >= 45) & (hue < 75) & (val < 0.62)] = COLOURS.index("olive")
    colourless = sat < np.where(val < 0.3, 0.25, 0.14)
    for tone, least in (("dark grey", 0.0), ("grey", 0.4), ("light grey", 0.65), ("white", 0.88)):
        colour[colourless & (val >= least)] = COLOURS.index(tone)
    colour[val < 0.16] = COLOURS.index("black")
    return surface.ravel(), colour.ravel()


def _gradients(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Central differences of brightness per pixel, (H, W) each; the outermost pixels have none."""
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) / 2
    dy[1:-1] = (grey[2:] - grey[:-2]) / 2
    return dx, dy, np.sqrt(dx * dx + dy * dy)


def _local_mean(field: np.ndarray) -> np.ndarray:
    """Mean over 5 x 5 pixels, by two running sums; windows are cut at the border."""
    for axis in (0, 1):
        field = np.moveaxis(field, axis, 0)
        total = np.concatenate([np.zeros_like(field[:1]), np.cumsum(field, axis=0)])
        n = len(field)
        low, high = np.clip(np.arange(n) - 2, 0, n), np.clip(np.arange(n) + 3, 0, n)
        field = (total[high] - total[low]) / (high - low)[:, None].astype(np.float32)
        field = np.moveaxis(field, 0, axis)
    return field


def _sky(grey: np.ndarray, strength: np.ndarray, blueness: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Pixels that are smooth, bright or blue, not warm, and joined to the upper edge: (H, W) bool."""
    top = grey[: max(1, len(grey) // 4)]
    # An overcast sky is as dark as a wall; it is bright only against the rest of the picture's upper part.
    least = max(0.35, 0.6 * float(np.percentile(top, 90)))
    even = _local_mean(strength) < 0.045
    like = even & (blueness > -0.1) & ((grey > least) | ((blueness > 0.12) & (grey > 0.3)))
    like &= surface != SURFACES.index("vegetation")
    # Every second pixel will do: the mask is smooth by its making.
    half = _flood_from_top(like[::2, ::2], grey[::2, ::2])
    return half.repeat(2, axis=0).repeat(2, axis=1)[: grey.shape[0], : grey.shape[1]] & like


def _flood_from_top(like: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Part of ``like`` that is joined to its first row going down and sideways: (H, W) bool.

    Thin things before the sky (a wire, a lamp's arm: up to ``_BRIDGE`` rows) are crossed where the tone is
    the same on both sides; a roof's edge is not, as the wall below it has another tone.
    """
    runs = np.cumsum(~like, axis=1)  # pixels of one row's unbroken run share a number
    sky = np.zeros_like(like)
    sky[0] = reached = like[0]
    tone, age = grey[0].copy(), np.where(reached, 0, _BRIDGE + 1)
    for row in range(1, len(like)):
        age += 1
        same = (age <= _BRIDGE) & (np.abs(grey[row] - tone) < _SAME_TONE)
        hit = np.zeros(like.shape[1] + 1, dtype=bool)
        hit[runs[row][(reached | same) & like[row]]] = True
        reached = like[row] & hit[runs[row]]
        tone = np.where(reached, grey[row], tone)
        age[reached] = 0
        sky[row] = reached
    return sky


def _by_quarter(mask: np.ndarray) -> list[float]:
    """Share of true pixels in NW, NE, SW, SE; the middle row and column of odd sizes go south and east."""
    middle_row, middle_column = max(mask.shape[0] // 2, 1), max(mask.shape[1] // 2, 1)
    parts = (
        mask[:middle_row, :middle_column], mask[:middle_row, middle_column:],
        mask[middle_row:, :middle_column], mask[middle_row:, middle_column:],
    )  # fmt: skip
    return [float(part.mean()) if part.size else 0.0 for part in parts]


def _light(grey: np.ndarray, saturation: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(grey, (5, 95))
    histogram = np.bincount((grey.ravel() * 63.999).astype(np.intp), minlength=64) / grey.size
    return {
        "brightness_mean": float(grey.mean()),
        "brightness_std": float(grey.std()),
        "contrast": float(high - low),
        "saturation_mean": float(saturation.mean() / 255),
        "saturation_std": float(saturation.std() / 255),
        "entropy": _entropy(histogram),
    }


def _entropy(shares: np.ndarray) -> float:
    used = shares[shares > 0]
    return float(-(used * np.log(used)).sum() / math.log(len(shares))) if len(used) > 1 else 0.0


def _colourfulness(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> float:
    first, second = red - green, 0.5 * (red + green) - blue
    spread = math.hypot(float(first.std()), float(second.std()))
    return spread + 0.3 * math.hypot(float(first.mean()), float(second.mean()))


def _directions(dx: np.ndarray, dy: np.ndarray, strength: np.ndarray) -> dict[str, float]:
    """How the directions of the edges are spread; weak gradients (noise) are left out."""
    strong = strength > _EDGE / 2
    weight = strength[strong]
    total = float(weight.sum())
    if total == 0:
        return {"edge_entropy": 0.0, "edge_grid": 0.0, "edge_line": 0.0, "edge_tilt": 0.0}
    angle = np.arctan2(dy[strong], dx[strong])
    bins = ((angle / np.pi % 1.0) * 17.9999).astype(np.intp)
    four = complex(np.sum(weight * np.cos(4 * angle)), np.sum(weight * np.sin(4 * angle))) / total
    two = complex(np.sum(weight * np.cos(2 * angle)), np.sum(weight * np.sin(2 * angle))) / total
    return {
        "edge_entropy": _entropy(np.bincount(bins, weights=weight, minlength=18) / total),
        "edge_grid": abs(four),
        "edge_line": abs(two),
        "edge_tilt": abs(math.atan2(four.imag, four.real)) / math.pi,
    }


def _texture(grey: np.ndarray) -> dict[str, float]:
    """Variance that averaging over ever larger blocks takes away (law of total variance), as deviations."""
    variances = [float(grey.var())]
    for edge in (2, 8, 32):
        height, width = grey.shape[0] // edge, grey.shape[1] // edge
        if height == 0 or width == 0:
            variances.append(variances[-1])
            continue
        blocks = grey[: height * edge, : width * edge].reshape(height, edge, width, edge).mean(axis=(1, 3))
        variances.append(float(blocks.var()))
    lost = [max(0.0, fine - coarse) for fine, coarse in pairwise(variances)]
    return {f"texture_{scale}": math.sqrt(v) for scale, v in zip(_SCALES, lost, strict=True)}


def measure_city(city: City, view: str, *, workers: int | None = None) -> pd.DataFrame:
    """Measure every picture of one view and average per region.

    Pictures that cannot be read are named on stderr and left out.

    Args:
        city: An open city.
        view: ``"satellite"`` or ``"street"``.
        workers: Threads; default: one per processor, at most 8.

    Returns:
        DataFrame with ``region_id`` and one float column per name of :data:`PIXEL_FEATURES`, in the order of
        the city's regions; regions without a readable picture of this view have no row.

    Raises:
        InputError: ``view`` is neither satellite nor street, or no picture of it can be read.
    """
    if view not in ("satellite", "street"):
        raise InputError(
            "a view is 'satellite' or 'street'", value=view, where="view", remedy="give one of them"
        )
    images = city.images[city.images["view"] == view]

    def one(path: str) -> dict[str, float] | str:
        try:
            return measure_pixels(open_picture(city.image_bytes(path)), view=view)
        except MissingExtraError:
            raise
        except READ_ERRORS as error:
            return unreadable(path, error)

    found = in_threads(one, images["path"], workers or None)
    rows = list(track(found, f"measuring {view} pictures", len(images)))
    good = [isinstance(row, dict) for row in rows]
    bad = [row for row in rows if isinstance(row, str)]
    for line in bad[:_SHOWN]:
        say(f"picture left out: {line}")
    if len(bad) > _SHOWN:
        say(f"… and {len(bad) - _SHOWN} more pictures left out")
    if not any(good):
        raise InputError(
            f"no {view} picture of this city can be measured",
            value=f"{len(rows)} pictures",
            where=city.folder,
            remedy="add pictures of this view, or choose the other one",
        )
    frame = pd.DataFrame([row for row in rows if isinstance(row, dict)], columns=list(PIXEL_FEATURES))
    means = frame.groupby(images["region_id"].to_numpy()[good]).mean()
    order = [region for region in city.regions["region_id"] if region in means.index]
    return means.loc[order].rename_axis("region_id").reset_index()
