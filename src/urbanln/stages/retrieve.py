"""The verb ``retrieve``: how well a model finds a picture's text among all texts, and a text's picture.

Two rules stand side by side. *Single truth*: only the picture's own texts are right for it, as in the
literature. *Equal captions*: so is every picture with an equal caption, since nobody could tell them apart.
Beside both stands chance: what a random order finds, exactly, for as many right answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from urbanln.base.config import RetrieveSettings, Settings, View
from urbanln.base.errors import InputError, require
from urbanln.base.outputs import FileKind, json_of_kind
from urbanln.city.splits import SPLIT
from urbanln.city.store import City
from urbanln.city.views import the_view
from urbanln.stages.recalls import DIRECTIONS, RULES, SEED, scores

if TYPE_CHECKING:
    from urbanln.model.clip import LongClip

RETRIEVAL = FileKind("retrieval scores", {".json": json_of_kind("retrieval")})
SELECTED, EACH = "selected", "each"
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Sought:
    """Pictures and texts that are looked for among one another, N pictures, T texts.

    Attributes:
        images: (N rows) ``image_id``, ``path``.
        owner: (T,) picture of each text.
        text: (T,) index into ``texts``.
        texts: The distinct texts.
        split: Which pictures these are.
        named: What was asked for of their texts.
        left_out: Pictures left out, by reason.
    """

    images: pd.DataFrame
    owner: np.ndarray
    text: np.ndarray
    texts: list[str]
    split: str
    named: str
    left_out: dict[str, int]


def seek(city: City, chosen: RetrieveSettings, view: View) -> Sought:
    """The pictures and texts of a corpus or city that are looked for.

    Args:
        city: Whose.
        chosen: ``split`` and ``texts``.
        view: Of the pictures.

    Raises:
        InputError: No such split, view or captioner, or nothing to look for.
    """
    images = city.images if view == "both" else city.images[city.images["view"] == view]
    images, split = _of_split(images, chosen.split, city)
    texts = _texts(city, chosen.texts)
    told = images[images["image_id"].isin(texts["image_id"])].reset_index(drop=True)
    if told.empty:
        raise InputError(
            f"none of the {len(images)} pictures has such a text",
            value=chosen.texts,
            where=city.folder,
            remedy="run 'urbanln caption' first, or name other texts or another split",
        )
    place = pd.Series(told.index, index=told["image_id"])
    texts = texts[texts["image_id"].isin(place.index)]
    texts = texts.assign(owner=texts["image_id"].map(place)).sort_values("owner", kind="stable")
    text, distinct = pd.factorize(texts["caption"])
    return Sought(
        told[["image_id", "path"]], texts["owner"].to_numpy(np.int64), np.asarray(text, dtype=np.int64),
        [str(one) for one in distinct], split, chosen.texts, {"without a text": len(images) - len(told)},
    )  # fmt: skip


def _of_split(images: pd.DataFrame, split: str, city: City) -> tuple[pd.DataFrame, str]:
    divided = SPLIT in images.columns
    if split == "auto":
        split = "test" if divided else "all"
    if split == "all":
        return images, split
    if not divided:
        raise InputError(
            "these pictures are not divided into splits",
            value=split,
            where=city.folder,
            remedy="--split all, or ingest with --split-column",
        )
    found = images[images[SPLIT] == split]
    if found.empty:
        there = ", ".join(sorted(set(images[SPLIT])))
        what, remedy = "no picture is of this split", f"there are: {there or 'none of this view'}, all"
        raise InputError(what, value=split, where=city.folder, remedy=remedy)
    return found, split


def _texts(city: City, named: str) -> pd.DataFrame:
    """``image_id`` and ``caption``, a row per text."""
    from urbanln.captions.spoken import spoken

    if named == SELECTED:
        captions = city.captions
        return captions.loc[captions["selected"], ["image_id", "caption"]]
    said = spoken(city)
    if named == EACH:
        return said[["image_id", "caption"]]
    found = said[said["captioner"] == named]
    if found.empty:
        known = sorted(set(said["captioner"]))
        some = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
        raise InputError(
            "no caption is by this captioner",
            value=named,
            where=city.folder,
            remedy=f"there are: {SELECTED}, {EACH}{', ' if some else ''}{some}",
        )
    return found[["image_id", "caption"]]


def places(model: LongClip | str | Path, city: City, sought: Sought, settings: Settings) -> pd.DataFrame:
    """Where the right answers stand for every picture and every text, by one model.

    Args:
        model: As of :func:`urbanln.embed.both.embed_both`.
        city: Where the pictures lie.
        sought: What is looked for.
        settings: ``embed``, and ``train.fit`` for a model that is no run.

    Returns:
        One row per query: ``direction``, ``image_id``, ``keys`` (among how many), and by rule ``ahead`` and
        ``right`` as :class:`urbanln.model.retrieval.Found` has them (``ahead single truth``, …). ``.attrs``:
        ``context``, ``cut``, ``precision``.
    """
    require("torch")
    import torch

    from urbanln.embed.both import embed_both
    from urbanln.model.retrieval import find_by_rules
    from urbanln.train.pairs import normalise_caption

    both = embed_both(
        model, city, list(sought.images["path"]), sought.texts, settings.embed, settings.train.fit
    )
    # Only pictures that could be read, numbered anew, and their texts.
    number = np.full(len(sought.images), -1)
    number[both.rows] = np.arange(len(both.rows))
    kept = number[sought.owner] >= 0
    owner, text = number[sought.owner[kept]], sought.text[kept]
    wording = pd.factorize(np.array([normalise_caption(one) for one in sought.texts], dtype=object))[0][text]
    ids_of_texts, ids_of_pictures = _ids(owner, wording, len(both.rows))
    image, texts = both.image, both.text[torch.from_numpy(text)]
    image_ids = sought.images["image_id"].to_numpy()[both.rows]
    frames = []
    for direction, query, key, query_ids, key_ids, names in (
        (DIRECTIONS[0], image, texts, ids_of_pictures, ids_of_texts, image_ids),
        (DIRECTIONS[1], texts, image, ids_of_texts, ids_of_pictures, image_ids[owner]),
    ):
        frame = pd.DataFrame({"direction": direction, "image_id": names, "keys": len(key)})
        ids = torch.from_numpy(query_ids), torch.from_numpy(key_ids)
        rules = find_by_rules(query, key, *ids, (1, query_ids.shape[1]))
        for rule, found in zip(RULES, rules, strict=True):
            frame[f"ahead {rule}"], frame[f"right {rule}"] = found.ahead.numpy(), found.right.numpy()
        frames.append(frame)
    told = pd.concat(frames, ignore_index=True)
    told.attrs = {"context": both.context, "cut": both.cut, "precision": both.precision}
    return told


def _ids(owner: np.ndarray, wording: np.ndarray, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of T texts and N pictures, (T, 1 + M) and (N, 1 + M): the picture, then wordings.

    A picture has up to M wordings of its own; where it has fewer, −1 agrees with none.
    """
    own = pd.DataFrame({"owner": owner, "wording": wording}).drop_duplicates()
    place = own.groupby("owner").cumcount().to_numpy()
    most = int(place.max()) + 1
    of_pictures = np.full((pictures, 1 + most), -1)
    of_pictures[:, 0] = np.arange(pictures)
    of_pictures[own["owner"], 1 + place] = own["wording"]
    return np.column_stack([owner, *[wording] * most]), of_pictures


