from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Point

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.city.meta import IndicatorNote, Meta
from urbanln.city.store import City
from urbanln.probe.splits import Fold
from urbanln.study import work
from urbanln.study.predict import (
    LEFT_OUT,
    NAMES,
    known_regions,
    labelled_folds,
    predict_floors,
    predict_vectors,
    region_folds,
    scored_regions,
)

EDGE = 12
PROBE = ProbeSettings(heads=("ridge",), folds=3, block_km=3.0, buffer_km=1.2, bootstrap=100)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """A grid of points 1 km apart; the last has no street view, and every seventh no label ``some``."""
    folder = tmp_path_factory.mktemp("study") / "grid"
    (folder / "pictures").mkdir(parents=True)
    (folder / "pictures" / "one.jpg").write_bytes(b"not read here")
    x, y = np.divmod(np.arange(EDGE * EDGE), EDGE)
    ids = [f"r{i:03d}" for i in range(EDGE * EDGE)]
    points = [Point(0.01 * a, 0.01 * b) for a, b in zip(x, y, strict=True)]
    rows = [(f"{name}_{view}", name, view) for name in ids for view in ("satellite", "street")][:-1]
    images = pd.DataFrame(rows, columns=["image_id", "region_id", "view"])
    images = images.assign(path="pictures/one.jpg", lon=0.0, lat=0.0)
    rng = np.random.default_rng(0)
    full = np.exp(rng.normal(size=len(ids)))
    some = np.where(np.arange(len(ids)) % 7 == 0, np.nan, full)
    labels = pd.DataFrame({"region_id": ids, "full": full, "some": some, "flat": 1.0})
    labels = labels.assign(use=np.where(x < 6, "a", "b"), wood=0.1 + 0.05 * y, rest=0.9 - 0.05 * y)
    kinds = {
        "use": IndicatorNote(kind="classes"),
        "cover": IndicatorNote(kind="shares", columns=("wood", "rest")),
    }
    return City.create(
        folder,
        meta=Meta(name="grid", indicators=kinds),
        regions=gpd.GeoDataFrame({"region_id": ids}, geometry=points, crs=4326),
        images=images,
        indicators=labels,
    )


def captions(city: City) -> pd.DataFrame:
    from urbanln.captions.table import candidates_table

    ids = city.images["image_id"]
    return candidates_table(pd.DataFrame({"image_id": ids, "captioner": "one", "caption": "of " + ids}))


def test_regions_are_scored_that_have_all_views(city: City) -> None:
    assert len(scored_regions(city, ["satellite"])) == 144
    assert len(scored_regions(city, ["satellite", "street"])) == 143
    with pytest.raises(InputError, match="all views"):
        scored_regions(city, ["drone"])


def test_a_missing_district_is_none_and_no_district_called_none(city: City) -> None:
    plain = City.open(city.folder)
    plain.regions["district"] = pd.Series([None, *["west"] * 71, *["east"] * 72], dtype=object)
    found = scored_regions(plain, ["satellite"])
    assert pd.isna(found["district"].iloc[0])
    assert found["district"].iloc[1] == "west"
    folds = region_folds(found, "district", PROBE, 0)
    assert sorted(len(fold.test) for fold in folds) == [71, 72]


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_inductive_pre_training_never_sees_a_test_region(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fold: int
) -> None:
    seen: list[City] = []
    monkeypatch.setattr("urbanln.train.loop.pretrain", lambda places, settings, out: seen.extend(places))
    needs = [tmp_path / "city", tmp_path / "captions"]
    for folder in needs:
        folder.mkdir()
    work.write_json(needs[0] / work.DONE, {"folder": str(city.folder)})
    work.write_table(needs[1] / "captions.parquet", captions(city), kind="captions")
    names = ("folds", "blocks", "block_km", "buffer_km")
    probe = {name: getattr(PROBE, name) for name in names} | {"split": "block"}
    known = {"probe": probe, "seed": 4, "views": ["satellite"], "fold": fold}
    payload: dict[str, Any] = {"model": {}, "train": {"seed": 4}, "known": known}
    # The same city again as a further one: of that all is trained on.
    work._WORK["pretrain"](payload, tmp_path / "stage", [*needs, *needs])

    regions = scored_regions(city, ["satellite"])
    part = region_folds(regions, "block", PROBE, 4)[fold]
    test = set(regions["region_id"].iloc[part.test])
    place = seen[0]
    assert test
    assert not test & set(place.regions["region_id"])
    assert not test & set(place.images["region_id"])
    assert not any(image.partition("_")[0] in test for image in place.captions["image_id"])
    assert set(place.regions["region_id"]) == set(regions["region_id"].iloc[part.known])
    assert len(place.regions) < 144 - len(test), "regions in the buffer are not seen either"
    assert place.indicators.shape[1] == 1, "labels never meet the network"
    assert place.image_bytes(place.images["path"].iloc[0]) == b"not read here"
    assert len(seen) == 2
    assert len(seen[1].regions) == 144
    assert seen[1].folder != place.folder


