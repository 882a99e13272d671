"""The synthetic city: the same for the same seed, true to its scenes, and told apart only by its pictures."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.city.store import City
from urbanln.city.synthetic import VOCABULARY, make, make_synthetic_city, read_scene
from urbanln.city.synthetic.fields import gaussian_field, grid_km, make_cells
from urbanln.city.synthetic.kinds import make_kinds
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import Notes

REGIONS = 121
LABELS = ("population", "gdp", "carbon", "night_light", "poi_count", "crime")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return make_synthetic_city(tmp_path_factory.mktemp("city") / "a", regions=REGIONS, seed=3, workers=1)


@pytest.fixture(scope="module")
def scenes(city: City) -> list[dict]:
    return [read_scene(city.folder / path) for path in city.images["path"]]


def test_the_city_opens_and_says_that_it_is_synthetic(city: City) -> None:
    again = City.open(city.folder)
    assert again.meta.synthetic
    assert again.name == "synthetic-3"
    assert set(again.images["source"]) == {"synthetic"}
    assert all("simulated" in again.meta.indicators[label].unit for label in LABELS)
    assert len(again.regions) == REGIONS
    assert again.regions["region_id"].iloc[7] == "r0007"
    west, _, east, _ = again.regions.total_bounds
    assert -40 < west < east < -20
    side = again.regions.to_crs(again.regions.estimate_utm_crs()).area.to_numpy() ** 0.5
    np.testing.assert_allclose(side, 1000, rtol=0.01)


# Draws on two processes, and stands still once the first pictures are there.
_STANDING_STILL = """
import sys, time
from contextlib import contextmanager
from urbanln.city.synthetic import make

@contextmanager
def standing_still(label, total):
    def advance(n):
        print("drawn", flush=True)
        time.sleep(3600)
    yield advance

