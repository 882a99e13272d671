"""Pictures to pixels: the preprocessing that belongs to a checkpoint."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor

from urbanln.base.errors import InputError
from urbanln.base.pictures import PICTURE_RULES, upright_rgb

Fit = Literal["crop", "letterbox"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# What the bytes depend on besides picture and Preprocessing. Kept pixels and vectors carry it: raise the
# number with every change of this file that gives other bytes, or old and new are mixed.
PIXEL_RULES = f"rules 1, Pillow {PIL.__version__}"

# A picture is scaled whole and then cut, where that makes at most so many times the pixels that are kept.
_MOST_SCALED = 32
_WIDEST_SUPPORT = 3.0  # of Pillow's filters, in pixels of the coarser side: Lanczos
# transformers' classes whose defaults are followed too; CLIP's first, for a file that names none.
_PROCESSORS = ("CLIP", "Siglip", "ViT", "DeiT", "Bit", "ChineseCLIP")
_NAMED = re.compile(rf"({'|'.join(_PROCESSORS)})(?:ImageProcessor(?:Fast|Pil)?|FeatureExtractor)")
_STEPS = (
    "do_resize", "size", "resample", "do_center_crop", "do_rescale", "rescale_factor", "do_normalize",
    "image_mean", "image_std",
)  # fmt: skip


@dataclass(frozen=True)
class Preprocessing:
    """How one checkpoint wants its pictures.

    Args:
        size: Edge of the square in pixels.
        mean: Mean of each colour, as a share of full brightness; CLIP's by default.
        std: Standard deviation of each colour; CLIP's by default.
        resample: Pillow's number of the filter that scales; bicubic (3) by default, as CLIP was trained.
        scaled: What a picture is scaled to before its middle is cut out: its shorter side to so many pixels,
            or width and height whatever its shape. None: its shorter side to ``size``.
    """

    size: int
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    resample: int = Image.Resampling.BICUBIC.value
    scaled: int | tuple[int, int] | None = None

    def __call__(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """Turn a picture into a square of bytes.

        Args:
            image: Any PIL picture of 8 bits per channel, see :func:`urbanln.base.pictures.upright_rgb`.
            fit: ``"crop"`` scales and cuts the middle out, as the checkpoint was trained;
                ``"letterbox"`` scales the longer side and pads with the mean colour, so that a wide
                street view keeps its edges.

        Returns:
            uint8, (3, size, size).

        Raises:
            InputError: An unknown ``fit``, or a picture without pixels or of more than 8 bits per channel.
        """
        if min(image.size) < 1:
            raise InputError(
                "the picture has no pixels", value=image.size, where="picture", remedy="leave it out"
            )
        image = upright_rgb(image)
        if fit == "crop":
            image = self._crop(image)
        elif fit == "letterbox":
            image = self._letterbox(image)
        else:
            raise InputError(
                "fit must be 'crop' or 'letterbox'", value=fit, where="train.fit", remedy="give one of them"
            )
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    @property
    def rules(self) -> str:
        """All that the bytes depend on besides the stored picture and ``fit``, which pads with the mean."""
        scaled = "" if self.scaled is None else f" of {self.scaled}"
        return f"{PICTURE_RULES}, {PIXEL_RULES}, {self.size} px{scaled}, filter {self.resample}"

    def _crop(self, image: Image.Image) -> Image.Image:
        if isinstance(self.scaled, tuple):
            width, height = self.scaled
        else:
            edge = self.scaled or self.size
            longer = int(edge * max(image.size) / min(image.size))
            width, height = (edge, longer) if image.width <= image.height else (longer, edge)
        if width * height > _MOST_SCALED * self.size**2:
            return _middle_of_scaled(image, (width, height), self.size, self.resample)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        image = image.resize((width, height), self.resample)
        return image.crop((left, top, left + self.size, top + self.size))

    def _letterbox(self, image: Image.Image) -> Image.Image:
        scale = self.size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        red, green, blue = (min(max(round(255 * part), 0), 255) for part in self.mean)
        square = Image.new("RGB", (self.size, self.size), (red, green, blue))
        small = image.resize((width, height), self.resample)
        square.paste(small, ((self.size - width) // 2, (self.size - height) // 2))
        return square


def _middle_of_scaled(image: Image.Image, size: tuple[int, int], edge: int, resample: int) -> Image.Image:
    """The middle of what ``image.resize(size)`` would be, of which a thin picture's takes gigabytes.

    A strip ``_MOST_SCALED`` times as long as wide is made, so that Pillow, which may begin with rows or with
    columns, begins as it would with all of it. Single pixels may still differ by one level of 255.
    """
    wanted = [min(side, edge if side == min(size) else _MOST_SCALED * edge) for side in size]
    window, box, starts = [], [], []
    for length, side, part in zip(image.size, size, wanted, strict=True):
        scale, first = length / side, (side - part) // 2
        margin = math.ceil(_WIDEST_SUPPORT * max(scale, 1.0)) + 1
        start = max(math.floor(first * scale) - margin, 0)
        end = min(math.ceil((first + part) * scale) + margin, length)
        window.append((start, end))
        # Counted from the window, not from the picture: Pillow keeps a box in single precision.
        box.append((first * scale - start, min((first + part) * scale - start, end - start)))
        starts.append(first)
    (left, right), (top, bottom) = window
    strip = image.crop((left, top, right, bottom)).resize(
        (wanted[0], wanted[1]), resample, box=(box[0][0], box[1][0], box[0][1], box[1][1])
    )
    left, top = ((side - edge) // 2 - first for side, first in zip(size, starts, strict=True))
    return strip.crop((left, top, left + edge, top + edge))


def follow_processor(facts: Mapping[str, Any], size: int | None, where: str) -> Preprocessing:
    """The preprocessing that a checkpoint's ``preprocessor_config.json`` describes.

    It gives what the class that the file names gives with it, or is refused.

    Args:
        facts: Content of the file.
        size: Edge of the pictures that the network takes; None where it takes squares of any size.
        where: The checkpoint, for errors.

    Raises:
        InputError: It describes steps that are not followed, or squares of another size.
    """
    import transformers

    def refuse(what: str, value: object) -> InputError:
        return InputError(
            f"pictures cannot be prepared as this model's preprocessor_config.json says: {what}",
            value=value,
            where=where,
            remedy="correct the file, or take it from the checkpoint that the picture tower came from",
        )

    kind = str(facts.get("image_processor_type") or facts.get("feature_extractor_type") or "")
    known = _NAMED.fullmatch(kind or "CLIPImageProcessor")
    if known is None and (absent := [step for step in _STEPS if step not in facts]):
        raise refuse(f"it is another model's, and does not say {', '.join(absent)}", kind)
    asked = getattr(transformers, f"{known[1] if known else _PROCESSORS[0]}ImageProcessorPil")(**facts)
    if not asked.do_resize:
        raise refuse("pictures are not scaled", "do_resize: false")
    if getattr(asked, "do_pad", None):
        raise refuse("pictures are padded", "do_pad: true")
    if asked.resample not in list(Image.Resampling):
        raise refuse("there is no such filter", f"resample: {asked.resample}")
    scaled = _scaled(dict(asked.size))
    crop = dict(asked.crop_size) if asked.do_center_crop else None
    if scaled is None:
        raise refuse("this way to give a size is not followed", f"size: {dict(asked.size)}")
    if crop is None and not isinstance(scaled, tuple):
        raise refuse(
            "the middle is not cut out, so pictures that are not square stay so", "do_center_crop: false"
        )
    made = {"width": scaled[0], "height": scaled[1]} if crop is None and isinstance(scaled, tuple) else crop
    assert made is not None
    size = int(made["width"]) if size is None else size
    if made != {"width": size, "height": size}:
        raise refuse(f"the network takes {size} × {size} pixels", f"{made}")
    mean, std = _statistics(asked, refuse)
    return Preprocessing(size, mean, std, int(asked.resample), None if scaled == size else scaled)


def _scaled(size: Mapping[str, int]) -> int | tuple[int, int] | None:
    if set(size) == {"shortest_edge"}:
        return int(size["shortest_edge"])
    return (int(size["width"]), int(size["height"])) if set(size) == {"width", "height"} else None


def _statistics(asked: Any, refuse: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation such that (x / 255 − mean) / std is what is asked for of a byte x."""
    given = []
    for name, plain in (("image_mean", 0.0), ("image_std", 1.0)):
        value = getattr(asked, name) if asked.do_normalize else plain
        parts = [float(value)] * 3 if isinstance(value, int | float) else [float(part) for part in value]
        if len(parts) != 3 or not all(map(math.isfinite, parts)) or (name == "image_std" and min(parts) <= 0):
            raise refuse("there are three colours, each with a mean and a deviation", f"{name}: {value}")
        given.append(parts)
    factor = float(asked.rescale_factor) if asked.do_rescale else 1.0
    if not (math.isfinite(factor) and factor > 0):
        raise refuse("brightness is multiplied by it", f"rescale_factor: {factor}")
    unit = 1.0 if math.isclose(factor, 1 / 255, rel_tol=1e-6) else 255 * factor
    mean, std = ((parts[0] / unit, parts[1] / unit, parts[2] / unit) for parts in given)
    return mean, std
