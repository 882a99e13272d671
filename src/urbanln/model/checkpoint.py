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
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, CLIPImageProcessorPil
from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError, UrbanLNError
from urbanln.base.files import SCHEMA_VERSION, atomic_folder, hash_bytes
from urbanln.base.parsing import fitting, read_json
from urbanln.model.card import CARD, licence_of
from urbanln.model.context import settled_context
from urbanln.model.families.family import Family
from urbanln.model.families.known import family_of
from urbanln.model.preprocess import Preprocessing, follow_processor
from urbanln.model.source import AGAIN, MERGE, PIECES, RECORD_FILE, TOKENIZERS, Source, find_source, quiet
from urbanln.model.texts import TextTokens

_RECORD_KEY = "urbanln"
_ADAPTED = re.compile(r"\blora_|\bbase_layer\b|^base_model\.")


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

    def __str__(self) -> str:
        """A sentence for people."""
        if self.stretched_from is None:
            return "The text positions are those it was trained with."
        if self.method == "interpolate":
            return f"All {self.stretched_from} text positions were interpolated to its length."
        return (
            f"Of {self.stretched_from} text positions the first {self.keep} were kept, the others stretched "
            f"{self.ratio} times."
        )


class _Note(TypedDict):
    keep: int
    ratio: int
    tail: str
    stretched_from: int | None
    method: str


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a checkpoint as they were read; ``clip`` is of its kind's class in transformers."""

    clip: Any
    family: Family
    tokenizer: Any
    preprocessing: Preprocessing
    record: Record | None
    origin: dict[str, str]
    where: str


def read_checkpoint(name_or_folder: str | Path, revision: str = "") -> Checkpoint:
    """Read a base with its tokenizer and preprocessing.

    Args:
        name_or_folder: ``"tiny"``, a folder, or a name on the model hub.
        revision: Of a name on the hub, see :func:`~urbanln.model.source.find_source`.

    Raises:
        InputError: No such folder or name, not of a known kind, or one with an adapter that was not merged.
        ArtefactError: Files of it are damaged or incomplete.
    """
    source = find_source(name_or_folder, revision)
    family = family_of(source)
    with quiet():
        with _reading("configuration", source):
            AutoConfig.from_pretrained(source.folder, local_files_only=True)
        clip = _read_weights(source, family)
        tokenizer = _read_tokenizer(source, family)
        preprocessing = _read_preprocessing(source, family, clip.config)
        family.settle(clip, tokenizer, preprocessing.size, str(source.folder))
    record, origin = _read_record(source)
    return Checkpoint(clip, family, tokenizer, preprocessing, record, origin, str(source.folder))


def read_tokenizer(name_or_folder: str | Path) -> TextTokens:
    """Read a base's tokenizer alone, with the positions that the base is given.

    Args:
        name_or_folder: ``"tiny"``, a folder, or a name on the model hub.

    Raises:
        InputError: No such folder or name, or no tokenizer there.
        ArtefactError: It is damaged.
    """
    source = find_source(name_or_folder, weights=False)
    family = family_of(source)
    with quiet():
        tokens = TextTokens(_read_tokenizer(source, family), settled_context(source), family.reading)
    tokens.tokenizer.model_max_length = tokens.context  # whatever its file says
    return tokens


