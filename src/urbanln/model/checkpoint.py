"""Checkpoints in the format of Hugging Face: read with one clear error each, written whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from huggingface_hub.utils import logging as hub_logging
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, CLIPImageProcessorPil, CLIPModel
from transformers.utils import logging as hf_logging

from urbanln.base.errors import ArtefactError, InputError, UrbanLNError
from urbanln.base.files import SCHEMA_VERSION, atomic_folder, hash_bytes, hash_file
from urbanln.base.parsing import read_json
from urbanln.model.preprocess import Preprocessing, follow_processor

RECORD_FILE = "urbanln.json"
_TINY = Path(__file__).with_name("tiny")
_AGAIN = "get the checkpoint again, or give another folder"


@dataclass(frozen=True)
class Record:
    """What was done to a checkpoint's text positions; kept beside its weights.

    Args:
        keep: First positions left as they were.
        ratio: Output rows per source row after them; 1 when nothing was stretched.
        tail: How rows past the last source row came about.
        stretched_from: Positions before stretching; ``None`` when it was never stretched.
        method: ``"keep"``, or ``"interpolate"`` where all rows were (then nothing is kept, and ``ratio`` and
            ``tail`` say nothing).
    """

    keep: int = 0
    ratio: int = 1
    tail: str = "extrapolate"
    stretched_from: int | None = None
    method: str = "keep"


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a checkpoint as they were read."""

    clip: CLIPModel
    tokenizer: Any
    preprocessing: Preprocessing
    record: Record
    where: str


def read_checkpoint(name_or_folder: str | Path) -> Checkpoint:
    """Read a CLIP with its tokenizer and preprocessing.

    Args:
        name_or_folder: ``"tiny"``, a folder, or a name on the model hub.

    Raises:
        InputError: No such folder or name, or not a CLIP.
        ArtefactError: Files of it are damaged or incomplete.
    """
    source, local = _locate(str(name_or_folder))
    with _quiet():
        _check_kind(source, local)
        clip = _read_weights(source, local)
        tokenizer = _read_tokenizer(source, local)
        preprocessing = _read_preprocessing(source, local, int(clip.config.vision_config.image_size))
    _check_agreement(clip, tokenizer, source)
    return Checkpoint(clip, tokenizer, preprocessing, _read_record(source, local), source)


def read_tokenizer(name_or_folder: str | Path) -> Any:
    """Read a CLIP's tokenizer alone.

    Args:
        name_or_folder: ``"tiny"``, a folder, or a name on the model hub.

    Raises:
        InputError: No such folder or name, or no tokenizer there.
        ArtefactError: It is damaged.
    """
    source, local = _locate(str(name_or_folder))
    with _quiet():
        return _read_tokenizer(source, local)


def weights_hash(name_or_folder: str | Path) -> str | None:
    """SHA-256 of a checkpoint's weights; ``None`` for a name on the hub, whose files are not in a folder.

    Raises:
        InputError: No such folder or name.
    """
    source, local = _locate(str(name_or_folder))
    hashes = [hash_file(file) for file in sorted(Path(source).glob("*.safetensors"))] if local else []
    if len(hashes) > 1:
        return hash_bytes("".join(hashes).encode())
    return hashes[0] if hashes else None


