"""From cities to image-text pairs: who is paired with what in which epoch, and who is nobody's negative.

Everything random here is a pure function of ``(seed, epoch)``: the order, the captions drawn and the
mirrored pictures need no generator state, so training resumes exactly at any step.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import AutoView, TrainSettings
from urbanln.base.errors import InputError
from urbanln.city.splits import SPLIT
from urbanln.city.store import City
from urbanln.city.views import the_view

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Mirroring swaps these; north and south stay. Words that merely begin like them only cost a flip.
_DIRECTION = re.compile(
    r"\b(?:(?:north|south)?(?:east|west)|left|right)|\b(?-i:[NS]?[EW])\b|[左右东西東]", re.IGNORECASE
)


# They keep the random streams of one seed apart.
_ORDER, _CAPTION, _FLIP, _SPLIT, _WORDING = 1, 2, 3, 4, 5


def _rng(seed: int, stream: int, epoch: int = 0) -> np.random.Generator:
    return np.random.default_rng((seed, stream, epoch))


def names_direction(caption: str) -> bool:
    """Whether a caption names a left, right, east or west (also ``north-west``, ``eastern``)."""
    return _DIRECTION.search(caption) is not None


def normalise_caption(caption: str) -> str:
    """A caption without what does not tell it apart: case, spacing, punctuation at its ends."""
    return " ".join(caption.casefold().split()).strip(" .,;:!?\"'")


@dataclass(frozen=True)
class Pairs:
    """Pictures of one or several cities with their candidate captions, N pictures, M candidates, T texts.

    Attributes:
        pictures: (N rows) ``city`` (position), ``image_id``, ``region_id``, ``view``, ``path``, ``sha256``,
            ``split`` (missing where the city's pictures are not divided).
        group: (N,) equal for pictures that are never each other's negatives: a satellite picture is its
            own group, the street views of a region share one.
        content: (N,) equal for pictures of equal content, whose hashes are known.
        owner: (M,) picture of each candidate caption, ascending.
        text: (M,) its text, an index into ``texts``.
        weight: (M,) its weight, > 0.
        selected: (N,) the selected text of each picture, used in validation.
        texts: The T distinct captions.
        wording: (T,) equal for texts that differ in case, spacing and punctuation at their ends alone.
        directed: (T,) whether the text names a direction that mirroring would falsify.
        train: Pictures trained on.
        val: Pictures held out: those that are there to validate with, or those of the held-out regions.
    """

    pictures: pd.DataFrame
    group: IntArray
    content: IntArray
    owner: IntArray
    text: IntArray
    weight: npt.NDArray[np.float64]
    selected: IntArray
    texts: list[str]
    wording: IntArray
    directed: BoolArray
    train: IntArray
    val: IntArray

    def ids(
        self,
        picture: IntArray,
        text: IntArray,
        same_caption_is_same: bool = True,
        same_content_is_same: bool = False,
    ) -> IntArray:
        """What tells pairs apart, (B, 1 to 3): the pictures' groups, the texts' wordings, the contents.

        Two pairs that agree in one of them are not each other's negatives in training, and right answers
        alike in retrieval. Captions count as drawn: two pictures that could have had an equal caption, but
        have not now, stay negatives.

        Args:
            picture: (B,) index of each pair's picture.
            text: (B,) index of its text.
            same_caption_is_same: Whether wordings count.
            same_content_is_same: Whether contents count.
        """
        columns = [self.group[picture]]
        if same_caption_is_same:
            columns.append(self.wording[text])
        if same_content_is_same:
            columns.append(self.content[picture])
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Plan:
    """The pairs of one epoch in order.

    Attributes:
        picture: (P,) index of each pair's picture.
        text: (P,) index of its text.
        flip: (P,) whether the picture is mirrored.
        seed: (P,) what the changes to its caption are drawn from, see :mod:`urbanln.train.rewording`.
    """

    picture: IntArray
    text: IntArray
    flip: BoolArray
    seed: IntArray

    def __len__(self) -> int:
        return len(self.picture)


def list_pictures(cities: Sequence[City], view: AutoView) -> tuple[pd.DataFrame, dict[str, int]]:
    """The pictures of a view that have a caption and are not there to test on.

    Args:
        cities: Where from; a picture is known by the position of its city and its ``image_id``.
        view: ``"satellite"``, ``"street"``, ``"both"`` or ``"auto"`` (:func:`urbanln.city.views.the_view`).

    Returns:
        One row per picture (the columns of :attr:`Pairs.pictures`); and how many were left out, by reason:
        ``test`` (never looked at) and ``without_caption``.

    Raises:
        InputError: No picture of this view, none to train on, or none with a caption.
    """
    view = the_view(view, {one for city in cities for one in city.images["view"]})
    frames = []
    left_out = {"test": 0, "without_caption": 0}
    n_all = 0
    for position, city in enumerate(cities):
        images = city.images if view == "both" else city.images[city.images["view"] == view]
        n_all += len(images)
        images = images.assign(**{SPLIT: images.get(SPLIT), "city": position})
        used = images[images[SPLIT] != "test"]
        captioned = used[used["image_id"].isin(city.captions["image_id"])]
        frames.append(captioned[["image_id", "region_id", "view", "path", "sha256", SPLIT, "city"]])
        left_out["test"] += len(images) - len(used)
        left_out["without_caption"] += len(used) - len(captioned)
    where = ", ".join(str(city.folder) for city in cities)
    if n_all == 0:
        raise InputError(
            "there is no picture of this view to train on", value=view, where=where, remedy="set train.view"
        )
    pictures = pd.concat(frames, ignore_index=True)
    if pictures.empty and n_all > left_out["test"]:
        raise InputError(
            f"none of the {n_all - left_out['test']} pictures has a caption",
            where=where,
            remedy="run 'urbanln caption CITY' first",
        )
    if not (pictures[SPLIT] != "val").any():
        what = "none of the pictures is there to train on: all are of the splits val and test"
        raise InputError(what, where=where, remedy="ingest again with another --split-column, or without")
    return pictures, left_out


def build_pairs(cities: Sequence[City], pictures: pd.DataFrame, settings: TrainSettings) -> Pairs:
    """Join pictures and captions and divide into training and validation.

    Where the pictures of a city are divided already (column ``split``), that is how; else regions are.

    Args:
        cities: The cities ``pictures`` was listed from.
        pictures: Rows of :func:`list_pictures` that can be read.
        settings: ``seed`` and ``val_fraction`` are used.
    """
    pictures = pictures.reset_index(drop=True)
    owners = pictures[["city", "image_id"]].assign(owner=pictures.index)
    frames = [city.captions.assign(city=position) for position, city in enumerate(cities)]
    captions = pd.concat(frames, ignore_index=True).merge(owners, on=["city", "image_id"])
    captions = captions.sort_values(["owner", "rank"], kind="stable")
    captions["text"], texts = pd.factorize(captions["caption"])

    best = captions.sort_values(["owner", "selected", "weight", "rank"], ascending=[True, False, False, True])
    drawn = captions[captions["weight"] > 0]
    train, val = _split(pictures, settings)
    return Pairs(
        pictures=pictures,
        group=_groups(pictures),
        content=_contents(pictures),
        owner=drawn["owner"].to_numpy(np.int64),
        text=drawn["text"].to_numpy(np.int64),
        weight=drawn["weight"].to_numpy(np.float64),
        selected=best.drop_duplicates("owner")["text"].to_numpy(np.int64),
        texts=[str(text) for text in texts],
        wording=pd.factorize(np.array([normalise_caption(str(text)) for text in texts], dtype=object))[0],
        directed=np.array([names_direction(str(text)) for text in texts], dtype=bool),
        train=train,
        val=val,
    )


def epoch_plan(pairs: Pairs, settings: TrainSettings, epoch: int) -> Plan:
    """The pairs of one epoch: captions drawn by weight without replacement, shuffled.

    Each picture stands in it ``captions_per_image`` times with different captions (fewer times when it has
    fewer). A pure function of its arguments. The draw adds Gumbel noise to the log weights and takes the
    largest, which is sampling without replacement in proportion to the weights.
    """
    noise = _rng(settings.seed, _CAPTION, epoch).gumbel(size=len(pairs.owner))
    order = np.lexsort((-(np.log(pairs.weight) + noise), pairs.owner))
    owner = pairs.owner[order]
    first = np.searchsorted(owner, owner, side="left")
    in_train = np.zeros(len(pairs.pictures), dtype=bool)
    in_train[pairs.train] = True
    chosen = order[(np.arange(len(owner)) - first < settings.captions_per_image) & in_train[owner]]
    chosen = chosen[_rng(settings.seed, _ORDER, epoch).permutation(len(chosen))]
    text = pairs.text[chosen]
    coin = _rng(settings.seed, _FLIP, epoch).random(len(chosen)) < 0.5
    flip = coin & ~pairs.directed[text] & settings.flip
    seed = _rng(settings.seed, _WORDING, epoch).integers(1 << 62, size=len(chosen))
    return Plan(pairs.owner[chosen], text, flip, seed)


def _groups(pictures: pd.DataFrame) -> IntArray:
    street = pictures["view"] == "street"
    member = pictures["image_id"].where(~street, pictures["region_id"])
    groups = pictures.groupby([pictures["city"], street, member], sort=False, dropna=False)
    return np.asarray(groups.ngroup(), dtype=np.int64)


def _contents(pictures: pd.DataFrame) -> IntArray:
    """Equal numbers for equal hashes; a picture without one has a number of its own."""
    known = pictures["sha256"].fillna("").astype(str).str.lower()
    own = pd.Series([f"picture {row}" for row in range(len(pictures))], index=pictures.index)
    return np.asarray(pd.factorize(known.where(known != "", own))[0], dtype=np.int64)


def _split(pictures: pd.DataFrame, settings: TrainSettings) -> tuple[IntArray, IntArray]:
    """Whole regions go to one side, so that no view of a held-out region was trained on."""
    divided = pictures[SPLIT].notna().to_numpy()
    keys = list(zip(pictures["city"], pictures["region_id"], strict=True))
    regions = sorted({key for key, told in zip(keys, divided, strict=True) if not told})
    order = _rng(settings.seed, _SPLIT).permutation(len(regions))
    held = {regions[i] for i in order[: round(settings.val_fraction * len(regions))]}
    drawn = np.array([key in held for key in keys], dtype=bool) & ~divided
    told = (pictures[SPLIT] == "val").to_numpy()
    val = drawn | told
    if (
        val.sum() < 2
    ):  # of one picture nothing can be retrieved; somebody's own is not trained on all the same
        return np.flatnonzero(~told), np.flatnonzero(np.zeros_like(val))
    return np.flatnonzero(~val), np.flatnonzero(val)
