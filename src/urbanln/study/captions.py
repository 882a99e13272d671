"""How a variant's captions are chosen from the candidates: by vote, or in a way that is a control."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.captions.cleaning.sentences import join_sentences, split_sentences
from urbanln.captions.run import choose, load_language
from urbanln.captions.settings import CaptionSettings
from urbanln.captions.table import TokenCounter, candidates_table
from urbanln.study.spec import SINGLE

_COLUMNS = ["image_id", "captioner", "caption"]


def vote_texts(
    candidates: pd.DataFrame, settings: CaptionSettings, max_tokens: int, count_tokens: TokenCounter | None
) -> pd.DataFrame:
    """The caption table by vote; all candidates with equal weights where ``vote.enabled`` is off.

    Args:
        candidates: ``image_id``, ``captioner``, ``caption``, clean, in the captioners' order.
        settings: Its ``vote`` section is used.
        max_tokens: Text positions of the model, which the vote looks at.
        count_tokens: Gives the number of tokens of each text.
    """
    language = load_language(settings, several=bool(candidates["image_id"].duplicated().any()))
    return choose(candidates, settings, language, count_tokens, max_tokens)


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
        texts = _of_captioner(texts, choice.removeprefix(SINGLE))
    elif choice == "random":
        shuffled = texts.iloc[np.random.default_rng([seed, 1]).permutation(len(texts))]
        texts = shuffled.drop_duplicates("image_id").sort_values("image_id", kind="stable")
    elif choice == "shuffled-pairs":
        texts = swap_captions(texts[_COLUMNS], images, seed)
    elif choice == "first-sentence":
        texts = texts.assign(caption=texts["caption"].map(first_sentence))
    elif choice == "shuffled-sentences":
        texts = texts.assign(caption=texts["caption"].map(shuffler(np.random.default_rng([seed, 2]))))
    return candidates_table(texts, count_tokens)


def first_sentence(text: str) -> str:
    """A text's first sentence.

    Example:
        >>> first_sentence("A park. It has a pond.")
        'A park.'
    """
    return next(iter(split_sentences(text)), "")


def shuffler(rng: np.random.Generator) -> Callable[[str], str]:
    """A function that puts the sentences of a text in another order, drawn from ``rng``."""

    def shuffle(text: str) -> str:
        sentences = split_sentences(text)
        return join_sentences([sentences[i] for i in rng.permutation(len(sentences))])

    return shuffle


def swap_captions(chosen: pd.DataFrame, images: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Give every picture the caption of another region's picture of the same view.

    The regions are put into a random circle and each picture takes the caption that lies one step of the
    largest region further on, so every caption is used once and none stays in its region.

    Args:
        chosen: One caption per picture: ``image_id``, ``captioner``, ``caption``.
        images: Says region and view.
        seed: Of the circle.

    Raises:
        InputError: A view whose pictures are mostly of one region: there is nothing to swap with.
    """
    joined = chosen.merge(images[["image_id", "region_id", "view"]], on="image_id", validate="1:1")
    rng = np.random.default_rng([seed, 3])
    parts = []
    for view, group in joined.groupby("view", sort=True):
        code, regions = pd.factorize(group["region_id"], sort=True)
        group = group.iloc[np.argsort(rng.permutation(len(regions))[code], kind="stable")]
        step = int(group["region_id"].value_counts().max())
        if 2 * step > len(group):
            raise InputError(
                "captions cannot be swapped between regions: one has half of all pictures", value=view
            )
        given = group[["captioner", "caption"]].to_numpy()
        group[["captioner", "caption"]] = np.roll(given, -step, axis=0)
        parts.append(group)
    return pd.concat(parts).sort_values("image_id", kind="stable")[_COLUMNS].reset_index(drop=True)


def _of_captioner(candidates: pd.DataFrame, name: str) -> pd.DataFrame:
    own = candidates[candidates["captioner"] == name]
    if own.empty:
        known = ", ".join(sorted(set(candidates["captioner"])))
        raise InputError("this captioner has no candidate", value=name, remedy=f"there are: {known}")
    return own
