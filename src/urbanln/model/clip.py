"""A CLIP that reads long captions: towers, tokenizer and preprocessing kept together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from urbanln.base.errors import InputError, placed
from urbanln.model.card import Training, model_card, network_facts
from urbanln.model.checkpoint import Checkpoint, Record, read_checkpoint, write_checkpoint
from urbanln.model.preprocess import Fit, Preprocessing
from urbanln.model.stretch import (
    Stretch,
    Tail,
    TextPositions,
    interpolate_positions,
    plain_state,
    ratio_for,
    stretch_positions,
)
from urbanln.model.tokens import TextTokens
from urbanln.model.towers import draw_patches, image_features, text_features

# Text positions of every CLIP as it was trained first; a longer table was stretched by somebody.
_NATIVE = 77


class LongClip(nn.Module):
    """A CLIP whose text tower may have been stretched. Made by :func:`load_clip`.

    Args:
        clip: The two towers, at their final number of text positions.
        tokenizer: The checkpoint's tokenizer.
        preprocessing: The checkpoint's picture size, mean and standard deviation.
        record: What happened to the text positions so far; written into the saved folder.
        origin: Where the weights come from, see :func:`urbanln.model.card.model_card`; written too.
        freeze_head: The first ``record.keep`` positions are no parameters.

    Attributes:
        context: Text positions, counting BOS and EOT.
        keep: First positions kept when stretching.
        image_size: Edge of a picture in pixels.
        dim: Length D of a vector.
        patch_dropout: Share of each picture's patches that are not read in training mode; 0 reads all.
    """

    def __init__(
        self,
        clip: CLIPModel,
        tokenizer: Any,
        preprocessing: Preprocessing,
        *,
        record: Record | None = None,
        origin: Mapping[str, str] | None = None,
        freeze_head: bool = False,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.record = record or Record()
        self.origin = dict(origin or {})
        self.patch_dropout = 0.0
        embeddings = clip.text_model.embeddings
        self.context = int(embeddings.position_embedding.weight.shape[0])
        frozen = self.record.keep if freeze_head else 0
        embeddings.position_embedding = TextPositions(embeddings.position_embedding.weight, frozen)
        embeddings.position_ids = torch.arange(self.context)[None]
        clip.config.text_config.max_position_embeddings = self.context
        tokenizer.model_max_length = self.context
        for name in ("mean", "std"):
            value = torch.tensor(getattr(preprocessing, name), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(f"pixel_{name}", value, persistent=False)

    pixel_mean: Tensor
    pixel_std: Tensor

    @property
    def keep(self) -> int:
        """First positions kept when stretching."""
        return self.record.keep

    @property
    def image_size(self) -> int:
        """Edge of a picture in pixels."""
        return self.preprocessing.size

    @property
    def dim(self) -> int:
        """Length D of a picture's or a text's vector."""
        return int(self.clip.config.projection_dim)

    @property
    def logit_scale(self) -> nn.Parameter:
        """The natural logarithm of the factor on cosines, a scalar parameter."""
        return self.clip.logit_scale

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.logit_scale.device

    def preprocess(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """A PIL picture as uint8 (3, S, S); see :class:`~urbanln.model.preprocess.Preprocessing`."""
        return self.preprocessing(image, fit)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 (B, T), T <= context; see :meth:`urbanln.model.tokens.TextTokens.tokenize`."""
        return TextTokens(self.tokenizer, self.context).tokenize(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before any truncation, BOS and EOT included."""
        return TextTokens(self.tokenizer, self.context).count_tokens(texts)

    def encode_image(self, pixels: Tensor, normalize: bool = True) -> Tensor:
        """Vectors of pictures.

        Args:
            pixels: (B, 3, S, S). uint8 is scaled and normalised on the model's device; floating-point
                pixels are taken as normalised already.
            normalize: Scale each vector to length 1.

        Returns:
            float32, (B, D), also under autocast.

        Raises:
            InputError: Another shape.
        """
        size = self.image_size
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, size, size):
            raise InputError(
                f"pixels must have the shape (B, 3, {size}, {size})",
                value=tuple(pixels.shape),
                remedy="make them with model.preprocess",
                where="pixels",
            )
        pixels = pixels.to(self.device, non_blocking=True)
        if pixels.dtype == torch.uint8:
            pixels = (pixels.float() / 255 - self.pixel_mean) / self.pixel_std
        kept = None
        if self.training and self.patch_dropout:
            patches = self.clip.vision_model.embeddings.num_patches
            kept = draw_patches(len(pixels), patches, self.patch_dropout).to(self.device, non_blocking=True)
        vectors = image_features(self.clip, pixels, kept).float()
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def encode_text(self, ids: Tensor, normalize: bool = True) -> Tensor:
        """Vectors of tokenised texts, each read up to its EOT only.

        Attention is causal and the vector is read at EOT, so what follows cannot change it. Hand ids over on
        the CPU where possible: finding EOT on a GPU waits for it.

        Args:
            ids: int64, (B, T), from :meth:`tokenize`.
            normalize: Scale each vector to length 1.

        Returns:
            float32, (B, D), also under autocast.

        Raises:
            InputError: Another shape, or a text without EOT.
        """
        if ids.ndim != 2 or not 1 <= ids.shape[1] <= self.context:
            raise InputError(
                f"ids must have the shape (B, T) with T up to {self.context}",
                value=tuple(ids.shape),
                remedy="make them with model.tokenize",
                where="ids",
            )
        if not len(ids):
            return torch.empty(0, self.dim, device=self.device)
        vectors = text_features(self.clip, ids, self._lengths(ids)).float()
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def _lengths(self, ids: Tensor) -> list[int]:
        """Tokens of each text up to EOT and with it."""
        # Not the configuration's: those of 2021 to 2023 name 2, for the largest id, which is not EOT where
        # tokens were added to the vocabulary.
        at = ids == self.tokenizer.eos_token_id  # (B, T)
        if not bool(at.any(dim=1).all()):
            raise InputError(
                "a text has no end-of-text token, so there is no place to read its vector",
                value=f"row {int((~at.any(dim=1)).nonzero()[0])}",
                remedy="make the ids with model.tokenize, which keeps it when it truncates",
                where="ids",
            )
        return (at.int().argmax(dim=1) + 1).tolist()

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """L2-normalised vectors of pictures and texts, each float32 (B, D): one call, as DDP needs it."""
        return self.encode_image(pixels), self.encode_text(ids)

    def save(self, folder: Path | str, training: Training | None = None) -> Path:
        """Write a folder that plain transformers loads, with a card that says what it is.

        ``CLIPModel``, ``AutoTokenizer`` and ``AutoImageProcessor`` read it; written whole or not at all.

        Returns:
            The folder.

        Raises:
            StorageError: Disk full, or a folder that may not be written.
        """
        parameters = sum(weight.numel() for weight in self.clip.parameters())
        return write_checkpoint(
            Path(folder),
            plain_state(self.clip),
            self.clip.config,
            self.tokenizer,
            self.preprocessing,
            self.record,
            self.origin,
            model_card(
                network_facts(self.clip.config, self.context, parameters),
                str(self.record),
                self.origin,
                training,
            ),
        )


def load_clip(
    name_or_folder: str | Path = "tiny",
    *,
    context: int | None = 248,
    stretch: Stretch = "keep",
    keep: int = 20,
    tail: Tail = "extrapolate",
    freeze_head: bool = True,
    revision: str = "",
    restretch: bool = False,
) -> LongClip:
    """Load a CLIP and stretch its text positions once.

    Args:
        name_or_folder: ``"tiny"`` for the base CLIP inside the package, a folder in the format of Hugging
            Face (one saved by :meth:`LongClip.save` too), or a name on the model hub, also ``NAME@REVISION``.
        context: Text positions wanted, 248 as in the paper. A checkpoint that has them already is left
            alone; a shorter one is stretched by the smallest whole ratio that reaches them, and cut.
            ``None`` takes the checkpoint as it is: use it for the models of a run.
        stretch: ``"interpolate"`` resizes the whole table and keeps and freezes nothing: the baseline.
        keep: First positions that stretching leaves bit for bit (20, as in the paper). A folder saved
            after stretching remembers its own, which wins.
        tail: Rows past the last source row, see :func:`~urbanln.model.stretch.stretch_positions`.
        freeze_head: The kept positions do not train, as in Long-CLIP.
        revision: Commit, branch or tag of a name on the hub; empty for the newest.
        restretch: Also stretch a checkpoint of more than 77 positions that has no record of how it came by
            them. As CLIPs are trained with 77, its table was most likely stretched before, and a second time
            would move the rows that the first one kept.

    Returns:
        The model in fp32 whatever its weights are stored as, in eval mode, on the CPU.

    Raises:
        InputError: No such folder or name, no CLIP, or a context that does not fit the checkpoint.
        ArtefactError: Its files are damaged or incomplete.

    Source:
        UrbanLN (arXiv 2511.07062), IPSI; Long-CLIP (arXiv 2403.15378).

    Example:
        >>> model = load_clip("tiny")  # doctest: +SKIP
        >>> model.encode_text(model.tokenize(["a park beside a river"])).shape  # doctest: +SKIP
        torch.Size([1, 64])
    """
    found = read_checkpoint(name_or_folder, revision)
    clip, record = found.clip, found.record or Record()
    positions = clip.text_model.embeddings.position_embedding
    length = int(positions.weight.shape[0])
    wanted = length if context is None else context
    if wanted != length:
        _may_stretch(found, length, wanted, restretch)
    if record.stretched_from is None:
        table, record = _stretched(positions.weight, wanted, stretch, keep, tail, found.where)
        clip.text_model.embeddings.position_embedding = nn.Embedding.from_pretrained(table, freeze=False)
    read = found.tokenizer, found.preprocessing
    model = LongClip(clip, *read, record=record, origin=found.origin, freeze_head=freeze_head)
    return model.eval()


def new_clip(
    tokenizer: CLIPTokenizer,
    *,
    image_size: int,
    patch: int,
    width: int,
    layers: int,
    heads: int,
    dim: int,
    context: int = 77,
    seed: int = 0,
) -> LongClip:
    """A CLIP with random weights, both towers alike, every position trained.

    Args:
        tokenizer: From :func:`~urbanln.model.tokens.train_clip_tokenizer`.
        image_size: Edge of a picture in pixels, a multiple of ``patch``.
        patch: Edge of a patch in pixels.
        width: Width of both towers, a multiple of ``heads``.
        layers: Layers of each tower.
        heads: Attention heads of each layer.
        dim: Length of a vector.
        context: Text positions; 77 as CLIP has, to be stretched later.
        seed: Of the weights; the global generator is left as it was.

    Raises:
        InputError: Sizes that do not divide.
    """
    if image_size % patch or width % heads:
        raise InputError(
            "image_size must be a multiple of patch, and width of heads",
            value=f"image_size={image_size}, patch={patch}, width={width}, heads={heads}",
            where="image_size, patch, width, heads",
            remedy="e.g. image_size=32, patch=8, width=64, heads=4",
        )
    tower = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "projection_dim": dim,
    }
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**tower, **ends, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    config = CLIPConfig(
        text_config={**text, "max_position_embeddings": context},
        vision_config={**tower, "image_size": image_size, "patch_size": patch},
        projection_dim=dim,
    )
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clip = CLIPModel(config)
    return LongClip(clip, tokenizer, Preprocessing(image_size))


def _may_stretch(found: Checkpoint, length: int, wanted: int, restretch: bool) -> None:
    """A table is stretched once; without a record its length tells whether it was."""
    as_it_is = f"load it with context={length} or context=None"
    if found.record is not None and found.record.stretched_from is not None:
        raise InputError(
            f"this checkpoint was stretched to {length} positions before; a table is stretched once",
            value=f"context={wanted}",
            where=found.where,
            remedy=f"{as_it_is}, or start from its base",
        )
    if found.record is None and length > _NATIVE and wanted > length and not restretch:
        raise InputError(
            f"this checkpoint has {length} positions and no record of them; it looks stretched already",
            value=f"context={wanted}",
            where=found.where,
            remedy=f"{as_it_is} (model.context={length}), start from its base, or stretch it all the same: "
            "restretch=True (--set model.restretch=true)",
        )


def _stretched(
    weight: Tensor, wanted: int, stretch: Stretch, keep: int, tail: Tail, where: str
) -> tuple[Tensor, Record]:
    """The table of positions at its final length, and what was done to it."""
    length, kept = len(weight), keep if stretch == "keep" else 0
    with placed(where):
        ratio = ratio_for(wanted, length, kept)
    if wanted == length:
        return weight.detach(), Record(keep=kept, method=stretch)
    if stretch == "interpolate":
        return interpolate_positions(weight, wanted), Record(stretched_from=length, method=stretch)
    table = stretch_positions(weight, keep, ratio, tail)[:wanted]
    return table, Record(keep=keep, ratio=ratio, tail=tail, stretched_from=length)
