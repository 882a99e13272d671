"""CLIP as OpenAI's code and open_clip name its tensors, and what their shapes say of the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPConfig

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.formats.state_dict import refuse_unplain

# Theirs, ours; what stands behind the last dot (weight, bias) is kept.
_OUTER = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
# Theirs multiply from the right, ours is a linear layer.
_TRANSPOSED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TOWERS = {"visual.transformer.resblocks": "vision_model.encoder.layers",
           "transformer.resblocks": "text_model.encoder.layers"}  # fmt: skip
# Numbers and masks that are no weights; the bias of a sigmoid loss moves no vector.
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask", "logit_bias")
_RESIDUAL_POSITIONS = "positional_embedding_res"  # Long-CLIP's second table, which holds the stretched rows
LONG_CLIP_KEPT = 20
# Heads are in no shape. Heads of 64 in all but these widths of a picture tower (H, g, bigG of open_clip).
_HEADS = {1280: 16, 1408: 16, 1664: 16}
_FOREIGN = {
    "visual.layer1.": "a CLIP whose picture tower is a ResNet",
    "visual.trunk.": "a model whose picture tower is timm's",
    "text.transformer.embeddings.": "a model whose text tower is a BERT of transformers",
    "text_decoder.": "a CoCa, which writes captions",
    "text_model.": "a state dict of transformers without its configuration",
    "vision_model.": "a state dict of transformers without its configuration",
}


@dataclass(frozen=True)
class Sizes:
    """A CLIP's architecture, as far as shapes tell it."""

    image_size: int
    patch: int
    vision_width: int
    vision_layers: int
    vision_heads: int
    vision_mlp: int
    text_width: int
    text_layers: int
    text_heads: int
    text_mlp: int
    context: int
    vocabulary: int
    dim: int

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"ViT of width {self.vision_width} with {self.vision_layers} layers, {self.image_size} px in "
            f"patches of {self.patch}; text of width {self.text_width} with {self.text_layers} layers, "
            f"{self.context} positions; {self.dim} dimensions"
        )


def translate(state: Mapping[str, Tensor], where: str | Path) -> dict[str, Tensor]:
    """A state dict of OpenAI's CLIP, of open_clip or of Long-CLIP by the names of ``transformers.CLIPModel``.

    Args:
        state: Bare names (no ``module.``); the text tower at the root or under ``text.``.
        where: The file, for errors.

    Returns:
        float32 tensors. Long-CLIP's two position tables are one: its first 20 rows, then the stretched ones.

    Raises:
        InputError: Another network than a CLIP of two transformers, or weights that are no plain numbers.
        ArtefactError: A tensor of another kind of shape than its name's.
    """
    for prefix, kind in _FOREIGN.items():
        if name := next((one for one in state if one.startswith(prefix)), None):
            raise InputError(
                f"{kind} cannot be imported", value=name, where=where,
                remedy="give its folder, with config.json, as it is: --model, or --set model.name=FOLDER"
                if "transformers without" in kind
                else "give a CLIP with a ViT and CLIP's own text tower, as open_clip or OpenAI save it",
            )  # fmt: skip
    theirs = {name.removeprefix("text."): tensor for name, tensor in state.items()}
    theirs = {name: tensor for name, tensor in theirs.items() if name.rpartition(".")[2] not in _NO_WEIGHTS}
    stand_in = torch.empty(3, 3)
    if unknown := [name for name in theirs if name != _RESIDUAL_POSITIONS and not _ours(name, stand_in)]:
        raise InputError(
            f"not a CLIP of two transformers: {len(unknown)} tensors of it have no place in one",
            value=", ".join(sorted(unknown)[:3]),
            where=where,
            remedy="merge adapters first, and give a CLIP as open_clip or OpenAI save it",
        )
    for name, tensor in theirs.items():
        refuse_unplain(name, tensor, where)
        _check_dimensions(name, tensor, where)
    if (stretched := theirs.pop(_RESIDUAL_POSITIONS, None)) is not None:
        first = theirs.get("positional_embedding", stretched)
        if first.shape != stretched.shape:
            raise ArtefactError(
                "Long-CLIP's two tables of positions differ in shape",
                value=f"{tuple(first.shape)}, {tuple(stretched.shape)}",
                where=where, remedy="get the checkpoint again",
            )  # fmt: skip
        theirs["positional_embedding"] = torch.cat([first[:LONG_CLIP_KEPT], stretched[LONG_CLIP_KEPT:]])
    ours: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        ours.update(_ours(name, tensor))
    return {name: tensor.float().contiguous() for name, tensor in ours.items()}


