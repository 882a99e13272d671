"""What an audit tells of captions."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.captions.audit import audit_captions
from urbanln.captions.captioners.recorded import read_rows
from urbanln.captions.settings import CleanSettings

TEXTS = {
    "i0": "The city is bustling. A road runs through it.",
    "i1": "the city is bustling! A road, in Beijing, China.",
    "i2": "I'm sorry, but I cannot view the image. In Beijing it rains and",
    "i3": "",
    "i4": "The city is bustling. A road runs through it.",
}


def _count(texts: Sequence[str]) -> list[int]:
    return [20 * len(text.split()) for text in texts]


@pytest.fixture
def frame() -> pd.DataFrame:
    rows = {"image_id": list(TEXTS), "captioner": ["a", "a", "b", "b", "b"], "caption": list(TEXTS.values())}
    return pd.DataFrame(rows)


def test_everything_is_counted_in_the_raw_texts(frame: pd.DataFrame) -> None:
    audit = audit_captions(frame, CleanSettings(boilerplate_pictures=2), count_tokens=_count)
    assert (audit.n_captions, audit.n_pictures, audit.captioners) == (5, 5, {"a": 2, "b": 3})
    # A refusal is counted as a leak and a cut as well, though cleaning would drop it for the first reason.
    assert audit.flags == {
        "refusal": {"a": 0, "b": 1},
        "empty": {"a": 0, "b": 1},
        "cut_off": {"a": 0, "b": 1},
        "repeated": {"a": 0, "b": 0},
        "boilerplate": {"a": 2, "b": 0},
        "place_names": {"a": 1, "b": 1},
        "too_long": {"a": 0, "b": 1},
    }
    assert audit.places == {"Beijing": 2, "China": 1}
    assert audit.stock == [("The city is bustling.", 2)]
    assert audit.equal == 2
    assert audit.words.longest == 13
    assert audit.words.mean == sum(len(text.split()) for text in TEXTS.values()) / 5
    assert audit.tokens is not None
    assert audit.tokens.over == {77: 4, 248: 1}
    other = audit_captions(frame, count_tokens=_count, max_tokens=196)
    assert other.tokens is not None
    assert list(other.tokens.over) == [196], "the lengths of CLIP say nothing of another base"


def test_lines_and_json_say_the_same(frame: pd.DataFrame) -> None:
    audit = audit_captions(frame, count_tokens=_count, places=["Rain"])
    lines = audit.lines()
    assert lines[0] == "5 captions of 5 pictures by 2 captioners"
    assert "place_names: 2 (40.0%)" in lines
    assert "places named: Beijing 40.0%, China 20.0%" in lines
    assert any(line.endswith("80.0% over 77, 20.0% over 248") for line in lines)
    found = json.loads(json.dumps(audit.as_json(), allow_nan=False))
    named = found["flags"]["place_names"]
    assert (named["captions"], named["share"], named["by_captioner"]) == (2, 0.4, {"a": 1, "b": 1})
    assert found["tokens"]["over"]["77"] == {"captions": 4, "share": 0.8}


def test_faults_are_shown_by_captions_that_differ(frame: pd.DataFrame) -> None:
    """Which caption, whose, and the words in question; equal ones once, and no more than a few."""
    again = pd.concat([frame, frame.assign(image_id=[f"j{i}" for i in range(5)])], ignore_index=True)
    many = pd.DataFrame({"image_id": [f"k{i}" for i in range(9)], "captioner": "c", "caption": [
        f"A road of {i} lanes leads to the lake. It" for i in range(9)]})  # fmt: skip
    shown = audit_captions(pd.concat([again, many], ignore_index=True)).examples
    assert shown["place_names"] == [("i1", "a", "Beijing, China"), ("i2", "b", "Beijing")]
    assert [image for image, _, _ in shown["refusal"]] == ["i2"]
    assert [image for image, _, _ in shown["cut_off"]] == ["i2", "k0"]
    assert set(shown) == {"refusal", "empty", "cut_off", "place_names"}


def test_tokens_need_no_counting(frame: pd.DataFrame) -> None:
    audit = audit_captions(frame)
    assert audit.as_json()["tokens"] is None
    assert "tokens per caption: not counted" in audit.lines()
    assert not any(line.startswith("too_long") for line in audit.lines())


def test_a_file_of_urbanclips_form_is_audited(tmp_path: Path) -> None:
    rows = [[{"caption": text, "image": "a.jpg"} for text in ("A field", "Trees are near", "It has the")]]
    (tmp_path / "a.json").write_text(json.dumps([*rows, [{"caption": "", "image": "b.jpg"}]]))
    audit = audit_captions(read_rows(tmp_path / "a.json"))
    assert audit.n_captions == 2
    assert {flag for flag, by in audit.flags.items() if sum(by.values())} == {"cut_off", "empty"}


def test_no_captions_and_no_column_are_errors(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="no captions"):
        audit_captions(frame.head(0))
    with pytest.raises(InputError, match="'captioner'"):
        audit_captions(frame.drop(columns="captioner"))


def test_hostile_texts_cannot_steer_the_terminal(frame: pd.DataFrame) -> None:
    frame["caption"] = "\x1b[2J<b>Beijing</b>\x07 " + "word " * 500
    text = "\n".join(audit_captions(frame, CleanSettings(boilerplate_pictures=2)).lines())
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 200


def test_the_shares_of_urbanclips_captions(tmp_path: Path) -> None:
    folder = os.environ.get("URBANLN_URBANCLIP")
    if not folder:
        pytest.skip("URBANLN_URBANCLIP does not name a clone of siruzhong/UrbanCLIP-Dataset-Toolkit")
    count = pytest.importorskip("urbanln.model.tokens").load_tokenizer("clip").count_tokens
    expected = {
        "Beijing": (4592, 94.8, 0.880, 0),
        "Guangzhou": (3402, 96.0, 0.892, 0),
        "Shenzhen": (4324, 86.7, 0.702, 50),
    }
    most = 0
    for city, (n, mean, over, refusals) in expected.items():
        rows = read_rows(Path(folder) / "caption/pairs" / f"{city}_captions.json")
        audit = audit_captions(rows, count_tokens=count)
        assert audit.tokens is not None
        assert audit.n_captions == n
        assert audit.tokens.mean == pytest.approx(mean, abs=0.1)
        assert audit.tokens.over[77] / n == pytest.approx(over, abs=0.001)
        assert audit.tokens.over[248] == 0
        assert audit.tokens.longest <= 130
        assert sum(audit.flags["refusal"].values()) == refusals
        most = max(most, audit.stock[0][1])
    assert most == 140


def test_no_text_is_counted_twice() -> None:
    texts = ["A road.", "A tree and a road.", "A park."]
    frame = pd.DataFrame({"image_id": ["a", "b", "c"], "captioner": "m", "caption": texts})
    counted: list[str] = []

    def count(some: Sequence[str]) -> list[int]:
        counted.extend(some)
        return _count(some)

    audit = audit_captions(frame, count_tokens=count, max_tokens=80)
    assert counted[:3] == texts
    assert not set(counted[3:]) & set(texts), "beside what is left of the one that is too long"
    assert sum(audit.flags["too_long"].values()) == 1
