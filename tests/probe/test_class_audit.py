"""The audit of classes and shares: what was planted must be found, and what is sound must not be blamed."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from tests.oracles.autocorrelation import gaussian_field, grid

from urbanln.base.errors import InputError
from urbanln.base.kinds import LabelKind
from urbanln.probe.audit import audit_labels
from urbanln.probe.class_audit import ClassAudit
from urbanln.probe.label_audit import LabelAudit
from urbanln.probe.shares_audit import SharesAudit

SIDE = 20
CLASSES = {"use": LabelKind("classes", ("use",))}
SHARES = {"cover": LabelKind("shares", ("wood", "water", "rest"))}


def _places(side: int = SIDE) -> pd.DataFrame:
    metres = grid(side)
    lon, lat = 10 + metres[:, 0] / 111_320, metres[:, 1] / 110_574  # at the equator
    return pd.DataFrame({"region_id": [f"r{i}" for i in range(side**2)], "lon": lon, "lat": lat})


def _of_classes(values: object, side: int = SIDE) -> tuple[ClassAudit, LabelAudit]:
    where = _places(side)
    table = pd.DataFrame({"region_id": where["region_id"], "use": values})
    found = audit_labels(table, where, kinds=CLASSES)
    one = found.labels["use"]
    assert isinstance(one, ClassAudit)
    return one, found


def _of_shares(parts: np.ndarray, side: int = SIDE) -> tuple[SharesAudit, LabelAudit]:
    where = _places(side)
    table = pd.DataFrame(parts, columns=list(SHARES["cover"].columns)).assign(region_id=where["region_id"])
    found = audit_labels(table, where, {"cover": "of the area"}, kinds=SHARES)
    one = found.labels["cover"]
    assert isinstance(one, SharesAudit)
    return one, found


def _said(found: LabelAudit, badness: int = 0) -> str:
    return "\n".join(sentence for bad, sentence in found.found() if bad >= badness)


def test_counts_balance_and_rare_classes() -> None:
    names = np.repeat(["a", "b", "c", "d"], [200, 100, 97, 3])
    values = pd.Series(np.random.default_rng(0).permutation(names), dtype="str")
    values[0] = None
    one, found = _of_classes(values)
    counts = values.value_counts()
    assert (one.n, one.missing) == (399, 1)
    assert {c.name: c.regions for c in one.classes} == counts.to_dict()
    assert [c.regions for c in one.classes] == sorted(counts, reverse=True)
    shares = counts / 399
    entropy = -sum(p * math.log(p) for p in shares)
    assert one.effective == pytest.approx(math.exp(entropy))
    assert one.evenness == pytest.approx(entropy / math.log(4))
    assert [c.name for c in one.rare] == [name for name in counts.index[::-1] if counts[name] < 5]
    assert "use: 1 of 4 classes has fewer than 5 regions ('d' " in _said(found, 2)
    assert "use: 1 regions (0.2%) have no class." in _said(found)
    assert "random split" not in _said(found)
    assert one.joins.p > 0.05 or one.alike < 0.1


def test_classes_cut_out_of_a_number_are_alike_where_it_is() -> None:
    for reach, told in ((0.5, False), (5, True)):
        fields = [gaussian_field(SIDE, reach, seed) for seed in range(3)]
        said = [_said(_of_classes(np.digitize(one, [-0.4, 0.4]).astype(str))[1]) for one in fields]
        assert ["random split" in one for one in said] == [told] * 3


def test_balanced_noise_is_not_blamed() -> None:
    one, found = _of_classes(np.random.default_rng(1).permutation(np.repeat(["a", "b"], SIDE**2 // 2)))
    assert found.found() == []
    assert one.effective == pytest.approx(2)
    assert one.evenness == pytest.approx(1)
    assert found.suggested()["limited_by"] == "noise"


def test_neighbours_of_one_class_are_told_with_their_reach_and_blocks_follow_it() -> None:
    field = gaussian_field(SIDE, 6, 1)
    one, found = _of_classes(np.where(field > 0.4, "wood", np.where(field > -0.4, "field", "town")))
    assert one.joins.p == 0.005
    assert one.alike > 0.15
    assert f"{one.joins.same:.0%} of neighbours are of one class" in _said(found, 2)
    assert "a random split tests interpolation" in _said(found, 2)
    assert one.variogram.range_km > 1
    assert found.suggested()["block_km"] >= min(one.variogram.range_km, 5)


def test_one_class_no_class_nearly_one_class_and_ids() -> None:
    for value, said in (
        ("a", "every region is 'a': there is nothing to predict"),
        (None, "no region has a class"),
    ):
        one, found = _of_classes(pd.Series([value] * SIDE**2, dtype="str"))
        assert said in _said(found, 3)
        assert one.advice is None
    _, found = _of_classes(["b"] * 30 + ["a"] * (SIDE**2 - 30))
    assert "use: 92.5% of the regions are 'a': whoever always says so is right as often" in _said(found, 2)
    _, found = _of_classes([f"p{i}" for i in range(SIDE**2)])
    assert "400 classes in 400 regions are ids or names" in _said(found, 3)


def test_a_class_of_one_block_is_told() -> None:
    values = np.random.default_rng(2).choice(["a", "b"], (SIDE, SIDE)).astype(object)
    values[:2, :3] = "port"
    one, found = _of_classes(values.ravel())
    port = next(c for c in one.classes if c.name == "port")
    assert (port.regions, port.blocks) == (6, 1)
    assert f"'port' stands in one block of {one.advice.block_km:g} km, in which all" in _said(found, 2)
    assert all(c.blocks > 1 for c in one.classes if c.name != "port")
    assert port.alike > 0.3


def test_names_that_differ_by_case_are_told() -> None:
    _, found = _of_classes(np.resize(["Wood", "wood", "town"], SIDE**2))
    assert "use: 2 classes differ only by case, blanks or dashes: 'Wood', 'wood'." in _said(found)


def test_parts_zeros_sums_and_the_largest_part() -> None:
    parts = np.random.default_rng(3).dirichlet([4, 2, 1], SIDE**2)
    parts[:100, 2], parts[:100, :2] = 0, parts[:100, :2] / parts[:100, :2].sum(axis=1, keepdims=True)
    parts[7] = np.nan
    parts[8] *= 1.0005
    one, found = _of_shares(parts)
    known = np.delete(parts, 7, axis=0)
    assert (one.n, one.missing, one.with_zeros, one.single) == (399, 1, 99, 0)
    assert [part.zeros for part in one.parts] == [0, 0, 99]
    np.testing.assert_allclose([part.mean for part in one.parts], known.mean(axis=0), atol=1e-5)
    largest = [np.mean(known.argmax(axis=1) == at) for at in range(3)]
    np.testing.assert_allclose([part.largest for part in one.parts], largest)
    assert one.sums == pytest.approx((1, 1.0005))
    mean = known.mean(axis=0)
    assert one.effective == pytest.approx(math.exp(-(mean * np.log(mean)).sum()), rel=1e-4)
    assert "24.8% of the regions have a part that is 0 (most often 'rest', in 24.8%)" in _said(found)
    assert "random split" not in _said(found)


def test_shares_that_lie_together_are_told_with_the_part_that_does() -> None:
    noise = np.random.default_rng(4).normal(size=(SIDE**2, 3))
    noise[:, 0] = 3 * gaussian_field(SIDE, 6, 5)
    parts = np.exp(noise)
    one, found = _of_shares(parts / parts.sum(axis=1, keepdims=True))
    alike = {part.name: part.moran.i for part in one.parts}
    assert max(alike, key=alike.get) == "wood"
    assert f"neighbours are alike (Moran's I of 'wood' {alike['wood']:.2f}, over " in _said(found, 2)
    assert one.advice.limited_by in ("range", "map")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([[0.2, 0.3, 0.5]] * SIDE**2, "every region has the same shares: there is nothing to predict"),
        ([[np.nan] * 3] * SIDE**2, "no region has shares"),
        (np.random.default_rng(5).dirichlet([90, 5, 5], SIDE**2), "'wood' is the largest part of 100.0%"),
        (np.eye(3)[np.arange(SIDE**2) % 3], "one part is more than 0.99 in 100.0% of the regions: these"),
        (np.eye(3)[np.arange(SIDE**2) % 2], "'rest' is 0 everywhere"),
    ],
)  # fmt: skip
def test_shares_that_say_little(parts: object, said: str) -> None:
    _, found = _of_shares(np.array(parts, dtype=float))
    assert said in _said(found, 2)


def test_tables_json_and_lines_hold_every_kind() -> None:
    where = _places()
    rng = np.random.default_rng(6)
    table = pd.DataFrame(rng.dirichlet([2, 2, 1], SIDE**2), columns=["wood", "water", "rest"])
    table["use"] = rng.choice(["a", "b"], SIDE**2)
    table["gdp"] = rng.random(SIDE**2)
    found = audit_labels(table.assign(region_id=where["region_id"]), where, kinds=CLASSES | SHARES)
    assert list(found.labels) == ["cover", "use", "gdp"]
    rows = found.table().set_index("indicator")
    assert rows["kind"].to_dict() == {"cover": "shares", "use": "classes", "gdp": "number"}
    assert rows.loc["use", "classes"] == 2
    assert rows.loc["cover", "parts"] == 3
    kept = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert [kept[name]["kind"] for name in kept] == ["shares", "classes", "number"]
    assert kept["use"]["classes"][0].keys() == {"name", "regions", "share", "alike", "blocks"}
    assert kept["cover"]["columns"] == ["wood", "water", "rest"]
    text = "\n".join(found.lines())
    assert "400 regions of 2 classes, 0 missing; 2 effective classes, evenness 1.00" in text
    assert "same-class neighbours" in text
    assert "400 regions of 3 parts" in text


def test_what_is_not_what_it_is_said_to_be_is_refused() -> None:
    where, table = _places(3), pd.DataFrame({"region_id": [f"r{i}" for i in range(9)], "use": np.arange(9.0)})
    with pytest.raises(InputError, match="'use' must be text"):
        audit_labels(table, where, kinds=CLASSES)
    with pytest.raises(InputError, match="'wood' is missing"):
        audit_labels(table, where, kinds=SHARES)


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_a_handful_of_regions_is_no_trouble(n: int) -> None:
    where = _places(3).head(n)
    parts = np.random.default_rng(n).dirichlet([1, 1, 1], n)
    table = pd.DataFrame(parts, columns=["wood", "water", "rest"]).assign(use=list("ababababa")[:n])
    found = audit_labels(table.assign(region_id=where["region_id"]), where, kinds=CLASSES | SHARES)
    json.dumps(found.as_json(), allow_nan=False)
    assert found.lines()
    assert found.suggested() is None
