from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.base.sentences import split_sentences
from urbanln.study.captions import choose_texts, swap_captions


def pictures(views_of: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A satellite picture per region and some street views; every caption names its picture."""
    rows = []
    for number, views in enumerate(views_of):
        rows.append((f"s{number}", f"r{number}", "satellite"))
        rows += [(f"v{number}_{k}", f"r{number}", "street") for k in range(views)]
    images = pd.DataFrame(rows, columns=["image_id", "region_id", "view"])
    texts = images[["image_id"]].assign(captioner="one", caption="of " + images["image_id"])
    return texts, images


@given(views_of=st.lists(st.integers(1, 3), min_size=7, max_size=20), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_swapping_breaks_every_pair_and_loses_no_caption(views_of: list[int], seed: int) -> None:
    texts, images = pictures(views_of)
    swapped = swap_captions(texts, images, seed)
    known = images.set_index("image_id")
    own = known.loc[swapped["image_id"]]
    given_to = known.loc[swapped["caption"].str.removeprefix("of ")]
    assert sorted(swapped["caption"]) == sorted(texts["caption"])
    assert sorted(swapped["image_id"]) == sorted(texts["image_id"])
    assert not (own["region_id"].to_numpy() == given_to["region_id"].to_numpy()).any()
    assert (own["view"].to_numpy() == given_to["view"].to_numpy()).all()
    pd.testing.assert_frame_equal(swapped, swap_captions(texts, images, seed))


def test_another_seed_swaps_otherwise_and_one_region_cannot_be_swapped() -> None:
    texts, images = pictures([1] * 12)
    assert not swap_captions(texts, images, 0).equals(swap_captions(texts, images, 1))
    with pytest.raises(InputError, match="swapped"):
        swap_captions(*pictures([3, 1]), seed=0)


def candidates() -> pd.DataFrame:
    rows = [
        (f"p{picture}", who, f"{who} saw a road. Then {who} saw tree {picture}. It was dr. Li's! The end.")
        for picture in range(40)
        for who in ("ann", "bob", "eve")
        if not (who == "bob" and picture == 3)
    ]
    return pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])


def test_a_random_captioner_is_one_candidate_each_and_differs_by_seed() -> None:
    texts = candidates()
    one, other = (choose_texts(texts, pd.DataFrame(), "random", seed=seed) for seed in (0, 1))
    assert list(one["image_id"]) == sorted(set(texts["image_id"]))
    assert set(one["captioner"]) == {"ann", "bob", "eve"}
    assert list(one["captioner"]) != list(other["captioner"])
    assert set(one["caption"]) <= set(texts["caption"])


def test_a_single_captioner_speaks_where_it_has_spoken() -> None:
    bob = choose_texts(candidates(), pd.DataFrame(), "single:bob", seed=0)
    assert set(bob["captioner"]) == {"bob"}
    assert len(bob) == 39
    with pytest.raises(InputError, match="no candidate") as caught:
        choose_texts(candidates(), pd.DataFrame(), "single:zoe", seed=0)
    assert "ann, bob, eve" in str(caught.value)


def test_first_sentences_and_shuffled_ones() -> None:
    chosen = candidates().query("captioner == 'ann'").reset_index(drop=True)
    first = choose_texts(chosen, pd.DataFrame(), "first-sentence", seed=0)
    assert set(first["caption"]) == {"ann saw a road."}
    shuffled = choose_texts(chosen, pd.DataFrame(), "shuffled-sentences", seed=0)
    before = [sorted(split_sentences(text)) for text in chosen["caption"]]
    after = [sorted(split_sentences(text)) for text in shuffled["caption"]]
    assert after == before
    moved = np.mean(shuffled["caption"].to_numpy() != chosen["caption"].to_numpy())
    assert moved > 0.8, "three sentences stay in order once in six times"
