"""The leakage report: each leak planted on purpose is found, and a sound split has none."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.base.space import to_metres
from urbanln.probe.leakage import label_leakage, leakage_report
from urbanln.probe.splits import Fold, block_split, city_split, district_split, random_split

RNG = np.random.default_rng(5)
LONLAT = RNG.random((300, 2)) * 0.3 + [116.0, 40.0]
METRES = to_metres(LONLAT)
LABELS = np.exp(RNG.normal(size=300) * 2)


def blocks(seeds: int = 2, **options) -> list[list[Fold]]:
    options = {"edge_km": 5, "buffer_km": 2, **options}
    return [block_split(LONLAT, seed=seed, **options) for seed in range(seeds)]


def test_a_sound_split_has_nothing_to_report_and_its_numbers_are_right() -> None:
    made = blocks(groups=np.arange(300) // 2)
    report = leakage_report(made, metres=METRES, labels=LABELS, groups=np.arange(300) // 2, buffer_km=2)
    assert report["found"] == []
    assert (report["shared_groups"], report["on_two_sides"], report["never_held_out"]) == (0, 0, 0)
    assert (report["same_place"], report["twins"]) == (0, 0)
    folds = [fold for one in made for fold in one]
    assert report["train_min"] == min(len(f.train) for f in folds)
    assert report["val_max"] == max(len(f.val) for f in folds)
    assert report["test_max"] == max(len(f.test) for f in folds)
    apart = [
        min(float(np.hypot(*(METRES[row] - METRES[other]))) for other in fold.known) / 1000
        for fold in folds
        for row in fold.test
    ]
    assert report["nearest_km_min"] == pytest.approx(min(apart))
    assert report["nearest_km_median"] == pytest.approx(np.median(apart))
    assert len(report["label_range"]) == 5
    for number, line in enumerate(report["label_range"]):
        held, known = LABELS[made[0][number].test], LABELS[made[0][number].known]
        assert line["test"] == [held.min(), np.median(held), held.max()]
        assert line["known"] == [known.min(), np.median(known), known.max()]
    assert json.loads(json.dumps(report)) == report


def test_a_random_split_shows_the_neighbour() -> None:
    near = leakage_report([random_split(LONLAT)], metres=METRES)
    far = leakage_report(blocks(edge_km=6), metres=METRES)
    assert near["nearest_km_median"] < 1.5 < 2 < far["nearest_km_min"]
    assert near["shared_groups"] is None
    assert "twins" not in near


def only(found: list[str], pattern: str) -> str:
    """The one sentence found, which must match."""
    assert len(found) == 1, found
    assert re.search(pattern, found[0]), found
    return found[0]


def test_a_picture_on_both_sides_is_found() -> None:
    made = blocks()
    pictures = np.arange(300).astype(object)
    fold = made[1][3]
    pictures[fold.test[0]] = pictures[fold.train[0]] = "the same"
    pictures[7] = pictures[8] = None  # not known: nothing is shared
    report = leakage_report(made, metres=METRES, groups=pictures, buffer_km=2)
    assert report["shared_groups"] in (1, 2)
    only(report["found"], r"^[12] of 300 regions share a picture")


@pytest.mark.parametrize("real", [0.0, 1.0, 1.9])
def test_a_buffer_narrower_than_it_says_is_found(real: float) -> None:
    report = leakage_report(blocks(buffer_km=real), metres=METRES, buffer_km=2)
    assert real < report["nearest_km_min"] < 2
    only(
        report["found"],
        f"lies {report['nearest_km_min']:.3g} km from one held out, within the buffer of 2 km",
    )


def test_a_row_on_two_sides_is_found() -> None:
    made = blocks(seeds=1)
    fold = made[0][2]
    made[0][2] = Fold(np.append(fold.train, fold.test[:3]), fold.val, fold.test)
    report = leakage_report(made, metres=METRES)
    assert report["on_two_sides"] == report["same_place"] == 3
    assert any("3 of 300 regions stand on two sides" in line for line in report["found"])


def test_regions_in_one_place_are_found() -> None:
    metres = METRES.copy()
    made = [random_split(LONLAT)]
    metres[made[0][0].test[:4]] = metres[made[0][0].known[:4]] + 0.1
    report = leakage_report(made, metres=metres)
    assert 4 <= report["same_place"] <= 8
    only(report["found"], "lie where a region learned from lies")


def test_twin_labels_across_folds_are_found_but_not_those_kept_together() -> None:
    made = [random_split(LONLAT)]
    twins = LABELS.copy()
    twins[1::2] = twins[::2]
    found = label_leakage(made, twins)
    slow = np.mean([value in twins[f.known] for f in made[0] for value in twins[f.test]])
    assert found["twins"] == pytest.approx(slow)
    assert 0.6 < slow < 0.95
    only(found["found"], r"^\d\d% of the held-out labels stand, to the last digit")
    together = [random_split(LONLAT, groups=np.arange(300) // 2)]
    assert label_leakage(together, twins) == label_leakage(together, twins) | {"twins": 0.0, "found": []}


def test_a_common_value_is_no_twin_but_counts_as_such() -> None:
    labels = LABELS.copy()
    labels[::3] = 0
    found = label_leakage([random_split(LONLAT)], labels)
    assert found["twins"] == pytest.approx(1 / 3)
    assert found["found"] == []
    counted = label_leakage([random_split(LONLAT)], np.arange(300) // 3)
    assert "(or it counts something)" in only(counted["found"], "to the last digit")


def test_equal_labels_are_one_source_only_where_neighbours_share_them() -> None:
    made = [random_split(LONLAT)]
    rng = np.random.default_rng(0)
    prices = rng.lognormal(12, 0.5, 300).round(-4)
    years = rng.integers(1900, 2020, 300)
    for rounded in (prices, years, rng.poisson(2000, 300)):
        said = only(label_leakage(made, rounded, METRES)["found"], "to the last digit")
        assert "rounded numbers coincide" in said
        assert "source" not in said
    smooth = np.round(100 * np.sin(METRES / 8000).sum(axis=1) + rng.normal(0, 5, 300))
    for values in (smooth, 1900 + smooth, 1000 * smooth + 300_000):
        for sentence in label_leakage(made, values, METRES)["found"]:
            assert sentence.endswith("rounded numbers coincide.")
    cells = np.unique(np.floor(METRES / 3000), axis=0, return_inverse=True)[1].reshape(-1)
    raster = rng.lognormal(12, 0.5, cells.max() + 1)[cells]
    said = only(label_leakage(made, raster, METRES)["found"], "to the last digit")
    assert "one value of the source seems to cover several regions" in said
    assert "coincide" not in said
    counted = only(label_leakage(made, raster.round(), METRES)["found"], "to the last digit")
    assert "(or it counts something)" in counted


def test_a_fold_of_one_label_value_is_found() -> None:
    made = blocks(seeds=1)
    labels = LABELS.copy()
    labels[made[0][4].test] = 123.25
    line = only(label_leakage(made, labels)["found"], "In 1 of 5 folds all held-out labels are equal")
    assert "seed 0, fold 4: held out 123.25 to 123.25" in line
    rest = np.full(300, 3.0)
    rest[made[0][0].test] = 1 + RNG.random(len(made[0][0].test))
    told = label_leakage(made[:1], rest)["found"]
    assert any("In 1 of 5 folds all labels learned from are equal" in one for one in told)


def test_label_ranges_that_do_not_overlap_are_found() -> None:
    made = blocks(seeds=2)
    labels = LABELS.copy()
    labels[made[1][2].test] += 1e6
    line = only(
        label_leakage(made, labels)["found"], "In 1 of 10 folds the labels held out .* do not overlap"
    )
    assert "seed 1, fold 2" in line


def test_rows_never_held_out_are_said() -> None:
    districts = np.where(LONLAT[:, 0] > 116.2, "east", "west").astype(object)
    districts[:30] = None
    report = leakage_report([district_split(LONLAT, districts)], metres=METRES)
    assert report["never_held_out"] == 30
    only(report["found"], "30 of 300 regions are never held out")


def test_another_city_is_no_neighbour() -> None:
    cities = np.array(["a", "b"] * 150)
    report = leakage_report([city_split(LONLAT, cities)], metres=to_metres(LONLAT, cities), buffer_km=1)
    assert report["nearest_km_min"] is None
    assert report["nearest_km_median"] is None
    assert report["found"] == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"folds_by_seed": []}, "no folds"),
        ({"groups": [1, 2]}, "one value per row"),
        ({"labels": ["one"] * 300}, "labels are not numbers"),
        ({"labels": [np.nan] * 300}, "one finite number per row"),
    ],
)
def test_bad_input_to_the_report_is_one_clear_error(bad: dict, message: str) -> None:
    options = {"folds_by_seed": [random_split(LONLAT)], "metres": METRES, **bad}
    with pytest.raises(InputError) as error:
        leakage_report(options.pop("folds_by_seed"), **options)
    assert message in str(error.value)
