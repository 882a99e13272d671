"""What a study has to do: stages, each known by the hash of all it depends on.

    city → candidates → vote → captions → pretrain → embed → score
      └─────────────────────────────────────────────────────► floors

In a corpus of pictures without places nothing can be predicted: there ``retrieve`` follows pre-training.
Captions by vote alone go from the vote to pre-training; those of a single or a random captioner need no vote.

Two variants that agree in what a stage reads share it. A stage's folder under ``cache/`` counts as done when
``stage.json`` stands in it, which is written last; so a kill loses the stage under way and no other, and
changing one variant's setting reruns its own stages alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from urbanln.base.config import FREE_SETTINGS, TrainSettings
from urbanln.base.files import hash_bytes, hash_file
from urbanln.city.checks import VIEWS
from urbanln.city.views import settle_views
from urbanln.stages.bridges import text_positions
from urbanln.study.cities import (
    SYNTHETIC,
    are_corpora,
    check_kinds,
    city_payload,
    labels_hash,
    said,
    views_of,
)
from urbanln.study.kept import is_whole
from urbanln.study.spec import INDUCTIVE_SPLIT, SINGLE, TABLE, UNVOTED, Study, Variant

KINDS = ("city", "candidates", "vote", "captions", "pretrain", "embed", "score", "floors", "retrieve")
# Raised when the code of a stage changes what comes out: results of older code are then made anew.
VERSIONS = dict.fromkeys(KINDS, 1) | {"pretrain": 3, "embed": 3}
TINY = "tiny"
# Choices that draw anew for each training seed, so that the seeds' spread holds theirs.
_DRAWN = ("random", "shuffled-sentences", "shuffled-pairs")
# Settings of the probe that make the folds of the block split.
_FOLDS = ("folds", "blocks", "block_km", "buffer_km")


@dataclass(frozen=True)
class Stage:
    """One piece of work.

    Attributes:
        kind: One of ``KINDS``.
        key: SHA-256 over kind, version of its code, what of the payload counts and the keys of what it needs.
        payload: JSON value: the settings it reads; those of :data:`urbanln.base.config.FREE_SETTINGS` are
            heeded in the work and do not count, so results made with others are kept.
        needs: Identities of earlier stages, in the order in which the work takes them.
        label: For people: city, seed and variant that first asked for it.
    """

    kind: str
    key: str
    payload: Mapping[str, Any]
    needs: tuple[str, ...]
    label: str

    @property
    def id(self) -> str:
        """Place under ``cache/``."""
        return f"{self.kind}/{self.key[:16]}"

    def folder(self, cache: Path) -> Path:
        """The stage's folder."""
        return cache / self.id

    def done(self, cache: Path) -> bool:
        """Whether its result is there, as it was written."""
        return is_whole(self.folder(cache))


@dataclass(frozen=True)
class Score:
    """Where the predictions of one (city, seed, variant) will stand; ``variant`` None: the floors."""

    city: str
    seed: int
    variant: str | None
    stage: str


