"""Where a model's files are and which they are: a name or a folder becomes one folder, a commit and hashes.

A name on the hub is resolved once per process to the folder of its snapshot, so that all of a model comes
from one commit; from there on both are read alike, without the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.utils import logging as hub_logging
from transformers.utils import logging as hf_logging
from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_bytes, hash_file
from urbanln.base.parsing import read_json

RECORD_FILE = "urbanln.json"
_TINY = Path(__file__).with_name("tiny")
# What a CLIP is besides its weights: all that can change an id, a pixel or a vector.
_SETTLING = (
    "config.json", RECORD_FILE, "preprocessor_config.json", "processor_config.json",
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
_SAVED = ("config.json", RECORD_FILE, "preprocessor_config.json", "tokenizer_config.json")
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")
# Tokenizers that the package sentencepiece reads, and no other.
PIECES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
# In the order in which transformers looks for them.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
AGAIN = "get the checkpoint again, or give another folder"
MERGE = (
    "merge the adapter (peft: model.merge_and_unload()), save the model that comes out and give its folder"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_GIVE = "give a model's folder, a hub name such as openai/clip-vit-base-patch16, or 'tiny'"


class _Index(TypedDict):
    weight_map: dict[str, str]


@dataclass(frozen=True)
class Source:
    """A model's files.

    Attributes:
        name: As it was given, for messages.
        folder: Where they are: the folder given, or the hub's snapshot.
        revision: Commit of a snapshot of the hub; ``None`` for any other folder.
    """

    name: str
    folder: Path
    revision: str | None

    @property
    def told(self) -> str:
        """Its name for others: a folder's last part, since the others are of somebody's machine."""
        return self.name if self.revision else Path(self.name).name

    def weight_files(self) -> list[Path]:
        """The files that hold the weights, in the order of their names; those transformers would read.

        Raises:
            ArtefactError: There are none, or an index names files that are not there.
        """
        for name in _WEIGHTS:
            if (self.folder / name).is_file():
                return [self.folder / name]
            index = self.folder / f"{name}.index.json"
            if index.is_file():
                return self._pieces(index)
        raise ArtefactError(
            "the model's weights are missing",
            value=f"neither {' nor '.join(_WEIGHTS)}",
            where=self.folder,
            remedy=AGAIN,
        )

    def _pieces(self, index: Path) -> list[Path]:
        names = set(read_json(index, _Index, remedy=AGAIN)["weight_map"].values())
        files = [self.folder / Path(name).name for name in sorted(names)]
        if missing := [file.name for file in files if not file.is_file()]:
            raise ArtefactError(
                f"{len(missing)} of the model's {len(files)} weight files are missing",
                value=", ".join(missing[:3]),
                where=self.folder,
                remedy=AGAIN,
            )
        return files

    def weights_hash(self) -> str:
        """SHA-256 of the weights: of the file, or of the hashes of several.

        Raises:
            ArtefactError: There are no weights.
        """
        hashes = [hash_file(file) for file in self.weight_files()]
        return hashes[0] if len(hashes) == 1 else hash_bytes("".join(hashes).encode())

    def config_hashes(self) -> dict[str, str]:
        """SHA-256 by name of the files that say how the weights are used: settings, tokenizer, record."""
        return {name: hash_file(self.folder / name) for name in _SETTLING if (self.folder / name).is_file()}


def is_whole(folder: Path) -> bool:
    """Whether all of a model that this package saved is there, but for its card, which nothing reads."""
    named = (*_SAVED, _WEIGHTS[0])
    tokenizer = any((folder / name).is_file() for name in (*TOKENIZERS, *PIECES))
    return tokenizer and all((folder / name).is_file() for name in named)


def is_vocabulary(name: str) -> bool:
    """Whether CLIP's own vocabulary is meant: ``"clip"``, unless there is a folder of that name."""
    return name == "clip" and not Path(name).is_dir()


