"""What there is to explore: regions, columns, pictures, captions, vectors, and how to read more of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.space import to_metres
from urbanln.explore.basemap import Basemap
from urbanln.explore.search import VectorSearch

Group = Literal[
    "label", "prediction", "error", "width", "low", "high", "agreement", "pictures", "cluster", "coverage",
    "layout", "similarity",
]  # fmt: skip
Kind = Literal["number", "difference", "class", "year", "count", "id"]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Column:
    """A number per region that the map can be coloured by.

    Attributes:
        key: What it is asked for by, e.g. ``label:price``.
        title: For people.
        group: What it is.
        values: (N,) float32, NaN where there is none; of a class its number.
        unit: Of the values.
        kind: How it is shown: a difference has colours to both sides of 0, a year and an id no separator.
        of: The label that a prediction, error or width is of.
        whole: The label of shares that it is a part of.
        head: Of a prediction, by what it was made; ``"none"`` by the map alone.
        log: Whether an error is one of logarithms.
        note: Where it comes from, in a sentence.
        classes: Names of the classes.
        exact: (N,) float64, as the city's table has them, for taking away; None where float32 holds as much.
    """

    key: str
    title: str
    group: Group
    values: Floats
    unit: str = ""
    kind: Kind = "number"
    of: str = ""
    whole: str = ""
    head: str = ""
    log: bool = False
    note: str = ""
    classes: tuple[str, ...] = ()
    exact: Doubles | None = None

    def entry(self) -> dict[str, Any]:
        """All but the values, as JSON values."""
        known = self.values[np.isfinite(self.values)]
        ends = (float(known.min()), float(known.max())) if len(known) else (None, None)
        return {
            "key": self.key, "title": self.title, "group": self.group, "unit": self.unit, "kind": self.kind,
            "of": self.of, "log": self.log, "note": self.note, "classes": list(self.classes),
            "missing": int(len(self.values) - len(known)), "low": ends[0], "high": ends[1],
        }  # fmt: skip


@dataclass(frozen=True)
class Place:
    """One city: its name, the rows of its regions, and on whose terms its data are.

    Attributes:
        name: Of the city.
        first: First row of its regions.
        last: Row behind its last one.
        terms: Sources with licence and whom to name.
    """

    name: str
    first: int
    last: int
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Reader:
    """A model's way from words and pictures to its vectors.

    Attributes:
        texts: (T) texts to (T, D) unit vectors.
        tokens: Numbers of tokens of texts.
        positions: Text positions of the model; longer texts are cut there.
        picture: Content of a picture file to (D,).
        parts: Picture file and boxes (left, top, right, bottom as shares of its edges) to (1 + B, D): the
            picture, and for each box the picture with the box in grey, as vectors of regions are made of
            them.
    """

    texts: Callable[[Sequence[str]], Floats]
    tokens: Callable[[Sequence[str]], Sequence[int]]
    positions: int
    picture: Callable[[bytes], Floats]
    parts: Callable[[bytes, Sequence[tuple[float, float, float, float]]], Floats]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of regions, and how they are searched.

    Attributes:
        search: Over M vectors.
        rows: (M,) region of each.
        name: What they are called.
        views: Whose pictures they are means of; none named: all.
    """

    search: VectorSearch
    rows: Ints
    name: str = "vectors"
    views: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Content:
    """All that a page shows, and all it can be asked.

    Attributes:
        title: Of the page.
        regions: (N) ``region_id`` and ``geometry`` in EPSG:4326; ``name`` where regions have one.
        lonlat: (N, 2) middles, degrees.
        places: The cities, which follow one another in ``regions``.
        columns: By key, in the order in which they are offered.
        pictures: ``row`` (region), ``view``, ``captured``, ``licence``, ``attribution``, ``free`` (whether
            the licence is named as one that allows passing on); pictures of a region follow one another.
        captions: ``picture`` (row of ``pictures``), ``text``, ``captioner``, ``selected``, ``agreement``,
            ``weight``.
        open_picture: Row of ``pictures`` to the content of the file.
        vectors: What "alike" means; None without a table of vectors.
        spoken: Vectors of the selected captions by region; None without a model or captions.
        reader: None without a model.
        headline: What the probe's verdicts come to, in a sentence.
        verdicts: Of the probe, as JSON values.
        why_not: By thing that cannot be asked, what to do about it.
        queries: Texts that are offered.
        basemap: A map of streets below the regions; None without.
    """

    title: str
    regions: gpd.GeoDataFrame
    lonlat: npt.NDArray[np.float64]
    places: Sequence[Place]
    columns: Mapping[str, Column]
    pictures: pd.DataFrame
    captions: pd.DataFrame
    open_picture: Callable[[int], bytes]
    vectors: Vectors | None = None
    spoken: Vectors | None = None
    reader: Reader | None = None
    headline: str = ""
    verdicts: Sequence[Mapping[str, Any]] = ()
    why_not: Mapping[str, str] = field(default_factory=dict)
    queries: Sequence[str] = ()
    basemap: Basemap | None = None

    def __len__(self) -> int:
        return len(self.regions)

    def said(self) -> list[str]:
        """All selected captions of each region as one text, (N); empty where a region has none."""
        chosen = self.captions[self.captions["selected"].astype(bool)]
        region = self.pictures["row"].to_numpy()[chosen["picture"].to_numpy(dtype=np.int64)]
        texts = [""] * len(self)
        for row, text in zip(region, chosen["text"], strict=True):
            texts[row] = f"{texts[row]} {text}".strip()
        return texts

    def metres(self) -> npt.NDArray[np.float64]:
        """(N, 2) middles in metres, cities far apart."""
        names = np.concatenate([np.full(one.last - one.first, one.name) for one in self.places])
        return to_metres(self.lonlat, names if len(self.places) > 1 else None)
