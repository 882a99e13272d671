"""From pictures to one vector per region: the mean over a region's views, and a flag where there are none."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from urbanln.city.reading import read_pictures
from urbanln.city.store import City
from urbanln.config import View
from urbanln.errors import ArtefactError, InputError
from urbanln.model.checkpoint import weights_hash
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.device import pick_device
from urbanln.model.preprocess import Fit
from urbanln.progress import progress

Encoder = Literal["student", "teacher"]

_FOLDERS: Mapping[str, str] = {"student": "model", "teacher": "teacher"}
_VIEWS: Mapping[str, Sequence[str]] = {
    "satellite": ("satellite",),
    "street": ("street",),
    "both": ("satellite", "street"),
}
_SHOWN = 5


def embed_regions(
    model: LongClip | str | Path,
    city: City,
    *,
    view: View = "satellite",
    encoder: Encoder = "student",
    normalize: bool = False,
    batch_size: int = 128,
    fit: Fit = "crop",
    device: str = "auto",
    workers: int = 2,
) -> gpd.GeoDataFrame:
    """One vector per region: the mean of its pictures' vectors.

    Pictures stream through; memory holds one batch and one running sum per region. A picture that cannot be
    read is reported on stderr and left out of the mean.

    Args:
        model: A model; or a run folder, of which ``encoder`` picks a part; or a CLIP folder, a hub name or
            ``"tiny"``, taken as it is.
        city: Whose regions.
        view: ``"satellite"`` or ``"street"``: the mean over the pictures of that view, (D,). ``"both"``:
            ``[satellite mean | street mean | flag]``, (2 D + 1,); the flag is 1 where there are street
            views, and a mean over nothing is 0.
        encoder: Part of a run folder: its student or its momentum teacher. The paper does not say which.
        normalize: L2-normalise each picture's vector before the mean; off by default, so that the length,
            which CLIP's loss ignores, stays available to the probe.
        batch_size: Pictures per forward pass; results agree up to rounding.
        fit: How non-square pictures become square; a run folder's own setting wins.
        device: ``"auto"``, or a name torch knows. With ``"auto"`` a model handed over stays where it is.
        workers: Threads that decode pictures.

    Returns:
        ``region_id, geometry, n_images, vector``, in the order of ``city.regions``. Regions without any
        readable picture are left out; ``.attrs`` counts them and the unreadable pictures.

    Raises:
        InputError: No picture of this view, or none of them readable; no such view or model.
        ArtefactError: The run is unfinished, or its files are damaged.
    """
    if view not in _VIEWS:
        raise InputError("view must be 'satellite', 'street' or 'both'", value=view)
    clip, fit = _load(model, encoder, fit, device)
    parts = _VIEWS[view]
    images = city.images[city.images["view"].isin(parts)]
    if images.empty:
        raise InputError("the city has no picture of this view", value=view, where=city.folder)
    row_of = {region: row for row, region in enumerate(city.regions["region_id"])}
    slot = images["region_id"].map(row_of).to_numpy() * len(parts)
    slot = slot + images["view"].map({name: i for i, name in enumerate(parts)}).to_numpy()
    sums, counts, bad = _sum_vectors(
        clip, city, list(images["path"].astype(str)), slot, len(row_of) * len(parts), normalize, batch_size,
        fit, workers,
    )  # fmt: skip
    if not counts.any():
        raise InputError("none of the pictures can be read", value=bad[0].value, where=bad[0].where)
    _report(bad)
    return _frame(city, view, sums, counts, len(bad))


def model_hashes(model: str | Path, encoder: Encoder = "student") -> dict[str, str]:
    """SHA-256 of the weights that :func:`embed_regions` would use, for the note of an embedding table.

    Returns:
        ``{"model": sha256}``; empty for a name on the hub, whose files are not in a folder of ours.

    Raises:
        ArtefactError: The run is unfinished.
    """
    found = weights_hash(_folder(model, encoder))
    return {"model": found} if found else {}


def _folder(model: str | Path, encoder: Encoder) -> str | Path:
    """Of a run folder the encoder's part, else what was given."""
    run = Path(model)
    if not (run / "run.toml").is_file():
        return model
    if encoder not in _FOLDERS:
        raise InputError("encoder must be 'student' or 'teacher'", value=encoder)
    part = run / _FOLDERS[encoder]
    if not part.is_dir():
        raise ArtefactError(
            "this run has no model yet", where=run, remedy="run the same 'urbanln pretrain' again; it goes on"
        )
    return part


def _load(model: LongClip | str | Path, encoder: Encoder, fit: Fit, device: str) -> tuple[LongClip, Fit]:
    if isinstance(model, LongClip):
        return (model if device == "auto" else model.to(pick_device(device))), fit
    folder = _folder(model, encoder)
    if folder != model:
        fit = _trained_fit(Path(model) / "run.toml")
    return load_clip(folder, context=None).to(pick_device(device)), fit


def _trained_fit(file: Path) -> Fit:
    try:
        fit: Fit = tomllib.loads(file.read_text(encoding="utf-8"))["train"]["fit"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise ArtefactError("the run's description is damaged", where=file, value=str(error)) from error
    return fit


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
    frame = city.regions.loc[kept, ["region_id", "geometry"]].reset_index(drop=True)
    frame["n_images"] = count_NP.sum(axis=1)[kept]
    frame["vector"] = list(vectors[kept].astype(np.float32))
    frame.attrs = {
        "view": view,
        "pictures": int(counts.sum()),
        "pictures_unreadable": unreadable,
        "regions_without_pictures": int((~kept).sum()),
        **{f"regions_without_{name}": int((count_NP[:, i] == 0).sum()) for i, name in enumerate(parts)},
    }
    return frame


@torch.no_grad()
def _sum_vectors(
    clip: LongClip,
    city: City,
    paths: Sequence[str],
    slot: npt.NDArray[np.int64],
    slots: int,
    normalize: bool,
    batch_size: int,
    fit: Fit,
    workers: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], list[InputError]]:
    """Sums (slots, D) and counts (slots,) of the pictures' vectors, and the pictures that failed.

    Sums are fp64, so that the order of pictures and the size of a batch hardly matter.
    """
    sums = np.zeros((slots, clip.dim))
    counts = np.zeros(slots, dtype=np.int64)
    bad: list[InputError] = []
    training = clip.training
    clip.eval()

    def add(batch: list[tuple[int, Tensor]]) -> None:
        if batch:
            vectors = clip.encode_image(torch.stack([pixels for _, pixels in batch]), normalize=normalize)
            where = np.array([place for place, _ in batch])
            np.add.at(sums, where, vectors.cpu().double().numpy())
            np.add.at(counts, where, 1)
            batch.clear()

    batch: list[tuple[int, Tensor]] = []
    stream = read_pictures(
        ((city, path) for path in paths), lambda image: clip.preprocess(image, fit), workers
    )
    with progress("embedding pictures", len(paths)) as advance:
        for place, pixels in zip(slot, stream, strict=True):
            if isinstance(pixels, InputError):
                bad.append(pixels)
            else:
                batch.append((int(place), pixels))
            if len(batch) == batch_size:
                add(batch)
            advance(1)
        add(batch)
    clip.train(training)
    return sums, counts, bad


def _report(bad: Sequence[InputError]) -> None:
    if bad:
        names = ", ".join(str(error.value) for error in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        print(f"skipped {len(bad)} pictures that cannot be read: {names}{more}", file=sys.stderr)