def _check_dimensions(name: str, tensor: Tensor, where: str | Path) -> None:
    """A weight has the dimensions of its kind, so that an architecture can be read off its shape."""
    last = name.rpartition(".")[2]
    if last == "logit_scale":
        wanted = tensor.numel() == 1
    elif "conv1" in name:
        wanted = tensor.ndim == 4 and tensor.shape[2] == tensor.shape[3]
    elif last in ("bias", "in_proj_bias", "class_embedding") or re.search(r"\bln_\w+\.weight$", name):
        wanted = tensor.ndim == 1
    else:
        wanted = tensor.ndim == 2
    if not wanted or not tensor.numel() or ("in_proj" in last and len(tensor) % 3):
        raise ArtefactError(
            "tensors of this checkpoint do not fit one another",
            value=f"{name}: {tuple(tensor.shape)}", where=where, remedy="get the checkpoint again",
        )  # fmt: skip


def open_clip_names(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back: a state dict of ``transformers.CLIPModel`` by the names of open_clip.

    Args:
        ours: Whole; what :func:`translate` makes of the result is equal to it.
    """
    outer = {mine: theirs for theirs, mine in _OUTER.items()} | {"logit_scale": "logit_scale"}
    transposed = {mine: theirs for theirs, mine in _TRANSPOSED.items()}
    parts = {mine: theirs for theirs, mine in _LAYER.items()}
    towers = {mine: theirs for theirs, mine in _TOWERS.items()}
    theirs: dict[str, Tensor] = {}
    for name, tensor in ours.items():
        if name in outer:
            theirs[outer[name]] = tensor
        elif name in transposed:
            theirs[transposed[name]] = tensor.T.contiguous()
        else:
            tower, number, part, kind = _layer_parts(name)
            place = f"{towers[tower]}.{number}"
            if part in parts:
                theirs[f"{place}.{parts[part]}.{kind}"] = tensor
            elif part == "self_attn.q_proj":
                thirds = [ours[f"{tower}.{number}.self_attn.{one}_proj.{kind}"] for one in "qkv"]
                theirs[f"{place}.attn.in_proj_{kind}"] = torch.cat(thirds)
    return theirs


def _layer_parts(name: str) -> tuple[str, str, str, str]:
    found = re.fullmatch(r"((?:vision|text)_model\.encoder\.layers)\.(\d+)\.(.+)\.(weight|bias)", name)
    if found is None:
        raise ValueError(f"no tensor of a CLIP: {name}")
    tower, number, part, kind = found.groups()
    return tower, number, part, kind


def _ours(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """A tensor under our names, as several where theirs holds them in one; empty for a name of no CLIP."""
    if name == "logit_scale":
        return {name: tensor.reshape(-1)[0]}  # open_clip also keeps it as a row of one
    if name in _OUTER:
        return {_OUTER[name]: tensor}
    if name in _TRANSPOSED:
        return {_TRANSPOSED[name]: tensor.T}
    if name == "text_projection.weight":  # open_clip, where the projection is a layer
        return {name: tensor}
    layer = re.fullmatch(r"((?:visual\.)?transformer\.resblocks)\.(\d+)\.(.+?)[._](weight|bias)", name)
    if layer is None:
        return {}
    tower, number, part, kind = layer.groups()
    place = f"{_TOWERS[tower]}.{number}"
    if part == "attn.in_proj":
        thirds = tensor.chunk(3)
        return {
            f"{place}.self_attn.{one}_proj.{kind}": third for one, third in zip("qkv", thirds, strict=True)
        }
    return {f"{place}.{_LAYER[part]}.{kind}": tensor} if part in _LAYER else {}


def sizes_of(ours: Mapping[str, Tensor], where: str | Path, *, vision_heads: int | None = None,
             text_heads: int | None = None) -> Sizes:  # fmt: skip
    """The architecture, read off the shapes of translated tensors.

    Args:
        ours: From :func:`translate`.
        where: The file, for errors.
        vision_heads: Attention heads of the picture tower, which no shape tells. By default its width / 64,
            and 16 in the widths of ViT-H, g and bigG.
        text_heads: Those of the text tower; by default its width / 64.

    Raises:
        ArtefactError: A tensor the architecture is read from is missing.
        InputError: A width that is no multiple of its heads.
    """
    try:
        patches = ours["vision_model.embeddings.patch_embedding.weight"]
        vision = ours["vision_model.embeddings.position_embedding.weight"]
        text = ours["text_model.embeddings.position_embedding.weight"]
        patch, width, text_width = int(patches.shape[-1]), len(patches), int(text.shape[1])
        sizes = Sizes(
            image_size=_edge(len(vision) - 1, where) * patch,
            patch=patch,
            vision_width=width,
            vision_layers=_layers(ours, "vision_model"),
            vision_heads=vision_heads or _HEADS.get(width, max(width // 64, 1)),
            vision_mlp=len(ours["vision_model.encoder.layers.0.mlp.fc1.weight"]),
            text_width=text_width,
            text_layers=_layers(ours, "text_model"),
            text_heads=text_heads or max(text_width // 64, 1),
            text_mlp=len(ours["text_model.encoder.layers.0.mlp.fc1.weight"]),
            context=len(text),
            vocabulary=len(ours["text_model.embeddings.token_embedding.weight"]),
            dim=len(ours["text_projection.weight"]),
        )
    except KeyError as error:
        raise ArtefactError(
            "the checkpoint is incomplete: a tensor of every CLIP is missing",
            value=str(error.args[0]), where=where, remedy="get the checkpoint again",
        ) from error  # fmt: skip
    for tower, wide, heads in (
        ("picture", width, sizes.vision_heads),
        ("text", text_width, sizes.text_heads),
    ):
        if wide % heads:
            raise InputError(
                f"the width of the {tower} tower is no multiple of its heads",
                value=f"{wide}, {heads}", where=where,
                remedy="put its open_clip_config.json beside it, which names them",
            )  # fmt: skip
    return sizes


def _edge(patches: int, where: str | Path) -> int:
    """Patches along one side of a square picture."""
    edge = isqrt(patches)
    if patches < 1 or edge**2 != patches:
        raise ArtefactError(
            "tensors of this checkpoint do not fit one another",
            value=f"visual.positional_embedding: {patches} patches, which make no square",
            where=where, remedy="get the checkpoint again",
        )  # fmt: skip
    return edge


def _layers(ours: Mapping[str, Tensor], tower: str) -> int:
    numbers = [int(name.split(".")[3]) for name in ours if name.startswith(f"{tower}.encoder.layers.")]
    return max(numbers) + 1 if numbers else 0


def config_of(sizes: Sizes, activation: str, tokenizer: Any) -> CLIPConfig:
    """The configuration that ``transformers`` builds this network from.

    Args:
        sizes: From :func:`sizes_of`.
        activation: ``"gelu"`` or ``"quick_gelu"``.
        tokenizer: Whose ids of start, end and padding the text tower knows.
    """
    shared = {"hidden_act": activation, "projection_dim": sizes.dim, "layer_norm_eps": 1e-5}
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = {
        "hidden_size": sizes.text_width,
        "intermediate_size": sizes.text_mlp,
        "num_hidden_layers": sizes.text_layers,
        "num_attention_heads": sizes.text_heads,
        "max_position_embeddings": sizes.context,
        "vocab_size": sizes.vocabulary,
    }
    vision = {
        "hidden_size": sizes.vision_width,
        "intermediate_size": sizes.vision_mlp,
        "num_hidden_layers": sizes.vision_layers,
        "num_attention_heads": sizes.vision_heads,
        "image_size": sizes.image_size,
        "patch_size": sizes.patch,
    }
    config = CLIPConfig(
        text_config={**text, **shared, **ends},
        vision_config={**vision, **shared},
        projection_dim=sizes.dim,
    )
    config._attn_implementation = "sdpa"
    return config