def find_source(name_or_folder: str | Path, revision: str = "", *, weights: bool = True) -> Source:
    """Find a model's files; those of a name on the hub are fetched, or taken from its cache.

    Args:
        name_or_folder: ``"tiny"``, a folder, or a name on the model hub; ``NAME@REVISION`` pins a commit, a
            branch or a tag of it.
        revision: The same apart from the name; empty for the newest.
        weights: Fetch the weights too; a tokenizer needs none.

    Raises:
        InputError: No such folder or name, a revision of what has none, two revisions; or a folder with an
            adapter in it, which some installations would apply and others not.
    """
    name = str(name_or_folder)
    folder = _local(name)
    if folder is not None:
        if revision:
            raise InputError(
                "only a name on the hub has revisions",
                value=revision,
                where=name,
                remedy="leave model.revision out, or give a hub name",
            )
        found = Source(name, folder, _commit_of(folder))
    else:
        repository, _, pinned = name.partition("@")
        if pinned and revision and pinned != revision:
            raise InputError(
                "two revisions of one model are asked for",
                value=f"{pinned} and {revision}",
                where=name,
                remedy="name one of them, behind the @ or as model.revision",
            )
        folder = _snapshot(repository, pinned or revision, weights)
        found = Source(name, folder, _commit_of(folder))
    _refuse_adapters(found)
    return found


def _local(name: str) -> Path | None:
    """The folder that is meant; None for a name on the hub."""
    if is_vocabulary(name):
        raise InputError(
            "'clip' is CLIP's vocabulary alone, for counting tokens; no weights come with it",
            value=name,
            remedy=_GIVE,
            where="model.name",
        )
    if name == "tiny":
        if not (_TINY / "config.json").is_file():
            raise InputError(
                "the base CLIP of this package is missing from the installation",
                value=name,
                remedy="install urbanln again, or give a CLIP folder",
                where="model.name",
            )
        return _TINY
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return folder
        raise InputError(
            "this folder holds no model: there is no config.json in it", where=folder, remedy=_instead(folder)
        )
    if folder.is_file():
        raise InputError(
            "a model is a folder, and this is a file",
            value=name,
            remedy=f"make a folder of a checkpoint: urbanln import-model {folder.name} --out FOLDER",
            where="model.name",
        )
    deep = name.partition("@")[0].count("/") > 1
    if folder.exists() or folder.is_absolute() or name.startswith((".", "~")) or deep:
        raise InputError(
            "no such model folder",
            value=name,
            remedy="give the folder of a model, a hub name, or 'tiny'",
            where="model.name",
        )
    return None


def _instead(folder: Path) -> str:
    """What to give in place of a folder without a model."""
    if any((folder / name).is_file() for name in ADAPTER_FILES):
        return f"it holds an adapter, which is no network by itself: {MERGE}; 'model' beside it may be that"
    snapshots = sorted(folder.glob("snapshots/*/config.json"))
    within = [*snapshots[-1:], *folder.glob("model/config.json")]
    if within:
        return f"give the folder in it: {within[0].parent}"
    return "give the folder of a model in the format of Hugging Face, or 'tiny'"


def _commit_of(folder: Path) -> str | None:
    """The commit where a folder is a snapshot in the hub's cache, whose folders bear their commit's name."""
    known = folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name)
    return folder.name if known else None


@cache
def _snapshot(repository: str, revision: str, weights: bool) -> Path:
    """The folder of a hub's snapshot, complete as far as it is needed.

    Kept for the life of the process: what is read first and last must be of one commit.
    """
    settling = [*_SETTLING, *ADAPTER_FILES, "README.md"]  # the card names the licence
    with _from_hub(repository, revision):
        wanted = revision or None
        folder = Path(snapshot_download(repository, revision=wanted, allow_patterns=settling))
        commit = _commit_of(folder) or wanted
        for name in _WEIGHTS if weights else ():
            stem, suffix = name.rsplit(".", 1)
            files = [name, f"{name}.index.json", f"{stem}-*.{suffix}"]
            snapshot_download(repository, revision=commit, allow_patterns=[*files, "config.json"])
            # The second kind holds the same numbers: it is only fetched where there is no first.
            if any((folder / name).is_file() for name in files[:2]):
                break
    return folder


@contextmanager
def _from_hub(repository: str, revision: str) -> Iterator[None]:
    """Whatever goes wrong at the hub as one clear error."""
    try:
        with quiet():
            yield
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            "this model could not be had from the hub",
            value=f"{repository}@{revision}" if revision else repository,
            where=reason,
            remedy="check the name and the network, give a folder with the model in it, or use 'tiny'",
        ) from error


def _refuse_adapters(source: Source) -> None:
    there = [name for name in ADAPTER_FILES if (source.folder / name).is_file()]
    if there:
        raise InputError(
            "an adapter lies in this model's folder; it would be applied only where peft is installed",
            value=", ".join(there),
            where=source.folder,
            remedy=f"{MERGE}; or move these files elsewhere to have the model without them",
        )


@contextmanager
def quiet() -> Iterator[None]:
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
