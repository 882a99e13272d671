"""``open_clip_config.json``: what it says of a network that no tensor does, and whether that is followed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Required

from PIL import Image
from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.parsing import read_json
from urbanln.model.formats.open_clip import Sizes
from urbanln.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocessing

CONFIG = "open_clip_config.json"
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_AGAIN = "get it again, or take it away and name the --activation"
# Where open_clip's ViT and text tower can be told to compute otherwise, with equal tensors; and what they do
# when they are told nothing.
_PLAIN: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "vision_cfg": {
        "pool_type": ("tok",), "final_ln_after_pool": (False,), "attentional_pool": (False,),
        "act_kwargs": ({},), "norm_kwargs": ({}, {"eps": 1e-5}),
    },
    "text_cfg": {
        "pool_type": ("argmax",), "final_ln_after_pool": (False,), "no_causal_mask": (False,),
        "embed_cls": (False,), "act_kwargs": ({},), "norm_kwargs": ({}, {"eps": 1e-5}),
    },
}  # fmt: skip


class _Vision(TypedDict, total=False):
    head_width: int


class _Text(TypedDict, total=False):
    heads: int


class _Model(TypedDict, total=False):
    quick_gelu: bool
    vision_cfg: _Vision
    text_cfg: _Text


class _Preprocess(TypedDict, total=False):
    mean: list[float]
    std: list[float]
    interpolation: str
    resize_mode: str


class _Config(TypedDict, total=False):
    model_cfg: Required[_Model]
    preprocess_cfg: _Preprocess | None


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration beside a checkpoint; empty where there is none.

    Raises:
        ArtefactError: It is damaged, or not a configuration of open_clip.
        InputError: It has the towers compute in a way that is not followed here.
    """
    path = folder / CONFIG
    if not path.is_file():
        return {}
    what = "not a configuration of open_clip"
    found: dict[str, Any] = read_json(path, _Config, fault=what, remedy=_AGAIN)
    model = found["model_cfg"]
    for section, plain in _PLAIN.items():
        for name, values in plain.items():
            value = model.get(section, {}).get(name)
            if value is not None and value not in values:
                raise InputError(
                    "its configuration has a tower compute in a way that is not followed here",
                    value=f"{section}.{name} = {value}",
                    where=path,
                    remedy="give a checkpoint of one of open_clip's plain ViT configurations",
                )
    return found


def heads_of(facts: Mapping[str, Any], width: int, path: Path) -> dict[str, int | None]:
    """Attention heads as the configuration names them, for :func:`~urbanln.model.formats.open_clip.sizes_of`.

    Args:
        facts: From :func:`read_config`.
        width: Of the picture tower.
        path: The configuration, for errors.

    Raises:
        ArtefactError: Heads that do not divide the width.
    """
    model = facts.get("model_cfg", {})
    per_head, text = model.get("vision_cfg", {}).get("head_width"), model.get("text_cfg", {}).get("heads")
    if (per_head is not None and (per_head < 1 or width % per_head)) or (text is not None and text < 1):
        raise ArtefactError(
            "heads that no attention can have",
            value=f"head_width {per_head} in a tower {width} wide, {text} heads of text",
            where=path, remedy=_AGAIN,
        )  # fmt: skip
    return {"vision_heads": width // per_head if per_head else None, "text_heads": text}


def agree(facts: Mapping[str, Any], sizes: Sizes, path: Path) -> None:
    """Refuse a configuration of another network than the one beside it, or of half of it.

    Args:
        facts: From :func:`read_config`.
        sizes: What the tensors' shapes say.
        path: The configuration, for errors.

    Raises:
        ArtefactError: They differ; says in what.
    """
    model = facts.get("model_cfg", {})
    vision, text = model.get("vision_cfg", {}), model.get("text_cfg", {})
    for name, told, found in (
        ("embed_dim", model.get("embed_dim"), sizes.dim),
        ("vision_cfg.layers", vision.get("layers"), sizes.vision_layers),
        ("vision_cfg.width", vision.get("width"), sizes.vision_width),
        ("vision_cfg.patch_size", vision.get("patch_size"), sizes.patch),
        ("vision_cfg.image_size", vision.get("image_size"), sizes.image_size),
        ("text_cfg.layers", text.get("layers"), sizes.text_layers),
        ("text_cfg.width", text.get("width"), sizes.text_width),
        ("text_cfg.context_length", text.get("context_length"), sizes.context),
    ):
        if told is not None and told not in (found, [found, found]):
            raise ArtefactError(
                "the configuration is of another network than the weights beside it",
                value=f"{name} {told}, in the weights {found}",
                where=path,
                remedy="get both again",
            )


def preprocessing_of(facts: Mapping[str, Any], size: int, path: Path) -> Preprocessing:
    """How pictures are prepared; as OpenAI's CLIP does where nothing says otherwise.

    Args:
        facts: From :func:`read_config`.
        size: Edge of a picture in pixels.
        path: The configuration, for errors.

    Raises:
        InputError: A way that is not followed here.
    """
    told = facts.get("preprocess_cfg") or {}
    mean, std = told.get("mean", CLIP_MEAN), told.get("std", CLIP_STD)
    resample, mode = told.get("interpolation", "bicubic"), told.get("resize_mode", "shortest")
    colours = len(mean) == len(std) == 3 and all(map(math.isfinite, [*mean, *std])) and min(std) > 0
    if resample not in FILTERS or mode not in ("shortest", "squash") or not colours:
        raise InputError(
            "its pictures are prepared in a way that is not followed here",
            value=f"interpolation {resample}, resize_mode {mode}, mean {mean}, std {std}",
            where=path,
            remedy="interpolation bicubic or bilinear, resize_mode shortest or squash, three colours",
        )
    (red, green, blue), (red_std, green_std, blue_std) = map(float, mean), map(float, std)
    return Preprocessing(
        size,
        (red, green, blue),
        (red_std, green_std, blue_std),
        FILTERS[resample].value,
        (size, size) if mode == "squash" else None,
    )
