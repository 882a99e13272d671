"""Codes for missing values: the unmistakable, the suspicious, and plain data that must not be blamed."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.base.missing import missing_codes, without

N = 900
RNG = np.random.default_rng(0)
FIELDS = {
    "population": RNG.integers(0, 500_000, N).astype(float),
    "share": RNG.uniform(0, 100, N),
    "counts": RNG.geometric(1 / 20, N).astype(float),
    "celsius": RNG.normal(5, 10, N),
    "metres": RNG.normal(800, 300, N),
    "profit": RNG.normal(0, 30_000, N),
    "years": RNG.integers(1900, 2016, N).astype(float),
    "price": RNG.lognormal(12, 0.5, N).round(-2),
}


def _with(name: str, *codes: tuple[float, int]) -> np.ndarray:
    values = FIELDS[name].copy()
    for turn, (code, rows) in enumerate(codes):
        values[100 * turn : 100 * turn + rows] = code
    return values


@pytest.mark.parametrize("name", FIELDS)
def test_plain_labels_hold_no_certain_code(name: str) -> None:
    assert not [code for code in missing_codes(FIELDS[name]) if code.certain]


@pytest.mark.parametrize(
    ("name", "code", "rows"),
    [
        ("population", -9999, 1),
        ("population", -999, 30),
        ("population", -99, 2),
        ("population", -666666666, 3),
        ("share", -9999.0, 1),
        ("share", 999, 30),
        ("share", 9999, 2),
        ("share", 255, 30),
        ("counts", 99999, 5),
        ("celsius", -9999, 30),
        ("celsius", -99, 30),
        ("metres", -32768, 10),
        ("celsius", float(np.finfo(np.float32).min), 40),
        ("share", 1e20, 1),
        ("price", 9.96921e36, 1),
        ("profit", -1.7976931348623157e308, 1),
        ("years", 9999, 50),
        ("price", -1e20, 4),
        ("celsius", 999.9, 20),
        ("celsius", -(2.0**63), 2),
    ],
)
def test_unmistakable_codes(name: str, code: float, rows: int) -> None:
    found = missing_codes(_with(name, (code, rows)))
    assert [(one.value, one.rows) for one in found if one.certain] == [(code, rows)]


@pytest.mark.parametrize(
    ("name", "code", "rows"),
    [
        ("counts", -1, 30),
        ("population", -9, 1),
        ("population", -99, 1),  # a shrinking by 99 per cent
        ("years", 0, 50),
        ("share", 99, 30),
        ("share", 999, 1),
        ("profit", -9999, 30),
    ],
)
def test_what_only_may_be_a_code_is_named_and_not_certain(name: str, code: float, rows: int) -> None:
    found = missing_codes(_with(name, (code, rows)))
    assert [(one.value, one.rows, one.certain) for one in found] == [(code, rows, False)]


@pytest.mark.parametrize(
    ("name", "code"), [("profit", -999), ("price", 999_900), ("population", 9999), ("celsius", -9)]
)
def test_one_value_among_many_like_it_is_nothing(name: str, code: float) -> None:
    assert code not in [one.value for one in missing_codes(_with(name, (code, 1)))]


def test_several_codes_masks_classes_and_small_tables() -> None:
    found = missing_codes(_with("population", (-9999, 30), (-999, 4)))
    assert [(one.value, one.certain) for one in found] == [(-9999, True), (-999, True)]
    assert not any(one.certain for one in missing_codes([0, 255, 255, 0]))  # a mask
    assert not any(one.certain for one in missing_codes([-1, 0, 1, 1, -1]))
    assert not missing_codes([])
    assert not missing_codes([np.nan, np.nan])
    assert [one.certain for one in missing_codes([-9999, -9999, np.nan])] == [True]  # and no other value
    assert not missing_codes([99, 99])
    assert [one.value for one in missing_codes([7, 7, -9999])] == [-9999]
    within = np.arange(-127, 128).repeat(2).astype(float)
    within[:4] = -128
    assert not any(one.certain for one in missing_codes(within))
    assert [one.value for one in missing_codes(within, "int8") if one.certain] == [-128]


def test_codes_become_nan_also_where_four_bytes_rounded_them() -> None:
    values = np.array([1.5, -9999, np.nan, float(np.float32(-3.4028e38)), float(np.float32(-99.9))])
    assert np.isnan(without(values, [-9999, -3.4028e38])).tolist() == [False, True, True, True, False]
    assert np.isnan(without(values, [1e300, np.inf])).tolist() == [False, False, True, False, False]
    assert np.isnan(without(values, [-99.9])).tolist() == [False, False, True, False, True]
