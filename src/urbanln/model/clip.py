"""A model that reads long captions: towers, tokenizer and preprocessing kept together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from urbanln.base.errors import InputError
from urbanln.model.card import Training, model_card, network_facts
from urbanln.model.checkpoint import Record, read_checkpoint, write_checkpoint
from urbanln.model.families.family import Tower
from urbanln.model.families.known import FAMILIES
from urbanln.model.positions import hold_positions, stretch_base
from urbanln.model.preprocess import Fit, Preprocessing
from urbanln.model.stretch import Stretch, Tail, plain_state
from urbanln.model.texts import TextTokens
from urbanln.model.towers import draw_patches


class LongClip(nn.Module):
    """A CLIP, or its like, whose text tower may have been stretched. Made by :func:`load_clip`.

    Args:
        clip: The two towers, at their final number of text positions: a network of one of the kinds in
            :data:`urbanln.model.families.known.FAMILIES`.
        tokenizer: The checkpoint's tokenizer.
        preprocessing: The checkpoint's picture size, mean and standard deviation.
        record: What happened to the text positions so far; written into the saved folder.
        origin: Where the weights come from, see :func:`urbanln.model.card.model_card`; written too.
        freeze_head: The first ``record.keep`` positions are no parameters.

    Attributes:
        family: What kind of network it is.
        context: Text positions, counting the tokens that open and end a text.
        keep: First positions kept when stretching.
        image_size: Edge of a picture in pixels.
        dim: Length D of a vector.
    """

    def __init__(
        self,
        clip: Any,
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
        self._patch_dropout = 0.0
        self.family = FAMILIES[clip.config.model_type]
        self.context = self.family.positions(clip.config)
        if (table := self.family.table(clip)) is not None:
            self.context = hold_positions(clip, table, self.record.keep if freeze_head else 0)
        tokenizer.model_max_length = self.context
        if self.family.reading == "full":  # whoever hands on all that a tokenizer gives hands on no mask
            tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = ["input_ids"]
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
        return self.family.dim(self.clip.config)

    @property
    def logit_scale(self) -> nn.Parameter:
        """The natural logarithm of the factor on cosines, a parameter of one number."""
        scale: nn.Parameter = self.clip.logit_scale
        return scale

    @property
    def tokens(self) -> TextTokens:
        """The tokenizer, the text positions there are, and how they are read."""
        return TextTokens(self.tokenizer, self.context, self.family.reading)

    @property
    def padding_pushes(self) -> bool:
        """Whether padding in front of a text moves it to later positions: RoBERTa does not count padding."""
        table = self.family.table(self.clip)
        return table is None or not table.before

    @property
    def towers(self) -> tuple[Tower, Tower]:
        """Parts of the picture tower and of the text tower."""
        return self.family.towers(self.clip)

    @property
    def patch_dropout(self) -> float:
        """Share of each picture's patches that are not read in training mode; 0 reads all."""
        return self._patch_dropout

    @patch_dropout.setter
    def patch_dropout(self, share: float) -> None:
        """Refused with an ``InputError`` where the picture tower cannot leave patches out."""
        if share and self.family.patches(self.clip) is None:
            raise InputError(
                f"the picture tower of a {self.family.title} reads all patches",
                value=share,
                where="train.patch_dropout",
                remedy="leave train.patch_dropout at 0",
            )
        self._patch_dropout = share

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.logit_scale.device

    @property
    def about_texts(self) -> str:
        """What was done to the text positions, and what is not usual in how texts are read."""
        table = self.family.table(self.clip)
        stuck = "" if table else "Its text tower has no table of positions that could be stretched."
        return " ".join(filter(None, (str(self.record), stuck, self.family.advice)))

    def preprocess(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """A PIL picture as uint8 (3, S, S); see :class:`~urbanln.model.preprocess.Preprocessing`."""
        return self.preprocessing(image, fit)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 (B, T), T <= context; see :meth:`urbanln.model.texts.TextTokens.tokenize`."""
        return self.tokens.tokenize(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before any truncation, those that open and end it included."""
        return self.tokens.count_tokens(texts)

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
        if self.training and self.patch_dropout and (patches := self.family.patches(self.clip)):
            kept = draw_patches(len(pixels), patches, self.patch_dropout).to(self.device, non_blocking=True)
        vectors = self.family.image_features(self.clip, pixels, kept).float()
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def encode_text(self, ids: Tensor, normalize: bool = True) -> Tensor:
        """Vectors of tokenised texts. Hand ids over on the CPU where possible: finding EOT on a GPU waits.

        Args:
            ids: int64, (B, T), from :meth:`tokenize`.
            normalize: Scale each vector to length 1.

        Returns:
            float32, (B, D), also under autocast.

        Raises:
            InputError: Another shape; a text without EOT of a model that reads it there.
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
        vectors = self.family.text_features(self.clip, ids, self.tokens).float()
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def forward(self, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """L2-normalised vectors of pictures and texts, each float32 (B, D): one call, as DDP needs it."""
        return self.encode_image(pixels), self.encode_text(ids)

    def save(self, folder: Path | str, training: Training | None = None) -> Path:
        """Write a folder that plain transformers loads, with a card that says what it is.

        ``AutoModel``, ``AutoTokenizer`` and ``AutoImageProcessor`` read it; written whole or not at all.

        Returns:
            The folder.

        Raises:
            StorageError: Disk full, or a folder that may not be written.
        """
        self.clip.config.architectures = [type(self.clip).__name__]
        return write_checkpoint(
            Path(folder),
            plain_state(self.clip),
            self.clip.config,
            self.tokenizer,
            self.preprocessing,
            self.record,
            self.origin,
            self.card(training),
        )

    def card(self, training: Training | None = None) -> str:
        """What this model is, for its folder's README.

        Args:
            training: None for a model that was not trained here.
        """
        parameters = sum(weight.numel() for weight in self.clip.parameters())
        facts = network_facts(
            self.clip.config,
            kind=f"{self.family.title} ({type(self.clip).__name__})",
            size=self.image_size,
            context=self.context,
            dim=self.dim,
            parameters=parameters,
        )
        return model_card(facts, self.about_texts, self.origin, training, title=self.family.title)


def load_clip(
    name_or_folder: str | Path = "tiny",
    *,
    context: int | None = 0,
    stretch: Stretch = "keep",
    keep: int = 20,
    tail: Tail = "extrapolate",
    freeze_head: bool = True,
    revision: str = "",
    restretch: bool = False,
) -> LongClip:
    """Load a CLIP, or its like, and stretch its text positions once.

    Args:
        name_or_folder: ``"tiny"`` for the base CLIP inside the package, a folder in the format of Hugging
            Face (one saved by :meth:`LongClip.save` too), or a name on the model hub, also ``NAME@REVISION``.
        context: Text positions wanted. 0, the default, follows the base: 248 for a CLIP's 77, as in the
            paper, 196 for SigLIP's 64, and those it has where they are more, or were stretched before. A
            checkpoint that has what is wanted is left alone; a shorter one is stretched by the smallest whole
            ratio that reaches it, and cut. ``None`` takes the checkpoint as it is: use it for the models of
            a run.
        stretch: ``"interpolate"`` resizes the whole table and keeps and freezes nothing: the baseline.
        keep: First positions that stretching leaves bit for bit (20, as in the paper). A folder saved
            after stretching remembers its own, which wins.
        tail: Rows past the last source row, see :func:`~urbanln.model.stretch.stretch_positions`.
        freeze_head: The kept positions do not train, as in Long-CLIP.
        revision: Commit, branch or tag of a name on the hub; empty for the newest.
        restretch: Also stretch a checkpoint of more positions than its kind is trained with (77, SigLIP 64)
            that has no record of how it came by them. Its table was most likely stretched before, and a
            second time would move the rows that the first one kept.

    Returns:
        The model in fp32 whatever its weights are stored as, in eval mode, on the CPU.

    Raises:
        InputError: No such folder or name, not a base, or a context that does not fit the checkpoint.
        ArtefactError: Its files are damaged or incomplete.

    Source:
        UrbanLN (arXiv 2511.07062), IPSI; Long-CLIP (arXiv 2403.15378).

    Example:
        >>> model = load_clip("tiny")  # doctest: +SKIP
        >>> model.encode_text(model.tokenize(["a park beside a river"])).shape  # doctest: +SKIP
        torch.Size([1, 64])
    """
    found = read_checkpoint(name_or_folder, revision)
    record = stretch_base(found, context, stretch, keep, tail, restretch=restretch)
    read = found.tokenizer, found.preprocessing
    model = LongClip(found.clip, *read, record=record, origin=found.origin, freeze_head=freeze_head)
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
