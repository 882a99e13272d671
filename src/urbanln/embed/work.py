"""What is to be embedded, by what, and where its parts are kept, for every process that has a share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import pandas as pd

from urbanln.base.config import AutoView, View
from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.city.store import City
from urbanln.city.views import the_view
from urbanln.embed.networks import Encoder, load_network
from urbanln.embed.parts import Part, PartFolder
from urbanln.embed.stream import Job, PictureEncoder
from urbanln.model.checkpoint import network_hash
from urbanln.model.device import pick_precision
from urbanln.model.preprocess import Fit

Precision = Literal["auto", "fp32", "bf16", "fp16"]
VIEWS: Mapping[str, Sequence[str]] = {
    "satellite": ("satellite",),
    "street": ("street",),
    "both": ("satellite", "street"),
}
"""Views of the pictures behind a vector, in its order."""


class How(TypedDict, total=False):
    """The keywords of :func:`lay_out` that say how pictures become vectors; left out, its defaults."""

    encoder: Encoder
    normalize: bool
    batch_size: int
    fit: Fit
    device: str
    precision: Precision
    workers: int


@dataclass(frozen=True, eq=False)
class Work:
    """An embedding that is about to be done.

    Args:
        view: Of the pictures.
        images: Those pictures, in the order of ``city.images``.
        job: How they become vectors.
    """

    view: View
    images: pd.DataFrame
    job: Job

    def folder(self, parts: Path) -> PartFolder:
        """Where its parts are kept, which is not opened yet."""
        return PartFolder(parts, len(self.images), _made_from(self.job, self.images))


def lay_out(
    model: PictureEncoder | str | Path,
    city: City,
    view: AutoView = "auto",
    *,
    encoder: Encoder = "student",
    normalize: bool = False,
    batch_size: int = 128,
    fit: Fit = "crop",
    device: str = "auto",
    precision: Precision = "auto",
    workers: int = 0,
) -> Work:
    """Load the network, and say what it is to do.

    Args:
        model, city, view, …: As in :func:`urbanln.embed.encode.embed_regions`.

    Raises:
        InputError: As there.
        ArtefactError: The run is unfinished, or its files are damaged.
    """
    view, images = _chosen(model, city, view)
    network, fit = load_network(model, encoder, fit, device)
    chosen = pick_precision(precision, network.device)
    paths = list(images["path"].astype(str))
    job = Job(network, city, paths, fit, normalize, batch_size, chosen, workers)
    return Work(view, images, job)


def kept(folder: PartFolder, numbers: Iterable[int], made: Iterator[Part]) -> Iterator[Part]:
    """Hand parts on while another thread writes them: a disk is slow to confirm.

    Args:
        folder: Of the parts.
        numbers: Theirs.
        made: The parts, from :func:`urbanln.embed.stream.embed_parts`.

    Raises:
        StorageError: Disk full, or a folder that may not be written.
    """
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for number, part in zip(numbers, made, strict=True):
            if writing is not None:
                writing.result()
            writing = writer.submit(folder.write, number, part)
            yield part
        if writing is not None:
            writing.result()


def _chosen(model: PictureEncoder | str | Path, city: City, wanted: AutoView) -> tuple[View, pd.DataFrame]:
    """The view that is meant and its pictures, in the order of ``city.images``."""
    city.need_places()
    view = the_view(wanted, city.images["view"], model=model, where=city.name)
    if view not in VIEWS:
        raise InputError(
            "view must be 'auto', 'satellite', 'street' or 'both'",
            value=view,
            where="embed.view",
            remedy="--set embed.view=satellite",
        )
    images = city.images[city.images["view"].isin(VIEWS[view])]
    if images.empty:
        there = ", ".join(sorted(set(city.images["view"]))) or "no picture at all"
        raise InputError(
            "the city has no picture of this view", value=view, where=city.folder, remedy=f"it has {there}"
        )
    return view, images


def _made_from(job: Job, images: pd.DataFrame) -> dict[str, object]:
    """All that the vectors of the parts and their order depend on."""
    return {
        "model": network_hash(job.encoder),
        "images": hash_bytes(_pictures(job.city, images).encode()),
        "pixels": job.encoder.preprocessing.rules,
        "fit": job.fit,
        "normalize": job.normalize,
        "precision": job.precision,
    }


def _pictures(city: City, images: pd.DataFrame) -> str:
    """Which pictures: by content where the table knows it, else by the size of the file where it is one."""
    known = images["sha256"] if "sha256" in images else pd.Series(None, images.index, dtype=object)
    marks = [
        _size_on_disk(city, str(path)) if pd.isna(sha) else sha
        for path, sha in zip(images["path"], known, strict=True)
    ]
    rows = images[["region_id", "view", "path"]].assign(mark=pd.Series(marks, images.index, dtype=object))
    return str(rows.to_json(orient="values"))


def _size_on_disk(city: City, path: str) -> int | None:
    try:
        return (city.folder / path).stat().st_size
    except OSError:  # an address; or it is not there, which reading it will say
        return None
