"""A checkpoint of another project as a CLIP folder, with its tokenizer, its preprocessing and its origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from transformers import CLIPModel

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_file
from urbanln.model.card import licence_of
from urbanln.model.checkpoint import Record
from urbanln.model.clip import LongClip
from urbanln.model.formats.config import CONFIG, agree, heads_of, preprocessing_of, read_config
from urbanln.model.formats.open_clip import LONG_CLIP_KEPT, Sizes, config_of, sizes_of, translate
from urbanln.model.formats.state_dict import SUFFIXES, read_state
from urbanln.model.tokens import clip_tokenizer

Activation = Literal["gelu", "quick_gelu"]

_POSITIONS = 77  # of every CLIP before anybody stretched it
_LONG_CLIP = 248
# No tensor tells which activation a network was trained with. What their own pages run them with, by the
# names of their files (2026-11). RemoteCLIP's README says one and its benchmark another: it is not here.
_KNOWN: tuple[tuple[str, Activation], ...] = (
    (r"quick-?gelu|openai|long-?clip|farslip|metaclip|dfn|b[-_]?32.*laion400m", "quick_gelu"),
    (r"rs5m_vit-b-32|georsclip.*b-?32", "quick_gelu"),
    (r"rs5m_vit-h-14|georsclip.*h-?14|laion2b|laion5b|datacomp|commonpool", "gelu"),
    (r"(b[-_]?16|l[-_]?14).*laion400m", "gelu"),
)
# How many layers published networks have, by the width of the tower: fewer may be half a file.
_PICTURE_LAYERS = {768: 12, 1024: 24, 1280: 32, 1408: 40, 1664: 48}
_TEXT_LAYERS = {512: 12, 768: 12, 1024: 24, 1280: 32}


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Args:
        model: The network, at the checkpoint's own number of text positions.
        sizes: Its architecture.
        activation: Of both towers, and ``known_by``, what said so.
        origin: What is kept of where it came from: file, hash, format, activation, licence.
        prepared: Who says how pictures are prepared.
    """

    model: LongClip
    sizes: Sizes
    activation: Activation
    known_by: str
    origin: dict[str, str]
    prepared: str

    def lines(self) -> list[str]:
        """What was read, for people."""
        longer = self.model.record.stretched_from
        return [
            f"read {self.origin['file']}: {self.sizes}",
            f"activation {self.activation} ({self.known_by}); "
            f"licence {self.origin['licence'] or 'not given'}",
            f"pictures are prepared as {self.prepared}",
            *([f"its {self.model.context} positions were stretched from {longer} before"] if longer else []),
            *self._few_layers(),
        ]

    def _few_layers(self) -> list[str]:
        sizes = self.sizes
        known = (
            ("picture", sizes.vision_layers, _PICTURE_LAYERS.get(sizes.vision_width, 0)),
            ("text", sizes.text_layers, _TEXT_LAYERS.get(sizes.text_width, 0)),
        )
        return [
            f"warning: its {tower} tower has {layers} layers; published ones of this width have {most}: "
            "is the file whole?"
            for tower, layers, most in known
            if layers < most
        ]


def import_checkpoint(
    source: Path | str, *, activation: Activation | None = None, licence: str = ""
) -> Imported:
    """Read a CLIP that open_clip, OpenAI's code or Long-CLIP saved.

    Args:
        source: A file of weights (see :func:`~urbanln.model.formats.state_dict.read_state`), or a folder that
            holds one, as open_clip's on the hub do with ``open_clip_config.json``.
        activation: Which one the towers were trained with, where neither the configuration nor the file's
            name says it. The wrong one gives wrong vectors without any error.
        licence: Of the weights, kept with them; by default the one that the card beside them names.

    Returns:
        The model in float32 on the CPU, ready to be saved.

    Raises:
        InputError: No such file, another kind of network, another vocabulary than CLIP's, quantised weights,
            a file that would have to be run to be read, or an activation nobody named.
        ArtefactError: Half a checkpoint, or tensors whose shapes do not fit one another.

    Source:
        The layouts of openai/CLIP, mlfoundations/open_clip and beichenzbc/Long-CLIP.
    """
    file = _the_file(Path(source).expanduser())
    facts, config = read_config(file.parent), file.parent / CONFIG
    ours = translate(read_state(file), file)
    width = len(ours.get("vision_model.embeddings.class_embedding", ()))
    sizes = sizes_of(ours, file, **heads_of(facts, width, config))
    agree(facts, sizes, config)
    tokenizer = clip_tokenizer(context=sizes.context)
    if sizes.vocabulary != len(tokenizer):
        raise InputError(
            "its text tower has another vocabulary than CLIP's, which is the only one that comes along",
            value=f"{sizes.vocabulary} tokens; CLIP has {len(tokenizer)}",
            where=file,
            remedy="give a checkpoint with CLIP's own text tower",
        )
    chosen, known_by = _activation(file, activation, facts)
    clip = _network(ours, sizes, chosen, tokenizer, file)
    record = Record()
    if sizes.context == _LONG_CLIP:  # with its two tables, or merged by somebody
        record = Record(keep=LONG_CLIP_KEPT, ratio=4, stretched_from=_POSITIONS)
    origin = {
        "base": file.stem,
        "file": file.name,
        "sha256": hash_file(file),
        "activation": chosen,
        "known_by": known_by,
        "licence": licence or licence_of(file.parent),
    }
    prepared = preprocessing_of(facts, sizes.image_size, config)
    prepared_by = (
        f"its {CONFIG} says" if facts.get("preprocess_cfg") else "for OpenAI's CLIP: nothing else is said"
    )
    model = LongClip(clip, tokenizer, prepared, record=record, origin=origin)
    return Imported(model.eval(), sizes, chosen, known_by, origin, prepared=prepared_by)


