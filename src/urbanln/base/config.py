"""Settings of a run: defaults with their reason, TOML in and out, ``--set train.lr=1e-5``, a hash.

Where the paper is silent the default comes from the nearest source, named beside it
(``docs/method.md`` lists them all).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, model_validator

from urbanln.base.bounds import MAX_SEED
from urbanln.base.errors import InputError
from urbanln.base.parsing import parse_toml, read_toml
from urbanln.base.setting_faults import validated

View = Literal["satellite", "street", "both"]
AutoView = Literal["auto", "satellite", "street", "both"]
"""A view, or ``"auto"``: see :mod:`urbanln.city.views`."""
Which = Literal["selected", "all"]
"""Of a picture's captions: the one that was chosen, or all candidates."""
RANKS = (1, 5, 10)
"""k of the recalls that are told."""
MAX_TERMS = 1000
"""Length of a region's vector made of its captions, at most (:mod:`urbanln.captions.text_vectors`)."""


class _Section(BaseModel):
    """Every number has bounds: beyond them it is a slip, and would break something far from here."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(_Section):
    """The network and how its text positions are stretched (UrbanLN, IPSI; Long-CLIP)."""

    name: str = Field(
        "tiny", description="hub name (or NAME@REVISION), folder, or 'tiny' for the base CLIP in the package"
    )
    revision: str = Field(
        "", description="commit, branch or tag of a hub name; empty: the newest, and the run notes its commit"
    )
    context: int = Field(
        0,
        ge=0,
        le=8192,
        description="text positions after stretching; 0: by the base, 248 for CLIP's 77 (paper), 196 for "
        "SigLIP's 64, its own where they are more",
    )
    stretch: Literal["keep", "interpolate"] = Field(
        "keep",
        description="keep the first positions (paper); or interpolate over all rows, the baseline without it",
    )
    keep: int = Field(20, ge=0, le=8192, description="first positions kept bit for bit (paper: 20)")
    tail: Literal["extrapolate", "clamp"] = Field(
        "extrapolate", description="rows past the last source row: extrapolated as in Long-CLIP, or repeated"
    )
    freeze_head: bool = Field(True, description="the kept positions are not trained (Long-CLIP)")
    restretch: bool = Field(
        False, description="also stretch a base of over 77 positions that has no record of them"
    )

    @property
    def pinned(self) -> str:
        """The name with its revision behind it, for whoever takes a name alone."""
        known = not self.revision or self.name.endswith(f"@{self.revision}")
        return self.name if known else f"{self.name}@{self.revision}"


class TrainSettings(_Section):
    """Momentum self-distillation (UrbanLN, MSD; ALBEF) and the loop around it."""

    view: AutoView = Field(
        "auto",
        description="pictures trained on; auto: the only view there is, satellite where there are both "
        "(the paper trains the views apart)",
    )
    epochs: int = Field(6, ge=1, le=10_000, description="passes over the pictures (Long-CLIP recommends 6)")
    batch_size: int = Field(64, ge=2, le=65_536, description="pairs per optimiser step and process")
    micro_batch: int = Field(
        0,
        ge=0,
        le=65_536,
        description="pairs whose activations are held at once (GradCache: same gradient, slower); 0: all",
    )
    lr: float = Field(
        3e-6, gt=0, le=1, description="AdamW learning rate, peak (UrbanVLP 3e-6, Long-CLIP 1e-6)"
    )
    weight_decay: float = Field(1e-2, ge=0, le=100, description="never on biases, norms and the logit scale")
    warmup_steps: int = Field(
        200, ge=0, le=10_000_000, description="linear, then cosine to 0 (Long-CLIP 200)"
    )
    clip_grad: float = Field(1.0, ge=0, le=1e6, description="largest gradient norm; 0 turns clipping off")
    mu: float = Field(0.5, ge=0, le=1, description="weight of distillation in (1-mu) L_C + mu L_D (paper .5)")
    mu_ramp_epochs: float = Field(
        1.0, ge=0, le=10_000, description="mu grows linearly from 0 over this (ALBEF 1)"
    )
    momentum: float = Field(0.995, ge=0, le=1, description="of the teacher, per optimiser step (paper .995)")
    queue_size: int = Field(
        4096, ge=0, le=1_048_576, description="teacher features kept per modality (paper 4096)"
    )
    contrast_keys: Literal["batch", "batch+queue"] = Field(
        "batch+queue", description="keys of L_C: teacher's batch and queue (ALBEF), or the student's batch"
    )
    captions_per_image: int = Field(
        1, ge=1, le=1000, description="captions drawn per picture and epoch, by weight"
    )
    drop_opening: float = Field(
        0.0, ge=0, le=1, description="share of drawn captions read without their first sentence (DeBias-CLIP)"
    )
    sample_sentences: float = Field(
        0.0, ge=0, le=1, description="share of which some sentences are read, in any order (DeBias-CLIP)"
    )
    pad_front: float = Field(
        0.0, ge=0, le=1, description="share that padding pushes back by a random length (DeBias-CLIP)"
    )
    fit: Literal["crop", "letterbox"] = Field(
        "crop", description="non-square pictures: centre crop (CLIP) or pad; letterbox keeps the edges"
    )
    freeze_vision: int = Field(
        0,
        ge=-1,
        le=1000,
        description="first layers of the picture tower not trained; -1: all of it (LiT)",
    )
    freeze_text: int = Field(
        0, ge=-1, le=1000, description="first layers of the text tower not trained; -1: all of it"
    )
    lora_rank: int = Field(
        0, ge=0, le=1024, description="LoRA adapters of this rank train in place of the towers; 0: none"
    )
    lora_alpha: int = Field(
        16, ge=1, le=65_536, description="adapters count alpha / rank times (16: as is usual)"
    )
    lora_targets: Literal["all", "attention"] = Field(
        "all", description="linear layers of the towers that have adapters: all (QLoRA), or attention's alone"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each layer of a tower learns this much slower than the next; 1: alike"
    )
    patch_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of patches the student does not read in training (FLIP: .5)"
    )
    flip: bool = Field(
        False, description="mirror half the pictures whose caption names no left, right, east or west"
    )
    id_mask: bool = Field(
        True, description="a key with the id of its query is nobody's negative; off, everything else is one"
    )
    same_caption_is_same: bool = Field(
        True, description="pictures with equal captions are not each other's negatives"
    )
    same_content_is_same: bool = Field(
        False, description="pictures of equal content (sha256) are not each other's negatives either"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where the hardware multiplies it fast, else fp32; the loss is fp32"
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="of initialisation, order, caption choice and flips")
    val_fraction: float = Field(
        0.05, ge=0, lt=0.9, description="share of regions held out for retrieval R@1/5/10"
    )
    checkpoint_minutes: float = Field(
        5.0, ge=0, le=100_000, description="a checkpoint at least this often; 0: each step"
    )
    workers: int = Field(2, ge=0, le=256, description="threads that decode pictures")
    tensorboard: bool = Field(False, description="curves for TensorBoard beside metrics.jsonl")
    any_device: bool = Field(
        False,
        description="go on with a run begun on another kind of device; its numbers are then those of neither",
    )


class EmbedSettings(_Section):
    """From pictures to one vector per region."""

    view: AutoView = Field(
        "auto",
        description="pictures embedded; auto: as the run was trained, else the only view there is, else "
        "satellite; both: the two means side by side",
    )
    encoder: Literal["student", "teacher"] = Field("student", description="the paper does not say which")
    normalize: bool = Field(False, description="L2-normalise each picture's vector before the mean")
    batch_size: int = Field(128, ge=1, le=65_536, description="pictures per forward pass, 1024 at most")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 where the hardware multiplies it fast, else fp32; vectors are fp32"
    )
    workers: int = Field(
        0, ge=0, le=256, description="threads that decode pictures; 0: one per core, 16 at most"
    )


class ProbeSettings(_Section):
    """How frozen vectors are scored against labels."""

    heads: tuple[str, ...] = Field(
        ("ridge", "mlp"),
        min_length=1,
        description="ridge, mlp (the paper's d-256-1), boosting, or module:Class of scikit-learn's kind; "
        "the first one speaks in the verdict",
    )
    splits: tuple[Literal["random", "block", "district", "city"], ...] = Field(
        ("random", "block"),
        min_length=1,
        description="random as in the literature; blocks with a buffer; whole districts or cities held out",
    )
    floors: tuple[Literal["coordinates-nearest", "coordinates-boosting", "coordinates-gp"], ...] = Field(
        ("coordinates-nearest", "coordinates-boosting", "coordinates-gp"),
        description="what the map alone gives besides the mean: neighbours, boosting, Gaussian process",
    )
    joint: bool = Field(True, description="also score map and vectors together against the map alone")
    seeds: int = Field(5, ge=1, le=1000, description="repetitions, each with folds of its own")
    folds: int = Field(5, ge=2, le=1000, description="held-out folds per repetition")
    blocks: Literal["square", "h3"] = Field("square", description="shape of a block; h3: parents of its size")
    block_km: float = Field(5.0, gt=0, le=20_000, description="edge of a spatial block in km")
    buffer_km: float = Field(
        1.0, ge=0, le=20_000, description="regions this near to a test region leave the training"
    )
    bootstrap: int = Field(1000, ge=100, le=100_000, description="resamples of blocks for the intervals")
    transform: Literal["auto", "log1p", "log", "none"] = Field(
        "auto",
        description="auto: log1p where it makes a label less skewed; log drops zeros, as the literature does",
    )
    level: float = Field(0.9, gt=0, lt=1, description="share of truths the interval of a region shall hold")
    curve: tuple[Annotated[int, Field(ge=4, le=100_000_000)], ...] = Field(
        (20, 50, 100, 200, 500),
        max_length=100,
        description="labelled regions of the label-efficiency curve; none: no curve",
    )
    shots: tuple[Annotated[int, Field(ge=0, le=100_000_000)], ...] = Field(
        (0, 10, 50, 200), max_length=100, description="labels of the target city in transfer between cities"
    )
    district_folds: int = Field(
        0,
        ge=0,
        le=1000,
        description="districts and cities are dealt to this many folds; 0: each is a fold of its own",
    )

    @model_validator(mode="after")
    def _distinct(self) -> ProbeSettings:
        for name in ("heads", "splits", "floors", "curve", "shots"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"probe.{name} names one thing twice")
        return self


class RetrieveSettings(_Section):
    """How pictures and texts are looked for among one another."""

    split: Literal["auto", "test", "val", "train", "all"] = Field(
        "auto", description="pictures looked at; auto: test where pictures are divided, else all"
    )
    texts: str = Field(
        "selected",
        min_length=1,
        description="selected: one text per picture; each: every caption is one (the protocol of RSICD); or "
        "the name of a captioner",
    )
    bootstrap: int = Field(1000, ge=100, le=100_000, description="resamples of pictures for the intervals")


class CacheSettings(_Section):
    """What is kept between runs to save time; it changes how long a run takes, never what comes out."""

    pixels_gb: float = Field(
        20.0,
        ge=0,
        le=1_000_000,
        description="GB on disk for decoded pictures (20: 130,000 of 224 px); 0: decoded batch by batch",
    )


class Settings(_Section):
    """Everything a run depends on besides its data."""

    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()
    embed: EmbedSettings = EmbedSettings()
    probe: ProbeSettings = ProbeSettings()
    retrieve: RetrieveSettings = RetrieveSettings()
    cache: CacheSettings = CacheSettings()

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.model.context and self.model.keep >= self.model.context:
            raise ValueError(f"model.keep ({self.model.keep}) must be below model.context")
        return self


# They change how the work is carried out and not what comes out: a run that goes on may have others than it
# began with, and a study does not do anew what was done with others.
FREE_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "train": ("workers", "checkpoint_minutes", "tensorboard", "micro_batch", "any_device"),
    "embed": ("batch_size", "workers"),
    "vote": ("processes",),
}
S = TypeVar("S", bound=BaseModel)
# One file may hold the settings of all verbs; each reads its own sections and leaves the others alone.
_CAPTION_SECTIONS = ("captions", "describe", "captioners", "clean", "refine", "vote", "simulation")


@overload
def load_settings(
    path: Path | str | None = None, overrides: Sequence[str] = (), base: Mapping[str, Any] | None = None
) -> Settings: ...
@overload
def load_settings(
    path: Path | str | None = None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
    *,
    of: type[S],
) -> S: ...
def load_settings(
    path: Path | str | None = None,
    overrides: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
    *,
    of: type[BaseModel] = Settings,
) -> BaseModel:
    """Resolve settings: defaults, then ``base``, then a TOML file, then ``section.key=value`` overrides.

    Args:
        path: TOML file with any of the sections of ``of``; sections of other verbs are left alone, and so
            are the facts (section ``run``) in the ``run.toml`` of an earlier run, which will do as a file.
        overrides: Strings like ``"train.lr=1e-5"``; the value is read as TOML, else as text.
        base: Nested values that stand between the defaults and the file.
        of: What is read: :class:`Settings`, or :class:`urbanln.captions.settings.CaptionSettings`.

    Raises:
        InputError: Unknown key (with the nearest known one), wrong type or range, not TOML.
    """
    values: dict[str, Any] = {name: dict(section) for name, section in (base or {}).items()}
    where = "settings"
    foreign = {"run", *Settings.model_fields, *_CAPTION_SECTIONS} - set(of.model_fields)
    if path is not None:
        where = str(path)
        for name, section in read_toml(Path(path)).items():
            if not isinstance(section, dict):
                remedy = f"put it under a section: {', '.join(of.model_fields)}"
                raise InputError(
                    "a setting stands outside any section", value=name, where=where, remedy=remedy
                )
            if name not in foreign:
                values.setdefault(name, {}).update(section)
    for text in overrides:
        set_key(values, text)
    given = {key: f"--set {key}" for key in (text.partition("=")[0].strip() for text in overrides)}
    return validated(values, where, of, given)


def set_key(values: dict[str, Any], text: str, what: str = "setting", example: str = "train.lr=1e-5") -> None:
    """Change one value of nested tables.

    Args:
        values: The tables; those on the way that are missing are made.
        text: As ``"train.lr=1e-5"``; the value is read as TOML, else as text.
        what: What is changed, for errors.
        example: How it is given, for errors.

    Raises:
        InputError: Not ``section.key=value``, or something on the way is no table.
    """
    key, equals, raw = text.partition("=")
    key = key.strip()
    *sections, leaf = key.split(".")
    if not equals or not sections:
        raise InputError(
            f"a {what} is given as section.key=value", value=text, where="--set", remedy=f"e.g. {example}"
        )
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(
                "this key has no parts", value=key, where=f"--set {text}", remedy=f"e.g. {example}"
            )
    try:
        values[leaf] = parse_toml(f"v = {raw}")["v"]
    except ValueError:
        values[leaf] = raw.strip()


def settings_hash(settings: BaseModel) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the resolved settings, all that a result depends on."""
    text = json.dumps(settings.model_dump(mode="json", exclude={"cache"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def settings_toml(settings: BaseModel) -> str:
    """The resolved settings as TOML, readable again by :func:`load_settings`."""
    return tomli_w.dumps(settings.model_dump(mode="json"))
