"""Areas of polygons and lengths of lines per region."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from urbanln.base.columns import refuse
from urbanln.base.errors import InputError
from urbanln.base.geometry import earth_crs, uncut, without_numbers
from urbanln.base.space import Floats
from urbanln.city.checks import WGS84
from urbanln.gather.labels.ground import (
    Geometries,
    Ground,
    Ints,
    ground_of,
    metres,
    need_overlap,
    of_dimension,
    square_metres,
)
from urbanln.gather.labels.local import Found, Local
from urbanln.gather.labels.rows import Counted, Flags, choose, read_rows
from urbanln.gather.labels.settings import LINES, UNITS, ShapeLabel

_EDGE_M = 1000.0  # edges are straight in the file's system, and bend in degrees: 0.1 m at this length
_PAIRS = 100_000  # shapes cut at once
_KINDS = {
    "polygons": ("Polygon", "MultiPolygon"),
    "lines": LINES,
}


class Shapes(Local):
    """A label from polygons or lines; see :class:`urbanln.gather.labels.local.Local`."""

    @staticmethod
    def find(asked: ShapeLabel, regions: gpd.GeoDataFrame) -> Found:
        """Measure what of the shapes lies in each region.

        Polygons that overlap cover their ground once. A line counts as often as it is drawn, and where it
        runs along a common border in the first of the regions.

        Args:
            asked: The section of the recipe, with paths from here.
            regions: ``region_id`` and ``geometry`` in EPSG:4326.

        Raises:
            InputError: The file cannot be used, has no such shapes, or none of them lies in a region.
        """
        frame = read_rows(asked, crs=asked.crs)
        if not isinstance(frame, gpd.GeoDataFrame):
            remedy = "give GeoJSON, GeoPackage, GeoParquet or a Shapefile"
            raise InputError("this file has no shapes", where=asked.file, remedy=remedy)
        what = "lines" if asked.statistic in ("length", "density") else "polygons"
        kinds, counted = frame.geom_type, Counted(len(frame))
        there = ~(frame.geometry.isna() | frame.geometry.is_empty).to_numpy()
        there &= ~without_numbers(frame.geometry.to_numpy())
        counted.keep(there, "without a shape")
        fit = kinds.isin(_KINDS[what]).to_numpy()
        if not (there & fit).any():
            found = ", ".join(sorted(set(kinds[there]))) or "nothing"
            remedy = (
                "area and share are of polygons, length and density of lines; points are counted (points)"
            )
            raise InputError(f"the file has no {what}", value=found, where=asked.file, remedy=remedy)
        counted.keep(fit, f"are no {what}")
        choose(frame, asked, counted)
        ground = ground_of(regions, asked.within)
        shapes = _in_degrees(frame[counted.rows], asked)
        rows, box = np.flatnonzero(counted.rows), shapely.total_bounds(shapes)
        need_overlap(tuple(box), regions, asked.file, "check its CRS")
        near = np.unique(shapely.STRtree(shapes).query(ground.shapes)[1])
        shapes, rows = shapes[near], rows[near]
        left, said = (shapes, []) if what == "lines" else _mended(shapes, asked)
        counted.keep(~_flags(rows[shapely.is_missing(left)], len(frame)), "skipped as broken")
        measured, met = (_lengths if what == "lines" else _areas)(ground, left)
        beyond = "outside all regions" + (" or what is within" if asked.within else "")
        counted.keep(_flags(rows[met], len(frame)), beyond)
        said = [counted.line(what), *said, *ground.unsaid(measured == 0, tuple(box))]
        return Found(_in_unit(asked, measured, ground), said, ground.cover)


def _flags(rows: Ints, size: int) -> Flags:
    flags = np.zeros(size, dtype=bool)
    flags[rows] = True
    return flags


def _in_unit(asked: ShapeLabel, measured: Floats, ground: Ground) -> Floats:
    """Square metres or metres of regions as what was asked for."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if asked.statistic == "share":
            return np.minimum(measured / ground.square_m, 1.0)
        if asked.statistic == "density":
            measured = measured / ground.square_m
    return measured / UNITS[asked.statistic][asked.unit]


