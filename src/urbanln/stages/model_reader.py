"""A model's way from words and pictures to vectors, for pages that know no model; and vectors of captions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from urbanln.base.config import EmbedSettings
from urbanln.base.errors import require
from urbanln.base.files import atomic_path, cache_folder, hash_bytes
from urbanln.base.pictures import open_picture
from urbanln.base.progress import progress
from urbanln.explore.content import Reader

Floats = npt.NDArray[np.float32]
_GREY = (127, 127, 127)


def make_reader(model: str | Path, settings: EmbedSettings, fit: str = "crop") -> tuple[Reader, str]:
    """A reader by a model, and the SHA-256 of its weights.

    Args:
        model: A run folder, of which ``settings.encoder`` picks a part; or a model's folder or name, or
            ``"tiny"``.
        settings: ``encoder`` and ``batch_size``.
        fit: How non-square pictures become square; a run folder's own setting wins.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: No such model.
        ArtefactError: The run is unfinished, or its files are damaged.
    """
    require("torch")
    import torch

    from urbanln.embed.networks import load_network, model_hashes
    from urbanln.model.clip import LongClip

    network, fit = load_network(model, settings.encoder, fit, "auto")  # type: ignore[arg-type]
    assert isinstance(network, LongClip)
    network.eval()
    # A page may ask twice at once; one model answers one at a time.
    lock = threading.Lock()

    def texts(said: Sequence[str]) -> Floats:
        with lock, torch.inference_mode():
            parts = [
                network.encode_text(network.tokenize(list(said[start : start + settings.batch_size])))
                .float()
                .cpu()
                for start in range(0, len(said), settings.batch_size)
            ]
        return np.concatenate([part.numpy() for part in parts])

    def pictures(shown: Sequence[object]) -> Floats:
        # As embed makes them: the length of a picture's vector counts in the mean of a region's.
        pixels = torch.stack([network.preprocess(one, fit) for one in shown])  # type: ignore[arg-type]
        with lock, torch.inference_mode():
            return np.asarray(
                network.encode_image(pixels.to(network.device), normalize=settings.normalize)
                .float()
                .cpu()
                .numpy(),
                dtype=np.float32,
            )

    def picture(data: bytes) -> Floats:
        return np.asarray(pictures([open_picture(data)])[0])

    def parts(data: bytes, boxes: Sequence[tuple[float, float, float, float]]) -> Floats:
        return pictures(_covered(open_picture(data), boxes))

    reader = Reader(texts, network.count_tokens, network.context, picture, parts)
    return reader, model_hashes(model, settings.encoder)["model"]


def _covered(whole: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> list[Image.Image]:
    """A picture, and for each box the picture with the box in grey."""
    shown = [whole]
    for left, top, right, bottom in boxes:
        one = whole.copy()
        width, height = one.size
        box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
        one.paste(_GREY, box)
        shown.append(one)
    return shown


def caption_vectors(reader: Reader, weights: str, texts: Sequence[str]) -> Floats:
    """Vectors of captions, (T, D), kept under the cache folder, so that they are made once.

    Args:
        reader: By which model.
        weights: SHA-256 of its weights.
        texts: (T,) of them.
    """
    mark = hash_bytes("\x00".join([weights, str(reader.positions), *texts]).encode("utf-8", "replace"))
    file = cache_folder() / "explore" / f"{mark}.npy"
    if file.is_file():
        try:
            kept: Floats = np.load(file, allow_pickle=False)
            if kept.dtype == np.float32 and len(kept) == len(texts) and kept.ndim == 2:
                return kept
        except (OSError, ValueError, EOFError):
            pass  # cut off or damaged: made again
    distinct = sorted(set(texts), key=len)  # of one length together: less padding
    made = []
    with progress("reading captions", len(distinct)) as advance:
        for start in range(0, len(distinct), 64):
            made.append(reader.texts(distinct[start : start + 64]))
            advance(len(made[-1]))
    place = {text: i for i, text in enumerate(distinct)}
    table = np.concatenate(made)[[place[text] for text in texts]]
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as part, Path(part).open("wb") as out:
        np.save(out, table, allow_pickle=False)
    return table
