"""Faults of captions: found, mended, counted."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.base.sentences import normalise, split_sentences
from urbanln.captions.cleaning.clean import FLAGS, Cleaned, clean_captions, stock_sentences
from urbanln.captions.settings import CleanSettings


def _count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) + 2 for text in texts]


def _frame(*texts: Any, captioner: str = "m", **columns: Any) -> pd.DataFrame:
    ids = [f"i{n}" for n in range(len(texts))]
    return pd.DataFrame({"image_id": ids, "captioner": captioner, "caption": list(texts), **columns})


def _clean(*texts: Any, finish: Sequence[str] | None = None, **chosen: Any) -> Cleaned:
    frame = _frame(*texts, **({} if finish is None else {"finish": finish}))
    return clean_captions(frame, CleanSettings(**chosen), count_tokens=_count, max_tokens=22)


def _flags(cleaned: Cleaned) -> list[tuple[str, str, str]]:
    return list(cleaned.flags[["image_id", "flag", "action"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I am an AI language model and do not have the ability to view images.",
        "I’m really sorry, I can’t help with that.",
        "Sorry, but I cannot assist with this request.",
        "Unfortunately, I cannot see the attached picture.",
        "As an AI, I have no eyes.",
        "I am unable to view the image.",
        "Unable to process this photo.",
        "My apologies, the tile did not load.",
        "I don't have access to the image.",
        "Please upload the image again.",
        "I don't see an image attached to your message.",
        "It seems that the image did not load.",
        "I won't be able to help with that.",
        "I am unable to determine what is in this image.",
        "The image could not be loaded.",
        "No image was provided.",
        "“I cannot provide a description.”",
        "抱歉，我无法查看图片。",
    ],
)
def test_refusals_are_dropped_or_taken_out(text: str) -> None:
    dropped = _clean(text, "A road.")
    assert list(dropped.frame["image_id"]) == ["i1"]
    assert _flags(dropped) == [("i0", "refusal", "drop")]
    assert _flags(_clean(text, refusal="trim")) == [("i0", "refusal", "drop")]
    mended = _clean(f"A road is seen. {text} It is wide.", refusal="trim")
    assert list(mended.frame["caption"]) == ["A road is seen. It is wide."]
    kept = _clean(text, refusal="keep")
    assert list(kept.frame["caption"]) == [text]
    assert ("i0", "refusal", "keep") in _flags(kept)


@pytest.mark.parametrize(
    "text",
    [
        "A sorry-looking house stands beside a road.",
        "I cannot see any cars on the road.",
        "I cannot see any people in the image.",
        "I cannot determine the exact number of floors, but the towers are tall.",
        "Unable to determine the season, one sees bare trees.",
        "We cannot identify the shops' names in the picture.",
        "One notes, and I cannot help but admire it, a tall tower.",
        "I cannot help but notice the tall tower.",
        "The number of cars cannot be determined from the image alone.",
        "A sign says that the shop is sorry for the noise.",
        "Cars are unable to pass here.",
        "No images are painted on the wall.",
        "As an aid to drivers, lanes are marked.",
    ],
)
def test_other_sentences_are_no_refusals(text: str) -> None:
    assert _flags(_clean(text)) == []


@pytest.mark.parametrize("text", ["", "  ", "\u200b\x07", "…", "---", None, float("nan")])
def test_texts_without_a_word_are_dropped(text: Any) -> None:
    cleaned = _clean(text, "A road.")
    assert list(cleaned.frame["caption"]) == ["A road."]
    assert _flags(cleaned) == [("i0", "empty", "drop")]


def test_half_sentences_go_and_whole_captions_without_a_stop_stay() -> None:
    cleaned = _clean(
        "A road. It is lined with",
        "A road with trees",
        "A road with the",
        "A road, a tree,",
        'The sign says "no."',
        "一条街道。很",
    )
    assert dict(zip(cleaned.frame["image_id"], cleaned.frame["caption"], strict=True)) == {
        "i0": "A road.",
        "i1": "A road with trees",
        "i4": 'The sign says "no."',
        "i5": "一条街道。",
    }
    assert [flag[1:] for flag in _flags(cleaned)] == [
        ("cut_off", "trim"), ("cut_off", "drop"), ("cut_off", "drop"), ("cut_off", "trim"),
    ]  # fmt: skip


def test_a_caption_cut_by_its_limit_is_flagged_even_at_a_full_stop() -> None:
    texts = ("A road.", "A road with trees", "A road. Trees", "A road. Trees")
    cleaned = _clean(*texts, finish=["length", "length", "length", ""])
    assert list(cleaned.frame["caption"]) == ["A road."] * 3
    assert [flag[2] for flag in _flags(cleaned)] == ["keep", "drop", "trim", "trim"]
    assert list(cleaned.frame["finish"]) == ["length", "length", ""]


@pytest.mark.parametrize("finish", ["content_filter", "refusal"])
@pytest.mark.parametrize("text", ["A road. Trees", "I will not.", ""])
def test_what_was_filtered_or_refused_is_a_refusal_whatever_it_says(text: str, finish: str) -> None:
    cleaned = _clean(text, "A road.", finish=[finish, "stop"])
    assert list(cleaned.frame["caption"]) == ["A road."]
    assert [flag[1:] for flag in _flags(cleaned)] == [("refusal", "drop")]


def test_a_list_without_full_stops_stays_where_its_captioner_ended_by_itself() -> None:
    points = "A dense area. Key points: - Wide roads - Small parks"
    cleaned = _clean(points, points, "A road. It is lined with", finish=["stop", "length", "stop"])
    assert list(cleaned.frame["caption"]) == [points, "A dense area.", "A road."]
    assert [flag[:2] for flag in _flags(cleaned)] == [("i1", "cut_off"), ("i2", "cut_off")]


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("A road. A tree. a Road! A bench.", "A road. A tree. A bench."),
        ("The park has a tree, a tree, a tree, a tree.", "The park has a tree."),
        ("It is very very very very very wide.", "It is very wide."),
        ("Rows of red roofs, rows of red roofs, rows of red roofs, rows of red roofs, and a lake.",
         "Rows of red roofs, and a lake."),
        ("A wide road!!!!!!!!!!!!", "A wide road!"),
        ("A road. Beijing is large. Shanghai is large.", "A road. This place is large."),
    ],
)  # fmt: skip
def test_what_is_said_again_is_said_once(text: str, mended: str) -> None:
    cleaned = _clean(text)
    assert list(cleaned.frame["caption"]) == [mended]
    assert ("i0", "repeated", "trim") in _flags(cleaned)


def test_a_loop_that_ends_mid_phrase_takes_its_half_sentence_along() -> None:
    cleaned = _clean("A park. It has a tree, a tree, a tree, a tree, a")
    assert list(cleaned.frame["caption"]) == ["A park."]
    assert [flag[1] for flag in _flags(cleaned)] == ["cut_off", "repeated"]


def test_three_times_is_no_loop() -> None:
    text = "A tree, a tree, a tree and ever so many, many, many cars."
    assert list(_clean(text).frame["caption"]) == [text]


def test_boilerplate_is_counted_by_pictures_of_one_captioner() -> None:
    texts = [f"The city is bustling. House {n} is red." for n in range(3)]
    same = pd.concat([_frame(*texts), _frame(*texts[:2], captioner="other")], ignore_index=True)
    twice = _frame("Lively. Lively.", "A road.")
    frame = pd.concat([same, twice], ignore_index=True)
    keep = CleanSettings(boilerplate_pictures=3)
    kept = clean_captions(frame, keep)
    assert kept.counts()["boilerplate"] == 3
    assert len(kept.frame) == len(frame)
    assert kept.flags.loc[kept.flags["flag"] == "boilerplate", "captioner"].unique().tolist() == ["m"]
    mended = clean_captions(frame, keep.model_copy(update={"boilerplate": "trim"}))
    assert list(mended.frame["caption"][:5]) == [f"House {n} is red." for n in range(3)] + texts[:2]
    assert stock_sentences(same)[:2] == [("The city is bustling.", 3), ("The city is bustling.", 2)]


def test_shared_sentences_are_those_that_are_counted_the_slow_way() -> None:
    rng = np.random.default_rng(0)
    said = ["A road.", "a ROAD!", "A tree.", "A park, with trees.", "A park with trees."]
    rows = [
        (f"i{image}", f"m{who}", " ".join(said[k] for k in rng.integers(0, len(said), 3)))
        for image, who in rng.integers(0, 4, (40, 2))
    ]
    frame = pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])
    pictures: dict[tuple[str, str], set[str]] = {}
    for image, who, text in rows:
        for sentence in split_sentences(text):
            pictures.setdefault((who, normalise(sentence)), set()).add(image)
    slow = sorted(len(images) for images in pictures.values() if len(images) >= 3)
    found = stock_sentences(frame, 3)
    assert sorted(n for _, n in found) == slow
    assert 0 < len(slow) < len(pictures)
    assert [n for _, n in found] == sorted((n for _, n in found), reverse=True)


def test_names_of_places_come_from_the_city_the_settings_and_the_list() -> None:
    texts = ("Homes of Atlantis.", "Homes of Utopia.", "Homes of Beijing.", "Homes of others.")
    cleaned = clean_captions(_frame(*texts), CleanSettings(places=("Utopia",)), places=["Atlantis"])
    assert list(cleaned.frame["caption"]) == ["Homes of this place."] * 3 + ["Homes of others."]
    assert list(cleaned.flags["detail"]) == ["Atlantis", "Utopia", "Beijing"]


def test_long_texts_keep_the_whole_sentences_that_fit() -> None:
    sentence = "This one sentence has seven words here."
    long = " ".join(f"w{n}" for n in range(100)) + "."
    cleaned = _clean(sentence, sentence + " " + long, long, "x" * 9)
    assert list(cleaned.frame["caption"]) == [
        sentence,
        sentence,
        " ".join(f"w{n}" for n in range(20)) + ".",
        "x" * 9,
    ]
    assert max(_count(list(cleaned.frame["caption"]))) <= 22
    assert _flags(_clean(long, too_long="drop")) == [("i0", "too_long", "drop")]
    assert clean_captions(_frame(long)).counts()["too_long"] == 0


def test_every_rule_can_be_keep_and_then_nothing_changes() -> None:
    texts = [
        "I'm sorry, but no.",
        "Beijing. Beijing. And the",
        "Beijing. Beijing. And the",
        " ".join(map(str, range(99))),
    ]
    rules = dict.fromkeys(set(FLAGS) - {"empty"}, "keep")
    cleaned = _clean(*texts, boilerplate_pictures=2, **rules)
    assert list(cleaned.frame["caption"]) == texts
    assert cleaned.counts() == {
        "refusal": 1, "empty": 0, "cut_off": 2, "repeated": 2, "boilerplate": 2, "place_names": 2,
        "too_long": 1,
    }  # fmt: skip
    assert set(cleaned.flags["action"]) == {"keep"}


def test_the_report_names_counts_and_what_was_done() -> None:
    lines = _clean("A road.", "", "Homes of Beijing.", "A road. And").lines()
    assert lines[0] == "captions before cleaning: 4, after: 3"
    assert "  empty: 1 (25.0%; 1 dropped)" in lines
    assert "  place_names: 1 (25.0%; 1 mended)" in lines
    assert len(lines) == 4


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="'caption'"):
        clean_captions(pd.DataFrame({"image_id": [], "captioner": []}))


def test_no_captions_are_no_error_and_columns_and_order_stay() -> None:
    assert clean_captions(_frame()).frame.empty
    frame = _frame("B. B.", "", "A.", extra=[3, 2, 1])
    cleaned = clean_captions(frame).frame
    assert list(cleaned.columns) == list(frame.columns)
    assert list(cleaned["extra"]) == [3, 1]
    assert frame.loc[0, "caption"] == "B. B."


PIECES = st.sampled_from(
    ["A road.", "A tree,", "a tree,", "Beijing", "China.", "in", "the", "I'm sorry, but no.", "No.", "3",
     "Dr.", "街。", "北京", "...", "I", "cannot", "view", "the image.", "New", "York", "U.S.",
     "(", '"', ".", "is"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=30).map(" ".join)
RULES = st.fixed_dictionaries(
    {flag: st.sampled_from(["drop", "trim", "keep"]) for flag in set(FLAGS) - {"empty"}}
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), RULES)
def test_cleaning_what_was_cleaned_changes_nothing(texts: list[str], rules: dict[str, Any]) -> None:
    chosen = CleanSettings(boilerplate_pictures=2, **rules)
    once = clean_captions(_frame(*texts), chosen, count_tokens=_count, max_tokens=12)
    again = clean_captions(once.frame, chosen, count_tokens=_count, max_tokens=12)
    assert list(again.frame["caption"]) == list(once.frame["caption"])
    assert "trim" not in set(again.flags["action"])
    if rules["too_long"] != "keep":
        assert all(count <= 12 for count in _count(list(once.frame["caption"])))
    same = clean_captions(_frame(*texts), chosen, count_tokens=_count, max_tokens=12)
    assert same.flags.equals(once.flags)


LONG = 400_000
HOSTILE = {
    name: piece * (LONG // len(piece))
    for name, piece in {
        "html": '<script>alert("x")</script><img src=x onerror=y>',
        "controls": "a\x1b[2J\x00 road. ",
        "one word": "x",
        "one sentence": "word ",
        "loops in loops": "a b " * 5 + "c ",
        "short sentences": "No. Yes. ",
        "refusals": "I'm sorry, but I cannot see ",
        "names": "Beijing, China. ",
        "stops": ".",
        "numbers": "1. ",
        "brackets": "([{\"'",
    }.items()
}
HOSTILE |= {"commas": "a" + "," * 10_000, "spaced commas": "a tree" + " ," * 10_000}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_takes_seconds_not_hours(name: str) -> None:
    started = time.process_time()
    cleaned = clean_captions(_frame(HOSTILE[name]), count_tokens=_count)
    # Anything quadratic takes minutes.
    assert time.process_time() - started < 20
    assert not any("\x1b" in text or "\x00" in text for text in cleaned.frame["caption"])
    assert all(len(detail) < 200 for detail in cleaned.flags["detail"])


def test_order_of_rows_changes_no_text() -> None:
    rng = random.Random(0)
    parts = [
        "A road.",
        "Homes of Beijing.",
        "I cannot view the image.",
        "a tree, a tree, a tree, a tree.",
        "And the",
    ]
    frame = _frame(*(" ".join(rng.choices(parts, k=4)) for _ in range(60)))
    chosen = CleanSettings(boilerplate="trim", boilerplate_pictures=40)
    straight = clean_captions(frame, chosen).frame.set_index("image_id")["caption"]
    turned = clean_captions(frame[::-1], chosen).frame.set_index("image_id")["caption"]
    assert straight.sort_index().equals(turned.sort_index())
    assert 0 < len(straight) < 60
