"""The caption table before a vote."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.captions.table import candidates_table, fill_gaps, merge_candidates, tidy_text
from urbanln.city.checks import CAPTION_COLUMNS, check_captions


def _frame(*rows: tuple[str, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])


def test_all_candidates_stand_with_equal_weights_and_the_first_is_selected() -> None:
    rows = _frame(("b", "x", "one"), ("a", "x", "two"), ("b", "y", "three"), ("b", "z", "four"))
    table = candidates_table(rows, lambda texts: [len(t) for t in texts])
    assert list(table.columns) == list(CAPTION_COLUMNS)
    assert list(table["image_id"]) == ["b", "b", "b", "a"]
    assert list(table["rank"]) == [0, 1, 2, 0]
    assert list(table.loc[table["selected"], "caption"]) == ["one", "two"]
    assert list(table["weight"]) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1])
    assert list(table["tokens"]) == [3, 5, 4, 3]
    assert list(table["n_candidates"]) == [3, 3, 3, 1]
    assert table["agreement"].isna().all()
    check_captions(table, pd.Series(["a", "b"]))


def test_equal_texts_collapse_but_are_counted_and_empty_ones_go() -> None:
    rows = _frame(("a", "x", "A  roof.\n"), ("a", "y", "A roof."), ("a", "z", " \x00\t"), ("b", "x", None),
                  ("c", "x", "… ---"))  # fmt: skip
    table = candidates_table(rows)
    assert list(table["caption"]) == ["A roof."]
    assert list(table["captioner"]) == ["x"]
    assert list(table["n_candidates"]) == [2]
    assert table["tokens"].isna().all()
    assert str(table["tokens"].dtype) == "Int64"
    check_captions(table, pd.Series(["a", "b"]))


def test_nothing_in_nothing_out() -> None:
    table = candidates_table(_frame())
    assert table.empty
    assert list(table.columns) == list(CAPTION_COLUMNS)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="captioner"):
        candidates_table(pd.DataFrame({"image_id": ["a"], "caption": ["b"]}))


def test_control_and_invisible_characters_are_stripped() -> None:
    assert tidy_text("a\u202e \x1b[31mred\x07\r\n\u3000roof\ufeff \ud800") == "a [31mred roof"
    assert tidy_text("soft\xadly \u2066left\u2069") == "softly left"
    assert tidy_text("one\x0ctwo\x85three\x1cfour") == "one two three four"
    assert tidy_text("<b>日本</b> – naïve") == "<b>日本</b> – naïve"


def test_merging_replaces_a_captioners_text_in_its_place() -> None:
    kept = candidates_table(_frame(("a", "x", "old x"), ("a", "y", "old y"), ("b", "x", "b x")))
    merged = merge_candidates(kept, _frame(("a", "x", "new x"), ("a", "z", "new z")))
    got = [tuple(row) for row in merged.itertuples(index=False)]
    assert got == [("a", "x", "new x"), ("a", "y", "old y"), ("b", "x", "b x"), ("a", "z", "new z")]
    assert list(candidates_table(merged)["caption"]) == ["new x", "old y", "new z", "b x"]


def test_what_is_measured_fills_gaps_only() -> None:
    rows = _frame(
        ("a", "measured", "grey"), ("a", "x", "A road."), ("b", "measured", "green"), ("c", "x", "A park."),
        ("a", "y", "A street."),
    )  # fmt: skip
    kept = fill_gaps(rows)
    assert list(zip(kept["image_id"], kept["captioner"], strict=True)) == [
        ("a", "x"), ("b", "measured"), ("c", "x"), ("a", "y")
    ]  # fmt: skip
    assert fill_gaps(rows[rows["captioner"] == "measured"])["image_id"].tolist() == ["a", "b"]


@given(st.text(st.sampled_from("ab \t\n\u3000\xa0\u200b\x07"), max_size=30))
def test_tidied_texts_have_single_blanks_and_stay_the_same_object(text: str) -> None:
    tidied = tidy_text(text)
    assert tidied == " ".join(re.sub("[\u200b\x07]", "", text).split())
    assert tidy_text(tidied) is tidied
