"""Which columns are the vector: one column of lists, columns that count up, or what is named."""

from __future__ import annotations

import shlex
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.tables.choice import Chosen, choose

N = 6
RNG = np.random.default_rng(0)
E = RNG.normal(size=(N, 4))
A = {f"A{i}": E[:, i] for i in range(4)}
BOX = [[x, y, x + 0.1, y + 0.1] for x, y in E[:, :2]]


def _choose(columns: dict, named: tuple[str, ...] = (), labels: tuple[str, ...] = ()) -> Chosen:
    frame = pd.DataFrame({"region_id": [f"r{i}" for i in range(N)], **columns})
    return choose(frame, named, labels, ("region_id",), "t", "v=a b.csv")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"ndvi": E[:, 0]},
        {"bbox": BOX},
        {"tile_limits": BOX},
        {"extent": [[0, 9, 0, 9]] * N},
        {"GEOID": np.arange(N)},
        {"long": E[:, 0], "lat": E[:, 1]},
        {"proj:transform": [[1.0] * 6] * N},
        {"tags": [["a", "b"]] * N},
        {"phone": ["(02) 1234 5678"] * N},
        {"flag0": 0, "flag1": 0},
        {"stats:mean": [[1.0, 2.0]] * N},
        {"x1": 1.5, "y1": E[:, 0], "x2": E[:, 1], "y2": E[:, 2]},
        {"pop_2019": 3, "pop_2020": E[:, 0]},
        {"props": [{"a": 1.0}] * N},
        {"times": [np.array(["2020-01-01"], dtype="M8[ms]")] * N},
        {"day0": pd.Timestamp("2020-01-01"), "day1": pd.Timestamp("2020-01-02")},
    ],
)
def test_what_stands_beside_the_vector_does_not_hide_it(more: dict) -> None:
    assert _choose({**A, **more}).numbers == ("A0", "A1", "A2", "A3")
    assert _choose({**more, "embedding": list(E)}).lists == "embedding"


@pytest.mark.parametrize(
    "cells",
    [
        list(E),
        [None, *E[1:]],
        [row.tolist() for row in E],
        [tuple(row) for row in E],
        [str(row.tolist()) for row in E],
        ["", *("{" + ",".join(map(str, row)) + "}" for row in E[1:])],
        [str(row) for row in E],
        [repr(row) for row in E],
        [[Decimal("0.5")] * 4] * N,
        list(E.astype(np.float16)),
        [["0.5", "1.5"]] * N,
    ],
)
def test_a_column_of_lists_is_one_in_every_type(cells: list) -> None:
    assert _choose({"embedding": cells, "confidence": E[:, 0]}).lists == "embedding"


@pytest.mark.parametrize(
    "cells",
    [
        [Decimal("0.5")] * N,
        ["0.5"] * N,
        [None, *["-1e-3"] * (N - 1)],
        E[:, 0].astype(np.float16),
        E[:, 0] > 0,
        [1] * N,
    ],
)
def test_a_dimension_is_one_in_every_type_of_number(cells: object) -> None:
    assert _choose({**A, "A4": cells}).numbers == ("A0", "A1", "A2", "A3", "A4")


def test_a_text_in_a_dimension_does_not_take_it_out() -> None:
    assert _choose({**A, "A3": ["x", *map(str, E[1:, 3])]}).numbers == ("A0", "A1", "A2", "A3")
    assert _choose({**A, "A3": ["x"] * N}).numbers == ("A0", "A1", "A2", "A3")


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({**A, "B0": E[:, 0], "B1": E[:, 1]}, ["A*", "B*"]),
        ({**A, "embedding": list(E)}, ["embedding", "A*"]),
        ({"embedding": list(E), "probs": [[0.1, 0.9]] * N}, ["embedding", "probs"]),
        ({"ndvi": E[:, 0]}, ["ndvi"]),
        ({"ndvi": E[:, 0], "roads": E[:, 1], "area_km2": E[:, 2]}, ["ndvi,roads"]),
        ({"pop_2019": E[:, 0], "pop_2020": E[:, 1]}, ["pop_*"]),
        ({"A0": E[:, 0], "A1": E[:, 1], "A3": E[:, 3]}, ["A*"]),
        ({"q1": E[:, 0], "q2": E[:, 1], "a": E[:, 0], "b": E[:, 1], "c": E[:, 2]}, ["q*", "a,b,c"]),
        ({"bbox": BOX}, ["bbox"]),
        ({f"lat_{i}": E[:, i] for i in range(4)}, ["lat_*"]),
    ],
)
def test_what_could_be_two_things_is_refused_with_options_that_work(
    columns: dict, options: list[str]
) -> None:
    with pytest.raises(InputError, match="which columns") as caught:
        _choose(columns)
    said = shlex.split(str(caught.value.remedy).removeprefix("say which: "))
    assert said[1::3] == [f"v=a b.csv#{option}" for option in options]
    for option in options:
        chosen = _choose(columns, tuple(option.split(",")))
        assert chosen.lists == option or chosen.numbers


