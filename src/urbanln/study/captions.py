"""How a variant's captions are chosen from the candidates otherwise than by vote: as a control."""

from __future__ import annotations

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.sentences import join_sentences, split_sentences
from urbanln.captions.table import TokenCounter, candidates_table
from urbanln.city.splits import SPLIT
from urbanln.study.spec import SINGLE

_COLUMNS = ["image_id", "captioner", "caption"]


def choose_texts(
    texts: pd.DataFrame,
    images: pd.DataFrame,
    choice: str,
    *,
    seed: int,
    count_tokens: TokenCounter | None = None,
) -> pd.DataFrame:
    """The caption table of a variant that takes another text than the vote's.

    Args:
        texts: ``image_id``, ``captioner``, ``caption``: the candidates where ``choice`` is of
            :data:`urbanln.study.spec.UNVOTED`, else the texts that won the vote.
        images: The city's ``images``, which say region and view of a picture.
        choice: One of :data:`urbanln.study.spec.CAPTIONS` but ``"vote"``.
        seed: Of what is drawn.
        count_tokens: Gives the number of tokens of each text.

    Raises:
        InputError: No such captioner among the candidates, or too few regions to swap captions between.
    """
    if choice.startswith(SINGLE):
        name, known = choice.removeprefix(SINGLE), sorted(set(texts["captioner"]))
        if name not in known:
            raise InputError(
                "this captioner has no candidate",
                value=name,
                remedy=f"there are: {', '.join(known)}",
                where=choice,
            )
        texts = texts[texts["captioner"] == name]
    elif choice == "random":
        shuffled = texts.iloc[np.random.default_rng([seed, 1]).permutation(len(texts))]
        texts = shuffled.drop_duplicates("image_id").sort_values("image_id", kind="stable")
    elif choice == "shuffled-pairs":
        texts = swap_captions(texts[_COLUMNS], images, seed)
    elif choice == "first-sentence":
        firsts = texts["caption"].map(lambda text: next(iter(split_sentences(text)), ""))
        texts = texts.assign(caption=firsts)
    elif choice == "shuffled-sentences":
        rng = np.random.default_rng([seed, 2])
        texts = texts.assign(caption=texts["caption"].map(lambda text: _shuffled(text, rng)))
    return candidates_table(texts, count_tokens)


def _shuffled(text: str, rng: np.random.Generator) -> str:
    """The sentences of a text in another order."""
    sentences = split_sentences(text)
    return join_sentences([sentences[i] for i in rng.permutation(len(sentences))])


def swap_captions(chosen: pd.DataFrame, images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Give every picture the caption of another region's picture of the same view, and of the same split.

    The regions are put into a random circle and each picture takes the caption that lies one step of the
    largest region further on, so every caption is used once and none stays in its region.

    Args:
        chosen: One caption per picture: ``image_id``, ``captioner``, ``caption``.
        images: Says region and view, and what a picture is for where they are divided: what is tested on
            stays unseen.
        seed: Of the circle.

    Raises:
        InputError: A view whose pictures are mostly of one region: there is nothing to swap with.
    """
    kinds = ["view", *([SPLIT] if SPLIT in images else [])]
    joined = chosen.merge(images[["image_id", "region_id", *kinds]], on="image_id", validate="1:1")
    rng = np.random.default_rng([seed, 3])
    parts = []
    for kind, group in joined.groupby(kinds, sort=True):
        code, regions = pd.factorize(group["region_id"], sort=True)
        group = group.iloc[np.argsort(rng.permutation(len(regions))[code], kind="stable")]
        step = int(group["region_id"].value_counts().max())
        if 2 * step > len(group):
            raise InputError(
                "captions cannot be swapped between regions: one has half of all pictures",
                value=", ".join(map(str, kind)),
                where="captions = 'shuffled-pairs'",
                remedy="give more regions pictures, or choose other captions",
            )
        given = group[["captioner", "caption"]].to_numpy()
        group[["captioner", "caption"]] = np.roll(given, -step, axis=0)
        parts.append(group)
    return pd.concat(parts).sort_values("image_id", kind="stable")[_COLUMNS].reset_index(drop=True)