class HasWeights(Protocol):
    """Anything whose weights can be listed: a module of torch, or what stands in for one."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its weights."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """What belongs to its weights and does not train."""


def network_hash(network: HasWeights) -> str:
    """SHA-256 of a network in memory: its weights by name, and what they are used with.

    That is a CLIP's activation, heads and epsilon: equal weights may be put to different use. Unlike
    :func:`weights_hash`, which is that of a file, it sees what was changed since the weights were read.
    """
    clip = getattr(network, "clip", None)
    use = "" if clip is None else str(clip.config.vision_config.to_json_string())
    weights = sorted([*network.named_parameters(), *network.named_buffers()])
    with ThreadPoolExecutor() as pool:  # hashing frees the GIL; half a second of one core for a ViT-B/16
        digests = list(pool.map(_tensor_hash, (tensor for _, tensor in weights)))
    found = [use, *zip((name for name, _ in weights), digests, strict=True)]
    return hash_bytes(json.dumps(found).encode())


def _tensor_hash(tensor: Tensor) -> str:
    plain = tensor.detach().contiguous().cpu()
    shape = f"{plain.dtype} {tuple(plain.shape)}"
    return hashlib.sha256(plain.reshape(-1).view(torch.uint8).numpy().data).hexdigest() + shape


def write_checkpoint(
    folder: Path,
    state: Mapping[str, Tensor],
    config: Any,
    tokenizer: Any,
    preprocessing: Preprocessing,
    record: Record,
) -> Path:
    """Write a CLIP folder whole or not at all.

    Args:
        folder: Where to; what stands there is replaced.
        state: Weights by the names that ``transformers.CLIPModel`` gives them.
        config: Its ``CLIPConfig``.
        tokenizer: Its tokenizer.
        preprocessing: How it wants its pictures.
        record: What was done to the text positions.

    Raises:
        StorageError: Disk full, or a folder that may not be written.
    """
    edge, scaled = preprocessing.size, preprocessing.scaled
    processor = CLIPImageProcessorPil(
        size=(
            {"width": scaled[0], "height": scaled[1]}
            if isinstance(scaled, tuple)
            else {"shortest_edge": scaled or edge}
        ),
        crop_size={"height": edge, "width": edge},
        resample=preprocessing.resample,
        image_mean=list(preprocessing.mean),
        image_std=list(preprocessing.std),
    )
    config.architectures = ["CLIPModel"]
    config.dtype = torch.float32
    weights = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.items()}
    note = {"schema_version": SCHEMA_VERSION, "kind": "clip", **asdict(record)}
    with atomic_folder(folder) as temporary, _quiet(), plain_os_errors():
        save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(temporary)
        # safetensors makes files only their owner may read; the rest of the folder follows the umask.
        (temporary / "model.safetensors").chmod((temporary / "config.json").stat().st_mode)
        tokenizer.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        (temporary / RECORD_FILE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    return folder


def is_vocabulary(name: str) -> bool:
    """Whether CLIP's own vocabulary is meant: ``"clip"``, unless there is a folder of that name."""
    return name == "clip" and not Path(name).is_dir()


def _locate(name: str) -> tuple[str, bool]:
    """The place to read from, and whether it is a folder here."""
    if is_vocabulary(name):
        raise InputError(
            "'clip' is CLIP's vocabulary alone, for counting tokens; no weights come with it",
            value=name,
            remedy="give a CLIP folder, a hub name such as openai/clip-vit-base-patch16, or 'tiny'",
        )
    if name == "tiny":
        if not (_TINY / "config.json").is_file():
            raise InputError(
                "the base CLIP of this package is missing from the installation",
                value=name,
                remedy="install urbanln again, or give a CLIP folder",
            )
        return str(_TINY), True
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(
                "this folder holds no model: there is no config.json in it",
                where=folder,
                remedy="give the folder of a CLIP in the format of Hugging Face, or 'tiny'",
            )
        return str(folder), True
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(
            "no such model folder", value=name, remedy="give the folder of a CLIP, a hub name, or 'tiny'"
        )
    return name, False


@contextmanager
def _reading(part: str, source: str, local: bool) -> Iterator[None]:
    """Whatever goes wrong while a part of the model is read, as one clear error."""
    try:
        yield
    except UrbanLNError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if local:
            raise ArtefactError(
                f"the model's {part} cannot be read", value=reason, where=source, remedy=_AGAIN
            ) from error
        raise InputError(
            f"the {part} of this model could not be had from the hub",
            value=source,
            where=reason,
            remedy="check the name and the network, give a folder with the model in it, or use 'tiny'",
        ) from error


