"""Grounding by OWLv2, a detector of whatever words name (Minderer et al., 2023)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from urbanln.base.pictures import MAX_PIXELS
from urbanln.captions.captioners.base import Box, Picture
from urbanln.captions.networks.pretrained import load_pretrained, usual_device, version_of

QUERY_TOKENS = 16
_REMEMBERED = 4
_THIN_EDGE = 4096


class Owlv2Grounder:
    """A phrase's score is that of its surest detection in the whole picture.

    OWLv2 pads a picture to a square; detections wholly in the padding do not count. Its text tower has
    16 positions: longer phrases are cut, and counted in ``cut``. The threshold of 0.01 is that of DetailCaps'
    authors, found on photographs; look at the calibration report before trusting it on pictures from above.

    Args:
        name_or_folder: ``Owlv2ForObjectDetection`` on the hub, or a folder with it, its tokenizer and its
            image processor.
        threshold: Default.
        batch: Phrases at once.
        device: Of torch; ``None`` takes a GPU where there is one.

    Attributes:
        cut: Phrases that were longer than 16 tokens.

    Raises:
        InputError: No such model.
    """

    def __init__(
        self, name_or_folder: str, *, threshold: float = 0.01, batch: int = 64, device: str | None = None
    ) -> None:
        from transformers import AutoTokenizer, Owlv2ForObjectDetection, Owlv2ImageProcessorPil

        self._device = usual_device(device)
        # Weights may be kept in half precision; the pictures come in single.
        model = load_pretrained(Owlv2ForObjectDetection, name_or_folder, "OWLv2", dtype=torch.float32)
        self._model = model.eval().to(self._device)
        self._processor = load_pretrained(Owlv2ImageProcessorPil, name_or_folder, "OWLv2")
        self._tokenizer = load_pretrained(AutoTokenizer, name_or_folder, "OWLv2")
        self._tokens = min(QUERY_TOKENS, int(model.config.text_config.max_position_embeddings))
        self._batch, self._lock, self.cut = batch, Lock(), 0
        self._seen: OrderedDict[str, Tensor] = OrderedDict()
        self.threshold = threshold
        self.version = version_of("owlv2", name_or_folder, model.config)

    def ground(self, picture: Picture, boxes: Sequence[Box], phrases: Sequence[str]) -> list[float]:
        """A score in [0, 1] per phrase; the boxes are not used.

        Raises:
            InputError, OSError: The picture cannot be read.
        """
        if not phrases:
            return []
        with self._lock, torch.no_grad():
            features = self._features(picture)
            batches = [phrases[start : start + self._batch] for start in range(0, len(phrases), self._batch)]
            return [score for batch in batches for score in self._score(features, batch)]

    def _features(self, picture: Picture) -> Tensor:
        """The features of patches that touch the picture, (1, N, D); the last few pictures' are kept."""
        if picture.sha256 not in self._seen or not picture.sha256:
            self._seen[picture.sha256] = self._look(picture.load())
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return self._seen[picture.sha256]

    def _look(self, image: Image.Image) -> Tensor:
        if max(image.size) ** 2 > MAX_PIXELS:  # a thin one: as a square it would take gigabytes
            image.thumbnail((_THIN_EDGE, _THIN_EDGE), Image.Resampling.BICUBIC)
        pixels = self._processor(image, return_tensors="pt")["pixel_values"].to(self._device)
        patches = self._model.image_embedder(pixels)[0][0]  # (H, W, D)
        longest = max(image.size)
        rows, columns = (
            (torch.arange(n) / n * longest < side)
            for n, side in zip(patches.shape[:2], (image.height, image.width), strict=True)
        )
        inside: Tensor = patches[rows][:, columns]
        return inside.reshape(1, -1, patches.shape[-1])

    def _score(self, features: Tensor, phrases: Sequence[str]) -> list[float]:
        texts = list(phrases)
        self.cut += sum(len(ids) > self._tokens for ids in self._tokenizer(texts)["input_ids"])
        inputs = self._tokenizer(
            texts, padding="max_length", truncation=True, max_length=self._tokens, return_tensors="pt"
        ).to(self._device)
        read = self._model.owlv2.text_model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        )
        queries = self._model.owlv2.text_projection(read.pooler_output)[None]  # (1, Q, D)
        logits, _ = self._model.class_predictor(features, queries)  # (1, N, Q)
        return cast(list[float], logits[0].float().sigmoid().max(dim=0).values.tolist())
