"""From pictures to one vector per region: the mean over a region's views, and a flag where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from urbanln.base.config import AutoView, View
from urbanln.base.errors import InputError
from urbanln.base.progress import progress
from urbanln.city.pictures import tell_skipped
from urbanln.city.store import City
from urbanln.embed.networks import Encoder
from urbanln.embed.parts import Part, PartFolder, ShareResult, discard, part_rows
from urbanln.embed.stream import Job, PictureEncoder, embed_parts, evaluating
from urbanln.embed.work import VIEWS, How, Precision, Work, kept, lay_out
from urbanln.model.preprocess import Fit
from urbanln.tables.vectors import region_table

_ROWS = 20_000  # regions whose means are taken at once
ByOthers = Callable[[PartFolder, Sequence[int]], object]
"""Makes parts of a folder in other processes."""


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
    by_others: ByOthers | None = None,
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
        by_others: Has the parts of these numbers made by others; what is missing then is made here.

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
    work = lay_out(model, city, view, encoder=encoder, normalize=normalize, batch_size=batch_size, fit=fit,
                   device=device, precision=precision, workers=workers)  # fmt: skip
    folder, wanted = _opened(work, parts, by_others)
    frame = _frame(city, work.view, *_sum_vectors(work, folder, wanted))
    frame.attrs |= {"precision": work.job.precision} | ({"inputs": folder.key} if folder else {})
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
        how: See :class:`urbanln.embed.work.How`.

    Raises:
        InputError: As in :func:`embed_regions`; or the parts that are there are made from something else.
        ArtefactError: The run is unfinished, or its files are damaged.
        StorageError: The folder cannot be written.
    """
    work = lay_out(model, city, view, **how)
    folder = work.folder(parts)
    done = ShareResult(folder.total, folder.total)
    if finished() == folder.key:
        return done
    folder.open(shared=True)
    if finished() == folder.key:
        discard(parts)
        return done
    index, count = share
    wanted = [number for number in folder.to_make() if number % count == index - 1]
    if wanted:
        with evaluating(work.job), progress("embedding pictures", folder.count(wanted)) as advance:
            for _ in kept(folder, wanted, embed_parts(work.job, wanted, advance)):
                if not folder.is_open():
                    break  # another process has made all parts and the table meanwhile
    return folder.result(count)


def _opened(
    work: Work, parts: Path | None, by_others: ByOthers | None
) -> tuple[PartFolder | None, list[int]]:
    """The folder of the parts, where one is kept, and the numbers of those that are to be made here."""
    if parts is None:
        return None, list(range(len(part_rows(len(work.images)))))
    folder = work.folder(parts)
    folder.open(shared=False)
    wanted = folder.to_make()
    if by_others and wanted:
        by_others(folder, wanted)
        wanted = [number for number in wanted if not folder.path(number).exists()]
    return folder, wanted


def _slots(work: Work) -> tuple[npt.NDArray[np.int64], int]:
    """The place where each picture's vector is summed, by region and view; and the number of places."""
    regions, kinds = work.job.city.regions["region_id"], pd.Index(VIEWS[work.view])
    rows = pd.Index(regions).get_indexer(pd.Index(work.images["region_id"]))
    return rows * len(kinds) + kinds.get_indexer(pd.Index(work.images["view"])), len(regions) * len(kinds)


def _sum_vectors(
    work: Work, folder: PartFolder | None, wanted: Sequence[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], int]:
    """Sums (slots, D) and counts (slots,) of the pictures' vectors, and how many pictures failed.

    Sums are fp64, so that the order of pictures and the size of a batch hardly matter.
    """
    job, (slot, slots) = work.job, _slots(work)
    sums = np.zeros((slots, job.encoder.dim))
    counts = np.zeros(slots, dtype=np.int64)
    bad: list[InputError] = []
    with evaluating(job), progress("embedding pictures", len(job.paths)) as advance:
        for part in _all_parts(job, folder, wanted, advance):
            np.add.at(sums, slot[part.rows], part.vectors.astype(np.float64))
            np.add.at(counts, slot[part.rows], 1)
            bad += part.unreadable
    tell_skipped(bad, some=bool(counts.any()))
    return sums, counts, len(bad)


def _all_parts(
    job: Job, folder: PartFolder | None, wanted: Sequence[int], advance: Callable[[int], object]
) -> Iterator[Part]:
    """All parts in order, those that are wanted made, the others read; kept where there is a folder."""
    if folder is None:
        yield from embed_parts(job, wanted, advance)
        return
    made = kept(folder, wanted, embed_parts(job, wanted, advance))
    for number in range(folder.total):
        if number in wanted:
            yield next(made)
        elif (part := folder.read(number)) is not None:
            advance(len(part.rows) + len(part.unreadable))
            yield part
        else:  # damaged, or removed by a process that has just finished the same table
            yield from kept(folder, [number], embed_parts(job, [number], advance))
    next(made, None)  # none is left, but the last one may still be being written


def _means(
    sums: npt.NDArray[np.float64], count_NP: npt.NDArray[np.int64], *, flag: bool
) -> npt.NDArray[np.float32]:
    """Means of the M regions that have a picture, (M, P D), and the flag of street views behind them.

    Some regions at a time: the means of all in fp64 would take as much memory again as their sums.
    """
    seen = np.flatnonzero(count_NP.sum(axis=1))
    sums_NPD = sums.reshape(*count_NP.shape, -1)
    width = sums_NPD.shape[1] * sums_NPD.shape[2]
    means = np.empty((len(seen), width + flag), np.float32)
    for start in range(0, len(seen), _ROWS):
        rows = seen[start : start + _ROWS]
        some = sums_NPD[rows] / np.maximum(count_NP[rows], 1)[:, :, None]
        means[start : start + _ROWS, :width] = some.reshape(len(rows), width)
        if flag:
            means[start : start + _ROWS, width] = count_NP[rows, 1] > 0
    return means


def _frame(
    city: City, view: View, sums: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], unreadable: int
) -> gpd.GeoDataFrame:
    """Means of N regions by P kinds of picture, side by side; for both views the flag of street views."""
    parts = VIEWS[view]
    count_NP = counts.reshape(-1, len(parts))
    seen = count_NP.sum(axis=1) > 0
    ids = city.regions["region_id"]
    found = pd.Series(list(_means(sums, count_NP, flag=view == "both")), ids[seen], dtype=object)
    frame = region_table(city.regions, found, pd.Series(count_NP.sum(axis=1), ids))
    frame.attrs = {
        "view": view,
        "pictures": int(counts.sum()),
        "pictures_unreadable": unreadable,
        "regions_without_pictures": int((~seen).sum()),
        **{f"regions_without_{name}": int((count_NP[:, i] == 0).sum()) for i, name in enumerate(parts)},
    }
    return frame