def test_one_of_a_run_may_be_called_like_an_id() -> None:
    columns = {f"h{i}": E[:, i % 4] + i for i in range(6)}
    assert _choose(columns).numbers == _choose(columns, ("h*",)).numbers == tuple(columns)


def test_a_pattern_takes_features_and_a_whole_name_whatever_it_is() -> None:
    columns = {**A, "ALAND": E[:, 0], "A_name": ["x"] * N, "lon": E[:, 0]}
    found = _choose(columns, ("A*",))
    assert found.numbers == ("A0", "A1", "A2", "A3")
    assert found.passed == ("ALAND", "A_name")
    assert _choose(columns, ("ALAND", "lon")).numbers == ("ALAND", "lon")
    assert _choose(columns, ("*",)).numbers == ("A0", "A1", "A2", "A3")
    with pytest.raises(InputError, match="no column of this table is called so"):
        _choose(columns, ("B*",))
    with pytest.raises(InputError, match="one column of lists, or columns of numbers"):
        _choose({**A, "e": list(E)}, ("e", "A0"))


def test_labels_are_no_part_of_it() -> None:
    found = _choose({**A, "Price": E[:, 0], "e": list(E)}, labels=("price", "e"))
    assert found.numbers == ("A0", "A1", "A2", "A3")
    assert found.labels == ("Price",)
    with pytest.raises(InputError, match="a label to be predicted"):
        _choose({**A, "Price": E[:, 0]}, ("Price",), labels=("price",))


def test_a_struct_and_text_are_no_vector() -> None:
    with pytest.raises(InputError, match="no vectors in this table") as caught:
        _choose({"e": [{"a": 1.0, "b": 2.0}] * N})
    assert "struct" in str(caught.value)
    with pytest.raises(InputError, match="no vectors in this table"):
        _choose({"name": ["1,5"] * N, "tags": [["a"]] * N})


@pytest.mark.parametrize(
    ("cells", "holds", "remedy"),
    [
        (["0,12"] * N, "text such as '0,12'", "--decimal ,"),
        ([b"\x00\x01"] * N, "bytes", "np.frombuffer"),
        ([[[0.1, 0.2], [0.3, 0.4]]] * N, "lists of lists", "flatten"),
        ([{"a": 0.1}] * N, "structs", "one list"),
        (["zczMPc3MTD6amZk+"] * N, "text such as 'zczM", "base64"),
        (["0.1,0.2,0.3"] * N, "text such as '0.1,0.2,0.3'", '"[0.1, 0.2]"'),
        (['["0.1", "0.2"]'] * N, "text such as", "without quotes"),
    ],
)
def test_what_is_no_vector_is_said_and_no_key_or_label_is_offered(
    cells: list, holds: str, remedy: str
) -> None:
    columns = {"embedding": cells, "price": E[:, 0], "lon": E[:, 1]}
    frame = pd.DataFrame({"region_id": range(N), **columns})
    for more in ({}, {"confidence": E[:, 2]}):
        with pytest.raises(InputError) as caught:
            choose(frame.assign(**more), (), ("price",), ("region_id", "lon"), "t", "v=a.csv")
        text = str(caught.value)
        assert f"embedding holds {holds}" in text
        assert remedy in text
        assert ("#confidence" in text) == bool(more)
        assert not any(f"#{name}" in text or f"{name}," in text for name in ("region_id", "price", "lon"))


@pytest.mark.filterwarnings("error")
def test_lists_beyond_float32_warn_of_nothing() -> None:
    assert _choose({"embedding": [[1e300, 0.5]] * N}).lists == "embedding"
