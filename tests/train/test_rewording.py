"""Captions changed while training: what may be read, in what order, and that nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.base.config import TrainSettings
from urbanln.model.clip import LongClip, load_clip
from urbanln.train.batches import Texts
from urbanln.train.rewording import Rewording

SENTENCES = [np.array(row, np.int32) for row in ([1, 2, 3], [4, 5], [6])]
WHOLE = [1, 2, 3, 4, 5, 6]


def _told(rewording: Rewording, seed: int, room: int = 20) -> list[int]:
    return rewording.told(SENTENCES, room, 0, seed).tolist()


def test_nothing_changes_by_itself() -> None:
    assert not Rewording()
    assert not Rewording.of(TrainSettings())
    assert all(_told(Rewording(), seed) == WHOLE for seed in range(20))


def test_the_opening_is_left_out_of_its_share() -> None:
    dropped = [_told(Rewording(drop_opening=0.3), seed) == WHOLE[3:] for seed in range(2000)]
    assert 0.26 < np.mean(dropped) < 0.34
    assert Rewording(drop_opening=1).told(SENTENCES[:1], 20, 0, 0).tolist() == [1, 2, 3]  # the only one stays


def test_sampled_sentences_are_whole_and_every_choice_comes_up() -> None:
    seen = {tuple(_told(Rewording(sample_sentences=1), seed)) for seed in range(600)}
    parts = {(1, 2, 3), (4, 5), (6,)}
    choices = {
        sum(chosen, ())
        for first in parts
        for second in [*parts - {first}, ()]
        for third in ([*parts - {first, second}, ()] if second else [()])
        for chosen in [[first, second, third]]
    }
    assert seen == choices


def test_padding_pushes_a_text_back_as_far_as_there_is_room() -> None:
    rows = [_told(Rewording(pad_front=1), seed, room=8) for seed in range(200)]
    assert {len(row) for row in rows} == {6, 7, 8}
    assert all(row[-6:] == WHOLE and not any(row[:-6]) for row in rows)
    assert _told(Rewording(pad_front=1), 0, room=4) == WHOLE[:4]


def test_one_share_does_not_change_what_another_draws() -> None:
    alone = [_told(Rewording(drop_opening=0.5), seed) for seed in range(50)]
    padded = [_told(Rewording(drop_opening=0.5, pad_front=1), seed) for seed in range(50)]
    assert [[token for token in row if token] for row in padded] == alone


@pytest.fixture(scope="module")
def model():
    return load_clip("tiny")


def test_sentences_put_together_again_are_the_caption(model: LongClip) -> None:
    texts = [
        "A park beside a river. Grey roofs of approx. 3 m, and a school! Trees",
        "x",
        "",
        "Dr. Li waits. " * 90,
    ]
    texts = [text for text in texts if text]
    told = Texts(model, texts, Rewording(pad_front=1e-12))
    seeds = np.arange(len(texts))
    assert told.drawn(np.arange(len(texts)), seeds).equal(told.ids(range(len(texts))))


def test_a_changed_caption_begins_and_ends_as_any_and_fits(model: LongClip) -> None:
    texts = ["A park beside a river. Grey roofs and a school. Trees stand on both sides."]
    told = Texts(model, texts, Rewording(1, 1, 1))
    index, seeds = np.zeros(64, np.int64), np.arange(64)
    ids = told.drawn(index, seeds)
    assert ids.equal(told.drawn(index, seeds))
    assert ids.shape[1] <= model.context
    assert (ids[:, 0] == model.tokenizer.bos_token_id).all()
    assert (ids == model.tokenizer.eos_token_id).any(dim=1).all()
    model.encode_text(ids[:4])  # its end is found
    lengths = (ids == model.tokenizer.eos_token_id).int().argmax(dim=1)
    assert lengths.max() > 100  # pushed into positions that no caption reaches