make.progress = standing_still
make.make_synthetic_city(sys.argv[1], regions=1000, workers=2)
"""


def test_a_kill_takes_the_drawing_processes_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STANDING_STILL, str(tmp_path / "city")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as drawing:
        assert drawing.stdout is not None
        assert drawing.stdout.readline() == "drawn\n"
        drawing.send_signal(signal.SIGKILL)
        drawing.communicate(timeout=120)  # returns when nobody holds its output any more


def test_about_a_quarter_of_regions_has_no_street_view(city: City) -> None:
    views = city.images.groupby("view")["region_id"].nunique()
    assert views["satellite"] == REGIONS
    assert 0.6 * REGIONS < views["street"] < 0.9 * REGIONS


def test_every_region_is_in_one_of_eight_districts_of_unequal_size(city: City) -> None:
    sizes = city.regions["district"].value_counts()
    assert set(sizes.index) == {f"district-{n}" for n in range(1, 9)}
    assert sizes.sum() == REGIONS
    assert sizes.max() > sizes.min()
    reopened = City.open(city.folder).regions
    for _, part in reopened.groupby("district"):
        # Together on the map: the nearest other region of a district is a neighbour.
        middles = part.to_crs("EPSG:6933").centroid
        assert len(part) == 1 or all(middles.drop(i).distance(middles[i]).min() < 1600 for i in part.index)


def test_equal_seeds_give_equal_files_however_many_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "_FEW", 20)  # so that few cells, in three batches, go to workers
    chosen = {"regions": 33, "seed": 3, "tile_px": 48}
    many = make_synthetic_city(tmp_path / "a", workers=2, **chosen)
    monkeypatch.setattr(make, "worker_pool", None)  # none is started for one
    alone = make_synthetic_city(tmp_path / "b", workers=1, **chosen)
    assert alone.images["sha256"].tolist() == many.images["sha256"].tolist()
    pd.testing.assert_frame_equal(alone.indicators, many.indicators)
    assert alone.regions["district"].tolist() == many.regions["district"].tolist()
    other = make_synthetic_city(tmp_path / "c", regions=4, seed=4)
    assert not set(other.images["sha256"]) & set(many.images["sha256"])


def test_labels_of_other_kinds_leave_all_else_as_it_is(tmp_path: Path) -> None:
    plain, more = (
        make_synthetic_city(tmp_path / name, regions=16, seed=5, tile_px=32, workers=1, kinds=name == "more")
        for name in ("plain", "more")
    )
    for path in sorted(plain.folder.rglob("*")):
        if path.is_file() and path.name not in ("city.toml", "indicators.parquet", "truth.parquet"):
            assert path.read_bytes() == (more.folder / path.relative_to(plain.folder)).read_bytes()
    truth = [read_table(city.folder / "truth.parquet", kind="truth") for city in (plain, more)]
    for one, other in ((plain.indicators, more.indicators), truth):
        pd.testing.assert_frame_equal(one, other[list(one.columns)])
    assert {name: label.kind for name, label in more.kinds().items()} == dict.fromkeys(LABELS, "number") | {
        "land_use": "classes",
        "land_cover": "shares",
    }
    assert set(plain.kinds()) == set(LABELS)


def test_classes_fall_as_their_probabilities_say_and_shares_about_their_mean() -> None:
    cells, _ = make_cells(4000, seed=1, cell_km=1.0, street_views=0, street_missing=0.0)
    labels, truth = make_kinds(cells, [cell.details for cell in cells], 1)
    probability = truth.filter(like="probability_").rename(columns=lambda name: name.split("_")[1])
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    known = labels["land_use"].notna()
    assert 0.01 < 1 - known.mean() < 0.03
    for name, given in probability[known].items():
        happened = labels.loc[known, "land_use"] == name
        assert abs((happened - given).sum()) < 4 * np.sqrt((given * (1 - given)).sum())
        assert np.corrcoef(happened, given)[0, 1] > 0.3
    assert labels["land_use"].value_counts(normalize=True).between(0.01, 0.6).all()
    shares, mean = labels.filter(like="cover_").to_numpy(), truth.filter(like="share_").to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    dry = np.array([cell.river is None for cell in cells])
    assert (shares[dry, 3] == 0).all()
    assert (shares[~dry] > 0).all()
    ratio = np.log(shares[:, 0] / shares[:, 1]) - np.log(mean[:, 0] / mean[:, 1])
    assert abs(ratio.mean()) < 0.03
    assert ratio.std() == pytest.approx(0.3 * np.sqrt(2), rel=0.05)


def test_every_object_of_a_scene_is_in_the_vocabulary_and_in_its_view(scenes: list[dict]) -> None:
    for scene in scenes:
        names = [thing["name"] for thing in scene["objects"]]
        assert len(set(names)) == len(names) >= 3
        assert all(scene["view"] in VOCABULARY[name].views for name in names)
        assert all(thing["count"] >= 1 and 0 <= thing["share"] <= 1 for thing in scene["objects"])
        assert all(a in names and b in names for a, _, b in scene["relations"])


def test_a_noted_pool_is_drawn_and_an_unnoted_one_is_not(city: City) -> None:
    tiles = city.images[city.images["view"] == "satellite"]["path"]
    blue = {True: [], False: []}
    for path in tiles:
        names = {thing["name"] for thing in read_scene(city.folder / path)["objects"]}
        if names & {"fountain", "river", "tennis court", "pond"}:
            continue
        r, g, b = np.asarray(Image.open(io.BytesIO(city.image_bytes(path))), dtype=int).transpose(2, 0, 1)
        blue["swimming pool" in names].append(int(((g - r > 60) & (b - r > 70)).sum()))
    assert min(len(found) for found in blue.values()) > 10
    assert np.median(blue[True]) > 8 > np.quantile(blue[False], 0.9)


def test_a_cell_looks_the_same_whatever_else_is_drawn() -> None:
    cells, _ = make_cells(9, seed=1, cell_km=1.0, street_views=2, street_missing=0.25)
    draw_tile(cells[3], 64)
    first, scene = draw_tile(cells[5], 64)
    second, again = draw_tile(cells[5], 64)
    assert first.tobytes() == second.tobytes()
    assert scene == again


def test_labels_are_positive_skewed_and_missing_here_and_there(city: City) -> None:
    for label in LABELS:
        values = city.indicators[label].dropna()
        assert (values > 0).all()
        assert values.mean() > 1.1 * values.median()
    lost = city.indicators.isna().sum()
    assert lost[["population", "carbon", "night_light", "poi_count"]].sum() == 0
    assert 0 < lost["gdp"] + lost["crime"] < 0.1 * REGIONS


def test_details_explain_about_half_of_three_labels_and_little_of_the_others(city: City) -> None:
    truth = read_table(city.folder / "truth.parquet", kind="truth")
    share = {
        label: truth[f"detail_{label}"].var()
        / (truth[f"gross_{label}"].var() + truth[f"detail_{label}"].var())
        for label in LABELS
    }
    assert all(0.3 < share[label] < 0.8 for label in ("gdp", "poi_count", "crime"))
    assert all(share[label] < 0.15 for label in ("population", "carbon", "night_light"))


def _pixels(city: City, path: str) -> np.ndarray:
    small = Image.open(io.BytesIO(city.image_bytes(path))).resize((96, 96))
    pixels = np.asarray(small, dtype=float)
    colours = np.histogramdd(pixels.reshape(-1, 3), bins=(5, 5, 5), range=[(0, 256)] * 3)[0].ravel()
    return np.concatenate([np.sqrt(colours / 96**2), pixels.std((0, 1)) / 255])


def _counts(scenes: list[dict]) -> np.ndarray:
    names = list(VOCABULARY)
    table = np.zeros((len(scenes), len(names), 2))
    for row, scene in zip(table, scenes, strict=True):
        for thing in scene["objects"]:
            row[names.index(thing["name"])] = thing["count"] ** 0.5, thing["share"] ** 0.5
    return table.reshape(len(scenes), -1)


def test_pictures_tell_labels_shuffled_ones_do_not_and_scenes_tell_more_than_coordinates(
    city: City, scenes: list[dict]
) -> None:
    above = (city.images["view"] == "satellite").to_numpy()
    pixels = np.stack([_pixels(city, path) for path in city.images["path"][above]])
    objects = _counts([scene for scene, tile in zip(scenes, above, strict=True) if tile])
    place = city.centroids() * [np.cos(np.radians(city.centroids()[:, 1].mean())), 1.0]
    folds = KFold(5, shuffle=True, random_state=0)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 4, 11)))
    shuffled = np.random.default_rng(0).permutation(len(pixels))
    r2: dict[str, dict[str, float]] = {}
    for label in LABELS:
        target = np.log1p(city.indicators[label].to_numpy())
        known = ~np.isnan(target)
        y = target[known]
        r2[label] = {
            "pixels": r2_score(y, cross_val_predict(ridge, pixels[known], y, cv=folds)),
            "shuffled": r2_score(y, cross_val_predict(ridge, pixels[shuffled][known], y, cv=folds)),
            "scene": r2_score(y, cross_val_predict(ridge, objects[known], y, cv=folds)),
            "place": r2_score(y, cross_val_predict(KNeighborsRegressor(5), place[known], y, cv=folds)),
        }
        assert r2[label]["shuffled"] < 0.12, (label, r2[label])
        assert r2[label]["scene"] > r2[label]["place"] + 0.1, (label, r2[label])
    assert r2["population"]["pixels"] > 0.3, r2
    assert 0.1 < r2["population"]["place"] < 0.75, r2
    assert r2["poi_count"]["place"] < r2["population"]["place"], r2


def test_fields_are_smooth_and_of_unit_variance() -> None:
    xy = grid_km(2500, 1.0)
    fields = np.stack([gaussian_field(xy, 3.0, np.random.default_rng(k)) for k in range(20)])
    assert 0.8 < fields.var() < 1.2
    grid = fields.reshape(20, 50, 50)
    near, far = (float((grid[:, :, :-lag] * grid[:, :, lag:]).mean()) for lag in (1, 9))
    assert near == pytest.approx(np.exp(-0.5 / 9), abs=0.12)
    assert abs(far) < 0.15


@pytest.mark.parametrize(("regions", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (7, 3, 3), (400, 20, 20)])
def test_the_grid_is_near_square_for_any_number(regions: int, columns: int, rows: int) -> None:
    xy = grid_km(regions, 0.5)
    assert len(np.unique(xy, axis=0)) == regions
    assert np.ptp(xy, axis=0).tolist() == [(columns - 1) * 0.5, (rows - 1) * 0.5]


def test_places_are_named_by_where_objects_lie() -> None:
    notes = Notes("satellite", "r0000")
    notes.add("pond", 0.9, 0.1)
    for x, y in ((0.1, 0.1), (0.9, 0.9), (0.1, 0.9), (0.9, 0.1)):
        notes.add("tree", x, y)
    place = {thing["name"]: thing["place"] for thing in notes.scene()["objects"]}
    assert place == {"pond": "north-east", "tree": "throughout"}


@pytest.mark.parametrize(
    "bad", [{"regions": 0}, {"tile_px": 8}, {"street_missing": 1.5}, {"cell_km": 0.0}, {"seed": -1}]
)
def test_arguments_out_of_range_are_named(tmp_path: Path, bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        make_synthetic_city(tmp_path / "x", **bad)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_one_region_no_views_and_a_name_that_hides_nothing(tmp_path: Path) -> None:
    city = make_synthetic_city(tmp_path / "one", regions=1, street_views=0, name="Atlantis")
    assert (len(city.regions), len(city.images)) == (1, 1)
    assert city.name == "Atlantis (synthetic)"
    with pytest.raises(InputError, match="city in this folder"):
        make_synthetic_city(tmp_path / "one", regions=1)


def test_a_scene_that_is_missing_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_scene(tmp_path / "photo.jpg")