class HasWeights(Protocol):
    """Anything whose weights can be listed: a module of torch, or what stands in for one."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its weights."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """What belongs to its weights and does not train."""


def network_hash(network: HasWeights) -> str:
    """SHA-256 of a network in memory: its weights by name, and what they are used with.

    That is a CLIP's activation, heads and epsilon: equal weights may be put to different use. Unlike
    :meth:`~urbanln.model.source.Source.weights_hash`, which is that of files, it sees what was changed since
    they were read.
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
    origin: Mapping[str, str],
    card: str,
) -> Path:
    """Write a model's folder whole or not at all.

    Args:
        folder: Where to; what stands there is replaced.
        state: Weights by the names that its class in transformers gives them.
        config: Its configuration, which names that class.
        tokenizer: Its tokenizer.
        preprocessing: How it wants its pictures.
        record: What was done to the text positions.
        origin: Where it comes from, see :func:`urbanln.model.card.model_card`.
        card: Text of its card.

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
    config.dtype = torch.float32
    note = {"schema_version": SCHEMA_VERSION, "kind": "clip", **asdict(record), "origin": dict(origin)}
    setattr(config, _RECORD_KEY, note)
    weights = {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.items()}
    with atomic_folder(folder) as temporary, quiet(), plain_os_errors():
        save_file(weights, temporary / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(temporary)
        # safetensors makes files only their owner may read; the rest of the folder follows the umask.
        (temporary / "model.safetensors").chmod((temporary / "config.json").stat().st_mode)
        tokenizer.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        (temporary / RECORD_FILE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        (temporary / CARD).write_text(card, encoding="utf-8")
    return folder


@contextmanager
def _reading(part: str, source: Source) -> Iterator[None]:
    """Whatever goes wrong while a part of the model is read, as one clear error."""
    try:
        yield
    except UrbanLNError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtefactError(
            f"the model's {part} cannot be read", value=reason, where=source.folder, remedy=AGAIN
        ) from error


def _read_weights(source: Source, family: Family) -> Any:
    """The network in fp32, whatever its numbers are stored as; of a pickle file only tensors are read."""
    source.weight_files()
    with _reading("weights", source):
        clip, found = family.network.from_pretrained(
            source.folder,
            dtype=torch.float32,
            attn_implementation=family.attention,
            output_loading_info=True,
            local_files_only=True,
            weights_only=True,
        )
    foreign = sorted(name for name in found["unexpected_keys"] if _ADAPTED.search(name))
    if foreign:
        raise InputError(
            f"these weights hold an adapter that was not merged: {len(foreign)} tensors",
            value=", ".join(foreign[:3]),
            where=source.folder,
            remedy=MERGE,
        )
    if missing := sorted(found["missing_keys"]):
        raise ArtefactError(
            f"the model's weights are incomplete: {len(missing)} tensors are missing",
            value=", ".join(missing[:3]),
            where=source.folder,
            remedy=AGAIN,
        )
    return clip


def _read_tokenizer(source: Source, family: Family) -> Any:
    if not any((source.folder / name).is_file() for name in TOKENIZERS):
        pieces = next((name for name in PIECES if (source.folder / name).is_file()), None)
        if pieces is not None and find_spec("sentencepiece") is None:
            raise InputError(
                f"this folder's tokenizer is {pieces}, which the package sentencepiece reads",
                where=source.folder,
                remedy="pip install sentencepiece protobuf, or copy tokenizer.json of the checkpoint into it",
            )
        if pieces is None:
            raise InputError(
                f"this {family.title} folder has no tokenizer",
                where=source.folder,
                remedy="copy tokenizer.json (or vocab.json and merges.txt) of the checkpoint into it",
            )
    with _reading("tokenizer", source):
        tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
        if tokenizer.eos_token_id is None and family.reading == "end":
            # The old rule, for a tokenizer that does not say which of its tokens ends a text: the largest id.
            tokenizer.eos_token = tokenizer.convert_ids_to_tokens(max(tokenizer("")["input_ids"]))
        return tokenizer


def _read_preprocessing(source: Source, family: Family, config: Any) -> Preprocessing:
    size = family.picture_size(config)
    with _reading("preprocessing", source):
        try:
            facts, _ = CLIPImageProcessorPil.get_image_processor_dict(source.folder, local_files_only=True)
        except OSError:
            if (source.folder / "preprocessor_config.json").is_file():
                raise
            if (source.folder / "processor_config.json").is_file():
                read_json(source.folder / "processor_config.json")  # that of pictures may stand in it
            if size is None or (usual := family.pictures(size)) is None:
                raise InputError(
                    "the folder does not say how its picture tower wants its pictures",
                    where=source.folder,
                    remedy="copy preprocessor_config.json of the picture tower into it",
                ) from None
            return usual
        return follow_processor(facts, size, str(source.folder))


def _read_record(source: Source) -> tuple[Record | None, dict[str, str]]:
    """What is known of the text positions, and of where the model comes from.

    From the record's own file, else from the configuration.

    Other tools that load a folder and save it again copy the one and leave the other behind.
    """
    path = source.folder / RECORD_FILE
    if path.is_file():
        note = read_json(path, remedy=AGAIN)
    else:
        path = source.folder / "config.json"
        note = read_json(path, dict[str, Any], remedy=AGAIN).get(_RECORD_KEY)
    facts = {"base": source.told, "revision": source.revision or "", "licence": licence_of(source.folder)}
    origin = {name: fact for name, fact in facts.items() if fact}
    if note is None:
        return None, origin
    try:
        # Checkpoints from before there was a second method do not name theirs.
        note = {"method": Record.method, **fitting(note, dict[str, Any])}
        if note["kind"] != "clip" or note["schema_version"] > SCHEMA_VERSION:
            raise ValueError(f"kind {note['kind']}, schema {note['schema_version']}")
        fitting(note, _Note)
        origin = fitting(note.get("origin") or origin, dict[str, str])
        return Record(**{name: note[name] for name in asdict(Record())}), origin
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            "the record of the text positions is damaged or from a newer urbanln",
            value=str(error),
            where=path,
            remedy=AGAIN,
        ) from error


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