@dataclass(frozen=True)
class Retrieval:
    """What one or several models found in a corpus or city.

    Attributes:
        facts: What was looked for, how it was counted, and by which models: JSON values.
        rows: One per model, direction, rule and k: ``recall`` with ``low`` and ``high``, ``chance``, and for
            models after the first ``diff`` to it with ``diff_low`` and ``diff_high``, paired by picture.
    """

    facts: dict[str, Any]
    rows: list[dict[str, Any]]

    def table(self) -> pd.DataFrame:
        """The rows as a frame."""
        return pd.DataFrame(self.rows)

    def as_json(self) -> dict[str, Any]:
        """JSON values: the facts, and ``rows``."""
        return {"schema_version": 1, "kind": "retrieval", **self.facts, "rows": self.rows}

    def lines(self) -> list[str]:
        """What was looked for, in words."""
        facts = self.facts
        said = [
            f"{facts['name']}, split {facts['split']}: {facts['pictures']:,} pictures, {facts['texts']:,} "
            f"texts ({facts['asked']}), {facts['distinct']:,} of them distinct",
            *(f"  {count:,} pictures {why}, left out" for why, count in facts["left_out"].items() if count),
        ]
        for one in facts["models"]:
            cut = f"; {one['cut']:,} texts are longer and read up to there" if one["cut"] else ""
            seen = "; it was trained on such pictures of this data, which flatters it" if one["seen"] else ""
            said.append(f"  {one['name']}: {one['context']} text positions{cut}{seen}")
        said.append(
            "  ties count against the model; 95 % intervals by drawing pictures anew "
            f"({facts['bootstrap']:,} times, seed {facts['seed']})"
        )
        return said


