"""Rows that lie on disk and are had as one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from urbanln.base import spool
from urbanln.base.errors import StorageError
from urbanln.base.spool import Spool, some_rows, spooled
from urbanln.city.checks import empty_captions


def _captions(start: int, stop: int) -> pd.DataFrame:
    numbers = list(range(start, stop))
    told = {
        "image_id": [f"i{k // 3}" for k in numbers], "caption": [f"text {k} é" for k in numbers],
        "captioner": "a", "agreement": [k / 3 if k % 2 else np.nan for k in numbers],
        "selected": [k % 3 == 0 for k in numbers], "tokens": pd.array([k or None for k in numbers], "Int64"),
        "rank": [k % 3 for k in numbers], "n_candidates": 3, "weight": 1.0, "margin": np.nan,
    }  # fmt: skip
    return pd.DataFrame(told)[list(empty_captions())]


@pytest.mark.parametrize("together", [1, 7, 1000])
def test_rows_come_back_as_they_were_whatever_came_together(together: int) -> None:
    wanted = _captions(0, 50)
    parts = (wanted.iloc[start : start + together] for start in range(0, 50, together))
    pd.testing.assert_frame_equal(spooled(parts, empty_captions()), wanted)


def test_no_rows_are_a_frame_with_the_columns_and_their_types() -> None:
    pd.testing.assert_frame_equal(spooled([], empty_captions()), empty_captions())


def test_some_rows_are_those_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_WINDOW", 8)
    frame = _captions(0, 60)
    for places in ([], [5], [59, 0, 7, 8, 8, 31], list(range(60))[::-1], list(range(10, 30))):
        found = some_rows(frame, np.array(places, dtype=int))
        pd.testing.assert_frame_equal(found, frame.iloc[places])


def test_a_spool_has_no_name_and_no_place_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frame = spooled([_captions(0, 9)], empty_captions())
    assert not list(tmp_path.iterdir())
    assert frame["caption"].iloc[8] == "text 8 é"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match="TMPDIR"):
        Spool(empty_captions())