def _check_kind(source: str, local: bool) -> None:
    with _reading("configuration", source, local):
        facts = read_json(Path(source) / "config.json", dict[str, Any]) if local else {"model_type": None}
        kind = facts.get("model_type", "none")
        if kind in (None, "clip"):
            kind = AutoConfig.from_pretrained(source, local_files_only=local).model_type
    if kind != "clip":
        raise InputError(
            "this model is not a CLIP", value=kind, where=source, remedy="give a CLIP folder, or 'tiny'"
        )


def _read_weights(source: str, local: bool) -> CLIPModel:
    with _reading("weights", source, local):
        clip, found = CLIPModel.from_pretrained(
            source,
            dtype=torch.float32,
            attn_implementation="sdpa",
            output_loading_info=True,
            local_files_only=local,
        )
    if missing := sorted(found["missing_keys"]):
        raise ArtefactError(
            f"the model's weights are incomplete: {len(missing)} tensors are missing",
            value=", ".join(missing[:3]),
            where=source,
            remedy=_AGAIN,
        )
    return clip


def _read_tokenizer(source: str, local: bool) -> Any:
    if local and not any((Path(source) / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise InputError(
            "this CLIP folder has no tokenizer",
            where=source,
            remedy="copy tokenizer.json (or vocab.json and merges.txt) of the checkpoint into it",
        )
    with _reading("tokenizer", source, local):
        return AutoTokenizer.from_pretrained(source, local_files_only=local)


def _read_preprocessing(source: str, local: bool, size: int) -> Preprocessing:
    with _reading("preprocessing", source, local):
        try:
            facts, _ = CLIPImageProcessorPil.get_image_processor_dict(source, local_files_only=local)
        except OSError:
            if local and (Path(source) / "preprocessor_config.json").is_file():
                raise
            if local and (Path(source) / "processor_config.json").is_file():
                read_json(Path(source) / "processor_config.json")  # that of pictures may stand in it
            # Many CLIP folders come without the file; their pictures are normalised as CLIP's are.
            return Preprocessing(size)
        return follow_processor(facts, size, source)


def _read_record(source: str, local: bool) -> Record:
    path = Path(source) / RECORD_FILE
    if not local or not path.is_file():
        return Record()
    note = read_json(path)
    try:
        if note["kind"] != "clip" or note["schema_version"] > SCHEMA_VERSION:
            raise ValueError(f"kind {note['kind']}, schema {note['schema_version']}")
        # Checkpoints from before there was a second method do not name theirs.
        note = {"method": Record.method, **note}
        return Record(**{name: note[name] for name in asdict(Record())})
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{RECORD_FILE} is damaged or from a newer urbanln", value=str(error), where=path, remedy=_AGAIN
        ) from error


def _check_agreement(clip: CLIPModel, tokenizer: Any, source: str) -> None:
    text = clip.config.text_config
    eot = tokenizer.eos_token_id
    # 2 stands for "the largest id" in old configurations, see LongClip.encode_text.
    if eot is None or len(tokenizer) > text.vocab_size or text.eos_token_id not in (2, eot):
        raise ArtefactError(
            "the tokenizer does not belong to this model",
            value=f"{len(tokenizer)} tokens, EOT {eot}; the model has {text.vocab_size}, {text.eos_token_id}",
            where=source,
            remedy=_AGAIN,
        )


@contextmanager
def plain_os_errors() -> Iterator[None]:
    """Errors of the system that safetensors and tokenizers wrap in types of their own, as ``OSError``.

    Raises:
        OSError: With the number of the error, as of a full disk.
    """
    try:
        yield
    except Exception as error:
        found = re.search(r"os error (\d+)", str(error))
        if isinstance(error, OSError) or found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its own bars and notes, which would run through ours."""
    bars, level, hub_level = (
        hf_logging.is_progress_bar_enabled(),
        hf_logging.get_verbosity(),
        hub_logging.get_verbosity(),
    )
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            hf_logging.enable_progress_bar()
