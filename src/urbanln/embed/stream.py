"""Pictures to vectors as a stream: threads decode ahead, and the network never waits for one to finish.

A picture is embedded once, so nothing is gained by the cache of decoded pixels that training has: writing
and reading it would cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from urbanln.base.errors import InputError
from urbanln.base.processes import usable_cores
from urbanln.city.pictures import read_pictures
from urbanln.city.store import City
from urbanln.embed.parts import Part, part_rows
from urbanln.model.preprocess import Fit, Preprocessing

# More threads than this only wait for one another: a part of the work on each picture holds Python's lock.
_MOST_WORKERS = 16


class PictureEncoder(Protocol):
    """What turns pictures into vectors: a CLIP, or :class:`urbanln.model.imagenet.ImageNetEncoder`."""

    training: bool
    preprocessing: Preprocessing

    @property
    def dim(self) -> int:
        """Length D of a vector."""

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""

    def preprocess(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """A picture as uint8 (3, S, S)."""

    def encode_image(self, pixels: Tensor, normalize: bool = True) -> Tensor:
        """Pixels (B, 3, S, S) to float32 vectors (B, D)."""

    def train(self, mode: bool = True) -> object:
        """Turn drop-out and the like on or off."""

    def to(self, device: torch.device) -> PictureEncoder:
        """The encoder on another device."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its weights."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """What belongs to its weights and does not train."""


@dataclass(frozen=True, eq=False)
class Job:
    """Pictures to be embedded, and how.

    Args:
        encoder: The network, on its device.
        city: Where the pictures lie.
        paths: (N,) pictures, as they stand in ``city.images``.
        fit: How non-square pictures become square.
        normalize: L2-normalise each vector.
        batch_size: Pictures per forward pass.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``: what matrices are multiplied in.
        workers: Threads that decode; 0: one per core, 16 at most.
    """

    encoder: PictureEncoder
    city: City
    paths: Sequence[str]
    fit: Fit
    normalize: bool
    batch_size: int
    precision: str
    workers: int


@contextmanager
def evaluating(job: Job) -> Iterator[None]:
    """The state in which :func:`embed_parts` runs: no gradients, no drop-out, the job's precision."""
    training, kind = job.encoder.training, job.encoder.device.type
    narrow = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(job.precision)
    job.encoder.train(False)
    try:
        # One context for the whole stream: autocast then casts the weights once, not for each batch.
        with torch.inference_mode(), torch.autocast(kind, dtype=narrow, enabled=narrow is not None):
            yield
    finally:
        job.encoder.train(training)


def embed_parts(
    job: Job, numbers: Sequence[int], advance: Callable[[int], object] = lambda n: None
) -> Iterator[Part]:
    """Vectors of the parts with these numbers, in this order; run it under :func:`evaluating`.

    Decoding and the network run on over the border between two parts. A batch ends there, so that a part
    comes out the same bit for bit whichever parts are made with it.

    Args:
        job: What to do.
        numbers: Parts of ``PART_SIZE`` pictures, counted from 0.
        advance: Told of the number of further pictures done.
    """
    rows: list[int] = []
    bad: list[InputError] = []
    vectors: list[npt.NDArray[np.float32]] = []
    for batch, found in _encoded(job, _batches(job, numbers)):
        rows += batch.rows
        bad += batch.unreadable
        vectors.append(found)
        advance(len(batch.rows) + len(batch.unreadable))
        if batch.ends_part:
            yield Part(np.array(rows, dtype=np.int64), np.concatenate(vectors), tuple(bad))
            rows, bad, vectors = [], [], []


@dataclass(frozen=True, eq=False)
class _Batch:
    """Readable pictures, ``pixels`` (b, 3, S, S) uint8; those that could not be read since the last batch."""

    rows: list[int]
    pixels: Tensor | None
    unreadable: list[InputError]
    ends_part: bool


def _batches(job: Job, numbers: Sequence[int]) -> Iterator[_Batch]:
    """Decoded pictures. The pixels of a batch are overwritten by those of the batch after the next."""
    rows_of = part_rows(len(job.paths))
    places = [rows_of[number] for number in numbers]
    stream = read_pictures(
        ((job.city, job.paths[row]) for part in places for row in part),
        lambda image: job.encoder.preprocess(image, job.fit),
        job.workers or min(usable_cores(), _MOST_WORKERS),
    )
    buffers: list[Tensor] = []
    for part in places:
        rows: list[int] = []
        bad: list[InputError] = []
        for row, pixels in zip(part, stream, strict=False):
            if isinstance(pixels, InputError):
                bad.append(pixels)
                continue
            if not buffers:
                buffers = _buffers(job, pixels, max(map(len, places)))
            buffers[0][len(rows)] = pixels
            rows.append(row)
            if len(rows) == job.batch_size:
                yield _Batch(rows, buffers[0], bad, ends_part=False)
                rows, bad = [], []
                buffers.reverse()
        yield _Batch(rows, buffers[0][: len(rows)] if rows else None, bad, ends_part=True)
        buffers.reverse()


def _buffers(job: Job, like: Tensor, part: int) -> list[Tensor]:
    """Two buffers for a batch: one is filled while the other is on its way to the device."""
    shape = (min(job.batch_size, part), *like.shape)
    pinned = job.encoder.device.type == "cuda"
    return [torch.empty(shape, dtype=like.dtype, pin_memory=pinned) for _ in range(2)]


def _encoded(job: Job, batches: Iterable[_Batch]) -> Iterator[tuple[_Batch, npt.NDArray[np.float32]]]:
    """Batches with their vectors (b, D), each waited for only once the next one is under way.

    A GPU then has work while pictures are gathered; it is also what makes two buffers enough.
    """
    behind: tuple[_Batch, Callable[[], npt.NDArray[np.float32]]] | None = None
    for batch in batches:
        vectors = torch.empty(0, job.encoder.dim)
        if batch.pixels is not None:
            vectors = job.encoder.encode_image(batch.pixels, normalize=job.normalize)
        fetched = _fetch(vectors)
        if behind is not None:
            yield behind[0], behind[1]()
        behind = batch, fetched
    if behind is not None:
        yield behind[0], behind[1]()


def _fetch(vectors: Tensor) -> Callable[[], npt.NDArray[np.float32]]:
    """Begin to bring vectors to the CPU; what is returned waits for them, and for nothing queued later."""
    if vectors.device.type != "cuda":
        return lambda: vectors.float().cpu().numpy()
    there = torch.empty(vectors.shape, dtype=torch.float32, pin_memory=True)
    there.copy_(vectors.float(), non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> npt.NDArray[np.float32]:
        arrived.synchronize()
        return there.numpy()

    return wait
