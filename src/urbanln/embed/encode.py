"""From pictures to one vector per region: the mean over a region's views, and a flag where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import AutoView, View
from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_bytes
from urbanln.base.parsing import read_run
from urbanln.base.progress import progress
from urbanln.city.pictures import tell_skipped
from urbanln.city.store import City
from urbanln.city.views import the_view
from urbanln.embed.parts import Part, PartFolder, ShareResult, discard, part_rows
from urbanln.embed.stream import Job, PictureEncoder, embed_parts, evaluating
from urbanln.model.checkpoint import network_hash
from urbanln.model.clip import load_clip
from urbanln.model.device import pick_device, pick_precision
from urbanln.model.preprocess import Fit
from urbanln.model.source import find_source
from urbanln.tables.vectors import region_table

Encoder = Literal["student", "teacher"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

_FOLDERS: Mapping[str, str] = {"student": "model", "teacher": "teacher"}
_VIEWS: Mapping[str, Sequence[str]] = {
    "satellite": ("satellite",),
    "street": ("street",),
    "both": ("satellite", "street"),
}


class How(TypedDict, total=False):
    """The keywords of :func:`embed_regions` that say how pictures become vectors; left out, its defaults."""

    encoder: Encoder
    normalize: bool
    batch_size: int
    fit: Fit
    device: str
    precision: Precision
    workers: int


def embed_regions(
    model: PictureEncoder | str | Path,
    city: City,
    *,
    view: AutoView = "auto",
    encoder: Encoder = "student",
    normalize: bool = False,
    batch_size: int = 128,
    fit: Fit = "crop",
    device: str = "auto",
    precision: Precision = "auto",
    workers: int = 0,
    parts: Path | None = None,
) -> gpd.GeoDataFrame:
    """One vector per region: the mean of its pictures' vectors.

    Pictures stream through; memory holds a few batches, 1,024 vectors and one running sum per region. A
    picture that cannot be read is reported on stderr and left out of the mean.

    Args:
        model: A model; or a run folder, of which ``encoder`` picks a part; or a CLIP folder, a hub name or
            ``"tiny"``, taken as it is.
        city: Whose regions.
        view: ``"satellite"`` or ``"street"``: the mean over the pictures of that view, (D,). ``"both"``:
            ``[satellite mean | street mean | flag]``, (2 D + 1,); the flag is 1 where there are street
            views, and a mean over nothing is 0. ``"auto"``: as the run was trained, else the only view there
            is, else satellite.
        encoder: Part of a run folder: its student or its momentum teacher. The paper does not say which.
        normalize: L2-normalise each picture's vector before the mean; off by default, so that the length,
            which CLIP's loss ignores, stays available to the probe.
        batch_size: Pictures per forward pass, 1,024 at most; results agree up to rounding.
        fit: How non-square pictures become square; a run folder's own setting wins.
        device: ``"auto"``, or a name torch knows. With ``"auto"`` a model handed over stays where it is.
        precision: What matrices are multiplied in, ``"auto"``: bf16 where the hardware multiplies it fast,
            else fp32. Vectors come out in fp32 and are summed in fp64. Trained and embedded in bf16, the
            probe's R² is what it is in fp32 (−.001 to .000; ``studies/speed.toml``).
        workers: Threads that decode pictures; 0: one per core, 16 at most.
        parts: Folder where finished parts of 1,024 pictures are kept (:mod:`urbanln.embed.parts`): what is
            there is not made again, and the table is the same bit for bit. To be removed by its ``discard``
            once the table is written. None keeps nothing.

    Returns:
        ``region_id, geometry, n_images, vector``, in the order of ``city.regions``. Regions without any
        readable picture are left out; ``.attrs`` counts them and the unreadable pictures, and names the
        precision and, with ``parts``, the hash ``inputs`` of all that the vectors depend on.

    Raises:
        InputError: No picture of this view, or none of them readable; no such view, model or precision; a
            corpus of pictures without places.
        ArtefactError: The run is unfinished, or its files are damaged.
        StorageError: ``parts`` cannot be written.
    """
    view, images = _chosen(model, city, view)
    job = _job(model, city, images, encoder, normalize, batch_size, fit, device, precision, workers)
    folder = None if parts is None else PartFolder(parts, len(images), _made_from(job, images))
    if folder:
        folder.open(shared=False)
    frame = _frame(city, view, *_sum_vectors(job, folder, *_slots(city, images, view)))
    frame.attrs |= {"precision": job.precision} | ({"inputs": folder.key} if folder else {})
    return frame


def embed_share(
    model: PictureEncoder | str | Path,
    city: City,
    parts: Path,
    share: tuple[int, int],
    *,
    finished: Callable[[], object] = lambda: None,
    view: AutoView = "auto",
    **how: Unpack[How],
) -> ShareResult:
    """Make this process's share of the parts, and no table.

    Any number of processes, on machines that see the same folder, may do so at once. When the last part is
    there, one of them is told to put the table together, by :func:`embed_regions` with the same ``parts``.

    Args:
        model: As in :func:`embed_regions`.
        city: Whose pictures.
        parts: Folder of the parts.
        share: (i, n) makes every n-th part from the i-th on, counted from 1.
        finished: Tells the hash ``inputs`` of the table that is there; when it is this one, nothing is done.
            Asked again once the folder is open: the table may have been written, and the folder closed for
            good, while the model was loaded.
        view: As in :func:`embed_regions`.
        how: See :class:`How`.

    Raises:
        InputError: As in :func:`embed_regions`; or the parts that are there are made from something else.
        ArtefactError: The run is unfinished, or its files are damaged.
        StorageError: The folder cannot be written.
    """
    view, images = _chosen(model, city, view)
    job = _job(model, city, images, **how)
    folder = PartFolder(parts, len(images), _made_from(job, images))
    done = ShareResult(folder.total, folder.total)
    if finished() == folder.key:
        return done
    folder.open(shared=True)
    if finished() == folder.key:
        discard(parts)
        return done
    index, count = share
    wanted = [number for number in folder.to_make() if number % count == index - 1]
    pictures = sum(len(part_rows(len(images))[number]) for number in wanted)
    if wanted:
        with evaluating(job), progress("embedding pictures", pictures) as advance:
            for _ in _kept(folder, wanted, embed_parts(job, wanted, advance)):
                if not folder.is_open():
                    break  # another process has made all parts and the table meanwhile
    return folder.result(count)


def model_hashes(model: str | Path, encoder: Encoder = "student") -> dict[str, str]:
    """SHA-256 of the weights that :func:`embed_regions` would use, for the note of an embedding table.

    Returns:
        ``{"model": sha256}``.

    Raises:
        InputError: No such model.
        ArtefactError: The run is unfinished, or its weights are missing.
    """
    return {"model": find_source(model_folder(model, encoder)).weights_hash()}


def saw_pictures(model: str | Path, city: City) -> bool:
    """Whether a model's pre-training saw the pictures of a city, as far as a run folder tells.

    It did when the run was of these pictures, or of a city of this name: they may have changed since.

    Raises:
        ArtefactError: The run's description is damaged.
    """
    file = Path(model) / "run.toml"
    if not file.is_file():
        return False  # a CLIP as it came
    cities = read_run(file, "run", "cities", shape=list[dict[str, Any]])
    images = city.fingerprint()["images"]
    return any(entry.get("name") == city.name or entry.get("images") == images for entry in cities)


def model_folder(model: str | Path, encoder: Encoder) -> str | Path:
    """Of a run folder the encoder's part, else what was given.

    Raises:
        InputError: No such encoder.
        ArtefactError: The run is unfinished.
    """
    run = Path(model)
    if not (run / "run.toml").is_file():
        return model
    if encoder not in _FOLDERS:
        raise InputError(
            "encoder must be 'student' or 'teacher'",
            value=encoder,
            where="embed.encoder",
            remedy="--set embed.encoder=student",
        )
    part = run / _FOLDERS[encoder]
    if not part.is_dir():
        raise ArtefactError(
            "this run has no model yet", where=run, remedy="run the same 'urbanln pretrain' again; it goes on"
        )
    return part


def load_network(
    model: PictureEncoder | str | Path, encoder: Encoder, fit: Fit, device: str
) -> tuple[PictureEncoder, Fit]:
    """The network that is meant, on its device, and how its pictures are made square.

    Args:
        model, encoder, fit, device: As in :func:`embed_regions`.

    Raises:
        InputError: No such model or encoder.
        ArtefactError: The run is unfinished, or its files are damaged.
    """
    if not isinstance(model, str | Path):
        return (model if device == "auto" else model.to(pick_device(device))), fit
    folder = model_folder(model, encoder)
    if folder != model:
        fit = read_run(Path(model) / "run.toml", "train", "fit", shape=Fit)
    return load_clip(folder, context=None).to(pick_device(device)), fit


def _chosen(model: PictureEncoder | str | Path, city: City, wanted: AutoView) -> tuple[View, pd.DataFrame]:
    """The view that is meant and its pictures, in the order of ``city.images``."""
    city.need_places()
    view = the_view(wanted, city.images["view"], model=model, where=city.name)
    if view not in _VIEWS:
        raise InputError(
            "view must be 'auto', 'satellite', 'street' or 'both'",
            value=view,
            where="embed.view",
            remedy="--set embed.view=satellite",
        )
    images = city.images[city.images["view"].isin(_VIEWS[view])]
    if images.empty:
        there = ", ".join(sorted(set(city.images["view"]))) or "no picture at all"
        raise InputError(
            "the city has no picture of this view", value=view, where=city.folder, remedy=f"it has {there}"
        )
    return view, images


def _job(
    model: PictureEncoder | str | Path,
    city: City,
    images: pd.DataFrame,
    encoder: Encoder = "student",
    normalize: bool = False,
    batch_size: int = 128,
    fit: Fit = "crop",
    device: str = "auto",
    precision: Precision = "auto",
    workers: int = 0,
) -> Job:
    network, fit = load_network(model, encoder, fit, device)
    chosen = pick_precision(precision, network.device)
    return Job(network, city, list(images["path"].astype(str)), fit, normalize, batch_size, chosen, workers)


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


def _slots(city: City, images: pd.DataFrame, view: View) -> tuple[npt.NDArray[np.int64], int]:
    """The place where each picture's vector is summed, by region and view; and the number of places."""
    rows = pd.Index(city.regions["region_id"]).get_indexer(pd.Index(images["region_id"]))
    kinds = pd.Index(_VIEWS[view])
    return rows * len(kinds) + kinds.get_indexer(pd.Index(images["view"])), len(city.regions) * len(kinds)


