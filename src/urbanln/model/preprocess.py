"""Pictures to pixels: the preprocessing that belongs to a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torch import Tensor

from urbanln.base.errors import InputError

Fit = Literal["crop", "letterbox"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# What the bytes depend on besides picture, size, fit and mean. Kept pixels and vectors carry it: raise the
# number with every change of this file that gives other bytes, or old and new are mixed.
PIXEL_RULES = f"rules 1, Pillow {PIL.__version__}"


@dataclass(frozen=True)
class Preprocessing:
    """How one checkpoint wants its pictures.

    Args:
        size: Edge of the square in pixels.
        mean: Mean of each colour, as a share of full brightness; CLIP's by default.
        std: Standard deviation of each colour; CLIP's by default.
    """

    size: int
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    def __call__(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """Turn a picture into a square of bytes.

        Args:
            image: Any PIL picture; it is turned as its EXIF says and converted to RGB.
            fit: ``"crop"`` scales the shorter side to ``size`` and cuts the middle out, as CLIP was trained;
                ``"letterbox"`` scales the longer side and pads with the mean colour, so that a wide
                street view keeps its edges.

        Returns:
            uint8, (3, size, size).

        Raises:
            InputError: An unknown ``fit``, or a picture without pixels.
        """
        if min(image.size) < 1:
            raise InputError("the picture has no pixels", value=image.size)
        image = ImageOps.exif_transpose(image).convert("RGB")
        if fit == "crop":
            image = self._crop(image)
        elif fit == "letterbox":
            image = self._letterbox(image)
        else:
            raise InputError("fit must be 'crop' or 'letterbox'", value=fit)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    def _crop(self, image: Image.Image) -> Image.Image:
        short, long = min(image.size), max(image.size)
        longer = int(self.size * long / short)
        size = (self.size, longer) if image.width <= image.height else (longer, self.size)
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (image.width - self.size) // 2, (image.height - self.size) // 2
        return image.crop((left, top, left + self.size, top + self.size))

    def _letterbox(self, image: Image.Image) -> Image.Image:
        scale = self.size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        red, green, blue = (round(255 * part) for part in self.mean)
        square = Image.new("RGB", (self.size, self.size), (red, green, blue))
        small = image.resize((width, height), Image.Resampling.BICUBIC)
        square.paste(small, ((self.size - width) // 2, (self.size - height) // 2))
        return square
