"""Who is paired with what, in which epoch, and who is nobody's negative."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.train.fake_city import make_city, make_corpus

from urbanln.base.config import TrainSettings
from urbanln.base.errors import InputError
from urbanln.city.store import City
from urbanln.train.pairs import Pairs, build_pairs, epoch_plan, list_pictures, names_direction


def _pairs(cities: list[City], **train: object) -> Pairs:
    settings = TrainSettings.model_validate({"val_fraction": 0.0, **train})
    return build_pairs(cities, list_pictures(cities, settings.view)[0], settings)


@pytest.mark.parametrize(
    "caption",
    [
        "to the left",
        "north-west of it",
        "the northwest",
        "Eastern quarter",
        "rightmost",
        "a SW corner",
        "左边",
    ],
)
def test_a_direction_is_seen(caption: str) -> None:
    assert names_direction(caption)


@pytest.mark.parametrize(
    "caption", ["north of the river", "a bright feast", "least upright", "we see it", "southern"]
)
def test_what_only_looks_like_one_is_not(caption: str) -> None:
    assert not names_direction(caption)


def test_street_views_of_a_region_share_a_group_and_satellite_pictures_do_not(city: City) -> None:
    pairs = _pairs([city], view="both")
    frame = pairs.pictures.assign(group=pairs.group)
    street = frame[frame["view"] == "street"]
    assert (street.groupby("region_id")["group"].nunique() == 1).all()
    assert street["group"].nunique() == street["region_id"].nunique() == 23
    satellite = frame[frame["view"] == "satellite"]
    assert satellite["group"].nunique() == 24
    assert not set(satellite["group"]) & set(street["group"])


def test_the_same_names_in_two_cities_are_two_groups(city: City) -> None:
    pairs = _pairs([city, city])
    assert len(pairs.pictures) == 48
    assert len(set(pairs.group)) == 48
    assert len(pairs.texts) == 48  # 24 pictures with 2 captions; equal texts are tokenised once


def test_pictures_of_equal_content_share_an_id_only_where_wanted(city: City) -> None:
    pictures, _ = list_pictures([city], "auto")
    pictures["sha256"] = ["AB" * 32, "ab" * 32, None, None, *(f"{n:064x}" for n in range(len(pictures) - 4))]
    pairs = build_pairs([city], pictures, TrainSettings())
    picture = np.arange(len(pictures))
    ids = pairs.ids(picture, pairs.selected, False, True)
    assert ids.shape == (len(pictures), 2)
    assert ids[0, 1] == ids[1, 1]
    assert len(set(ids[:, 1])) == len(pictures) - 1  # unknown contents are not equal
    assert pairs.ids(picture, pairs.selected, False).shape == (len(pictures), 1)
    assert pairs.ids(picture, pairs.selected, True, True).shape == (len(pictures), 3)


def test_pairs_with_an_equal_caption_share_an_id_only_where_wanted(tmp_path: Path) -> None:
    city = make_city(tmp_path / "twice", regions=48, unique=False)
    pairs = _pairs([city])
    # Regions i and i + 24 show the same scene and have the same captions, up to case and spaces.
    picture = np.arange(48)
    ids = pairs.ids(picture, pairs.selected)
    assert (ids[:24, 1] == ids[24:, 1]).all()
    assert len(set(ids[:, 1])) == 24
    assert len(set(ids[:, 0])) == 48
    assert pairs.ids(picture, pairs.selected, same_caption_is_same=False).shape == (48, 1)
    # Only the captions drawn count: with each other's second caption, i and i + 24 are told apart.
    second = pairs.text[np.searchsorted(pairs.owner, picture) + 1]
    mixed = pairs.ids(picture, np.where(picture < 24, pairs.selected, second))
    assert not (mixed[:24] == mixed[24:]).any()


def test_captions_differ_in_case_only(tmp_path: Path) -> None:
    city = make_city(tmp_path / "case", regions=6, captions=1)
    captions = city.captions
    captions.loc[3, "caption"] = "  " + captions.loc[0, "caption"].upper() + " . "
    city.save_captions(captions)
    pairs = _pairs([City.open(city.folder)])
    wording = pairs.ids(np.arange(6), pairs.selected)[:, 1]
    assert wording[0] == wording[3]
    assert len(set(wording)) == 5


def test_each_epoch_draws_captions_by_weight_and_is_a_function_of_seed_and_epoch(tmp_path: Path) -> None:
    city = make_city(tmp_path / "weights", regions=200, captions=3)
    captions = city.captions
    captions["weight"] = captions["rank"].map({0: 0.7, 1: 0.3, 2: 0.0})
    city.save_captions(captions)
    pairs = _pairs([City.open(city.folder)])
    settings = TrainSettings()
    plan = epoch_plan(pairs, settings, 3)
    again = epoch_plan(pairs, settings, 3)
    other = epoch_plan(pairs, settings, 4)
    assert (plan.picture == again.picture).all()
    assert (plan.text == again.text).all()
    assert (plan.picture != other.picture).any()
    assert sorted(plan.picture) == list(range(200))
    drawn = np.concatenate([epoch_plan(pairs, settings, e).text for e in range(10)])
    share = np.mean([pairs.texts[i].startswith("seen from above") for i in drawn])
    assert 0.27 < share < 0.33  # 2000 draws at .3: three standard deviations are .031
    assert not any(pairs.texts[i].startswith("there is") for i in drawn)


def test_several_captions_per_picture_are_different_ones(city: City) -> None:
    pairs = _pairs([city], captions_per_image=5)
    plan = epoch_plan(pairs, TrainSettings(captions_per_image=5), 0)
    assert len(plan) == 48  # there are only two each
    assert len(set(zip(plan.picture, plan.text, strict=True))) == 48


def test_only_pictures_without_a_direction_are_mirrored(tmp_path: Path) -> None:
    city = make_city(tmp_path / "flips", regions=60, captions=1)
    captions = city.captions
    captions.loc[: len(captions) // 2, "caption"] += " with trees in the south-east"
    city.save_captions(captions)
    pairs = _pairs([City.open(city.folder)])
    settings = TrainSettings(flip=True)
    plans = [epoch_plan(pairs, settings, e) for e in range(8)]
    flip = np.concatenate([p.flip for p in plans])
    directed = pairs.directed[np.concatenate([p.text for p in plans])]
    assert not flip[directed].any()
    assert 0.35 < flip[~directed].mean() < 0.65
    assert not epoch_plan(pairs, TrainSettings(), 0).flip.any()


def test_validation_holds_out_whole_regions(city: City) -> None:
    pairs = _pairs([city], view="both", val_fraction=0.25)
    regions = pairs.pictures["region_id"]
    assert not set(regions[pairs.train]) & set(regions[pairs.val])
    assert regions[pairs.val].nunique() == 6
    assert set(epoch_plan(pairs, TrainSettings(), 0).picture) == set(pairs.train)


def test_pictures_that_are_divided_stay_where_they_are_and_those_to_test_on_are_not_looked_at(
    city: City, tmp_path: Path
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    split = corpus.images.set_index("image_id")["split"]
    for fraction in (0.0, 0.5):
        pairs = _pairs([corpus], val_fraction=fraction)
        ids = pairs.pictures["image_id"]
        assert set(ids[pairs.train]) == set(split.index[split == "train"])
        assert set(ids[pairs.val]) == set(split.index[split == "val"])
        assert not any(name in text for name in split.index[split == "test"] for text in pairs.texts)
    assert list_pictures([corpus], "auto")[1] == {"test": 4, "without_caption": 0}
    # Beside a city that is not divided, each keeps to its own rule.
    both = _pairs([city, corpus], val_fraction=0.25)
    alone = _pairs([city], val_fraction=0.25)
    val = both.pictures.iloc[both.val]
    assert set(val.loc[val["city"] == 0, "image_id"]) == set(alone.pictures["image_id"][alone.val])
    assert set(val.loc[val["city"] == 1, "image_id"]) == set(split.index[split == "val"])


def test_a_single_picture_to_validate_with_is_not_trained_on(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", pictures=6)
    pairs = _pairs([corpus])
    assert (len(pairs.train), len(pairs.val)) == (4, 0)
    corpus.images["split"] = "val"
    corpus.save()
    with pytest.raises(InputError, match="none of the pictures is there to train on"):
        _pairs([corpus])


def test_pictures_without_captions_are_counted_and_none_at_all_says_what_to_run(tmp_path: Path) -> None:
    city = make_city(tmp_path / "some", regions=6)
    captions = city.captions
    captions = captions[~captions["image_id"].isin(["satellite-0-0", "satellite-2-0"])]
    city.save_captions(captions)
    listed, left_out = list_pictures([City.open(city.folder)], "satellite")
    assert (len(listed), left_out) == (4, {"test": 0, "without_caption": 2})
    with pytest.raises(InputError, match="urbanln caption"):
        list_pictures([make_city(tmp_path / "none", captions=0)], "satellite")
    with pytest.raises(InputError, match="no picture of this view"):
        list_pictures([city], "street")
