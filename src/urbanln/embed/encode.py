"""From pictures to one vector per region: the mean over a region's views, and a flag where there are none."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from urbanln.city.reading import read_pictures
from urbanln.city.store import City
from urbanln.config import View
from urbanln.errors import ArtefactError, InputError
from urbanln.model.checkpoint import weights_hash
from urbanln.model.clip import load_clip
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


class PictureEncoder(Protocol):
    """What turns pictures into vectors: a CLIP, or :class:`urbanln.embed.imagenet.ImageNetEncoder`."""

    training: bool

    @property
    def dim(self) -> int:
        """Length D of a vector."""

    def preprocess(self, image: Image.Image, fit: Fit = "crop") -> Tensor:
        """A picture as uint8 (3, S, S)."""

    def encode_image(self, pixels: Tensor, normalize: bool = True) -> Tensor:
        """Pictures (B, 3, S, S) to vectors (B, D)."""

    def train(self, mode: bool = True) -> object:
        """Turn drop-out and the like on or off."""

    def to(self, device: torch.device) -> PictureEncoder:
        """The encoder on another device."""


def embed_regions(
    model: PictureEncoder | str | Path,
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


def saw_pictures(model: str | Path, city: City) -> bool:
    """Whether a model's pre-training saw the pictures of a city, as far as a run folder tells.

    It did when the run was of these pictures, or of a city of this name: they may have changed since.

    Raises:
        ArtefactError: The run's description is damaged.
    """
    file = Path(model) / "run.toml"
    if not file.is_file():
        return False  # a CLIP as it came
    try:
        cities = tomllib.loads(file.read_text(encoding="utf-8"))["run"]["cities"]
        images = city.fingerprint()["images"]
        return any(entry.get("name") == city.name or entry.get("images") == images for entry in cities)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError) as error:
        raise ArtefactError("the run's description is damaged", where=file, value=str(error)) from error


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


def _load(
    model: PictureEncoder | str | Path, encoder: Encoder, fit: Fit, device: str
) -> tuple[PictureEncoder, Fit]:
    if not isinstance(model, str | Path):
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
    clip: PictureEncoder,
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
    clip.train(False)

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