def _sum_vectors(
    job: Job, folder: PartFolder | None, slot: npt.NDArray[np.int64], slots: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], int]:
    """Sums (slots, D) and counts (slots,) of the pictures' vectors, and how many pictures failed.

    Sums are fp64, so that the order of pictures and the size of a batch hardly matter.
    """
    sums = np.zeros((slots, job.encoder.dim))
    counts = np.zeros(slots, dtype=np.int64)
    bad: list[InputError] = []
    with evaluating(job), progress("embedding pictures", len(job.paths)) as advance:
        for part in _all_parts(job, folder, advance):
            np.add.at(sums, slot[part.rows], part.vectors.astype(np.float64))
            np.add.at(counts, slot[part.rows], 1)
            bad += part.unreadable
    tell_skipped(bad, some=bool(counts.any()))
    return sums, counts, len(bad)


def _all_parts(job: Job, folder: PartFolder | None, advance: Callable[[int], object]) -> Iterator[Part]:
    """All parts in order, those that are there read, the others made; kept where there is a folder."""
    numbers = range(len(part_rows(len(job.paths))))
    if folder is None:
        yield from embed_parts(job, numbers, advance)
        return
    wanted = folder.to_make()
    made = _kept(folder, wanted, embed_parts(job, wanted, advance))
    for number in numbers:
        if number in wanted:
            yield next(made)
        elif (part := folder.read(number)) is not None:
            advance(len(part.rows) + len(part.unreadable))
            yield part
        else:  # damaged, or removed by a process that has just finished the same table
            yield from _kept(folder, [number], embed_parts(job, [number], advance))
    next(made, None)  # none is left, but the last one may still be being written


