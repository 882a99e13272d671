"""Pixels and token ids of the pairs: read once, checked once, handed out by index."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from urbanln.city.reading import read_picture, read_pictures
from urbanln.city.store import City
from urbanln.config import TrainSettings
from urbanln.errors import InputError, StorageError
from urbanln.model.clip import LongClip
from urbanln.progress import progress

# Up to here all pictures stay in memory as bytes (14 000 of 224 px); beyond, they are decoded per batch.
CACHE_BYTES = 2 * 1024**3
_SHOWN = 5


class Pictures:
    """The pictures trained on, as uint8 pixels of the training size; made by :func:`read_all`.

    Args:
        cities: Where the pictures lie.
        rows: One row per readable picture: ``city`` (position) and ``path``.
        model: Whose preprocessing applies.
        settings: ``fit`` and ``workers`` are used.
        cache: (N, 3, S, S) uint8 pixels, or None to decode when asked.
    """

    def __init__(
        self,
        cities: Sequence[City],
        rows: pd.DataFrame,
        model: LongClip,
        settings: TrainSettings,
        cache: Tensor | None,
    ) -> None:
        self._cities, self._model, self._fit, self._cache = cities, model, settings.fit, cache
        self._city = rows["city"].to_numpy()
        self._path = rows["path"].to_numpy()
        self._pool = None if cache is not None else ThreadPoolExecutor(max(settings.workers, 1))
        self._ahead: tuple[tuple[int, ...], list[Future[Tensor]]] | None = None

    def pixels(self, index: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Pixels of some pictures, uint8 (B, 3, S, S).

        Raises:
            StorageError: A picture that could be read at the start can no longer be.
        """
        if self._cache is not None:
            return self._cache[torch.as_tensor(np.asarray(index))]
        self.prefetch(index)
        assert self._ahead is not None
        futures = self._ahead[1]
        self._ahead = None
        return torch.stack([future.result() for future in futures])

    def prefetch(self, index: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Start decoding the next batch while this one is computed; nothing to do with a cache."""
        key = tuple(int(i) for i in index)
        if self._pool is not None and (self._ahead is None or self._ahead[0] != key):
            self._ahead = key, [self._pool.submit(self._decode, i) for i in key]

    def _decode(self, i: int) -> Tensor:
        city, path = self._cities[self._city[i]], str(self._path[i])
        try:
            return self._model.preprocess(read_picture(city, path), self._fit)
        except InputError as error:
            raise StorageError(
                f"a picture that could be read at the start no longer can: {error.what}",
                value=path,
                where=city.folder,
                remedy="run the same command again; it goes on from the last checkpoint",
            ) from error


def read_all(
    cities: Sequence[City], rows: pd.DataFrame, model: LongClip, settings: TrainSettings, *, say: bool = True
) -> tuple[Pictures, pd.DataFrame, int]:
    """Decode every picture once before training begins, keep the pixels if they fit, skip what is damaged.

    Args:
        cities: Where the pictures lie.
        rows: Rows of :func:`urbanln.train.pairs.list_pictures`.
        model: Whose preprocessing applies.
        settings: ``fit`` and ``workers`` are used.
        say: Report the skipped pictures on stderr.

    Returns:
        The pictures, the rows that could be read in their order, and the number skipped.

    Raises:
        InputError: None can be read.
    """
    shape = (3, model.image_size, model.image_size)
    fits = len(rows) * int(np.prod(shape)) <= CACHE_BYTES
    cache = torch.empty((len(rows), *shape), dtype=torch.uint8) if fits else None

    def convert(image: Image.Image) -> Tensor | None:
        pixels = model.preprocess(image, settings.fit)
        return pixels if fits else None

    items = [(cities[c], str(p)) for c, p in zip(rows["city"], rows["path"], strict=True)]
    good: list[int] = []
    bad: list[InputError] = []
    with progress("reading pictures", len(rows)) as advance:
        for i, pixels in enumerate(read_pictures(items, convert, settings.workers)):
            if isinstance(pixels, InputError):
                bad.append(pixels)
            else:
                if cache is not None and pixels is not None:
                    cache[len(good)] = pixels
                good.append(i)
            advance(1)
    if bad and say:
        names = ", ".join(str(error.value) for error in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        print(f"skipped {len(bad)} pictures that cannot be read: {names}{more}", file=sys.stderr)
    if not good:
        raise InputError("none of the pictures can be read", value=bad[0].value, where=bad[0].where)
    kept = rows.iloc[good].reset_index(drop=True)
    return (
        Pictures(cities, kept, model, settings, None if cache is None else cache[: len(good)]),
        kept,
        len(bad),
    )


class Texts:
    """Token ids of all captions, tokenised once and kept as int32.

    Args:
        model: Whose tokenizer and context apply.
        texts: The distinct captions.
    """

    def __init__(self, model: LongClip, texts: Sequence[str], chunk: int = 1024) -> None:
        self._eot = int(model.tokenizer.eos_token_id)
        self.rows: list[npt.NDArray[np.int32]] = []
        for start in range(0, len(texts), chunk):
            ids = model.tokenize(texts[start : start + chunk]).numpy()
            ends = (ids == self._eot).argmax(axis=1) + 1
            self.rows += [row[:end].astype(np.int32) for row, end in zip(ids, ends, strict=True)]

    def ids(self, index: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Token ids of some texts, int64 (B, T), T the longest of them; padded with EOT."""
        rows = [self.rows[int(i)] for i in index]
        out = np.full((len(rows), max(map(len, rows))), self._eot, dtype=np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return torch.from_numpy(out)


def mirror(pixels: Tensor, flip: npt.NDArray[np.bool_]) -> Tensor:
    """Mirror the pictures (B, 3, S, S) for which ``flip`` (B,) is true, left to right."""
    where = torch.from_numpy(flip)[:, None, None, None]
    return torch.where(where, pixels.flip(-1), pixels) if flip.any() else pixels
