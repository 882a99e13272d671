"""The study file: which variants, cities and seeds, and what all have in common.

    [study]
    name = "ablations"
    cities = ["synthetic:256:0", "mycity"]
    seeds = [0, 1, 2]
    reference = "UrbanLN"

    [common.train]
    epochs = 8

    [variants.UrbanLN]
    about = "as the paper describes it"

    [variants."no distillation"]
    train = { mu = 0.0 }

Sections of settings are those of every other verb; a variant names only what it changes. Besides variants a
file may hold a grid of conditions, with and without parts: :mod:`urbanln.study.conditions`. Where the cities
are corpora of pictures without places, texts and pictures are looked for among one another, in place of the
probe, as ``[common.retrieve]`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from urbanln.base.bounds import MAX_SEED
from urbanln.base.config import Settings, load_settings, set_key
from urbanln.base.errors import InputError, placed
from urbanln.base.kinds import KINDS, Kind
from urbanln.base.parsing import read_toml
from urbanln.captions.settings import CaptionSettings
from urbanln.city.checks import VIEWS
from urbanln.city.views import settle_views
from urbanln.study.conditions import Gain, expand
from urbanln.study.values import distinct, given, known, merged, near

SINGLE = "single:"
CAPTIONS = (
    "vote",
    "random",
    "first-sentence",
    "shuffled-sentences",
    "shuffled-pairs",
    "measured",
    f"{SINGLE}NAME",
)
UNVOTED = ("random", "measured")  # and single captioners: these need no vote
PRETRAIN = ("all", "train-blocks", "none")
INDUCTIVE_SPLIT = "block"
_STUDY_KEYS = ("name", "about", "seeds", "cities", "reference", "captioners", "predicted", "kind")
_MODEL_SECTIONS = ("model", "train", "embed")
# How much is kept on disk is the machine's business, not the study's; so is where answers are kept.
_CAPTION_SECTIONS = tuple(name for name in CaptionSettings.model_fields if name != "captions")
_COMMON_KEYS = (*(name for name in Settings.model_fields if name != "cache"), *_CAPTION_SECTIONS)
_VARIANT_KEYS = ("about", "captions", "pretrain", "also", *_MODEL_SECTIONS, *_CAPTION_SECTIONS)
TABLE = "table"


@dataclass(frozen=True)
class Variant:
    """One variant with everything resolved.

    Attributes:
        name: As in the file.
        about: One sentence for the table.
        captions: How the text of a picture is chosen, one of ``CAPTIONS``.
        pretrain: Regions pre-trained on: ``"all"``; ``"train-blocks"``, anew for each fold of the block split
            on its known regions alone; ``"none"``, the base CLIP as it is.
        settings: Of model, training and embedding (the probe's are common to all).
        captioning: Settings of captions.
        also: Further cities whose pictures are pre-trained on too; no region of theirs is scored.
    """

    name: str
    about: str
    captions: str
    pretrain: str
    settings: Settings
    captioning: CaptionSettings
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """What a study file says.

    Attributes:
        name: Heading of the page.
        about: A sentence under it.
        seeds: Training seeds; the probe's folds of a seed are shared by all its variants.
        cities: City folders, or ``"synthetic:REGIONS:SEED"``; or folders of corpora, pictures without places.
        reference: Variant that the others are compared with.
        captioners: Who is asked: as ``urbanln caption --captioner`` takes it, or ``"table"`` for the captions
            that the city folders have already.
        variants: In the order of the file, those of its conditions first.
        gains: What its conditions ask: see :mod:`urbanln.study.conditions`.
        predicted: When and how the predictions were made, for people.
        kind: Of the labels that the study speaks of first, and that its predictions are about; None: the
            only one there is, or numbers before the others.
    """

    name: str
    about: str
    seeds: tuple[int, ...]
    cities: tuple[str, ...]
    reference: str
    captioners: str
    variants: tuple[Variant, ...]
    gains: tuple[Gain, ...] = ()
    predicted: str = ""
    kind: Kind | None = None

    @property
    def first(self) -> Variant:
        """The reference variant; its probe settings are everybody's."""
        return next(variant for variant in self.variants if variant.name == self.reference)

    @property
    def views(self) -> tuple[str, ...]:
        """Views that some variant embeds: a region is scored when it has pictures of all of them."""
        used = {settle_views(variant.settings, VIEWS).embed.view for variant in self.variants}
        both = "both" in used
        return tuple(view for view in ("satellite", "street") if view in used or both)


def load_study(path: Path | str, overrides: Sequence[str] = ()) -> Study:
    """Read a study file.

    Args:
        path: TOML file, see the module.
        overrides: Keys of the file changed, as ``"common.train.epochs=2"`` or ``"study.seeds=[0]"``.

    Raises:
        InputError: Not TOML; a key that does not exist (with the nearest one); a value out of range; no such
            reference; a combination that has no meaning.
    """
    path = Path(path)
    values = read_toml(path, "study file")
    for text in overrides:
        set_key(values, text, "key of a study", "common.train.epochs=2 or study.seeds=[0]")
    where = str(path)
    known(values, ("study", "common", "variants", "parts", "conditions"), where)
    head, common = given(values, "study", {}, where), given(values, "common", {}, where)
    known(head, _STUDY_KEYS, f"{where}, [study]")
    known(common, _COMMON_KEYS, f"{where}, [common]")
    made, gains = expand(values, _VARIANT_KEYS, where)
    named = given(values, "variants", {}, where)
    if twice := [name for name in named if name in made]:
        what, remedy = "a variant has the name of a condition", "give it another name"
        raise InputError(what, value=twice[0], where=where, remedy=remedy)
    named = made | named
    if not named:
        raise InputError("a study needs variants", where=where, remedy="add [variants.NAME]")
    variants = tuple(
        _variant(name, given(named, name, {}, f"{where}, [variants]"), common, where) for name in named
    )
    study = Study(
        name=given(head, "name", path.stem, where),
        about=given(head, "about", "", where),
        seeds=distinct(
            head.get("seeds", [0]),
            lambda seed: type(seed) is int and 0 <= seed <= MAX_SEED,
            "'seeds' is a list of different whole numbers from 0",
            where,
            remedy=f"e.g. seeds = [0, 1, 2]; {MAX_SEED:,} is the largest",
        ),
        cities=_cities(head.get("cities", []), "cities", where),
        reference=given(head, "reference", variants[0].name, where),
        captioners=given(head, "captioners", "simulated", where),
        variants=variants,
        gains=gains,
        predicted=given(head, "predicted", "", where),
        kind=_kind(head.get("kind"), where),
    )
    _check(study, where)
    return study


def _kind(found: Any, where: str) -> Kind | None:
    if found is not None and found not in KINDS:
        what, remedy = "there is no such kind of label", f"there are: {', '.join(KINDS)}"
        raise InputError(what, value=found, where=f"{where}, [study] kind", remedy=remedy)
    kind: Kind | None = found
    return kind


def _cities(found: Any, key: str, where: str) -> tuple[str, ...]:
    fault = f"'{key}' is a list of different city folders"
    remedy = f'e.g. {key} = ["mycity", "synthetic:256:0"]'
    cities: tuple[str, ...] = distinct(
        found, lambda city: isinstance(city, str) and bool(city), fault, where, remedy
    )
    return cities


def _variant(name: str, own: Mapping[str, Any], common: Mapping[str, Any], file: str) -> Variant:
    where = f"{file}, [variants.{name}]"
    known(own, _VARIANT_KEYS, where)
    captions = given(own, "captions", "vote", where)
    pretrain = given(own, "pretrain", "all", where)
    single = captions.startswith(SINGLE) and captions != SINGLE
    for key, value, choices in (("captions", captions, CAPTIONS), ("pretrain", pretrain, PRETRAIN)):
        if value not in choices and not (key == "captions" and single):
            raise InputError(
                f"unknown value of '{key}'", value=value, where=where,
                remedy=f"{near(value, choices)} There are: {', '.join(choices)}",
            )  # fmt: skip
    sections = {key: given(own, key, {}, where) for key in own if key in _COMMON_KEYS}
    both = merged({key: given(common, key, {}, file) for key in common}, sections)
    if "seed" in both.get("train", {}):
        raise InputError(
            "train.seed is set by study.seeds",
            value=both["train"]["seed"],
            where=where,
            remedy="leave train.seed out, and list seeds in [study]",
        )
    with placed(where):
        settings = load_settings(base={k: v for k, v in both.items() if k in Settings.model_fields})
        captioning = load_settings(
            base={k: v for k, v in both.items() if k in _CAPTION_SECTIONS}, of=CaptionSettings
        )
    also = own.get("also", [])
    if also != []:
        also = _cities(also, "also", where)
    return Variant(
        name, given(own, "about", "", where), captions, pretrain, settings, captioning, tuple(also)
    )


def _check(study: Study, where: str) -> None:
    names = [variant.name for variant in study.variants]
    if study.reference not in names:
        raise InputError(
            "the reference is no variant of this study", value=study.reference, where=where,
            remedy=near(study.reference, names),
        )  # fmt: skip
    probe = study.first.settings.probe
    if "city" in probe.splits:
        raise InputError(
            "a study scores each city by itself, so whole cities cannot be held out", value="city",
            where=where, remedy="leave it out of common.probe.splits",
        )  # fmt: skip
    for variant in study.variants:
        place = f"{where}, [variants.{variant.name}]"
        if variant.pretrain == "train-blocks" and INDUCTIVE_SPLIT not in probe.splits:
            raise InputError(
                "pre-training on the train blocks needs the block split", value=list(probe.splits),
                where=place, remedy='common.probe.splits = ["random", "block"]',
            )  # fmt: skip
        if study.captioners == TABLE and (
            variant.captioning.refine.enabled or variant.captions == "measured"
        ):
            raise InputError(
                "with captioners = 'table' nobody is asked, so nothing can be refined or measured",
                value=variant.captions, where=place, remedy="name a captioner in [study]",
            )  # fmt: skip
