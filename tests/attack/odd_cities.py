"""Cities and vectors that a page has to bear or a verb to refuse: each changes what a case took."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from tests.attack.case import Case

Change = Callable[[Case], None]
_TEXTS = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'`{{7*7}}&lt;",
    "\x1b[2J\x07\x08",
    "\u202eesrever\u2066",
    "x" * 1_000_000,
    "=cmd|' /C calc'!A0",
    "日本 😀 \u0301\u0301",
    "\n\r\t\n",
    "",
    "../../etc/passwd",
    "a\u2028b\u2029c",
    "javascript:alert(1)",
    "NaN",
    "null",
    "-1",
    "\ufeff\uffff",
)


def _column(
    case: Case, table: str, name: str, make: Callable[[int, Any], Sequence[Any]], kind: Any = None
) -> None:
    """A column of a table of the city, anew or changed, whatever checks would say of it."""
    path = case.root / table
    old = pq.read_table(path)
    was = old.column(name).to_pylist() if name in old.column_names else None
    made = pa.array(make(old.num_rows, was), kind)
    at = old.column_names.index(name) if was is not None else old.num_columns
    new = old.set_column(at, name, made) if was is not None else old.append_column(name, made)
    pq.write_table(new.replace_schema_metadata(old.schema.metadata), path)


def _texts(*places: tuple[str, str]) -> Change:
    """Hostile texts in columns, each in turn."""

    def change(case: Case) -> None:
        for table, name in places:
            _column(case, table, name, lambda n, was: [_TEXTS[i % len(_TEXTS)] for i in range(n)])

    return change


def _ids(case: Case) -> None:
    """Hostile ids, the same ones in all tables."""
    regions = pq.read_table(case.root / "c/regions.parquet").column("region_id").to_pylist()
    new = {one: f"{_TEXTS[i % len(_TEXTS)][:3000]} {i}" for i, one in enumerate(regions)}
    for table in ("c/regions.parquet", "c/images.parquet", "c/indicators.parquet", "v.parquet"):
        _column(case, table, "region_id", lambda n, was: [new[one] for one in was])


def _labels(*values: float) -> Change:
    def change(case: Case) -> None:
        _column(
            case,
            "c/indicators.parquet",
            "population",
            lambda n, was: [values[i % len(values)] for i in range(n)],
            pa.float64(),
        )

    return change


def _kinds(case: Case) -> None:
    """Hostile classes, and shares of which many a part is 0 or missing."""
    path = case.root / "c/city.toml"
    said = '[indicators."a <b>"]\nkind = "classes"\n[indicators.s]\nkind = "shares"\ncolumns = ["p", "q"]\n'
    path.write_text(path.read_text() + said)
    _texts(("c/indicators.parquet", "a <b>"))(case)
    shares = (0.0, 1.0, None, 1e-320, 0.3)
    for name, sign in (("p", 1), ("q", -1)):
        made = [None if one is None else one if sign > 0 else 1 - one for one in shares]
        _column(
            case,
            "c/indicators.parquet",
            name,
            lambda n, was, made=made: [made[i % len(made)] for i in range(n)],
            pa.float64(),
        )


def _many_labels(case: Case) -> None:
    for i in range(60):
        _column(
            case,
            "c/indicators.parquet",
            f"{_TEXTS[i % 5][:200]} {i}",
            lambda n, was, i=i: [float(k % (i + 1)) for k in range(n)],
            pa.float64(),
        )


def _shapes(*shapes: shapely.Geometry | None) -> Change:
    """Shapes of regions, each in turn."""

    def change(case: Case) -> None:
        stored = [None if one is None else shapely.to_wkb(one) for one in shapes]

        def make(n: int, was: Any) -> list[Any]:
            return [stored[i] if i < len(stored) else was[i] for i in range(n)]

        _column(case, "c/regions.parquet", "geometry", make, pa.binary())

    return change


def _first(n: int, *tables: str) -> Change:
    """The first rows of tables alone."""

    def change(case: Case) -> None:
        for name in tables:
            table = pq.read_table(case.root / name)
            pq.write_table(table.slice(0, n), case.root / name)

    return change


def _no_pictures(case: Case) -> None:
    _first(0, "c/images.parquet", "c/captions.parquet")(case)


def _broken_pictures(case: Case) -> None:
    for i, path in enumerate(sorted((case.root / "c/images").rglob("*.jpg"))):
        path.write_bytes((b"", b"no picture", b"<svg/>", path.read_bytes()[:200])[i % 4])


def _box(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    return shapely.box(west, south, east, north)


_RING = shapely.Polygon([(0, 0), (1, 0), (1, 1)], [[(0.6, 0.1), (0.9, 0.1), (0.9, 0.4)]])
CITIES: Mapping[str, Change] = {
    "names": _texts(("c/regions.parquet", "name")),
    "captions": _texts(("c/captions.parquet", "caption"), ("c/captions.parquet", "captioner")),
    "terms": _texts(
        ("c/images.parquet", "licence"),
        ("c/images.parquet", "source"),
        ("c/images.parquet", "captured"),
        ("c/images.parquet", "attribution"),
    ),
    "ids": _ids,
    "one-name": lambda case: _column(
        case, "c/regions.parquet", "name", lambda n, was: [None] * (n - 1) + ["here"]
    ),
    "numbers-for-names": lambda case: _column(
        case, "c/regions.parquet", "name", lambda n, was: list(range(n))
    ),
    "lists-for-names": lambda case: _column(case, "c/regions.parquet", "name", lambda n, was: [["a"]] * n),
    "labels-of-infinity": _labels(np.inf, -np.inf, np.nan, 1.0),
    "labels-huge": _labels(1e308, -1e308, 5e-324, 3.5e38),
    "labels-missing": _labels(np.nan),
    "labels-equal": _labels(7.0),
    "labels-of-years": _labels(1999.0, 2016.0, np.nan),
    "labels-many": _many_labels,
    "labels-of-kinds": _kinds,
    "labels-of-zero": _labels(0.0, -0.0),
    "shapes-empty": _shapes(shapely.Polygon(), shapely.MultiPolygon(), shapely.Point()),
    "shapes-missing": _shapes(None),
    "shapes-lines": _shapes(
        shapely.LineString([(0, 0), (1, 1)]), shapely.GeometryCollection([_box(0, 0, 1, 1)])
    ),
    "shapes-holes": _shapes(_RING, _box(13.0, 52.0, 13.0 + 1e-13, 52.0 + 1e-13)),
    "shapes-of-the-world": _shapes(_box(-180, -90, 180, 90), _box(-180, 85.2, 180, 90)),
    "shapes-at-antimeridian": _shapes(
        shapely.MultiPolygon([_box(179, 0, 180, 1), _box(-180, 0, -179, 1)]),
        shapely.Point(180, 0),
        shapely.Point(-180, 90),
    ),
    "shapes-far": _shapes(_box(170, -50, 171, -49), shapely.Point(-170, 60)),
    "shapes-of-nan": _shapes(shapely.Point(np.nan, np.nan), shapely.Polygon([(0, 0), (np.inf, 0), (1, 1)])),
    "shapes-3d": _shapes(shapely.Polygon([(0, 0, 1), (1, 0, np.nan), (1, 1, 3)])),
    "no-pictures": _no_pictures,
    "broken-pictures": _broken_pictures,
    "no-captions": lambda case: (case.root / "c/captions.parquet").unlink(),
    "one-region": _first(1, "c/regions.parquet", "c/indicators.parquet"),
    "two-regions": _first(2, "c/regions.parquet", "c/indicators.parquet"),
    "no-labels": _first(0, "c/indicators.parquet"),
    "weights": lambda case: _column(
        case, "c/captions.parquet", "agreement", lambda n, was: [np.inf] * n, pa.float64()
    ),
}
"""Ways to change ``c``, of which some are refused."""


def _vectors(make: Callable[[int, np.ndarray], np.ndarray]) -> Change:
    def change(case: Case) -> None:
        def new(n: int, was: Any) -> list[Any]:
            return np.asarray(make(n, np.array(was, np.float32)), np.float32).tolist()

        _column(case, "v.parquet", "vector", new, pa.list_(pa.float32()))

    return change


def _other_ids(share: float) -> Change:
    def change(case: Case) -> None:
        _column(
            case,
            "v.parquet",
            "region_id",
            lambda n, was: [f"x{i}" if i < share * n else one for i, one in enumerate(was)],
        )

    return change


def _at(value: float, rows: slice) -> Callable[[int, np.ndarray], np.ndarray]:
    def make(n: int, was: np.ndarray) -> np.ndarray:
        was[rows] = value
        return was

    return make


VECTORS: Mapping[str, Change] = {
    "nan": _vectors(_at(np.nan, slice(0, 1))),
    "infinite": _vectors(_at(np.inf, slice(3, 4))),
    "zero": _vectors(_at(0.0, slice(0, 1))),
    "all-zero": _vectors(_at(0.0, slice(None))),
    "all-nan": _vectors(_at(np.nan, slice(None))),
    "equal": _vectors(_at(1.0, slice(None))),
    "huge": _vectors(_at(3e38, slice(0, 2))),
    "tiny": _vectors(_at(1e-45, slice(None))),
    "one-number": _vectors(lambda n, was: was[:, :1]),
    "two-numbers": _vectors(lambda n, was: was[:, :2]),
    "one-row": _first(1, "v.parquet"),
    "two-rows": _first(2, "v.parquet"),
    "no-rows": _first(0, "v.parquet"),
    "other-ids": _other_ids(1.0),
    "half-other-ids": _other_ids(0.5),
    "doubled-ids": lambda case: _column(case, "v.parquet", "region_id", lambda n, was: [was[0]] * n),
}
"""Ways to change ``v.parquet``, of which some are refused."""
