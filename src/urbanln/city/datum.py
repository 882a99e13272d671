"""Chinese map datums to WGS 84 and back: GCJ-02 (most maps of China) and BD-09 (Baidu).

Both are WGS 84 shifted by smooth published formulas, some 100 to 1,300 m, and apply where the map services
shift: on the mainland, in Hong Kong and Macau, BD-09 in Taiwan too. The public implementations
(coordtransform, gcoord, eviltransform), whose constants these are, shift a rectangle that holds Seoul, Hanoi
and Ulaanbaatar as well. The way back has no formula: it is found by iteration, far closer than the shift
itself is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import shapely

from urbanln.base.errors import InputError

Floats = npt.NDArray[np.float64]
Shift = Callable[[Floats, Floats], tuple[Floats, Floats]]
DATUMS = {"wgs84": "WGS 84", "gcj02": "GCJ-02", "bd09": "BD-09"}
"""Names that are understood, and how they are written."""
_APPLIES = {"wgs84": (), "gcj02": ("china",), "bd09": ("china", "taiwan")}
# Where the formulas are used at all; no part of the outlines lies outside.
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271
_AXIS_M, _ECCENTRICITY2 = 6_378_245.0, 0.00669342162296594323  # Krasovsky 1940
_BAIDU = np.pi * 3000 / 180
_CLOSE_DEGREES = 1e-10  # a hundredth of a millimetre
_ITERATIONS = 30  # each gains two digits or more


@cache
def _outline(part: str) -> shapely.Geometry:
    """Outline of ``china`` or ``taiwan`` in degrees of WGS 84, with twelve miles of sea."""
    text = files("urbanln.city").joinpath("china_outline/china.geojson").read_text(encoding="utf-8")
    shapes = {f["properties"]["part"]: f["geometry"] for f in json.loads(text)["features"]}
    shape = shapely.geometry.shape(shapes[part])
    shapely.prepare(shape)
    return shape


def is_shifted(lon: npt.ArrayLike, lat: npt.ArrayLike, datum: str) -> npt.NDArray[np.bool_]:
    """Whether maps in a datum are shifted at each place.

    Args:
        lon: (N,) longitude in degrees of WGS 84; NaN is nowhere.
        lat: (N,) latitude in degrees.
        datum: ``wgs84`` (nowhere), ``gcj02`` or ``bd09``.

    Raises:
        InputError: Unknown datum.

    Example:
        >>> is_shifted([116.4, 126.98, 121.56], [39.9, 37.57, 25.03], "gcj02").tolist()  # Taipei is the last
        [True, False, False]
    """
    if datum not in DATUMS:
        raise InputError("unknown datum", value=datum, remedy=f"one of {', '.join(DATUMS)}", where="--datum")
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    found = np.zeros(x.shape, dtype=bool)
    for part in _APPLIES[datum]:
        found |= shapely.contains_xy(_outline(part), x, y)
    return found


def to_wgs84(
    lon: npt.ArrayLike, lat: npt.ArrayLike, datum: str, *, everywhere: bool = False
) -> tuple[Floats, Floats]:
    """Bring positions to WGS 84.

    Args:
        lon: (N,) longitude in degrees, in the datum given; NaN stays NaN.
        lat: (N,) latitude in degrees.
        datum: ``wgs84`` (nothing is done), ``gcj02`` or ``bd09``.
        everywhere: Shift in the whole rectangle of the formulas, as other libraries do (GCJ-02 in Taiwan;
            ships at sea), and not only where :func:`is_shifted` says so.

    Returns:
        Longitude and latitude, (N,) each; points that no map shifts as they were.

    Raises:
        InputError: Unknown datum.

    Example:
        >>> lon, lat = to_wgs84([116.38404722455657], [39.91334545536069], "gcj02")
        >>> round(float(lon[0]), 6), round(float(lat[0]), 6)
        (116.377817, 39.911954)
    """
    x, y = np.array(lon, dtype=np.float64), np.array(lat, dtype=np.float64)
    steps = _steps(datum)
    chosen = _in_rectangle(x, y) if steps else np.zeros(x.shape, dtype=bool)
    there_x, there_y = x[chosen], y[chosen]
    for step in reversed(steps):
        there_x, there_y = _invert(step, there_x, there_y)
    # The place itself decides, not the shifted one: the two may lie on either side of a border.
    moved = np.ones(len(there_x), dtype=bool) if everywhere else is_shifted(there_x, there_y, datum)
    chosen[chosen] = moved
    x[chosen], y[chosen] = there_x[moved], there_y[moved]
    return x, y


def from_wgs84(lon: npt.ArrayLike, lat: npt.ArrayLike, datum: str) -> tuple[Floats, Floats]:
    """Bring positions from WGS 84 into another datum; the inverse of :func:`to_wgs84`.

    Args:
        lon: (N,) longitude in degrees; NaN stays NaN.
        lat: (N,) latitude in degrees.
        datum: ``wgs84``, ``gcj02`` or ``bd09``.

    Raises:
        InputError: Unknown datum.
    """
    x, y = np.array(lon, dtype=np.float64), np.array(lat, dtype=np.float64)
    here = is_shifted(x, y, datum)
    for step in _steps(datum):
        x[here], y[here] = step(x[here], y[here])
    return x, y


def _steps(datum: str) -> Sequence[Shift]:
    """The shifts that lead from WGS 84 to a datum, one after the other."""
    if datum not in DATUMS:
        raise InputError("unknown datum", value=datum, where="--datum", remedy=f"one of {', '.join(DATUMS)}")
    return {"wgs84": (), "gcj02": (_gcj02,), "bd09": (_gcj02, _bd09)}[datum]


def _in_rectangle(x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray((x >= _WEST) & (x <= _EAST) & (y >= _SOUTH) & (y <= _NORTH))


def _gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """WGS 84 to GCJ-02."""
    x, y = lon - 105.0, lat - 35.0
    both = 20.0 * np.sin(6 * np.pi * x) + 20.0 * np.sin(2 * np.pi * x)
    east = 300.0 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x))
    east += 2 / 3 * (both + 20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi / 3 * x))
    east += 2 / 3 * (150.0 * np.sin(np.pi / 12 * x) + 300.0 * np.sin(np.pi / 30 * x))
    north = -100.0 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x))
    north += 2 / 3 * (both + 20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi / 3 * y))
    north += 2 / 3 * (160.0 * np.sin(np.pi / 12 * y) + 320.0 * np.sin(np.pi / 30 * y))
    angle = np.radians(lat)
    w2 = 1 - _ECCENTRICITY2 * np.sin(angle) ** 2
    across = _AXIS_M / np.sqrt(w2) * np.cos(angle)  # radius of the parallel
    along = _AXIS_M * (1 - _ECCENTRICITY2) / w2**1.5  # radius of curvature of the meridian
    return lon + np.degrees(east / across), lat + np.degrees(north / along)


def _bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """GCJ-02 to BD-09."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BAIDU)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BAIDU)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def _invert(shift: Shift, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """The positions that ``shift`` takes to these, by fixed-point iteration (a shift is nearly constant)."""
    x, y = lon.copy(), lat.copy()
    for _ in range(_ITERATIONS):
        there_x, there_y = shift(x, y)
        off_x, off_y = there_x - lon, there_y - lat
        x, y = x - off_x, y - off_y
        if not len(x) or max(np.abs(off_x).max(), np.abs(off_y).max()) < _CLOSE_DEGREES:
            break
    return x, y