def test_each_fold_is_predicted_from_its_own_vectors(city: City) -> None:
    """Only the table of a fold knows the labels of that fold's test regions: mixed up, nothing is known."""
    regions = scored_regions(city, ["satellite"])
    label = np.log(city.indicators["full"].to_numpy())
    rng = np.random.default_rng(1)

    def table(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(
            {"region_id": regions["region_id"], "vector": list(values.astype("float32")[:, None])}
        )

    right, wrong = table(label), table(rng.normal(size=144))
    options: dict[str, Any] = {"seed": 0, "views": ["satellite"]}
    told = predict_vectors(city, [wrong, right, wrong], PROBE, by_fold=True, **options)
    assert set(told["split"]) == {"block"}
    assert set(told["indicator"]) == {"full", "some", "use", "cover"}
    assert [(one["indicator"], one["split"]) for one in told.attrs[LEFT_OUT]] == [("flat", "")]
    assert "all 144 labels are equal" in told.attrs[LEFT_OUT][0]["reason"]
    assert told.attrs[NAMES] == {"use": ["a", "b"], "cover": ["wood", "rest"]}
    told, of_parts = told[told["kind"].isna()], told[told["kind"].notna()]
    error = (told["truth"] - told["prediction"]).abs().groupby(told["fold"]).mean()
    assert error[1] < 0.5 * min(error[0], error[2])
    one = predict_vectors(city, [right], PROBE, **options)
    of_fold = one[(one["split"] == "block") & (one["fold"] == 1) & one["kind"].notna()]
    for column in ("parts", "truth_parts", "mean_parts"):
        ours = np.stack(of_parts.loc[of_parts["fold"] == 1, column])
        np.testing.assert_allclose(np.stack(of_fold[column]), ours)
    one = one[one["kind"].isna()]
    same = one[(one["split"] == "block") & (one["fold"] == 1)].reset_index(drop=True)
    own = told[told["fold"] == 1].reset_index(drop=True)
    np.testing.assert_allclose(same["prediction"], own["prediction"])
    assert list(same["region_id"]) == list(own["region_id"])


def test_predictions_of_numbers_are_the_same_whatever_stands_beside_them(city: City, tmp_path: Path) -> None:
    alone = City.open(shutil.copytree(city.folder, tmp_path / "alone"))
    alone.meta = Meta(name="grid")
    alone.indicators = alone.indicators.drop(columns=["use", "wood", "rest"])
    quick = PROBE.model_copy(update={"floors": ("coordinates-nearest",)})
    vectors = pd.DataFrame({"region_id": city.regions["region_id"]})
    vectors["vector"] = list(np.random.default_rng(2).normal(size=(EDGE * EDGE, 3)).astype("float32"))
    both, numbers = (
        predict_floors(one, vectors, quick, seed=0, views=["satellite"]) for one in (city, alone)
    )
    assert set(both["kind"].dropna()) == {"classes", "shares"}
    assert not {"kind", "parts"} & set(numbers)
    same = both.loc[both["kind"].isna(), numbers.columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, numbers, check_exact=True)


def test_folds_of_labels_are_those_of_all_regions() -> None:
    fold = Fold(
        np.array([0, 1, 2, 3, 4]), np.array([5, 6]), np.array([7, 8, 9]), np.array([0, 0, 1, 1, 2, 2, 0])
    )
    rows = np.array([0, 2, 3, 4, 6, 8, 9])
    (own,) = labelled_folds([fold], rows, 10)
    assert list(rows[own.train]) == [0, 2, 3, 4]
    assert list(rows[own.val]) == [6]
    assert list(rows[own.test]) == [8, 9]
    assert own.inner is not None
    assert list(own.inner) == [0, 1, 1, 2, 0]
    with pytest.raises(InputError, match="too few labels"):
        labelled_folds([fold], np.array([0, 1, 5, 8]), 10)


def test_a_region_without_vector_is_named(city: City) -> None:
    table = pd.DataFrame({"region_id": ["r001"], "vector": [np.zeros(2, dtype="float32")]})
    with pytest.raises(InputError, match="no vector"):
        predict_vectors(city, [table], PROBE, seed=0, views=["satellite"])


def test_known_regions_follow_the_seed(city: City) -> None:
    one, other = (set(known_regions(city, ["satellite"], PROBE, seed, 0)) for seed in (0, 1))
    assert one != other