@dataclass(frozen=True)
class Work:
    """All stages in the order they are wanted, and the scores they lead to.

    Attributes:
        stages: By identity.
        scores: What is wanted.
        corpora: Whether the scores are of retrieval in corpora of pictures without places.
    """

    stages: dict[str, Stage]
    scores: tuple[Score, ...]
    corpora: bool = False

    def needed_by(self, score: Score) -> list[str]:
        """Stages that lead to a score, itself included, earliest first."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            for need in self.stages[name].needs:
                visit(need)
            found.setdefault(name)

        visit(score.stage)
        return list(found)


def make_work(study: Study) -> Work:
    """The stages of a study, city by city and seed by seed, so that a stopped one has whole sets.

    Raises:
        InputError: A city's spelling is wrong, or its folder is no city; cities and corpora in one study; a
            corpus without captions, or a variant that needs places; no label of the kind that is named, or
            several kinds and none named where gains are told.
    """
    stages: dict[str, Stage] = {}
    scores = []
    corpora = are_corpora(study)
    check_kinds(study, corpora)
    study = _with_contexts(study)
    for city in study.cities:
        for seed in study.seeds:
            make = _Maker(study, city, seed, stages)
            if corpora:
                scores += [Score(city, seed, one.name, make.retrieve(one)) for one in make.study.variants]
                continue
            scores.append(Score(city, seed, None, make.floors()))
            scores += [Score(city, seed, one.name, make.score(one)) for one in make.study.variants]
    return Work(stages, tuple(scores), corpora)


def _what_counts(name: str, part: Any) -> Any:
    """A part of a payload without the settings that change no result."""
    if name not in FREE_SETTINGS:
        return part
    counting = {key: value for key, value in part.items() if key not in FREE_SETTINGS[name]}
    # It counted once: what was trained with its default is still found.
    return counting | ({"micro_batch": TrainSettings().micro_batch} if name == "train" else {})


class _Maker:
    """Adds the stages of one city and seed; a stage that is there already is shared."""

    def __init__(self, study: Study, city: str, seed: int, stages: dict[str, Stage]) -> None:
        study = _with_views(study, city)
        self.study, self.city, self.seed, self.stages = study, city, seed, stages
        self.where = f"{Path(city).name}, seed {seed}"
        self.probe = study.first.settings.probe
        # The reference's length and tokenizer for all: a shorter context reads the same texts, cut.
        base = study.first.settings.model
        self.context = base.context
        # The default is left out of the keys, so that results made before there was a choice are still found.
        self.tokenizer = {} if base.name == TINY else {"tokenizer": base.pinned}

    def add(self, kind: str, payload: Mapping[str, Any], needs: Sequence[str], label: str = "") -> str:
        counts = {name: _what_counts(name, part) for name, part in payload.items()}
        keys = [self.stages[name].key for name in needs]
        text = json.dumps([kind, VERSIONS[kind], counts, keys], sort_keys=True)
        label = f"{self.where}, {label}" if label else self.where
        stage = Stage(kind, hash_bytes(text.encode()), payload, tuple(needs), label)
        self.stages.setdefault(stage.id, stage)
        return stage.id

    def source(self) -> str:
        return self.add("city", city_payload(self.city, self.study.views), [])

    def scored(self) -> dict[str, Any]:
        """What the scores of all variants and of the floors depend on."""
        return {
            "probe": self.probe.model_dump(mode="json"),
            "seed": self.seed,
            "views": self.study.views,
            "labels": labels_hash(self.city),
        }

    def floors(self) -> str:
        payload = self.scored() | {"pixels": self.study.first.settings.embed.view}
        return self.add("floors", payload, [self.source()], "floors")

    def score(self, variant: Variant) -> str:
        by_fold = variant.pretrain == "train-blocks"
        tables = [self.embed(variant, fold) for fold in (range(self.probe.folds) if by_fold else [None])]
        payload = self.scored() | {"by_fold": by_fold}
        return self.add("score", payload, [self.source(), *tables], variant.name)

    def embed(self, variant: Variant, fold: int | None) -> str:
        return self.by_model("embed", variant, {}, fold)

    def retrieve(self, variant: Variant) -> str:
        """Where right answers stand; the texts looked for are the corpus's own, the same for all variants."""
        chosen = self.study.first.settings.retrieve.model_dump(mode="json", include={"split", "texts"})
        return self.by_model("retrieve", variant, {"retrieve": chosen, "texts": said(self.city)}, None)

    def by_model(self, kind: str, variant: Variant, payload: dict[str, Any], fold: int | None) -> str:
        """A stage in which a variant's model is used."""
        settings = variant.settings
        payload |= {"embed": settings.embed.model_dump(mode="json"), "fit": settings.train.fit}
        if variant.pretrain == "none":
            base = {"model": settings.model.pinned, "weights": _weights(settings.model.name)}
            return self.add(kind, payload | base, [self.source()], variant.name)
        return self.add(kind, payload, [self.source(), self.pretrain(variant, fold)], variant.name)

    def pretrain(self, variant: Variant, fold: int | None) -> str:
        settings = variant.settings
        payload: dict[str, Any] = {
            "model": settings.model.model_dump(mode="json"),
            "weights": _weights(settings.model.name),
            "train": settings.train.model_dump(mode="json") | {"seed": self.seed},
        }
        if fold is not None:
            probe = self.probe.model_dump(mode="json", include=set(_FOLDS))
            payload["known"] = {
                "probe": probe | {"split": INDUCTIVE_SPLIT},
                "seed": self.seed,
                "views": self.study.views,
                "fold": fold,
            }
        needs = [self.source(), self.captions(variant)]
        for spec in variant.also:
            other = _Maker(self.study, spec, self.seed, self.stages)
            needs += [other.source(), other.captions(variant)]
        return self.add("pretrain", payload, needs, variant.name)

    def captions(self, variant: Variant) -> str:
        payload: dict[str, Any] = {"choice": variant.captions, **self.tokenizer}
        if variant.captions in _DRAWN:
            payload["seed"] = self.seed
        if variant.captions.startswith(SINGLE) or variant.captions in UNVOTED:
            return self.add("captions", payload, [self.source(), self.candidates(variant)], variant.name)
        vote = {"vote": variant.captioning.vote.model_dump(mode="json"), "max_tokens": self.context}
        vote |= self.tokenizer
        voted = self.add("vote", vote, [self.source(), self.candidates(variant)], variant.name)
        if variant.captions == "vote":
            return voted
        return self.add("captions", payload, [self.source(), voted], variant.name)

    def candidates(self, variant: Variant) -> str:
        chosen = variant.captioning
        payload: dict[str, Any] = {
            "captioners": "measured" if variant.captions == "measured" else self.study.captioners,
            "max_tokens": self.context,
            **self.tokenizer,
        }
        if payload["captioners"] == TABLE:
            payload["table"] = said(self.city)
        sections = ("describe", "clean", "refine") + (("captioners",) if chosen.captioners else ())
        settings = chosen.model_dump(mode="json")
        payload |= {"settings": {name: settings[name] for name in sections}}
        if chosen.refine.enabled:  # its parts are read by the parser of the vote
            payload["settings"]["vote"] = {k: settings["vote"][k] for k in ("parser", "parser_model")}
        if simulated := self._simulation(variant, payload["captioners"]):
            payload["settings"]["simulation"] = simulated
        return self.add("candidates", payload, [self.source()], variant.name)

    def _simulation(self, variant: Variant, captioners: str) -> dict[str, Any]:
        """What simulated captioners and detectors are told to be; defaults are left out of the keys."""
        chosen = variant.captioning
        told: dict[str, Any] = chosen.simulation.model_dump(mode="json", exclude_defaults=True)
        if not captioners.startswith(("simulated", "alike-")):
            told = {name: value for name, value in told.items() if name.startswith("detector")}
        if not (chosen.refine.enabled and chosen.refine.grounder == "simulated"):
            told = {name: value for name, value in told.items() if not name.startswith("detector")}
        return told


def _with_views(study: Study, spec: str) -> Study:
    """A study whose variants name the views that are meant in this city."""
    table = Path(spec) / "images.parquet"
    views = VIEWS if spec.startswith(f"{SYNTHETIC}:") or not table.exists() else views_of(table)
    variants = tuple(replace(one, settings=settle_views(one.settings, views)) for one in study.variants)
    return replace(study, variants=variants)


def _with_contexts(study: Study) -> Study:
    """A study whose variants name their text positions: a base's own are as good as a number in the file."""
    known: dict[tuple[str, str], int] = {}

    def settled(variant: Variant) -> Variant:
        model = variant.settings.model
        if model.context:
            return variant
        base = model.name, model.revision
        if base not in known:
            known[base] = text_positions(*base)
        model = model.model_copy(update={"context": known[base]})
        return replace(variant, settings=variant.settings.model_copy(update={"model": model}))

    return replace(study, variants=tuple(map(settled, study.variants)))


def _weights(name: str) -> list[str]:
    """Hashes of a base model's weights; of one on the hub its name must do."""
    tiny = Path(str(resources.files("urbanln") / "model" / TINY))
    folder = tiny if name == TINY else Path(name)
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")) if folder.is_dir() else []
    return [hash_file(file) for file in files]
