"""What a page asks, answered out of a ``Content``: what there is, a region, what is alike."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from urbanln.base.errors import InputError
from urbanln.base.space import nearest_metres
from urbanln.explore.content import Column, Content, Ints
from urbanln.explore.naming import Named, named_places
from urbanln.explore.packed import pack, pack_places, pack_shapes, pack_texts
from urbanln.explore.tiling import Tiles
from urbanln.pages.maps import MOST_REGIONS, around, drawn_shapes, geojson, placed
from urbanln.pages.text import clean

SCHEMA = 1
MOST_HITS = 1000
_NEAR, _ALIKE = 6, 6
_PICTURES, _CAPTIONS = 24, 200


class Answers:
    """The answers, as JSON values and arrays; none of them changes the content.

    Args:
        content: What there is.
    """

    def __init__(self, content: Content) -> None:
        self.content = content
        self._pictures = _spans(content.pictures["row"].to_numpy(np.int64), len(content))

    @cached_property
    def ids(self) -> list[str]:
        """Ids of all regions, fit to be shown."""
        return [clean(one, 120) for one in self.content.regions["region_id"].astype(str)]

    @cached_property
    def _names(self) -> list[str | None] | None:
        regions = self.content.regions
        return [_said(one, 120) or None for one in regions["name"]] if "name" in regions.columns else None

    @cached_property
    def _named(self) -> list[Named]:
        return named_places(self.content.regions, self.content.lonlat, self.content.places)

    @property
    def tiled(self) -> bool:
        """Whether there are too many regions for a page to draw their shapes."""
        return len(self.content) > MOST_REGIONS

    @cached_property
    def tiles(self) -> Tiles:
        """Tiles of the regions."""
        return Tiles(self.content.regions)

    @cached_property
    def _drawn(self) -> tuple[Ints | None, npt.NDArray[Any], list[str]]:
        rows, shapes, notes = drawn_shapes(self.content.regions)
        return None if len(rows) == len(self.content) else rows, shapes, notes

    @cached_property
    def _metres(self) -> npt.NDArray[np.float64]:
        return self.content.metres()

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self._metres)

    @cached_property
    def _vector_of(self) -> Ints:
        """Row of each region's vector, −1 where it has none, or one without direction."""
        found = np.full(len(self.content), -1, np.int64)
        if self.content.vectors:
            vectors = self.content.vectors
            found[vectors.rows] = np.where(vectors.search.lengths > 0, np.arange(len(vectors.rows)), -1)
        return found

    def overview(self) -> dict[str, Any]:
        """What a page needs at first, but what is of each region."""
        content = self.content
        bounds = content.regions.geometry.bounds.to_numpy()
        return {
            "schema": SCHEMA, "title": clean(content.title, 200), "n": len(content),
            "cities": [
                {"name": clean(one.name, 120), "rows": [one.first, one.last],
                 "terms": [clean(term, 500) for term in one.terms],
                 "bounds": around(bounds[one.first : one.last])}
                for one in content.places
            ],
            "notes": self._lost() if self.tiled else self._drawn[2],
            "columns": [one.entry() for one in content.columns.values()],
            "layout": "layout:x" in content.columns, "can": self._can(), "why_not": dict(content.why_not),
            "queries": [clean(one, 500) for one in content.queries],
            "headline": content.headline, "verdicts": [dict(one) for one in content.verdicts],
            "vectors": content.vectors.name if content.vectors else None,
            "basemap": content.basemap.entry() if content.basemap else None,
            "named": self._named,
        }  # fmt: skip

    def zooms(self) -> dict[str, Any] | None:
        """What a page has to know of the tiles it is served; None where it draws shapes."""
        return asdict(self.tiles.zooms) if self.tiled else None

    def _lost(self) -> list[str]:
        lost = int((~placed(np.asarray(self.content.regions.geometry.values, dtype=object))).sum())
        return [f"{lost:,} regions have no geometry and are not on the map."] if lost else []

    def places(self) -> dict[str, Any]:
        """What is of each region, as JSON values: for a page that holds its data itself."""
        rows, shapes, _ = self._drawn
        lon, lat = self.content.lonlat.round(6).T.tolist()
        return {
            "ids": self.ids, "names": self._names, "lon": lon, "lat": lat, "shapes": geojson(shapes),
            "drawn": None if rows is None else rows.tolist(),
        }  # fmt: skip

    def packed_places(self) -> bytes:
        """The same in binary; of very many regions the middles alone, their ids come when they are needed."""
        parts = pack_places(self.content.lonlat)
        return pack(parts if self.tiled else parts | self._texts() | pack_shapes(*self._drawn[:2]))

    def packed_texts(self) -> bytes:
        """Ids and names of all regions, in gzip."""
        return gzip.compress(pack(self._texts()), compresslevel=1, mtime=0)

    def _texts(self) -> dict[str, tuple[str, bytes]]:
        names = pack_texts("names", self._names) if self._names else {}
        return pack_texts("ids", self.ids) | names

    # Columns as arrays: rows of a table one by one take a thousand times as long.
    @cached_property
    def _picture_columns(self) -> dict[str, npt.NDArray[Any]]:
        names = ("view", "captured", "licence", "attribution")
        return {name: self.content.pictures[name].to_numpy() for name in names}

    @cached_property
    def _caption_columns(self) -> tuple[Ints, Ints, dict[str, npt.NDArray[Any]]]:
        """Picture of each caption in order, the caption's row, and what is told of it by row."""
        table = self.content.captions
        picture = table["picture"].to_numpy(np.int64)
        order = np.argsort(picture, kind="stable")
        names = ("text", "captioner", "selected", "agreement", "weight")
        return picture[order], order, {name: table[name].to_numpy() for name in names}

    def _can(self) -> dict[str, Any]:
        content = self.content
        reads = content.reader is not None and content.vectors is not None
        return {
            "similar": content.vectors is not None, "text": reads or content.spoken is not None,
            "upload": reads, "evidence": reads, "pictures": len(content.pictures) > 0,
            "captions": len(content.captions) > 0, "take": ["geojson", "csv", "parquet"],
        }  # fmt: skip

    def column(self, key: str) -> Column:
        """A column.

        Raises:
            InputError: No such column.
        """
        if key not in self.content.columns:
            known = ", ".join(list(self.content.columns)[:6])
            raise InputError(
                "there is no such column", value=key, where="key", remedy=f"there are: {known}, …"
            )
        return self.content.columns[key]

    def check_rows(self, rows: list[int]) -> Ints:
        """Numbers of regions as an array.

        Raises:
            InputError: None, or one that does not exist.
        """
        found = np.asarray(rows, dtype=np.int64)
        if not len(found):
            raise InputError("no region is named", where="rows", remedy="name one, or several")
        if found.min() < 0 or found.max() >= len(self.content):
            n = len(self.content)
            raise InputError(
                "no such region", value=rows[:3], where="rows", remedy=f"give numbers from 0 to {n - 1}"
            )
        return found

    def region(self, row: int, alike: int = _ALIKE) -> dict[str, Any]:
        """All about one region.

        Args:
            row: Its number.
            alike: How many neighbours in looks are told, six by default, as many as those in space.

        Raises:
            InputError: No such region.
        """
        content = self.content
        at = int(self.check_rows([row])[0])
        near = self._tree.query(self._metres[at], k=min(_NEAR + 1, len(content)))[1]
        first, last = self._pictures[at]
        shown = range(first, min(last, first + _PICTURES))
        pictures = self._picture_columns
        names = self._names
        place = next(one for one in content.places if one.first <= at < one.last)
        return {
            "row": at, "id": self.ids[at], "city": clean(place.name, 120),
            "name": names[at] if names else None,
            "lon": float(content.lonlat[at, 0]), "lat": float(content.lonlat[at, 1]),
            "values": {key: _value(one, at) for key, one in content.columns.items()},
            "predictions": self._predictions(at),
            "pictures": [
                {"id": f"p{one}", **{key: _said(values[one], 300) for key, values in pictures.items()}}
                for one in shown
            ],
            "pictures_total": int(last - first),
            "captions": self._captions(first, min(last, first + _PICTURES)),
            "near": [int(one) for one in np.atleast_1d(near) if one != at][:_NEAR],
            "alike": self._alike(at, alike),
        }  # fmt: skip

    def pictures_of(self, row: int, views: tuple[str, ...] = ()) -> list[int]:
        """Rows of a region's pictures, of some views or all.

        Args:
            row: Of the region.
            views: ``"satellite"``, ``"street"``; none named: all.
        """
        first, last = self._pictures[row].tolist()
        table = self.content.pictures["view"].to_numpy()
        return [one for one in range(first, last) if not views or table[one] in views]

    def _predictions(self, row: int) -> list[dict[str, Any]]:
        columns = self.content.columns
        out = []
        for one in columns.values():
            if one.group != "prediction" or not np.isfinite(one.values[row]):
                continue
            if one.kind == "class":  # which is nowhere on an axis, and is told by its name
                keys = {"truth": "label", "outcome": "error", "in_set": "width"}
                told = {name: _value(columns[f"{key}:{one.of}"], row) for name, key in keys.items()
                        if f"{key}:{one.of}" in columns}  # fmt: skip
                out.append({"label": one.of, "kind": one.kind, "prediction": _value(one, row),
                            "note": one.note, **told})  # fmt: skip
                continue
            ends = {
                name: _value(columns[f"{name}:{one.of}"], row) if f"{name}:{one.of}" in columns else None
                for name in ("label", "low", "high")
            }
            truth, low, high = ends["label"], ends["low"], ends["high"]
            kept = columns[f"low:{one.of}"].note if low is not None else one.note
            inside = None if truth is None or low is None or high is None else low <= truth <= high
            out.append({
                "label": one.of, "unit": one.unit, "truth": truth, "prediction": _value(one, row),
                "low": low, "high": high, "ends": "" if kept == one.note else kept, "inside": inside,
                "log": one.log, "note": one.note,
            })  # fmt: skip
        return out

    def _captions(self, first: int, last: int) -> list[dict[str, Any]]:
        picture, order, told = self._caption_columns
        start, end = np.searchsorted(picture, [first, last])
        return [
            {"picture": f"p{picture[start + i]}", "text": clean(told["text"][one], 4000),
             "captioner": _said(told["captioner"][one], 120), "selected": bool(told["selected"][one]),
             "agreement": _number(told["agreement"][one]), "weight": _number(told["weight"][one])}
            for i, one in enumerate(order[start : min(end, start + _CAPTIONS)])
        ]  # fmt: skip

    def _alike(self, row: int, k: int) -> list[dict[str, Any]]:
        if self._vector_of[row] < 0 or not k:
            return []
        hits = self.similar([row], k=k)
        return [{"row": one, "score": score} for one, score in zip(hits["rows"], hits["scores"], strict=True)]

    def direction(self, rows: list[int]) -> npt.NDArray[np.float32]:
        """What regions have in common: the mean of their unit vectors.

        Raises:
            InputError: There are no vectors, or none of these regions has one.
        """
        vectors = self.content.vectors
        if vectors is None:
            remedy = self.content.why_not.get("similar") or "start explore with --vectors"
            raise InputError("there are no vectors to compare by", where="vectors", remedy=remedy)
        found = self._vector_of[self.check_rows(rows)]
        if (found < 0).all():
            raise InputError(
                "none of these regions has a vector",
                value=self.ids[rows[0]],
                where="rows",
                remedy="choose another one",
            )
        return vectors.search.unit(found[found >= 0])

    def similar(self, rows: list[int], far_km: float = 0.0, k: int = 100) -> dict[str, Any]:
        """The regions most alike to one, or to what several have in common.

        Args:
            rows: Their numbers; they are not among the answers.
            far_km: Regions nearer than this to one of them are left out: what looks alike but lies elsewhere.
            k: How many.

        Raises:
            InputError: See :meth:`direction`; or a bad distance or number.
        """
        return self.alike(self.direction(rows), self.check_rows(rows), far_km, k)

    def alike(
        self, direction: npt.NDArray[np.float32], but: Ints | None = None, far_km: float = 0.0, k: int = 100
    ) -> dict[str, Any]:
        """As :meth:`similar`, for any direction.

        Args:
            direction: (D,).
            but: Regions that are not wanted, and that distances are measured from.
            far_km: See :meth:`similar`.
            k: How many.
        """
        if not 0 <= far_km <= 20_000 or not 1 <= k <= MOST_HITS:
            raise InputError(
                "a distance or a number is out of bounds",
                value=f"far_km = {far_km}, k = {k}", where="similar",
                remedy=f"far_km from 0 to 20,000, k from 1 to {MOST_HITS}",
            )  # fmt: skip
        vectors = self.content.vectors
        assert vectors is not None
        away = np.ones(len(self.content), dtype=bool)
        if but is not None:
            away[but] = False
            if far_km:
                away &= ~self._near(but, far_km * 1000)
        hits = vectors.search.top(direction, k, away[vectors.rows])
        return {
            "rows": [int(one) for one in vectors.rows[hits.rows]],
            "scores": [float(one) for one in hits.scores],
            "left_out": int((~away).sum()),
        }  # fmt: skip

    def _near(self, rows: Ints, reach: float) -> npt.NDArray[np.bool_]:
        """Whether each region is nearer than so many metres to one of some, (N,).

        Each asks for the next of those: what lies around every one of many would be (N × N) numbers.
        """
        metres, asked = self._metres, self._metres[rows]
        low, high = asked.min(axis=0) - reach, asked.max(axis=0) + reach
        found = ((metres >= low) & (metres <= high)).all(axis=1)
        found[found] = nearest_metres(metres[found], asked) < reach
        return found


def _spans(rows: Ints, n: int) -> npt.NDArray[np.int64]:
    """First and last + 1 of each region's pictures, (n, 2); pictures of a region follow one another."""
    edges = np.searchsorted(rows, np.arange(n + 1))
    return np.column_stack([edges[:-1], edges[1:]])


def _said(value: Any, limit: int) -> str:
    """A text of a table; what is missing there is empty, and no "nan"."""
    return "" if value is None or pd.isna(value) else clean(value, limit)


def _value(column: Column, row: int) -> float | None:
    """A value with all its figures, as a long id needs them; none that is not drawn either."""
    drawn = _number(column.values[row])
    return drawn if drawn is None or column.exact is None else float(column.exact[row])


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
