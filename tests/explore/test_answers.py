"""What a page asks is answered from the content, and from nothing fitted to it."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from tests.explore.world import colour_of, make_content, stored

from urbanln.base.errors import InputError
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking
from urbanln.explore.content import Column, Content, Place, Vectors
from urbanln.explore.search import VectorSearch
from urbanln.explore.words import TRIES, height_of, rivals, standing


@pytest.fixture(scope="module")
def content() -> Content:
    return make_content()


@pytest.fixture(scope="module")
def asking(content: Content) -> Asking:
    return Asking(Answers(content))


def test_the_overview_is_json_and_counts_what_is_missing(content: Content) -> None:
    told = Answers(content).overview()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["n"], Answers(content).zooms()) == (36, None)
    price = next(one for one in told["columns"] if one["key"] == "label:price")
    assert (price["missing"], price["unit"], price["low"], price["high"]) == (1, "USD", 0.0, 35.0)
    assert told["cities"][0]["terms"] == ["made, CC0"]
    placed = Answers(content).places()
    assert [len(placed[name]) for name in ("ids", "lon", "lat", "shapes")] == [36] * 4
    assert (placed["names"], placed["drawn"]) == (None, None)


def test_a_region_has_truth_prediction_and_whether_the_interval_holds_it(content: Content) -> None:
    told = Answers(content).region(5)
    assert told["predictions"][0] | {"note": ""} == {
        "label": "price", "unit": "", "truth": 5.0, "prediction": 6.0, "low": 4.0, "high": 8.0,
        "ends": "", "inside": True, "log": False, "note": "",
    }  # fmt: skip
    assert told["pictures"][0]["id"] == "p5"
    assert set(told["near"]) >= {4, 11}, "neighbours in space"
    assert all(colour_of(one["row"]) == colour_of(5) for one in told["alike"]), "neighbours in looks"
    assert Answers(content).region(3)["predictions"] == []


def test_a_long_id_keeps_its_figures(content: Content) -> None:
    ids = 530_330_005_001.0 + np.arange(len(content))
    tract = Column("label:tract", "tract", "label", ids.astype(np.float32), kind="id", exact=ids)
    told = Answers(replace(content, columns={**content.columns, tract.key: tract})).region(7)
    assert told["values"]["label:tract"] == 530_330_005_008


def test_a_large_truth_keeps_its_figures_beside_its_prediction(content: Content) -> None:
    exact = 2.0**24 + 1 + 2 * np.arange(len(content))
    price = replace(content.columns["label:price"], values=exact.astype(np.float32), exact=exact)
    told = Answers(replace(content, columns={**content.columns, price.key: price})).region(7)
    assert told["predictions"][0]["truth"] == told["values"][price.key] == exact[7] != price.values[7]


def test_what_a_table_leaves_out_is_empty_and_no_word(content: Content) -> None:
    pictures = content.pictures.assign(licence=np.nan, captured=None)
    regions = content.regions.assign(name=[np.nan, None, *["Kallio"] * 34])
    answers = Answers(replace(content, pictures=pictures, regions=regions))
    assert answers.places()["names"][:3] == [None, None, "Kallio"]
    told = answers.region(0)
    assert (told["name"], told["pictures"][0]["licence"], told["pictures"][0]["captured"]) == (None, "", "")


def test_far_ones_are_far_and_the_asked_are_not_among_them(content: Content) -> None:
    answers = Answers(content)
    hits = answers.similar([14], k=36)
    assert 14 not in hits["rows"]
    assert len(hits["rows"]) == 35
    far = answers.similar([14], far_km=2.5, k=36)
    metres = content.metres()
    apart = np.linalg.norm(metres[far["rows"]] - metres[14], axis=1)
    assert apart.min() > 2500
    near = np.linalg.norm(metres - metres[14], axis=1) <= 2500
    assert len(far["rows"]) == 36 - near.sum() == 36 - far["left_out"]


def test_what_lies_far_from_very_many_takes_no_square_of_memory(content: Content) -> None:
    n = 3000
    lonlat = np.random.default_rng(0).random((n, 2))
    many = replace(
        content, regions=gpd.GeoDataFrame(geometry=gpd.points_from_xy(*lonlat.T), crs=4326), lonlat=lonlat,
        places=[Place("Many", 0, n)], vectors=Vectors(VectorSearch(lonlat.astype(np.float32)), np.arange(n)),
    )  # fmt: skip
    answers, rows = Answers(many), list(range(1, n))
    answers.similar([0], far_km=1)  # what is made once
    tracemalloc.start()
    told = answers.similar(rows, far_km=1000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (told["rows"], told["left_out"]) == ([], n)
    assert most < n * n, "a byte for each pair"


@pytest.mark.parametrize("rows", [[], [-1], [36], [10**12]])
def test_regions_that_do_not_exist_are_refused(content: Content, rows: list[int]) -> None:
    with pytest.raises(InputError, match=r"no such region|no region is named"):
        Answers(content).similar(rows)


def test_a_text_finds_its_colour_by_pictures_captions_and_words(asking: Asking) -> None:
    told = asking.text("a blue lake")
    for by in ("pictures", "captions", "words"):
        best = told["by"][by]["rows"][:3]
        assert all(colour_of(row) == "blue" for row in best), by
        assert by == "pictures" or set(best) == {5, 20, 35}, "those whose caption says lake too"
    assert (told["tokens"], told["cut"]) == (5, False)
    shown = asking.column(f"{told['key']}:captions").values  # of all regions, those that were not found too
    assert np.argmax(shown) == told["by"]["captions"]["rows"][0]
    with pytest.raises(InputError, match="no longer held"):
        asking.column("q:0123:pictures")


def test_likeness_of_all_regions_can_be_had_when_it_is_asked_for(content: Content) -> None:
    asking = Asking(Answers(content))
    told = asking.similar([4, 7], far_km=2, k=3)
    assert asking.answers.similar([4, 7], far_km=2, k=3) == {key: told[key] for key in told if key != "key"}
    found = [asking.column(f"{told['key']}:pictures").values]
    assert content.vectors is not None
    exact = content.vectors.search.scores(asking.answers.direction([4, 7]))
    np.testing.assert_array_equal(found[0][content.vectors.rows], exact)
    # Where many later ones are held instead it is made again, the same; a query of long ago is asked anew.
    pictures = [stored(Image.new("RGB", (4, 4), (shade, 0, 9))) for shade in range(1, 40)]
    for one in pictures[:9]:
        asking.column(f"{asking.picture(one)['key']}:pictures")
    found.append(asking.column(f"{told['key']}:pictures").values)
    assert found[0] is not found[1]
    np.testing.assert_array_equal(*found)
    for one in pictures:
        asking.picture(one)
    with pytest.raises(InputError, match="no longer held"):
        asking.evidence(0, told["key"])


def test_how_many_say_a_word_is_told_though_only_the_best_are_listed(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urbanln.explore.asking._HITS", 5)
    words = asking.text("blue")["by"]["words"]
    assert (len(words["rows"]), words["total"]) == (5, 12)


def test_words_that_nobody_said_find_nothing(asking: Asking) -> None:
    told = asking.text("zebra quagga okapi")
    assert not told["by"]["pictures"]["above"]
    assert told["by"]["pictures"]["sentence"].startswith("Nothing is claimed")
    assert told["by"]["words"]["rows"] == []


@pytest.mark.parametrize("text", ["", "  ", "12 34", "a " * 2500])
def test_what_is_no_text_is_refused(asking: Asking, text: str) -> None:
    with pytest.raises(InputError, match="no text to search for"):
        asking.text(text)


def test_rivals_are_the_same_words_in_other_orders_and_as_many_other_ones() -> None:
    said = ["red"] * 5 + ["roof", "tree"]
    orders, others = rivals("a red roof", said)
    assert {tuple(sorted(one.split())) for one in orders} == {("a", "red", "roof")}
    assert len(orders) == len(others) == TRIES
    assert all(len(one.split()) == 3 and set(one.split()) <= set(said) for one in others)
    assert rivals("a red roof", said) == (orders, others), "equal questions have equal answers"
    assert rivals("roof", said)[0] == []


def test_a_query_among_its_equals_claims_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=500).astype(np.float32) for _ in range(2 * TRIES)]
    plain = standing("one two", noise[0], ["three", "four"], lambda texts: noise[: len(texts)])
    assert not plain.above
    high = noise[0].copy()
    high[:10] += 9
    found = standing("one two", high, ["three", "four"], lambda texts: noise[: len(texts)])
    assert found.above
    assert found.height == pytest.approx(height_of(high))
    assert "order" in found.sentence()
    alone = standing("one two", high, [], lambda texts: noise[: len(texts)])
    assert alone.above is None, "without captions there is nothing to hold it against"
    assert "nothing is claimed" in alone.sentence()


def test_evidence_is_what_the_likeness_loses(asking: Asking) -> None:
    told = asking.text("red")
    row = told["by"]["pictures"]["rows"][0]
    found = asking.evidence(row, told["key"])
    assert "red" in found["phrases"][0]["text"]
    assert found["phrases"][0]["gain"] > 0 > found["phrases"][1]["gain"], "the other sentence only dilutes"
    gains = [one["gain"] for one in found["parts"]]
    assert len(gains) == 9
    assert max(gains) - min(gains) < 0.02, "every part of a picture of one colour says the same"


def test_a_prediction_leans_on_what_is_in_the_picture() -> None:
    content = make_content()
    red = np.array([colour_of(row) == "red" for row in range(36)], np.float32)
    columns = dict(content.columns)
    for key in ("label:price", "prediction:price"):
        columns[key] = replace(columns[key], values=10 * red + np.arange(36, dtype=np.float32) / 100)
    asking = Asking(Answers(replace(content, columns=columns)))
    found = asking.evidence(0, "prediction:price")
    assert found["total"] == pytest.approx(10, abs=1.5), "as other red ones, none of which lies near"
    gains = [one["gain"] for one in found["parts"]]
    assert len(gains) == 9
    assert min(gains) > 0, "without its red a part speaks for a lower price"
    with pytest.raises(InputError, match="nothing to explain"):
        asking.evidence(0, "label:price")


def test_a_prediction_in_one_of_two_cities_is_explained_by_what_is_far_in_its_own() -> None:
    places = [Place("West", 0, 18), Place("East", 18, 36)]
    found = Asking(Answers(replace(make_content(), places=places))).evidence(0, "prediction:price")
    assert len(found["parts"]) == 9
    assert "within 0.557 km" in found["note"], "a tenth of West's longer edge, five km between middles"


def test_a_picture_brought_along_finds_its_like(asking: Asking, content: Content) -> None:
    told = asking.picture(content.open_picture(2))
    assert all(colour_of(row) == "blue" for row in told["rows"][:12])
    with pytest.raises(InputError, match="picture"):
        asking.picture(b"no picture")


def test_without_a_model_what_needs_one_says_so() -> None:
    quiet = Asking(Answers(make_content(reads=False)))
    assert not quiet.answers.overview()["can"]["upload"]
    with pytest.raises(InputError, match="no model"):
        quiet.text("red")


def test_a_region_whose_vector_has_no_direction_is_like_none() -> None:
    made = make_content()
    assert made.vectors is not None
    table = made.vectors.search.vectors.copy()
    table[4] = 0
    answers = Answers(replace(made, vectors=Vectors(VectorSearch(table), made.vectors.rows)))
    assert answers.region(4)["alike"] == []
    assert 4 not in answers.similar([1], k=1000)["rows"]
    with pytest.raises(InputError, match="none of these regions has a vector"):
        answers.similar([4])
