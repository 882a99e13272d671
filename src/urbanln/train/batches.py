"""Pixels and token ids of the pairs: read once, checked once, handed out by index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from urbanln.base.config import CacheSettings, TrainSettings
from urbanln.base.errors import InputError, StorageError
from urbanln.base.sentences import split_sentences
from urbanln.city.checks import is_url
from urbanln.city.pictures import UnreachableError, read_picture, tell_skipped
from urbanln.city.pixel_cache import MappedPixels, cached_pixels
from urbanln.city.store import City
from urbanln.model.clip import LongClip
from urbanln.model.texts import TextTokens
from urbanln.train.rewording import Rewording

_CHUNK = 1024  # captions tokenised at once
PATIENCE_S = (5.0, 30.0, 120.0, 300.0)
"""Waited for a picture at an address that could be read at the start and now cannot."""


class Pictures:
    """The pictures trained on, as uint8 pixels of the training size; made by :func:`read_all`.

    Args:
        items: City and path of each readable picture.
        model: Whose preprocessing applies.
        settings: ``fit`` and ``workers`` are used.
        kept: The pixels, one per picture; or None to decode when asked.
    """

    def __init__(
        self,
        items: Sequence[tuple[City, str]],
        model: LongClip,
        settings: TrainSettings,
        kept: MappedPixels | None,
    ) -> None:
        self._items, self._model, self._fit, self._kept = items, model, settings.fit, kept
        self._pool = ThreadPoolExecutor(max(settings.workers, 1), thread_name_prefix="pixels")
        self._ahead: tuple[tuple[int, ...], npt.NDArray[np.uint8], list[Future[None]]] | None = None

    def pixels(self, index: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Pixels of some pictures, uint8 (B, 3, S, S).

        Raises:
            StorageError: A picture that could be read at the start can no longer be.
        """
        self.prefetch(index)
        assert self._ahead is not None
        _, batch, filling = self._ahead
        self._ahead = None
        for part in filling:
            part.result()
        return torch.from_numpy(batch)

    def prefetch(self, index: Sequence[int] | npt.NDArray[np.int64]) -> None:
        """Start to decode the next batch, or to read it from the disk, while this one is computed."""
        key = tuple(int(i) for i in index)
        if self._ahead is None or self._ahead[0] != key:
            batch = np.empty((len(key), 3, self._model.image_size, self._model.image_size), dtype=np.uint8)
            self._ahead = key, batch, [self._pool.submit(self._fill, batch[k], i) for k, i in enumerate(key)]

    def _fill(self, out: npt.NDArray[np.uint8], i: int) -> None:
        out[:] = self._decode(i) if self._kept is None else self._kept[i]

    def _decode(self, i: int) -> npt.NDArray[np.uint8]:
        city, path = self._items[i]
        try:
            return self._model.preprocess(_patiently(city, path), self._fit).numpy()
        except InputError as error:
            raise StorageError(
                f"a picture that could be read at the start no longer can: {error.what}",
                value=path,
                where=city.folder,
                remedy="run the same command again; it goes on from the last checkpoint",
            ) from error


def _patiently(city: City, path: str) -> Image.Image:
    """A picture; a store elsewhere that is away for some minutes does not end hours of training."""
    for pause in PATIENCE_S if is_url(path) else ():
        try:
            return read_picture(city, path)
        except UnreachableError:
            time.sleep(pause)
    return read_picture(city, path)


