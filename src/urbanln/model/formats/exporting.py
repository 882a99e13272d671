"""A CLIP of ours as the folders that other tools open: open_clip, ONNX, sentence-transformers."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from urbanln.base.errors import InputError, require
from urbanln.base.files import atomic_folder, write_json
from urbanln.model.card import CARD, OPENED_BY, Section, retold
from urbanln.model.checkpoint import plain_os_errors
from urbanln.model.clip import LongClip
from urbanln.model.formats.config import CONFIG, FILTERS
from urbanln.model.formats.open_clip import open_clip_names
from urbanln.model.stretch import plain_state

Format = Literal["transformers", "open_clip", "onnx", "sentence-transformers"]
_OPSET = 18  # of ONNX: what onnxruntime reads since 1.14
_ONE_FILE = 1_900_000_000  # bytes


def export_model(
    model: LongClip, to: Format, folder: Path, *, card: str = "", scores: Sequence[Section] = ()
) -> Path:
    """Write a model for another tool; its vectors are equal there to rounding.

    Args:
        model: In fp32 on the CPU.
        to: ``"transformers"``: a plain folder.
            ``"open_clip"``: a folder for ``open_clip.create_model("local-dir:FOLDER")``, version 3.
            ``"onnx"``: ``vision.onnx`` (``pixel_values`` float32 (B, 3, S, S), normalised, to ``vectors``
            (B, D)) and ``text.onnx`` (``input_ids`` int64 (B, T), T up to the context, or that many where
            padding is read too, to ``vectors``), both of length 1, with ``facts.json`` on preprocessing; the
            tokenizer lies beside.
            ``"sentence-transformers"``: a folder for ``SentenceTransformer(FOLDER)``, version 6, texts and
            pictures, vectors of length 1.
        folder: Where to; what stands there is replaced.
        card: The one that came with the model, if it is one of ours.
        scores: For its card.

    Returns:
        The folder.

    Raises:
        InputError: An architecture that the other tool has no name for.
        MissingExtraError: ONNX needs ``urbanln[onnx]``.
        StorageError: Disk full, or a folder that may not be written.
    """
    write = _WRITERS[to]
    if to == "onnx":
        require("onnxscript")
    with atomic_folder(folder) as temporary, plain_os_errors(), torch.no_grad():
        write(model.eval(), temporary)
        text = retold(card or model.card(), **_OPENED[to], sections=scores, name=folder.name)
        (temporary / CARD).write_text(text, encoding="utf-8")
    return folder


def _open_clip(model: LongClip, folder: Path) -> None:
    _fits_open_clip(model)
    config = model.clip.config
    vision, text = config.vision_config, config.text_config
    preprocessing = model.preprocessing
    names = {value.value: name for name, value in FILTERS.items()}
    squashed = isinstance(preprocessing.scaled, tuple)
    note = {
        "model_cfg": {
            "embed_dim": model.dim,
            "quick_gelu": vision.hidden_act == "quick_gelu",
            "vision_cfg": {
                "image_size": vision.image_size,
                "layers": vision.num_hidden_layers,
                "width": vision.hidden_size,
                "head_width": vision.hidden_size // vision.num_attention_heads,
                "patch_size": vision.patch_size,
                "mlp_ratio": vision.intermediate_size / vision.hidden_size,
                "norm_kwargs": {"eps": vision.layer_norm_eps},
            },
            "text_cfg": {
                "context_length": model.context,
                "vocab_size": text.vocab_size,
                "width": text.hidden_size,
                "heads": text.num_attention_heads,
                "layers": text.num_hidden_layers,
                "mlp_ratio": text.intermediate_size / text.hidden_size,
                "norm_kwargs": {"eps": text.layer_norm_eps},
                # Any name says: the tokenizer of this folder; open_clip's own mends texts first.
                "hf_tokenizer_name": "this-folder",
            },
        },
        "preprocess_cfg": {
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "interpolation": names[preprocessing.resample],
            "resize_mode": "squash" if squashed else "shortest",
        },
    }
    write_json(folder / CONFIG, note)
    weights = open_clip_names(plain_state(model.clip))
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    model.tokenizer.save_pretrained(folder)


def _fits_open_clip(model: LongClip) -> None:
    if model.family.reading != "end":
        raise InputError(
            f"open_clip builds the towers of a {model.family.title} otherwise: no folder of it can be made",
            value=type(model.clip).__name__, where="--to open_clip",
            remedy="export to onnx or sentence-transformers, or open the folder with transformers",
        )  # fmt: skip
    config = model.clip.config
    vision, text = config.vision_config, config.text_config
    if vision.hidden_act != text.hidden_act or vision.hidden_act not in ("gelu", "quick_gelu"):
        raise InputError(
            "open_clip has one activation for both towers, gelu or quick_gelu",
            value=f"{vision.hidden_act}, {text.hidden_act}", where="--to open_clip",
            remedy="export to onnx, which takes any",
        )  # fmt: skip
    preprocessing, filters = model.preprocessing, [value.value for value in FILTERS.values()]
    usual = (None, preprocessing.size, (preprocessing.size, preprocessing.size))
    if preprocessing.resample not in filters or preprocessing.scaled not in usual:
        raise InputError(
            "open_clip cannot prepare pictures as this model does",
            value=f"filter {preprocessing.resample}, scaled to {preprocessing.scaled}",
            where="--to open_clip",
            remedy="export to onnx, and prepare pictures by facts.json",
        )


class _Pictures(nn.Module):
    def __init__(self, model: LongClip) -> None:
        super().__init__()
        self.clip = model.clip

    def forward(self, pixel_values: Tensor) -> Tensor:
        vectors: Tensor = self.clip.get_image_features(pixel_values=pixel_values).pooler_output
        return functional.normalize(vectors, dim=-1)


class _Texts(nn.Module):
    """The text tower over whole rows of ids.

    CLIP's is read at the end token: what stands behind it changes nothing before it.
    """

    def __init__(self, model: LongClip) -> None:
        super().__init__()
        self.clip, self.family, self.tokens = model.clip, model.family, model.tokens
        self.end = self.tokens.end if self.tokens.reading == "end" else None

    def forward(self, input_ids: Tensor) -> Tensor:
        if self.end is None:
            return functional.normalize(self.family.text_features(self.clip, input_ids, self.tokens), dim=-1)
        hidden = self.clip.text_model(input_ids=input_ids).last_hidden_state
        end = (input_ids == self.end).int().argmax(dim=-1)
        pooled = hidden[torch.arange(hidden.shape[0]), end]
        return functional.normalize(self.clip.text_projection(pooled), dim=-1)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """torch's exporter without its notes on packages that no CLIP needs."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _onnx(model: LongClip, folder: Path) -> None:
    size, two = model.image_size, torch.export.Dim("batch", min=1, max=65_536)
    long = torch.export.Dim("length", min=2, max=model.context)
    free_text = {0: two} if model.family.reading == "full" else {0: two, 1: long}
    ids = model.tokenize(["a park beside a river", "a school"])
    parts: list[tuple[str, nn.Module, str, Tensor, dict[int, Any]]] = [
        ("vision", _Pictures(model), "pixel_values", torch.zeros(2, 3, size, size), {0: two}),
        ("text", _Texts(model), "input_ids", ids, free_text),
    ]
    for name, network, given, example, free in parts:
        large = sum(weight.nbytes for weight in network.parameters()) > _ONE_FILE
        with warnings.catch_warnings(), _quiet_exporter():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.eval(),
                (example,),
                folder / f"{name}.onnx",
                input_names=[given],
                output_names=["vectors"],
                dynamic_shapes=({**free},),
                dynamo=True,
                opset_version=_OPSET,
                external_data=large,  # one file of ONNX holds no more than 2 GiB
                verbose=False,
            )
    preprocessing = model.preprocessing
    facts = {
        "image_size": size, "mean": list(preprocessing.mean), "std": list(preprocessing.std),
        "resample": preprocessing.resample, "scaled": preprocessing.scaled, "context": model.context,
        "dimensions": model.dim, "logit_scale": float(model.logit_scale.exp()),
        "end_token": model.tokenizer.eos_token_id, "padding_token": model.tokens.padding,
        "padded_to": model.context if model.family.reading == "full" else None,
    }  # fmt: skip
    write_json(folder / "facts.json", facts)
    model.tokenizer.save_pretrained(folder)


