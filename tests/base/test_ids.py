"""Ids of a table: kept as they are written, refused where a spreadsheet or a float has mangled them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from urbanln.base.columns import among
from urbanln.base.errors import InputError
from urbanln.base.frames import read_frame
from urbanln.base.ids import read_ids


def _ids(values: object, **options: bool) -> list[str]:
    return read_ids(pd.DataFrame({"id": values}), "id", "t.csv", **options).fillna("?").tolist()


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (["NA", "null", "None", "nan", "007"], ["NA", "null", "None", "nan", "007"]),
        ([1001.0, np.nan, 3.0], ["1001", "?", "3"]),
        (["1.0", "1.1", "2.0"], ["1.0", "1.1", "2.0"]),  # a numbering with points
        (["12e45", "00e12", "5E10", "a1.2E3"], ["12e45", "00e12", "5E10", "a1.2E3"]),  # hashes
        (["140000000000001", "140000000000002"], ["140000000000001", "140000000000002"]),
        ([2**60 + 1], [str(2**60 + 1)]),
        ([b"06037", "r\xe9".encode()], ["06037", "ré"]),
        (["geoId/06037", " zip/94043 "], ["geoId/06037", "zip/94043"]),
        ([2.0**53, 5.0], ["9007199254740992", "5"]),
    ],
)
def test_ids_stay_ids(values: object, ids: list[str]) -> None:
    assert _ids(values) == ids


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1.40E+14", "1.40E+14"], r"spreadsheet(.|\n)*1\.40E\+14(.|\n)*row 0(.|\n)*--trust-ids"),
        (["a", "4.03E+09"], r"4\.03E\+09(.|\n)*row 1"),
        (["1,4E+14"], r"1,4E\+14"),
        (["2E+10"], r"2E\+10"),
        (["7", "1.4e+15"], r"1\.4e\+15"),
        (["1001.0", "1002", "x"], r"were whole once(.|\n)*1001\.0"),
        (["1001.0", "1002.0", None], r"were whole once(.|\n)*1001\.0(.|\n)*row 0"),
        ([1.4e17, 1.5e17], r"cannot hold so many digits(.|\n)*140000000000000000"),
        (np.array([20000001, 3], dtype=np.float32), "cannot hold so many digits"),
    ],
)
def test_mangled_ids_are_refused_unless_they_are_trusted(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _ids(values)
    assert len(set(_ids(values, trust=True))) == len(set(values))


def test_what_a_spreadsheet_wrote_is_found_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x\n1.40E+14,1\n1.40E+14,2\n")
    with pytest.raises(InputError, match="spreadsheet"):
        read_ids(read_frame(tmp_path / "t.csv", text=["id"]), "id", "t.csv")


@pytest.mark.parametrize("kind", ["str", "object", "int64"])
@pytest.mark.parametrize("gap", [False, True])
def test_known_ids_are_those_that_pandas_finds(kind: str, gap: bool) -> None:
    values: list[object] = [1, 2, 3] if kind == "int64" else ["a", "b", "ä"]
    missing = [] if kind == "int64" else [None]
    known = pd.Series([*values, *(missing if gap else [])], dtype=kind)
    ids = pd.Series([values[1], *missing, *(values[:1] * 2), 7 if kind == "int64" else "no"], dtype=kind)
    both = pd.concat([ids, ids], ignore_index=True)  # in two pieces of memory
    for one, other in ((ids, known), (both, known), (known, both)):
        assert among(one, other).tolist() == one.isin(other).tolist()
        assert among(pd.Index(one), pd.Index(other)).tolist() == pd.Index(one).isin(pd.Index(other)).tolist()
    assert among(ids, known[:0]).tolist() == [False] * len(ids)
