"""Numbers as tables hold them, also those that no float has room for."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from urbanln.base.columns import number_column
from urbanln.base.errors import InputError
from urbanln.base.written import as_floats

HUGE = 10**400


@pytest.mark.parametrize("value", [HUGE, str(HUGE), "1e400"], ids=["whole", "text", "exponent"])
def test_what_is_beyond_a_float_is_infinite_and_refused(value: object) -> None:
    column = pd.Series([value, 2, None, "x"], dtype=object, index=[3, 4, 5, 6])
    found = as_floats(column)
    assert found.dtype == "float64"
    assert found.tolist()[:2] == [math.inf, 2.0]
    assert found.isna().tolist() == [False, False, True, True]
    assert found.index.tolist() == [3, 4, 5, 6]
    frame = pd.DataFrame({"a": pd.Series([value, 2], dtype=object)})
    with pytest.raises(InputError, match="'a' is infinite") as refused:
        number_column(frame, "a", "t.csv", text_numbers=True)
    assert "row 0" in str(refused.value.where)


def test_a_huge_negative_number_keeps_its_sign() -> None:
    assert as_floats(pd.Series([-HUGE, 10**30, True], dtype=object)).tolist() == [-math.inf, 1e30, 1.0]