def retrieve(
    city: City | Path | str,
    model: LongClip | str | Path | Sequence[LongClip | str | Path],
    settings: Settings | None = None,
) -> Retrieval:
    """Recall at 1, 5 and 10 from picture to text and from text to picture, beside chance.

    Args:
        city: A corpus or a city, or its folder.
        model: A run folder, a CLIP's folder or name, ``"tiny"``, or a model; or several, which are compared
            with the first.
        settings: ``retrieve`` (which pictures and texts, resamples), ``embed`` (view, student or teacher,
            precision) and ``train.fit``; defaults when left out.

    Raises:
        InputError: No such model, split, view or captioner; models that were trained on different views.
        ArtefactError: A run is unfinished, or its files are damaged.

    Example:
        >>> urbanln.retrieve("rsicd", ["tiny", "run"]).table()  # doctest: +SKIP
    """
    settings = settings or Settings()
    city = city if isinstance(city, City) else City.open(city)
    models: list[Any] = list(model) if isinstance(model, list | tuple) else [model]
    names = _names(models)
    view = _one_view(city, models, settings)
    sought = seek(city, settings.retrieve, view)
    found = {name: places(one, city, sought, settings) for name, one in zip(names, models, strict=True)}
    first = found[names[0]]
    texts = int((first["direction"] == DIRECTIONS[1]).sum())
    facts = {
        "name": city.name,
        "synthetic": city.meta.synthetic,
        "split": sought.split,
        "view": view,
        "asked": sought.named,
        "pictures": len(first) - texts,
        "texts": texts,
        "distinct": len(sought.texts),
        "left_out": {**sought.left_out, "that cannot be read": len(sought.images) - (len(first) - texts)},
        "bootstrap": settings.retrieve.bootstrap,
        "seed": SEED,
        "models": [
            {
                "name": name,
                **found[name].attrs,
                "seen": _saw(one, city, sought.split),
                "weights": _weights(one, settings),
            }
            for name, one in zip(names, models, strict=True)
        ],
        "made_from": city.fingerprint(),
    }
    return Retrieval(facts, scores(found, settings.retrieve.bootstrap))


def _names(models: Sequence[LongClip | str | Path]) -> list[str]:
    if not models:
        raise InputError(
            "no model was given", where="--model", remedy="name a run, a CLIP's folder or 'tiny'"
        )
    names = [str(one) if isinstance(one, str | Path) else f"model {i}" for i, one in enumerate(models)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError("a model stands twice", value=twice, where="--model", remedy="name each once")
    return names


def _one_view(city: City, models: Sequence[Any], settings: Settings) -> View:
    views = [
        the_view(settings.embed.view, city.images["view"], model=one, where=city.name if i == 0 else "")
        for i, one in enumerate(models)
    ]
    if len(set(views)) > 1:
        raise InputError(
            "these models were trained on different views",
            value=", ".join(views),
            where="--model",
            remedy="say which pictures are meant: --set embed.view=satellite",
        )
    return views[0]


def _weights(model: object, settings: Settings) -> str | None:
    """SHA-256 of a model's weights; None of one that is in memory alone."""
    from urbanln.embed.networks import model_hashes

    if not isinstance(model, str | Path):
        return None
    return model_hashes(model, settings.embed.encoder)["model"]


def _saw(model: object, city: City, split: str) -> bool:
    """Whether a run was trained on pictures of this split."""
    from urbanln.embed.networks import saw_pictures

    trained = split in ("train", "all")
    return trained and isinstance(model, str | Path) and saw_pictures(model, city)
