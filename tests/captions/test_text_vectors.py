"""Text vectors against a slow TF-IDF, and the ways recorded names meet regions."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from urbanln.base.errors import InputError
from urbanln.captions.text_vectors import captions_of, match_recorded, text_vectors
from urbanln.city.meta import Meta
from urbanln.city.store import City

TEXTS = {
    "A": [("r1", "a red roof, a Red wall"), ("r2", "the red roof"), ("r1", "green trees")],
    "B": [("r1", "red roof and green trees"), ("r3", "!"), ("r4", "zebra")],
}


def _frames() -> dict[str, pd.DataFrame]:
    return {city: pd.DataFrame(rows, columns=["region_id", "caption"]) for city, rows in TEXTS.items()}


def _slow_tf_idf(documents: list[str], min_regions: int) -> tuple[list[str], np.ndarray]:
    bags = []
    for text in documents:
        words = re.findall(r"\b\w\w+\b", text.lower())
        bags.append(Counter(words + [f"{a} {b}" for a, b in pairwise(words)]))
    df = Counter(term for bag in bags for term in bag)
    terms = sorted(term for term, n in df.items() if n >= min_regions)
    rows = []
    for bag in bags:
        row = [
            (1 + math.log(bag[t])) * (1 + math.log((1 + len(bags)) / (1 + df[t]))) if t in bag else 0.0
            for t in terms
        ]
        length = math.sqrt(sum(v * v for v in row))
        rows.append([v / length if length else 0.0 for v in row])
    return terms, np.array(rows)


def test_vectors_are_tf_idf_with_one_vocabulary_for_all_cities() -> None:
    found = text_vectors(_frames())
    documents = [
        "a red roof, a Red wall green trees",
        "the red roof",
        "red roof and green trees",
        "!",
        "zebra",
    ]
    terms, slow = _slow_tf_idf(documents, 2)
    assert terms == ["green", "green trees", "red", "red roof", "roof", "trees"]
    assert list(found["A"]["region_id"]) == ["r1", "r2"]
    assert list(found["B"]["region_id"]) == ["r1", "r3", "r4"]
    both = np.stack([*found["A"]["vector"], *found["B"]["vector"]])
    assert both.dtype == np.float32
    np.testing.assert_allclose(both, slow, atol=1e-6)


def test_the_most_common_terms_are_kept_and_ties_fall_to_the_alphabet() -> None:
    frames = _frames()
    two = text_vectors(frames, max_terms=4)
    terms, _ = _slow_tf_idf(
        ["a red roof, a Red wall green trees", "the red roof", "red roof and green trees"], 2
    )
    kept = [terms.index(term) for term in ("green", "red", "red roof", "roof")]
    wide = np.stack(text_vectors(frames)["A"]["vector"])[:, kept]
    narrow = np.stack(two["A"]["vector"])
    np.testing.assert_allclose(narrow, wide / np.linalg.norm(wide, axis=1, keepdims=True), atol=1e-6)


def test_no_texts_no_words_and_no_shared_words_are_errors() -> None:
    with pytest.raises(InputError, match="no captions"):
        text_vectors({"A": pd.DataFrame({"region_id": ["r"], "caption": [" "]})})
    with pytest.raises(InputError, match="no words"):
        text_vectors({"A": pd.DataFrame({"region_id": ["r"], "caption": ["! ?"]})})
    with pytest.raises(InputError, match="occurs in 2 regions"):
        text_vectors({"A": pd.DataFrame({"region_id": ["r", "s"], "caption": ["red", "blue"]})})


def test_captions_of_a_view_selected_or_all(city: City) -> None:
    selected = captions_of(city, "satellite")
    assert len(selected) == 24
    assert len(captions_of(city, "satellite", "all")) == 48
    assert len(captions_of(city, "both")) == 24 + 23 * 2
    assert selected.set_index("region_id").loc["r005", "caption"].endswith("satellite number 5 0")


def _bare_city(folder: Path, ids: list[str]) -> City:
    """A city without pictures, as a table of labels alone gives it."""
    return City.create(
        folder,
        meta=Meta(name=folder.name),
        regions=gpd.GeoDataFrame(
            {"region_id": ids}, geometry=shapely.points(np.arange(len(ids)) + 1.0, 40.0), crs=4326
        ),
        images=pd.DataFrame(
            {c: pd.Series(dtype=str) for c in ("image_id", "region_id", "view", "path")}
        ).assign(lon=pd.Series(dtype=float), lat=pd.Series(dtype=float)),
        indicators=pd.DataFrame({"region_id": ids}),
    )


def test_recorded_names_meet_regions_by_text_then_by_stem(tmp_path: Path) -> None:
    city = _bare_city(
        tmp_path / "bare", ["16_1_2_s", "16_1_3_s.jpg", "Beijing/16_1_4_s.jpg", "12.5", "dup", "7"]
    )
    rows = pd.DataFrame(
        [
            ("Beijing/16_1_2_s.jpg", "one"), ("Beijing/16_1_2_s.jpg", "two"), ("x/16_1_3_s.png", "three"),
            ("Beijing/16_1_4_s.jpg", "four"), ("12.7", "another region's"), ("a/dup.jpg", "which?"),
            ("b/dup.jpg", "which?"), ("7", ""),
        ],
        columns=["image_id", "caption"],
    )  # fmt: skip
    found = match_recorded(city, rows)
    assert list(zip(found.captions["region_id"], found.captions["caption"], strict=True)) == [
        ("16_1_2_s", "one"), ("16_1_2_s", "two"), ("16_1_3_s.jpg", "three"), ("Beijing/16_1_4_s.jpg", "four"),
    ]  # fmt: skip
    assert (found.pictures, found.matched) == (7, 4)
    with pytest.raises(InputError, match="none of the recorded captions") as caught:
        match_recorded(city, rows.assign(image_id="nowhere"))
    assert "16_1_2_s" in str(caught.value)


def test_recorded_names_meet_pictures_too(city: City) -> None:
    rows = pd.DataFrame({"image_id": ["street-5-1", "pictures/street-6-1.png", "c/satellite-7-0.jpg"]})
    found = match_recorded(city, rows.assign(caption="text")).captions
    assert list(found["region_id"]) == ["r005", "r006", "r007"]