def _the_file(source: Path) -> Path:
    if not source.is_dir():
        return source
    if (source / "config.json").is_file():
        raise InputError(
            "this folder is in the format of Hugging Face already",
            where=source, remedy="give it as it is: --model, or --set model.name=FOLDER",
        )  # fmt: skip
    found = sorted(one for one in source.iterdir() if one.suffix in SUFFIXES and one.is_file())
    # Hubs keep one network in both forms; the one that nothing can hide in is read.
    found = [one for one in found if one.suffix == ".safetensors"] or found
    if pieces := [one.name for one in found if re.search(r"-\d+-of-\d+$", one.stem)]:
        raise InputError(
            "these weights lie in several pieces, which are not put together here",
            value=", ".join(pieces[:3]), where=source,
            remedy="put the tensors of all into one dictionary and save that: torch.save(ALL, 'one.pt')",
        )  # fmt: skip
    if len(found) != 1:
        raise InputError(
            "expected one file of weights in this folder" if found else "no file of weights in this folder",
            value=", ".join(one.name for one in found[:5]) or None,
            where=source,
            remedy=f"give the file itself ({', '.join(SUFFIXES)})",
        )
    return found[0]


def _activation(file: Path, told: Activation | None, facts: Mapping[str, Any]) -> tuple[Activation, str]:
    if told is not None:
        if told not in get_args(Activation):
            raise InputError(
                "no such activation", value=told, where="--activation",
                remedy=f"one of {', '.join(get_args(Activation))}",
            )  # fmt: skip
        return told, "as told"
    if facts:
        return ("quick_gelu" if facts["model_cfg"].get("quick_gelu") else "gelu"), f"its {CONFIG}"
    name = f"{file.parent.resolve().name}/{file.name}".lower()
    found = [(known[0], activation) for pattern, activation in _KNOWN if (known := re.search(pattern, name))]
    if len({activation for _, activation in found}) == 1:
        return found[0][1], f"'{found[0][0]}' in its name"
    what = "two parts of its name say which activation" if found else "nothing says which activation"
    raise InputError(
        f"{what} this network was trained with, and a wrong one gives wrong vectors",
        value=", ".join(f"{part}: {activation}" for part, activation in found) or file.name,
        where=file,
        remedy="--activation quick_gelu for weights that began as OpenAI's, --activation gelu for those of "
        "open_clip's plain configurations (LAION-2B, DataComp); its authors' page opens it by one of the two",
    )


def _network(
    ours: Mapping[str, Tensor], sizes: Sizes, activation: Activation, tokenizer: Any, file: Path
) -> CLIPModel:
    with torch.device("meta"):
        clip = CLIPModel(config_of(sizes, activation, tokenizer))
    wanted = {name: tuple(tensor.shape) for name, tensor in clip.state_dict().items()}
    if missing := sorted(set(wanted) - set(ours)):
        raise ArtefactError(
            f"half a checkpoint: {len(missing)} of {len(wanted)} tensors are missing",
            value=", ".join(missing[:3]), where=file, remedy="get the checkpoint again",
        )  # fmt: skip
    wrong = [name for name, shape in wanted.items() if tuple(ours[name].shape) != shape]
    if wrong or (extra := sorted(set(ours) - set(wanted))):
        name = wrong[0] if wrong else extra[0]
        raise ArtefactError(
            "tensors of this checkpoint do not fit one another",
            value=f"{name}: {tuple(ours[name].shape)}, where {wanted.get(name, 'none')} belongs",
            where=file, remedy="get the checkpoint again",
        )  # fmt: skip
    if bad := next((name for name, tensor in ours.items() if not bool(torch.isfinite(tensor).all())), None):
        raise ArtefactError(
            "weights that are no numbers", value=bad, where=file, remedy="get the checkpoint again"
        )
    # Buffers that are no weights (numbers of the positions) have to be real, so it is built once more.
    with torch.random.fork_rng(devices=[]):
        clip = CLIPModel(clip.config)
    clip.load_state_dict(dict(ours), strict=True, assign=True)
    return clip