def _in_degrees(frame: gpd.GeoDataFrame, asked: ShapeLabel) -> Geometries:
    """Shapes in EPSG:4326, checked to lie on the earth and to be cut at the antimeridian."""
    crs = frame.crs or (asked.crs or None)
    if crs is None:
        remedy = 'say which one it is in, crs = "EPSG:4326" for degrees'
        raise InputError("the file names no CRS", where=asked.file, remedy=remedy)
    system = earth_crs(crs, asked.file)
    shapes = gpd.GeoSeries(shapely.force_2d(frame.geometry.to_numpy()), crs=system)
    if not system.is_geographic:
        shapes = shapes.segmentize(_EDGE_M / system.axis_info[0].unit_conversion_factor)
    found = np.asarray(shapes.to_crs(WGS84).to_numpy(), dtype=object)
    bounds = shapely.bounds(found)
    off = ~((np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(axis=1))
    rows = frame.index

    def told(row: int) -> str:
        return f"row {rows[row]}: bounds {[float(edge) for edge in bounds[row].round(3)]}"

    refuse(off, "a shape lies outside ±180/±90 degrees", told, asked.file, "declare the CRS it is in")
    what = "a shape jumps from one side of the antimeridian to the other"
    remedy = "cut it in two at 180 degrees, for example with ogr2ogr -wrapdateline"
    refuse(uncut(found) | _jumping(found), what, told, asked.file, remedy)
    return found


def _jumping(shapes: Geometries) -> Flags:
    """(N,) whether a line jumps over the antimeridian."""
    parts, of = shapely.get_parts(shapes, return_index=True)
    bad = np.zeros(len(shapes), dtype=bool)
    lines = shapely.get_dimensions(parts) == 1
    xy, part = shapely.get_coordinates(parts[lines], return_index=True)
    jump = (np.abs(np.diff(xy[:, 0])) > 180) & (part[1:] == part[:-1])
    bad[of[lines][part[1:][jump]]] = True
    return bad


def _mended(shapes: Geometries, asked: ShapeLabel) -> tuple[Geometries, list[str]]:
    """Polygons that are valid, None in the place of those that are skipped; and what was repaired."""
    broken = ~shapely.is_valid(shapes)
    if not broken.any():
        return shapes, []
    if asked.invalid == "refuse":
        raise InputError(
            f"{int(broken.sum()):,} polygons cross themselves or are broken: what they cover is unclear",
            value=shapely.is_valid_reason(shapes[int(broken.argmax())]),
            where=asked.file,
            remedy='say what becomes of them: invalid = "repair" (they cover what is enclosed an odd number '
            'of times) or invalid = "skip"',
        )
    found = shapes.copy()
    if asked.invalid == "skip":
        found[broken] = None
        return found, []
    found[broken] = of_dimension(shapely.make_valid(shapes[broken]), 2)
    return found, [f"{int(broken.sum()):,} polygons were broken, and are repaired"]


def _met(ground: Ground, shapes: Geometries) -> tuple[Ints, Ints, Flags]:
    """Pairs of regions and shapes that meet, by region, and whether the shape lies in the region wholly."""
    tree = shapely.STRtree(shapes)
    region, shape = tree.query(ground.shapes, predicate="intersects")
    covered = tree.query(ground.shapes, predicate="covers")
    size = len(shapes)
    whole = np.isin(region * size + shape, covered[0] * size + covered[1])
    order = np.lexsort((shape, region))
    return region[order], shape[order], whole[order]


def _areas(ground: Ground, shapes: Geometries) -> tuple[Floats, Flags]:
    """(N,) square metres of regions that polygons cover, and which polygons do."""
    region, shape, whole = _met(ground, shapes)
    covered = np.full(len(ground.shapes), shapely.Polygon(), dtype=object)
    met = np.zeros(len(shapes), dtype=bool)
    starts = np.flatnonzero(np.diff(region, prepend=-1))
    for start, end in zip(starts, np.append(starts, len(region))[1:], strict=True):
        pieces, rows, of = shapes[shape[start:end]], ~whole[start:end], ground.shapes[region[start]]
        pieces[rows] = of_dimension(shapely.intersection(pieces[rows], of), 2)
        met[shape[start:end][~shapely.is_empty(pieces)]] = True
        covered[region[start]] = shapely.union_all(pieces)
    return square_metres(covered), met


def _lengths(ground: Ground, shapes: Geometries) -> tuple[Floats, Flags]:
    """(N,) metres of lines in regions, and which lines have some."""
    region, shape, whole = _met(ground, shapes)
    total, met = np.zeros(len(ground.shapes)), np.zeros(len(shapes), dtype=bool)
    several = np.bincount(shape, minlength=len(shapes)) > 1
    edges = shapely.boundary(ground.shapes)
    taken: dict[int, shapely.Geometry] = {}  # of lines what runs along the borders of regions before
    for start in range(0, len(region), _PAIRS):
        few = slice(start, start + _PAIRS)
        at, of = region[few], shape[few]
        lines = shapes[of]
        cut = ~whole[few] | ~shapely.is_simple(shapes[of])  # cutting leaves what is drawn over itself once
        lines[cut] = of_dimension(shapely.intersection(shapes[of[cut]], ground.shapes[at[cut]]), 1)
        maybe = np.flatnonzero(several[of])
        along = of_dimension(shapely.intersection(lines[maybe], edges[at[maybe]]), 1)
        for row, border in zip(maybe, along, strict=True):
            if not border.is_empty:
                before = taken.get(of[row], shapely.LineString())
                lines[row] = shapely.difference(lines[row], shapely.intersection(border, before))
                taken[of[row]] = shapely.union(before, border)
        long = metres(lines)
        np.add.at(total, at, long)
        met[of[long > 0]] = True
    return total, met