def _kept(folder: PartFolder, numbers: Iterable[int], made: Iterator[Part]) -> Iterator[Part]:
    """Hand parts on while another thread writes them: a disk is slow to confirm."""
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for number, part in zip(numbers, made, strict=True):
            if writing is not None:
                writing.result()
            writing = writer.submit(folder.write, number, part)
            yield part
        if writing is not None:
            writing.result()


def _frame(
    city: City, view: View, sums: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], unreadable: int
) -> gpd.GeoDataFrame:
    """Means of N regions by P kinds of picture, side by side; for both views the flag of street views."""
    parts = _VIEWS[view]
    count_NP = counts.reshape(-1, len(parts))
    vectors = (sums / np.maximum(counts, 1)[:, None]).reshape(len(count_NP), -1)  # (N, P D)
    if view == "both":
        vectors = np.hstack([vectors, count_NP[:, 1:] > 0])
    kept = count_NP.sum(axis=1) > 0
    ids = city.regions["region_id"]
    found = pd.Series(list(vectors[kept].astype(np.float32)), ids[kept], dtype=object)
    frame = region_table(city.regions, found, pd.Series(count_NP.sum(axis=1), ids))
    frame.attrs = {
        "view": view,
        "pictures": int(counts.sum()),
        "pictures_unreadable": unreadable,
        "regions_without_pictures": int((~kept).sum()),
        **{f"regions_without_{name}": int((count_NP[:, i] == 0).sum()) for i, name in enumerate(parts)},
    }
    return frame