def _transformers(model: LongClip, folder: Path) -> None:
    model.save(folder / "clip")
    for file in (folder / "clip").iterdir():
        file.replace(folder / file.name)
    (folder / "clip").rmdir()


def _sentence_transformers(model: LongClip, folder: Path) -> None:
    _transformers(model, folder)
    modules = [("0", "", "Transformer"), ("1", "1_Normalize", "Normalize")]
    (folder / "1_Normalize").mkdir()
    write_json(folder / "1_Normalize" / "config.json", {})
    towers = {
        kind: {"method": f"get_{kind}_features", "method_output_name": "pooler_output"}
        for kind in ("text", "image")
    }
    facts: dict[str, Any] = {"transformer_task": "feature-extraction", "modality_config": towers,
                             "module_output_name": "sentence_embedding"}  # fmt: skip
    if model.family.reading == "full":
        facts["processing_kwargs"] = {"text": {"padding": "max_length", "max_length": model.context}}
    write_json(folder / "sentence_bert_config.json", facts)
    named = [
        {"idx": number, "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (name, path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")


_OPENED: Mapping[str, Mapping[str, str]] = {
    "transformers": {"library": "transformers", "opened_by": OPENED_BY},
    "open_clip": {
        "library": "open_clip",
        "opened_by": 'open_clip opens it: `open_clip.create_model_and_transforms("local-dir:FOLDER")`.',
    },
    "onnx": {
        "library": "onnx",
        "opened_by": "onnxruntime opens `vision.onnx` and `text.onnx`;\n"
        "`facts.json` says how pictures are prepared.",
    },
    "sentence-transformers": {
        "library": "sentence-transformers",
        "opened_by": 'sentence-transformers opens it: `SentenceTransformer("FOLDER")`, texts and pictures.',
    },
}
_WRITERS: Mapping[str, Callable[[LongClip, Path], None]] = {
    "transformers": _transformers,
    "open_clip": _open_clip,
    "onnx": _onnx,
    "sentence-transformers": _sentence_transformers,
}
