"""Cells as numbers: what text is read, what is refused with its row, and what is asked about."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.tables.columns import Features, features_of
from urbanln.tables.vectors import matrix

N = 6
E = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
IDS = [f"r{i}" for i in range(N)]


def _lists(cells: object, **options: object) -> Features:
    return features_of(pd.DataFrame({"region_id": IDS, "e": cells}), where="t", spec="v=t.csv", **options)


def _columns(values: np.ndarray, **options: object) -> Features:
    frame = pd.DataFrame(values, columns=[f"A{i}" for i in range(values.shape[1])]).assign(region_id=IDS)
    return features_of(frame, where="t", spec="v=t.csv", **options)


@pytest.mark.parametrize(
    "write",
    [
        lambda row: str(row.tolist()),
        lambda row: "{" + ",".join(map(str, row)) + "}",
        str,
        repr,
        lambda row: str(list(row)),
        lambda row: f"tensor({row.tolist()})",
        lambda row: np.array2string(row, max_line_width=20),
        lambda row: str(tuple(row.tolist())),
        lambda row: f"array({row.tolist()}, dtype=float32)",
        lambda row: f" {row.tolist()} ",
    ],
)
def test_vectors_written_as_text_are_read(write) -> None:
    found = _lists([None, *map(write, E[1:])])
    np.testing.assert_allclose(found.vectors, E[1:], rtol=1e-5, atol=1e-6)
    assert found.reasons == {"without a vector": 1}


@pytest.mark.parametrize(
    "text",
    [
        "[0.1 ... 0.2]",
        "[0.1, x]",
        "[0,1; 0,2]",
        "[0.1; 0.2]",
        "0.1, 0.2",
        "[1_0, 2]",
        "[]",
        "[0.1,,0.2]",
        "[[0.1, 0.2]]",
    ],
)
def test_text_that_is_no_whole_vector_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(InputError) as caught:
        _lists(["[0.1, 0.2]", text, *["[0.1, 0.2]"] * (N - 2)])
    assert "row 1" in str(caught.value.where)
    assert caught.value.value == text


def test_a_cut_print_says_so() -> None:
    with pytest.raises(InputError, match="cut when it was printed"):
        _lists([str(np.arange(2000.0))] * N)


def test_missing_numbers_in_lists_and_text_leave_the_row_out() -> None:
    found = _lists(["[1, null, 2]", "[nan, nan, nan]", "[1, 2, 3]", "NULL", "", "[4, 5, 6]"])
    assert found.vectors.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.reasons == {"without a vector": 3, "a value is missing": 1}


def test_numbers_in_every_type_are_read() -> None:
    frame = pd.DataFrame(
        {
            "region_id": IDS,
            "A0": E[:, 0].astype(np.float16),
            "A1": [Decimal(f"{x:.4f}") for x in E[:, 1]],
            "A2": [f"{x:.6f}" for x in E[:, 2]],
            "A3": pd.array(E[:, 3], dtype="Float32"),
            "A4": pd.Categorical(E[:, 4]),
        }
    )
    np.testing.assert_allclose(features_of(frame, where="t").vectors, E, atol=1e-3)


@pytest.mark.parametrize("bad", ["x", "1,5", "12 %", np.inf, -np.inf, "inf"])
def test_one_bad_cell_is_an_error_with_its_row_and_column(bad: object) -> None:
    cells = pd.DataFrame(E, columns=[f"A{i}" for i in range(5)]).astype(object).assign(region_id=IDS)
    cells.loc[3, "A2"] = bad
    with pytest.raises(InputError) as caught:
        features_of(cells, where="t")
    assert "row 3" in str(caught.value.where)
    assert "A2" in str(caught.value.where)


def test_an_infinite_number_in_a_list_is_an_error_with_its_row() -> None:
    cells = [*E[:4], np.array([1, np.inf, 0, 0, 0]), E[5]]
    with pytest.raises(InputError, match="infinite") as caught:
        _lists(cells)
    assert "row 4" in str(caught.value.where)
    assert "number 1" in str(caught.value.where)


@pytest.mark.parametrize(
    "code",
    [
        -9999,
        -999,
        -99999,
        -32768,
        9999,
        1e20,
        9.969209968386869e36,
        -3.4028235e38,
        -666666666,
        -1.7976931348623157e308,
    ],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_a_code_for_no_data_is_asked_about_and_then_left_out_or_kept(code: float, as_list: bool) -> None:
    values = E.astype(np.float64)
    values[4, 2] = code

    def read(**options: object) -> Features:
        return _lists(list(values), **options) if as_list else _columns(values, **options)

    with pytest.raises(InputError, match="may mean that nothing is there") as caught:
        read()
    assert "row 4" in str(caught.value.where)
    option = str(caught.value.remedy).split()[1]
    left = read(nodata=[option.removeprefix("v=")])
    np.testing.assert_array_equal(left.vectors, np.delete(E, 4, axis=0))
    assert left.left_out == 1
    if abs(code) < 1e300:
        assert read(nodata=["none"]).vectors[4, 2] == np.float32(code)


def test_a_code_is_seen_beside_large_numbers_and_a_large_number_is_none() -> None:
    values = np.abs(E) * 50_000
    values[1, 0] = -9999
    with pytest.raises(InputError, match="hold -9999"):
        _columns(values)
    values[:, 0] = [-9999, -9000, -8000, 9000, 7000, 100]
    assert _columns(values).vectors[0, 0] == -9999


def test_the_least_int8_of_a_quantised_product_is_asked_about() -> None:
    values = (E * 40).astype(np.int8)
    assert _columns(values).left_out == 0
    values[2] = -128
    with pytest.raises(InputError, match="hold -128"):
        _lists(list(values))
    assert _columns(values, nodata=["-128"]).rows.tolist() == [0, 1, 3, 4, 5]


def test_rows_of_one_value_throughout_are_asked_about() -> None:
    values = E.copy()
    values[2] = 0
    with pytest.raises(InputError, match="one value throughout") as caught:
        _columns(values)
    assert "--nodata v=constant" in str(caught.value.remedy)
    assert _columns(values, nodata=["constant"]).rows.tolist() == [0, 1, 3, 4, 5]
    assert _columns(values, nodata=["none"]).left_out == 0
    assert _columns(values[:, :3]).left_out == 0  # three may be equal by chance
    with pytest.raises(InputError, match="a code for missing values is a number"):
        _columns(values, nodata=["zero"])


def test_a_dimension_that_is_a_position_is_refused_unless_named_in_full() -> None:
    lon, lat = 116.3 + 0.01 * np.arange(N), 39.9 + 0.003 * np.arange(N)
    frame = pd.DataFrame({"region_id": IDS, "lon": lon, "lat": lat, "A0": E[:, 0], "A1": lat, "A2": E[:, 2]})
    with pytest.raises(InputError, match="is the latitude of the regions") as caught:
        features_of(frame, where="t")
    assert caught.value.value == "A1"
    with pytest.raises(InputError, match="is the latitude"):
        features_of(frame, columns=["A*"], where="t")
    assert features_of(frame, columns=["A0", "A1"], where="t").names == ("A0", "A1")
    with pytest.raises(InputError, match="is the latitude"):
        features_of(frame.assign(A1=(lat + 0.0002).round(4)), where="t")
    assert features_of(frame.assign(A1=lat[::-1]), where="t").names == ("A0", "A1", "A2")
    lists = frame[["lon", "lat"]].assign(e=[np.append(row, x) for row, x in zip(E, lon, strict=True)])
    with pytest.raises(InputError, match="is the longitude"):
        features_of(lists, where="t")


def test_a_large_table_of_lists_is_not_copied() -> None:
    block = np.random.default_rng(1).normal(size=(1000, 64)).astype(np.float32)
    frame = pd.DataFrame({"region_id": [f"r{i}" for i in range(1000)], "e": list(block)})
    assert np.shares_memory(features_of(frame, where="t").vectors, block)
    assert np.shares_memory(matrix(frame.rename(columns={"e": "vector"})), block)
