"""The audit of labels: what was planted must be found, and what is sound must not be blamed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tests.oracles.autocorrelation import gaussian_field, grid

from urbanln.base.errors import InputError
from urbanln.probe.audit import audit_labels
from urbanln.probe.label_audit import LabelAudit

SIDE = 30


def _places(side: int = SIDE) -> pd.DataFrame:
    metres = grid(side)
    lon, lat = 10 + metres[:, 0] / 111_320, metres[:, 1] / 110_574  # at the equator
    return pd.DataFrame({"region_id": [f"r{i}" for i in range(side**2)], "lon": lon, "lat": lat})


def _audit(values: np.ndarray, side: int = SIDE) -> LabelAudit:
    where = _places(side)
    return audit_labels(pd.DataFrame({"region_id": where["region_id"], "x": values}), where)


def _said(found: LabelAudit) -> str:
    return "\n".join(sentence for _, sentence in found.found())


def test_a_value_that_was_filled_in_is_flagged_first_and_named() -> None:
    values = np.exp(gaussian_field(SIDE, 6, 0)) * 1000
    filled = np.random.default_rng(0).choice(SIDE**2, 150, replace=False)
    values[filled] = 1000.25
    values[:3] = np.nan
    found = _audit(values)
    one = found.labels["x"]
    assert one.missing == 3
    assert [s.value for s in one.saturated] == [1000.25]
    assert one.saturated[0].regions == np.nansum(values == 1000.25)
    assert one.saturated[0].share == pytest.approx(one.saturated[0].regions / one.n)
    assert one.twins == pytest.approx(one.saturated[0].share)
    worst = max(found.found())
    assert worst[0] == 3
    assert "hold exactly 1000.25" in worst[1]
    sound = _audit(np.exp(gaussian_field(SIDE, 6, 0)))
    assert not sound.labels["x"].saturated
    assert sound.labels["x"].twins == 0
    assert all(badness < 3 for badness, _ in sound.found())


def test_twins_of_one_raster_cell_lie_near_and_are_counted() -> None:
    noise = np.random.default_rng(1).normal(size=(SIDE, SIDE // 2)) + 9
    found = _audit(np.repeat(noise, 2, axis=1).ravel()).labels["x"]  # cells of two regions
    assert found.twins == 1
    assert found.twin_km == pytest.approx(1, rel=0.02)
    assert not found.saturated


def test_whole_numbers_repeat_by_nature_and_are_not_blamed() -> None:
    rng = np.random.default_rng(4)
    for counts in (rng.poisson(30, SIDE**2), rng.geometric(1 / 20, SIDE**2)):
        found = _audit(counts.astype(float))
        assert not found.labels["x"].saturated
        assert found.labels["x"].twins > 0.9
        assert "rounded numbers coincide" in _said(found)
        assert all(badness == 1 for badness, _ in found.found())
    counts[:90] = 99
    assert [one.value for one in _audit(counts.astype(float)).labels["x"].saturated] == [99]
    codes = np.random.default_rng(5).normal(50, 9, SIDE**2)
    codes[::10] = 99.5
    assert "hold exactly 99.5" in _said(_audit(codes))
    assert "coincide" not in _said(_audit(codes))  # the twins are those that were named
    few = audit_labels(pd.DataFrame({"region_id": list("abcdefgh"), "x": np.arange(8.0)}), _eight())
    assert "different values" not in _said(few)  # no class: no two regions share one


def test_a_value_that_many_hold_is_one_figure_only_where_they_lie_together() -> None:
    rng = np.random.default_rng(6)
    values = rng.lognormal(12, 0.5, SIDE**2)
    district = values.reshape(SIDE, SIDE).copy()
    district[4:10, 4:10] = 250_000
    found = _audit(district.ravel())
    assert found.labels["x"].saturated[0].together
    assert "one figure for a whole district or raster cell" in _said(found)
    values[rng.choice(SIDE**2, 40, replace=False)] = 250_000
    found = _audit(values)
    assert not found.labels["x"].saturated[0].together
    assert "a code, a filling, or a round number" in _said(found)
    assert "district" not in _said(found)


def test_neighbours_on_a_smooth_map_of_rounded_numbers_coincide() -> None:
    field = gaussian_field(SIDE, 6, 8)
    for rounded in ((1960 + 15 * field).round(), (400_000 * np.exp(field / 3)).round(-4)):
        found = _audit(rounded).labels["x"]
        assert found.near_twins - found.near_by_chance > 0.05  # more than by chance, and yet no coarse raster
        assert not found.one_source
        assert "rounded numbers coincide" in _said(_audit(rounded))
    coarse = field.reshape(SIDE, SIDE)[::3, ::3].repeat(3, axis=0).repeat(3, axis=1).ravel()
    assert _audit(coarse).labels["x"].one_source
    assert _audit((1000 * coarse).round()).labels["x"].one_source


def test_codes_are_named_as_ingest_names_them() -> None:
    values = np.random.default_rng(7).lognormal(3, 0.5, SIDE**2)
    values[::40], values[1] = -9999, -1
    found = _audit(values)
    assert [(code.value, code.certain) for code in found.labels["x"].codes] == [(-9999, True), (-1, False)]
    assert "-9999 looks like a code for a missing value (23 regions hold it)" in _said(found)
    assert "-1 looks like a code for a missing value" in _said(found)


def _eight() -> pd.DataFrame:
    return _places(3)[:8].assign(region_id=list("abcdefgh"))


def test_twins_beside_each_other_are_told_from_twins_far_apart_and_from_zeros() -> None:
    cells = np.repeat(np.random.default_rng(1).normal(9, 1, (SIDE, SIDE // 2)), 2, axis=1).ravel()
    beside = _audit(cells)
    assert beside.labels["x"].near_twins == 1
    assert "hold the exact value of one beside them" in _said(beside)
    mixed = _audit(np.random.default_rng(2).permutation(cells)).labels["x"]
    assert mixed.twins == 1
    assert mixed.near_twins == pytest.approx(mixed.near_by_chance, abs=0.01)
    zeros = _audit(np.where(np.arange(SIDE**2) < 300, 0, cells + np.arange(SIDE**2) / 1e6)).labels["x"]
    assert (zeros.twins, zeros.near_twins, zeros.zeros) == (0, 0, 300)


def test_the_share_by_chance_is_that_of_shuffled_values() -> None:
    values = np.random.default_rng(3).integers(0, 40, SIDE**2).astype(float)
    shares = [_audit(np.random.default_rng(s).permutation(values)).labels["x"].near_twins for s in range(5)]
    assert _audit(values).labels["x"].near_by_chance == pytest.approx(np.mean(shares), rel=0.1)


def test_zeros_codes_classes_and_tails() -> None:
    rng = np.random.default_rng(2)
    values = rng.lognormal(3, 1, SIDE**2)
    values[:90] = 0
    values[-1] = 1e6
    one = _audit(values).labels["x"]
    assert (one.zeros, one.negatives) == (90, 0)
    assert not one.saturated
    assert one.heavy_tail
    assert one.transform == "log1p"
    assert "heavy tail" in _said(_audit(values))
    coded = rng.normal(50, 5, SIDE**2)
    coded[::40] = -999
    assert "-999 looks like a code" in _said(_audit(coded))
    assert _audit(coded).labels["x"].transform == "none"
    classes = _audit(rng.integers(0, 5, SIDE**2).astype(float))
    assert "only 5 different values" in _said(classes)
    assert not classes.labels["x"].saturated


def test_blocks_are_as_long_as_the_range_or_as_the_map_allows() -> None:
    short = _audit(gaussian_field(SIDE, 4, 3)).labels["x"]
    assert short.advice.limited_by == "range"
    assert short.variogram.range_km <= short.advice.block_km <= 2 * short.variogram.range_km
    assert short.advice.buffer_km >= 1
    column = np.arange(SIDE**2) // SIDE + 0.1 * gaussian_field(SIDE, 3, 4)
    long = _audit(column).labels["x"]
    assert long.advice.limited_by == "map"
    assert "fewer than ten" in long.advice.reason
    assert "blocks of 8 km are shorter than the reach of x" in _said(_audit(column))
    assert "shorter than the reach" not in _said(_audit(gaussian_field(SIDE, 4, 3)))
    assert long.advice.block_km == 8  # 4 × 4 blocks of 8 km; of 10 km there would be nine
    noise = _audit(np.random.default_rng(5).normal(size=SIDE**2)).labels["x"]
    assert noise.advice.limited_by == "noise"
    assert noise.moran.p > 0.01
    both = audit_labels(
        _places().assign(short=gaussian_field(SIDE, 4, 3), long=column)[["region_id", "short", "long"]],
        _places(),
    ).suggested()
    assert both["because"] == "long"
    assert both["options"] == f"--set probe.block_km=8 --set probe.buffer_km={both['buffer_km']:g}"


def test_bad_labels_are_said_and_bad_tables_refused() -> None:
    assert "no region has a value" in _said(_audit(np.full(SIDE**2, np.nan)))
    assert "nothing to predict" in _said(_audit(np.full(SIDE**2, 7.0)))
    three = audit_labels(
        pd.DataFrame({"region_id": ["a"], "x": [1.0]}), _places(2)[:3].assign(region_id=list("abc"))
    )
    assert three.labels["x"].missing == 2
    assert three.suggested() is None
    where = _places(3)
    table = where[["region_id"]].assign(x=1.5)
    with pytest.raises(InputError, match="numeric"):
        audit_labels(table.assign(x="many"), where)
    with pytest.raises(InputError, match="no labels"):
        audit_labels(table[["region_id"]], where)
    with pytest.raises(InputError, match="twice"):
        audit_labels(pd.concat([table, table]), where)
    with pytest.raises(InputError, match="out of range"):
        audit_labels(table, where.assign(lon=where["lat"] + 31, lat=where["lon"] + 106))
    with pytest.raises(InputError, match=r"'x' is infinite(.|\n)*region r0"):
        audit_labels(table.assign(x=[np.inf, *range(8)]), where)
    with pytest.raises(InputError, match="no region of the labels has a position"):
        audit_labels(table.assign(region_id=range(9)), where)
    with pytest.raises(InputError, match="numeric"):
        audit_labels(table.assign(x=1j), where)
    named = audit_labels(table.assign(x=np.arange(9.0)).rename(columns={"x": "lat"})[:8], where)
    assert (named.labels["lat"].maximum, named.labels["lat"].missing) == (7, 1)
    with pytest.raises(InputError, match="'lat'"):
        audit_labels(table, where.drop(columns="lat"))


def test_the_audit_is_plain_json_a_table_and_lines() -> None:
    where = _places(8)
    table = where[["region_id"]].assign(one=gaussian_field(8, 3, 0), none=np.nan, two=np.arange(64.0))
    found = audit_labels(table, where, {"two": "people"})
    text = json.dumps(found.as_json(), allow_nan=False)
    assert json.loads(text)["two"]["moran"]["i"] == pytest.approx(found.labels["two"].moran.i)
    assert list(found.table()["indicator"]) == ["one", "none", "two"]
    assert any(line == "two (people)" for line in found.lines())


def test_years_are_written_as_years() -> None:
    found = _audit(np.linspace(1950, 2016, SIDE**2))
    assert "1950 to 2016, median 1983" in "\n".join(found.lines())


def test_cities_are_kept_apart() -> None:
    where = _places(12)
    both = pd.concat([where.assign(city="a"), where.assign(city="b", lon=where["lon"] + 0.02)])
    both["region_id"] = both["city"] + "/" + both["region_id"]
    values = np.r_[np.zeros(144), np.ones(144)] + np.random.default_rng(0).normal(0, 0.01, 288)
    apart = audit_labels(pd.DataFrame({"region_id": both["region_id"], "x": values}), both)
    # Within a city there is noise alone: no pair from two cities enters the variogram.
    assert apart.labels["x"].variogram.gamma.max() < 0.01
