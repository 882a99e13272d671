"""Segments by SAM: a grid of points, each asked for the thing it lies on (Kirillov et al., 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from urbanln.base.pictures import upright_rgb
from urbanln.captions.networks.pretrained import load_pretrained, usual_device, version_of
from urbanln.captions.refine.parts import SAME_IOU, Segment, suppress

_CROP_OVERLAP = 512 / 1500
_EDGE_SHARE = 0.02
_LEAST_PIXELS = 100
_STABILITY_OFFSET = 1.0


class SamSegmenter:
    """Automatic masks of SAM through transformers, without torchvision; the defaults are DetailCaps'.

    Masks are judged and measured at the size at which SAM's decoder gives them, a quarter of its input; its
    authors enlarge them first. A mask under 100 pixels of the picture is left out; the authors take out
    single specks of that size. One call at a time uses the network.

    Args:
        name_or_folder: ``SamModel`` on the hub, or a folder with it and its image processor.
        points_per_side: Of the grid on the whole picture.
        least_iou: SAM's own estimate of a mask's quality.
        least_stability: IoU of the masks cut at 1 above and 1 below the usual threshold.
        crop_layers: 1: four overlapping quarters are searched too, each with half as many points per side.
        batch: Points at once.
        device: Of torch; ``None`` takes a GPU where there is one.

    Raises:
        InputError: No such model.
    """

    def __init__(
        self,
        name_or_folder: str,
        *,
        points_per_side: int = 8,
        least_iou: float = 0.66,
        least_stability: float = 0.86,
        crop_layers: int = 1,
        batch: int = 64,
        device: str | None = None,
    ) -> None:
        from transformers import SamImageProcessorPil, SamModel

        self._device = usual_device(device)
        # Weights may be kept in half precision; the pictures come in single.
        model = load_pretrained(SamModel, name_or_folder, "SAM", dtype=torch.float32)
        self._model = model.eval().to(self._device)
        self._processor = load_pretrained(SamImageProcessorPil, name_or_folder, "SAM")
        self._points, self._layers, self._batch = points_per_side, crop_layers, batch
        self._least_iou, self._least_stability = least_iou, least_stability
        self._lock = Lock()
        how = f"{points_per_side}-{crop_layers}-{least_iou:g}-{least_stability:g}"
        self.version = f"{version_of('sam', name_or_folder, self._model.config)}:{how}"

    def segment(self, image: Image.Image) -> list[Segment]:
        """Segments of a picture; no two boxes overlap by more than 0.7."""
        rgb = upright_rgb(image)
        with self._lock, torch.no_grad():
            found = [pair for frame in _frames(rgb.size, self._layers) for pair in self._search(rgb, frame)]
        if not found:
            return []
        boxes = np.array([segment.box for segment, _ in found])
        kept = suppress(boxes, np.array([quality for _, quality in found]), SAME_IOU)
        return [found[index][0] for index in kept]

    def _search(self, rgb: Image.Image, frame: tuple[int, int, int, int]) -> Iterator[tuple[Segment, float]]:
        """Segments within a frame of the picture, each with its estimated quality."""
        whole, padded = frame == (0, 0, *rgb.size), self._processor.pad_size
        inputs = self._processor(rgb.crop(frame), return_tensors="pt")
        height, width = (int(side) for side in inputs["reshaped_input_sizes"][0])
        embedding = self._model.get_image_embeddings(inputs["pixel_values"].to(self._device))
        side = self._points if whole else max(self._points // 2, 1)
        steps = (torch.arange(side) + 0.5) / side
        grid = torch.cartesian_prod(steps, steps).flip(1) * torch.tensor([width, height])  # (P, 2), x first
        for points in grid.split(self._batch):
            # (1, P, 1, 2): one picture, P masks wanted, one point for each.
            output = self._model(
                image_embeddings=embedding, input_points=points[None, :, None].to(self._device)
            )
            masks, qualities = output.pred_masks.flatten(0, 2).float(), output.iou_scores.flatten().float()
            # Only the part that the picture covers: SAM pads it at the right and below.
            rows = math.ceil(masks.shape[1] * height / padded["height"])
            columns = math.ceil(masks.shape[2] * width / padded["width"])
            for mask, quality in zip(masks[:, :rows, :columns], qualities.tolist(), strict=True):
                if quality > self._least_iou and (segment := self._read(mask, rgb.size, frame)) is not None:
                    yield segment, quality

    def _read(self, mask: Tensor, size: tuple[int, int], frame: tuple[int, int, int, int]) -> Segment | None:
        """A mask of logits (h, w) as a segment of the whole picture, if it is a good one."""
        inner, outer = (mask > _STABILITY_OFFSET).sum().item(), (mask > -_STABILITY_OFFSET).sum().item()
        stability = inner / outer if outer else 0.0
        on = mask > 0
        share = on.float().mean().item()
        crop = (frame[2] - frame[0], frame[3] - frame[1])
        if stability <= self._least_stability or share * crop[0] * crop[1] < _LEAST_PIXELS:
            return None
        columns, rows = on.any(dim=0).nonzero().flatten(), on.any(dim=1).nonzero().flatten()
        inside = [
            columns[0].item() / mask.shape[1],
            rows[0].item() / mask.shape[0],
            (columns[-1].item() + 1) / mask.shape[1],
            (rows[-1].item() + 1) / mask.shape[0],
        ]
        box = [(frame[i % 2] + inside[i] * crop[i % 2]) / size[i % 2] for i in range(4)]
        if _cut_by_frame(inside, box):
            return None
        area = share * crop[0] * crop[1] / (size[0] * size[1])
        return Segment((box[0], box[1], box[2], box[3]), area, stability)


def _frames(size: tuple[int, int], layers: int) -> list[tuple[int, int, int, int]]:
    """The whole picture, then the overlapping crops of each further layer, in pixels."""
    frames = [(0, 0, *size)]
    for layer in range(1, layers + 1):
        n = 2**layer
        overlap = int(_CROP_OVERLAP * min(size) * 2 / n)
        width, height = (math.ceil((overlap * (n - 1) + side) / n) for side in size)
        for row in range(n):
            for column in range(n):
                left, upper = column * (width - overlap), row * (height - overlap)
                frames.append((left, upper, min(left + width, size[0]), min(upper + height, size[1])))
    return frames


def _cut_by_frame(inside: list[Any], box: list[Any]) -> bool:
    """Whether a box ends at an edge of its crop that is no edge of the picture: the thing goes on beyond."""
    at_crop = [inside[i] < _EDGE_SHARE if i < 2 else inside[i] > 1 - _EDGE_SHARE for i in range(4)]
    at_picture = [box[i] < _EDGE_SHARE if i < 2 else box[i] > 1 - _EDGE_SHARE for i in range(4)]
    return any(crop and not picture for crop, picture in zip(at_crop, at_picture, strict=True))
