"""What the captions say, as a vector per region: TF-IDF of words and word pairs, without any picture.

The floor for every claim that pictures add to their captions. Weights come from all captions handed over;
no label is seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from urbanln.base.config import MAX_TERMS, AutoView, Which
from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.city.views import the_view

# Only such an ending is taken off a name: a region may be called "12.5".
_PICTURE_ENDINGS = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".jp2")
)  # fmt: skip


@dataclass(frozen=True)
class Matched:
    """Recorded captions that were matched to the regions of a city.

    Args:
        captions: ``image_id``, ``region_id``, ``caption``, a row per caption; empty texts left out.
        pictures: Names in the file.
        matched: Those of them that belong to a region of the city.
    """

    captions: pd.DataFrame
    pictures: int
    matched: int


def text_vectors(
    captions: Mapping[str, pd.DataFrame], *, max_terms: int = MAX_TERMS, min_regions: int = 2
) -> dict[str, pd.DataFrame]:
    """TF-IDF vectors of the captions of each region, with one vocabulary for all cities.

    A region's captions are read as one text. Words of two or more letters and pairs of neighbouring ones
    count, in lower case, 1 + ln(count) times ln((1 + n) / (1 + df)) + 1, scaled to length 1 (Salton and
    Buckley 1988, as scikit-learn's ``TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))`` has it).

    Args:
        captions: By city ``region_id`` and ``caption``, a row per caption.
        max_terms: Terms kept: those that most regions have, ties in the order of the alphabet. For the
            captions of Beijing 2,000 score within .004 in R² of 1,000 and take ridge six times as long.
        min_regions: Regions a term must occur in; a term of one region predicts nothing elsewhere.

    Returns:
        By city ``region_id`` and ``vector`` (max_terms or fewer, float32), in the order the regions first
        occur. Regions without a text are left out.

    Raises:
        InputError: No captions, or no term that enough regions share.
    """
    texts = {city: _one_text_each(frame) for city, frame in captions.items()}
    documents = [text for frame in texts.values() for text in frame["caption"]]
    if not documents:
        raise InputError(
            "there are no captions to make vectors of", remedy="run urbanln caption first", where="captions"
        )
    matrix = _tf_idf(documents, max_terms, min_regions)
    found, start = {}, 0
    for city, frame in texts.items():
        part = matrix[start : start + len(frame)].astype(np.float32).toarray()
        start += len(frame)
        vectors = pd.Series(list(part), index=frame.index, dtype=object)
        found[city] = frame[["region_id"]].assign(vector=vectors)
    return found


def captions_of(city: City, view: AutoView = "auto", which: Which = "selected") -> pd.DataFrame:
    """The captions in a city's table, by region.

    Args:
        city: Has a ``captions.parquet``.
        view: Captions of which pictures; both: of all; auto: of the only view there is, else of satellite.
        which: The selected caption of each picture, as pre-training would read one alone, or all candidates.

    Returns:
        ``image_id``, ``region_id`` and ``caption``, a row per caption.

    Raises:
        InputError: The city has no captions of this view.
    """
    table = city.captions
    if which == "selected":
        table = table[table["selected"]]
    view = the_view(view, city.images["view"], where=city.name)
    images = city.images if view == "both" else city.images[city.images["view"] == view]
    found = images[["image_id", "region_id"]].merge(table[["image_id", "caption"]], on="image_id")
    if found.empty:
        raise InputError(
            "the city has no captions of these pictures",
            value=view,
            where=city.folder,
            remedy="run urbanln caption, or give recorded ones: --captions FILE",
        )
    return found


def match_recorded(city: City, rows: pd.DataFrame, *, where: str = "") -> Matched:
    """Recorded captions, by the regions of a city, which need not have the pictures.

    A name in the file belongs to a region when it is the region's id, or the id or the path of one of its
    pictures; else when both are alike without folder and picture ending (``Beijing/16_1_2_s.jpg`` and
    ``16_1_2_s``), as long as that is unique on both sides.

    Args:
        city: Whose regions.
        rows: ``image_id``, ``caption``; see :func:`urbanln.captions.captioners.recorded.read_rows`.
        where: Name of the file, for errors.

    Raises:
        InputError: Not one name belongs to a region.
    """
    exact = dict(zip(city.images["path"].astype(str), city.images["region_id"], strict=True))
    exact |= dict(zip(city.images["image_id"], city.images["region_id"], strict=True))
    exact |= {region: region for region in city.regions["region_id"]}
    names = list(dict.fromkeys(rows["image_id"]))
    stems = Counter(map(_stem, names))
    loose = {stem: region for stem, region in _by_stem(exact).items() if stems[stem] == 1}
    region_of = {name: exact.get(name, loose.get(_stem(name))) for name in names}
    region = rows["image_id"].map(region_of)
    kept = region.notna() & (rows["caption"] != "")
    matched = sum(found is not None for found in region_of.values())
    if not matched:
        raise InputError(
            "none of the recorded captions belongs to a region of this city",
            value=", ".join(names[:3]) or "no captions at all",
            where=where or "captions",
            remedy=f"name each by its region or its picture's file, e.g. {city.regions['region_id'].iloc[0]}",
        )
    captions = rows[["image_id", "caption"]].assign(region_id=region)[kept].reset_index(drop=True)
    return Matched(captions, pictures=len(names), matched=matched)


def _stem(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in _PICTURE_ENDINGS else path.name


def _by_stem(exact: Mapping[str, str]) -> dict[str, str]:
    """Stem → region, where all names with that stem are of one region."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, region in exact.items():
        found[_stem(name)].add(region)
    return {stem: next(iter(regions)) for stem, regions in found.items() if len(regions) == 1}


def _one_text_each(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame[frame["caption"].fillna("").str.strip() != ""]
    if rows.empty:
        return pd.DataFrame({"region_id": [], "caption": []}, dtype=object)
    return rows.groupby("region_id", sort=False)["caption"].agg(" ".join).reset_index()


def _tf_idf(documents: Iterable[str], max_terms: int, min_regions: int) -> csr_array:
    # scikit-learn takes a second to import, and captioning does without it.
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    counter = CountVectorizer(ngram_range=(1, 2))
    try:
        counts = counter.fit_transform(documents)
    except ValueError as error:  # "empty vocabulary"
        raise InputError(
            "the captions hold no words",
            value=str(error),
            where="captions",
            remedy="caption the city again: urbanln caption",
        ) from error
    regions = np.asarray((counts > 0).sum(axis=0)).reshape(-1)
    # Columns stand in the order of the alphabet, and a stable sort keeps it among equals.
    order = np.argsort(-regions, kind="stable")[:max_terms]
    chosen = np.sort(order[regions[order] >= min_regions])
    if len(chosen) == 0:
        raise InputError(
            f"no word of the captions occurs in {min_regions} regions",
            where="captions",
            remedy="caption more regions, or lower min_regions",
        )
    return csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, chosen]))