def read_all(
    cities: Sequence[City],
    rows: pd.DataFrame,
    model: LongClip,
    settings: TrainSettings,
    cache: CacheSettings,
    *,
    say: bool = True,
) -> tuple[Pictures, pd.DataFrame, int]:
    """Read every picture once before training begins, keep its pixels on disk, skip what is damaged.

    Args:
        cities: Where the pictures lie.
        rows: Rows of :func:`urbanln.train.pairs.list_pictures`.
        model: Whose preprocessing applies.
        settings: ``fit`` and ``workers`` are used.
        cache: How much may be kept; see :func:`urbanln.city.pixel_cache.cached_pixels`.
        say: Report the skipped pictures, and a cache that cannot be used, on stderr.

    Returns:
        The pictures, the rows that could be read in their order, and the number skipped.

    Raises:
        InputError: None can be read.
    """

    def convert(image: Image.Image) -> npt.NDArray[np.uint8]:
        return model.preprocess(image, settings.fit).numpy()

    pad = model.preprocessing.mean if settings.fit == "letterbox" else ""  # the mean colour pads
    items = [(cities[c], str(p)) for c, p in zip(rows["city"], rows["path"], strict=True)]
    kept, errors = cached_pixels(
        items,
        convert,
        kind=f"{model.preprocessing.rules}, {settings.fit} {pad}",
        shape=(3, model.image_size, model.image_size),
        limit_bytes=cache.pixels_gb * 1e9,
        workers=settings.workers,
        say=say,
    )
    bad = list(errors.values())
    some = len(bad) < len(items)
    if say or not some:
        tell_skipped(bad, some)
    readable = [i for i in range(len(items)) if i not in errors]
    pictures = Pictures([items[i] for i in readable], model, settings, kept)
    return pictures, rows.iloc[readable].reset_index(drop=True), len(bad)


class Texts:
    """Token ids of all captions, tokenised once and kept as int32.

    Args:
        model: Whose tokenizer and context apply.
        texts: The distinct captions.
        rewording: How they are changed while training; by default not at all.
    """

    def __init__(self, model: LongClip, texts: Sequence[str], rewording: Rewording | None = None) -> None:
        self._tokens = model.tokens
        self.rows = _tokenised(self._tokens, texts)
        self._rewording = rewording or Rewording()
        self._sentences: list[list[npt.NDArray[np.int32]]] = []
        if self._rewording.pad_front and not model.padding_pushes:
            raise InputError(
                "this base's text tower does not count padding, so padding in front changes nothing",
                value=self._rewording.pad_front,
                where="train.pad_front",
                remedy="leave train.pad_front at 0",
            )
        if self._rewording:
            self._before, self._behind = self._tokens.frame
            cut = [split_sentences(text) or [text] for text in texts]
            rows = iter(_tokenised(self._tokens, [one for sentences in cut for one in sentences]))
            self._sentences = [[self._bare(next(rows)) for _ in sentences] for sentences in cut]

    def ids(self, index: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Token ids of some texts, int64 (B, T), padded as the model reads them."""
        return self._tokens.padded([self.rows[int(i)] for i in index])

    def drawn(self, index: npt.NDArray[np.int64], seed: npt.NDArray[np.int64]) -> Tensor:
        """Token ids of some texts as training reads them this time, as :meth:`ids`.

        Args:
            index: (B,) texts.
            seed: (B,) what the changes to each are drawn from.
        """
        if not self._rewording:
            return self.ids(index)
        told = [self._told(int(i), int(s)) for i, s in zip(index, seed, strict=True)]
        return self._tokens.padded(told)

    def _bare(self, row: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Without what opens and ends a text."""
        return row[self._before : len(row) - self._behind]

    def _told(self, i: int, seed: int) -> npt.NDArray[np.int32]:
        room = self._tokens.context - self._before - self._behind
        row = self._rewording.told(self._sentences[i], room, self._tokens.padding_in_front, seed)
        whole = self.rows[i]
        return np.concatenate([whole[: self._before], row, whole[len(whole) - self._behind :]])


def _tokenised(tokens: TextTokens, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
    rows: list[npt.NDArray[np.int32]] = []
    for start in range(0, len(texts), _CHUNK):
        rows += [np.array(row, np.int32) for row in tokens.rows(texts[start : start + _CHUNK])]
    return rows


def mirror(pixels: Tensor, flip: npt.NDArray[np.bool_]) -> Tensor:
    """Mirror the pictures (B, 3, S, S) for which ``flip`` (B,) is true, left to right."""
    where = torch.from_numpy(flip)[:, None, None, None]
    return torch.where(where, pixels.flip(-1), pixels) if flip.any() else pixels
