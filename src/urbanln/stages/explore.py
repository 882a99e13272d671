"""What ``urbanln explore`` shows, joined: cities, vectors, a model that reads, held-out predictions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import Settings
from urbanln.base.errors import InputError
from urbanln.base.kinds import class_counts
from urbanln.base.saying import say
from urbanln.base.written import AS_IT_IS, Written
from urbanln.city.checks import VIEWS
from urbanln.city.store import City
from urbanln.explore.basemap import covering, read_basemap
from urbanln.explore.content import Column, Content, Place, Reader, Vectors
from urbanln.explore.offered import offered
from urbanln.explore.search import VectorSearch
from urbanln.pages.maps import around
from urbanln.pages.text import clean, kind_of, words
from urbanln.probe.names import NO_HEAD
from urbanln.report.answer import answer
from urbanln.report.drawn import drawn_rows, held_out, read_predictions
from urbanln.report.drawn_parts import held_parts
from urbanln.report.reading import is_log, main_head, shown_split, subject
from urbanln.report.scores import read_scores
from urbanln.stages.cities import Joint, join_cities, join_regions
from urbanln.stages.explore_parts import part_columns
from urbanln.tables.cities import prefix, read_vectors
from urbanln.tables.vectors import matrix

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
PICTURES = (
    "image_id", "region_id", "path", "view", "captured", "licence", "source", "attribution", "sha256",
)  # fmt: skip
"""Columns of a city's pictures that are shown, or lead to them."""
_CLUSTERS = 8
_SAMPLE = 20_000
# Licences that let anybody pass a picture on, also in another size; and words that take some of it back.
_FREE = re.compile(
    r"\b(cc0|public domain|cc[ -]by|odbl|pddl|ogl|open government|copernicus|etalab)\b", re.IGNORECASE
)
_BOUND = re.compile(r"\bn[cd](?![a-z])|\bno[nt]?\b|\bnon.?commercial|\bno.?deriv", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What the page is made of besides the cities.

    Attributes:
        vectors: ``[NAME=]FILE[#COLUMN,…]`` as of ``urbanln probe``; "" without.
        model: A run, a model's folder or name, that made the vectors; "" without.
        scores: Folder that ``urbanln probe`` wrote.
        queries: Texts to offer; none: such as the captions speak of.
        basemap: A PMTiles file or an address with ``{z}``, ``{x}`` and ``{y}``; "" for no map of streets.
        basemap_credit: Whom to name for it.
        keys, nodata, written: How the table of vectors is read: :func:`urbanln.tables.cities.read_vectors`.
    """

    vectors: str = ""
    model: str = ""
    scores: Path | None = None
    queries: tuple[str, ...] = ()
    basemap: str = ""
    basemap_credit: str = ""
    keys: tuple[str, ...] = ()
    nodata: tuple[str, ...] = ()
    written: Written = AS_IT_IS


def content_of(cities: Sequence[City], asked: Asked, settings: Settings) -> Content:
    """Everything that a page about these cities shows and can be asked.

    Args:
        cities: One or several.
        asked: See :class:`Asked`.
        settings: ``embed`` and ``train.fit`` for the model.

    Raises:
        InputError: A corpus without places; files that do not fit the cities; vectors of another model.
    """
    basemap = read_basemap(asked.basemap, asked.basemap_credit)
    for city in cities:
        city.need_places()
    joint, regions = join_cities(cities), join_regions(cities)
    named = [
        c.regions["name"] if "name" in c.regions.columns else pd.Series(None, c.regions.index) for c in cities
    ]
    if any(one.notna().any() for one in named):
        # A file's names may be numbers, or lists of them in several tongues: here they are texts.
        regions["name"] = pd.concat(named, ignore_index=True).map(str, na_action="ignore").to_numpy()
    rows = pd.Series(np.arange(len(regions)), index=regions["region_id"].astype(str))
    pictures, opener = _pictures(cities, rows)
    captions = _captions(cities, pictures)
    columns = _labels(joint, rows) | _of_texts(pictures, captions, len(regions))
    told: dict[str, Any] = {}
    if asked.scores:
        found, told = _predictions(asked.scores, joint, rows)
        columns |= found
    why_not: dict[str, str] = {}
    vectors, made_by = _vectors(asked, cities, rows, why_not)
    if vectors:
        columns |= _of_vectors(vectors, len(regions))
    reader, spoken = _reader(asked, settings, vectors, made_by, pictures, captions, why_not)
    lonlat = joint.where.set_index("region_id").loc[rows.index, ["lon", "lat"]].to_numpy(float)
    content = Content(
        title=", ".join(city.name for city in cities), regions=regions.drop(columns="city"), lonlat=lonlat,
        places=_places(cities), columns=columns, pictures=pictures.drop(columns=["image_id", "path"]),
        captions=captions, open_picture=opener, vectors=vectors, spoken=spoken, reader=reader,
        **told, why_not=why_not, queries=asked.queries,
        basemap=basemap and covering(basemap, lonlat, around(regions.geometry.bounds.to_numpy())),
    )  # fmt: skip
    if reader is None or content.queries:
        return content
    queries = offered(content.said())
    if queries:
        say(f"queries offered, from the captions (--query names others): {'; '.join(queries)}")
    return replace(content, queries=queries)


def _places(cities: Sequence[City]) -> list[Place]:
    ends = np.cumsum([len(city.regions) for city in cities])
    return [
        Place(city.name, int(end) - len(city.regions), int(end), _terms(city))
        for city, end in zip(cities, ends, strict=True)
    ]


def _terms(city: City) -> tuple[str, ...]:
    simulated = ("All of this city is simulated.",) if city.meta.synthetic else ()
    return (*simulated, *city.meta.named())


def _pictures(cities: Sequence[City], rows: pd.Series) -> tuple[pd.DataFrame, Callable[[int], bytes]]:
    tables = []
    for number, city in enumerate(cities):
        images = city.images
        # Texts or nothing: columns that a city has not, and those of no rows, have no kind of their own.
        wanted = ["image_id", "path", "view", "captured", "licence", "source", "attribution"]
        table = images.reindex(columns=wanted).astype(object)
        table["row"] = (prefix(cities, city) + images["region_id"].astype(str)).map(rows)
        table["city"] = number
        table["free"] = [city.meta.synthetic or is_free(one) for one in table["licence"]]
        table["attribution"] = table["attribution"].where(table["attribution"].notna(), table["source"])
        tables.append(table.drop(columns="source"))
    joined = pd.concat(tables, ignore_index=True)
    lost = int(joined["row"].isna().sum())
    if lost:
        say(f"{lost:,} pictures lie in no region and are not shown")
    joined = joined[joined["row"].notna()].astype({"row": "int64"})
    joined = joined.sort_values("row", kind="stable").reset_index(drop=True)
    paths, owners = joined["path"].to_numpy(), joined["city"].to_numpy()
    return joined, lambda row: cities[owners[row]].image_bytes(str(paths[row]))


def is_free(licence: object) -> bool:
    """Whether a picture's licence is named as one that lets anybody pass it on, also in another size.

    Args:
        licence: As the city's table has it; what is no text names none.
    """
    return isinstance(licence, str) and bool(_FREE.search(licence)) and not _BOUND.search(licence)


def _captions(cities: Sequence[City], pictures: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for number, city in enumerate(cities):
        own = pictures[pictures["city"] == number]
        place = pd.Series(own.index, index=own["image_id"])
        table = city.captions
        table = table.assign(picture=table["image_id"].map(place), text=table["caption"])
        parts.append(table[table["picture"].notna()])
    joined = pd.concat(parts, ignore_index=True)
    kept = joined[["picture", "text", "captioner", "selected", "agreement", "weight"]].astype(
        {"picture": "int64"}
    )
    return kept.sort_values(["picture", "selected"], ascending=[True, False], kind="stable").reset_index(
        drop=True
    )


def _labels(joint: Joint, rows: pd.Series) -> dict[str, Column]:
    """A column per number and per part of shares; classes by number, the most frequent first."""
    table = joint.indicators.set_index(joint.indicators["region_id"].astype(str)).reindex(rows.index)
    made = []
    for name, label in joint.kinds.items():
        if label.kind == "classes":
            counts = class_counts(table[name])
            values = table[name].map({one: at for at, one in enumerate(counts.index)}).to_numpy(np.float32)
            classes = tuple(clean(one, 120) for one in counts.index)
            made.append(
                Column(f"label:{name}", words(name), "label", values, "", "class", of=name, classes=classes)
            )
            continue
        unit = joint.units.get(name, "")
        for column in label.columns:
            said = words(name) if label.kind == "number" else f"{words(name)}: {words(column)}"
            whole = name if label.kind == "shares" else ""
            made.append(replace(_number(column, said, table[column], unit), whole=whole))
    return {column.key: column for column in made}


def _number(column: str, title: str, values: pd.Series, unit: str) -> Column:
    """A number, or a part of shares."""
    exact = values.to_numpy(dtype="float64", na_value=np.nan)
    exact = np.where(np.isfinite(exact), exact, np.nan)
    key = f"label:{column}"
    drawn = _drawn(key, exact)
    return Column(
        key, title, "label", drawn, unit, kind_of(column, exact), of=column,
        exact=None if np.array_equal(drawn, exact, equal_nan=True) else exact,
    )  # fmt: skip


def _drawn(key: str, exact: Doubles) -> Floats:
    """A column as it is drawn: what float32 cannot hold is missing there."""
    with np.errstate(over="ignore"):
        values = exact.astype(np.float32)
    beyond = ~np.isfinite(values) & ~np.isnan(exact)
    if beyond.any():
        say(f"{key}: {int(beyond.sum()):,} values are beyond {np.finfo(np.float32).max:.1e} and not drawn")
    return np.where(beyond, np.float32(np.nan), values)


def _of_texts(pictures: pd.DataFrame, captions: pd.DataFrame, n: int) -> dict[str, Column]:
    out = {}
    if len(pictures):
        counts = np.bincount(pictures["row"], minlength=n).astype(np.float32)
        out["pictures"] = Column("pictures", "pictures", "pictures", counts, kind="count")
    chosen = captions[captions["selected"].astype(bool) & captions["agreement"].notna()]
    if len(chosen):
        mean = chosen["agreement"].groupby(pictures["row"].to_numpy()[chosen["picture"]]).mean()
        values = _drawn("agreement", mean.reindex(range(n)).to_numpy(dtype=np.float64))
        note = "CAPTURE agreement of the voted caption with the others, mean over pictures"
        out["agreement"] = Column("agreement", "agreement of captions", "agreement", values, note=note)
    return out


def _predictions(folder: Path, joint: Joint, rows: pd.Series) -> tuple[dict[str, Column], dict[str, Any]]:
    """Held-out predictions, errors, intervals (nothing fitted on a region is shown there), and verdicts."""
    scores = read_scores(folder / "scores.json")
    units, saved = joint.units, read_predictions(folder / "predictions.parquet", scores)
    shown, head = held_out(scores, saved), main_head(scores)
    by = f"{subject(scores)}, {head}" if head not in (None, NO_HEAD) else subject(scores)
    note = f"held out under the {shown_split(scores)} split, {by}, mean over seeds"
    out: dict[str, Column] = {}
    for name, table in shown.items():
        placed = table.set_index("region_id").reindex(rows.index)
        truth, prediction, low, high = (
            placed[c].to_numpy(np.float64) for c in ("truth", "prediction", "low", "high")
        )
        unit, log, title = units.get(name, ""), is_log(scores, name), words(name)
        error = np.log1p(prediction) - np.log1p(truth) if log else prediction - truth
        made = [
            ("prediction", f"{title}: prediction", prediction, unit, "number"),
            ("error", f"{title}: error", error, "in log units" if log else unit, "difference"),
            ("low", f"{title}: interval from", low, unit, "number"),
            ("high", f"{title}: interval to", high, unit, "number"),
            ("width", f"{title}: width of the interval", high - low, unit, "number"),
        ]
        for group, said, exact, of_unit, kind in made:
            if np.isfinite(exact).any():
                key = f"{group}:{name}"
                out[key] = Column(
                    key, said, group, _drawn(key, exact), of_unit, kind, of=name, log=log, note=note,  # type: ignore[arg-type]
                )  # fmt: skip
    out |= part_columns(held_parts(scores, drawn_rows(scores, saved)), joint.indicators, rows, note)
    out = {
        key: replace(one, head=head or "") if one.group == "prediction" else one for key, one in out.items()
    }
    told = answer(scores, units, len(rows))
    verdicts = [{"split": shown_split(scores), "by": by, **one} for one in told["rows"]]
    return out, {"headline": told["sentence"], "verdicts": verdicts}


def _vectors(
    asked: Asked, cities: Sequence[City], rows: pd.Series, why_not: dict[str, str]
) -> tuple[Vectors | None, str | None]:
    if not asked.vectors:
        why_not["similar"] = "start explore with --vectors FILE, which urbanln embed writes"
        return None, None
    ((name, table),) = read_vectors(
        [asked.vectors], cities, keys=asked.keys, nodata=asked.nodata, written=asked.written
    ).items()
    at = table["region_id"].astype(str).map(rows)
    table, at = table[at.notna()], at[at.notna()]
    search = VectorSearch(matrix(table, name))
    view = table.attrs.get("view")
    views = (view,) if view in VIEWS else ()
    return Vectors(search, at.to_numpy(np.int64), name, views), table.attrs.get("model")


def _of_vectors(vectors: Vectors, n: int) -> dict[str, Column]:
    """A layout in two dimensions, and clusters, of the unit vectors."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import PCA

    search = vectors.search
    if len(search) < 3 or search.vectors.shape[1] < 2:
        return {}
    some = search.units(np.linspace(0, len(search) - 1, min(len(search), _SAMPLE)).astype(np.int64))
    count = min(_CLUSTERS, len(some))
    axes = PCA(2, svd_solver="full" if len(some) < 2000 else "randomized", random_state=0).fit(some)
    means = MiniBatchKMeans(count, n_init=3, random_state=0, batch_size=2048).fit(some)
    # Piece by piece: all unit vectors together would be a second copy of the table.
    pieces = [
        search.units(rows) for rows in np.array_split(np.arange(len(search)), -(-len(search) // _SAMPLE))
    ]
    flat = np.concatenate([axes.transform(piece) for piece in pieces])
    found = np.concatenate([means.predict(piece) for piece in pieces])
    share = axes.explained_variance_ratio_.sum()
    note = f"principal components of the unit vectors; the two hold {share:.0%} of their variance"
    out = {
        f"layout:{axis}": Column(
            f"layout:{axis}", f"layout, {axis}", "layout", _spread(flat[:, i], vectors.rows, n), note=note
        )
        for i, axis in enumerate("xy")
    }
    # The largest first, so that the same vectors have the same names whatever the order of the centres.
    number = np.argsort(np.argsort(-np.bincount(found, minlength=count), kind="stable"))
    names = tuple(f"cluster {i + 1}" for i in range(count))
    told = f"k-means with {count} means, which it was told to have"
    values = _spread(number[found], vectors.rows, n)
    out["cluster"] = Column(
        "cluster", "cluster of looks", "cluster", values, "", "class", note=told, classes=names
    )
    return out


def _spread(values: npt.NDArray[Any], rows: npt.NDArray[np.int64], n: int) -> Floats:
    """Values of some regions as a column of all."""
    out = np.full(n, np.nan, np.float32)
    out[rows] = values
    return out


def _reader(
    asked: Asked, settings: Settings, vectors: Vectors | None, made_by: str | None, pictures: pd.DataFrame,
    captions: pd.DataFrame, why_not: dict[str, str],
) -> tuple[Reader | None, Vectors | None]:  # fmt: skip
    if not asked.model or vectors is None:
        what = "--vectors FILE and --model RUN" if vectors is None else "--model RUN"
        why_not |= dict.fromkeys(("text", "upload", "evidence"), f"start explore with {what}")
        return None, None
    from urbanln.stages.model_reader import caption_vectors, make_reader

    reader, weights = make_reader(asked.model, settings.embed, settings.train.fit)
    width = vectors.search.vectors.shape[1]
    if made_by is not None and made_by != weights:
        raise InputError(
            "these vectors were made by another model", value=f"weights {made_by[:12]}, not {weights[:12]}",
            where=asked.vectors, remedy="give --model the run that made them, or leave it out",
        )  # fmt: skip
    if reader.texts(["a"]).shape[1] != width:
        raise InputError(
            "these vectors are not in the space of the model's texts", value=f"{width} numbers",
            where=asked.vectors,
            remedy="embed one view alone (--set embed.view=satellite), or leave --model out",
        )  # fmt: skip
    chosen = captions[captions["selected"].astype(bool)]
    if chosen.empty:
        return reader, None
    made = caption_vectors(reader, weights, [clean(text) for text in chosen["text"]])
    region = pictures["row"].to_numpy()[chosen["picture"]]
    at, place = np.unique(region, return_inverse=True)
    sums = np.zeros((len(at), made.shape[1]), np.float32)
    np.add.at(sums, place, made)
    return reader, Vectors(VectorSearch(sums), at.astype(np.int64), "captions")
