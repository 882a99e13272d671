"""Vectors of pictures and of texts by one model, side by side, as retrieval needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from urbanln.base.config import EmbedSettings
from urbanln.base.errors import InputError
from urbanln.base.progress import progress
from urbanln.city.pictures import tell_skipped
from urbanln.city.store import City
from urbanln.embed.networks import load_network
from urbanln.embed.parts import part_rows
from urbanln.embed.stream import Job, embed_parts, evaluating
from urbanln.model.clip import LongClip
from urbanln.model.device import pick_precision
from urbanln.model.preprocess import Fit


@dataclass(frozen=True)
class Both:
    """What one model makes of pictures and texts.

    Attributes:
        rows: (n,) pictures that could be read, as positions among those asked for.
        image: (n, D) their vectors, L2-normalised.
        text: (T, D) the texts' vectors, L2-normalised.
        context: Text positions of the model.
        cut: Texts longer than it, which it reads up to there.
        precision: What matrices were multiplied in.
    """

    rows: npt.NDArray[np.int64]
    image: Tensor
    text: Tensor
    context: int
    cut: int
    precision: str


def embed_both(
    model: LongClip | str | Path,
    city: City,
    paths: Sequence[str],
    texts: Sequence[str],
    settings: EmbedSettings,
    fit: Fit = "crop",
) -> Both:
    """Embed pictures and texts by one model.

    Args:
        model: A CLIP; or a run folder, of which ``settings.encoder`` picks a part; or a CLIP's folder or
            name.
        city: Where the pictures lie.
        paths: (N,) of ``city.images``; those that cannot be read are said on stderr and left out.
        texts: (T,) each embedded once, so give equal ones once.
        settings: ``encoder``, ``batch_size``, ``precision`` and ``workers`` are used.
        fit: How non-square pictures become square; a run folder's own setting wins.

    Raises:
        InputError: No such model, or none of the pictures can be read.
        ArtefactError: The run is unfinished, or its files are damaged.
    """
    network, fit = load_network(model, settings.encoder, fit, "auto")
    assert isinstance(network, LongClip)
    precision = pick_precision(settings.precision, network.device)
    job = Job(network, city, paths, fit, True, settings.batch_size, precision, settings.workers)
    rows, image = [], []
    bad: list[InputError] = []
    with evaluating(job), progress("embedding pictures and texts", len(paths) + len(texts)) as advance:
        for part in embed_parts(job, range(len(part_rows(len(paths)))), advance):
            rows.append(part.rows)
            image.append(torch.from_numpy(part.vectors))
            bad += part.unreadable
        read = np.concatenate(rows)
        tell_skipped(bad, some=len(read) > 0)
        text = []
        for start in range(0, len(texts), settings.batch_size):
            batch = list(texts[start : start + settings.batch_size])
            text.append(network.encode_text(network.tokenize(batch)).cpu())
            advance(len(batch))
    lengths = network.count_tokens(texts)
    cut = sum(length > network.context for length in lengths)
    return Both(read, torch.cat(image), torch.cat(text), network.context, cut, precision)
