"""CityRep's splits, sample for sample, and the same blocks with a buffer around what is held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from urbanln.base.errors import InputError
from urbanln.base.space import Floats, Ints
from urbanln.cityrep.payloads import Payload
from urbanln.probe.splits import Fold, district_split

SEEDS = (42, 24, 7, 0, 100)
BLOCKS = 10
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
PROTOCOLS = {"block": "block10_5seed_mlp1024", "random": "random_5seed_mlp1024"}
"""CityRep's two splits, by what they are called here, and what CityRep calls them."""
BUFFERED = "block+buffer"
"""Our split: the same blocks, each held out once, with a buffer."""


class Parts(NamedTuple):
    """Samples of one of CityRep's seeds, in its order, on which the batches of its head depend.

    Attributes:
        seed: Which.
        train, val, test: Numbers of samples.
        blocks: Numbers of the blocks of the three; empty at random.
    """

    seed: int
    train: Ints
    val: Ints
    test: Ints
    blocks: tuple[Ints, ...] = ()

    def fold(self) -> Fold:
        """As the probe has them: each part ascending."""
        return Fold(*(np.sort(part) for part in (self.train, self.val, self.test)))


def block_numbers(payload: Payload) -> Ints:
    """Number of each sample's block, (N,): 10 × 10 over the extent of the samples, row by row.

    In cells of the task's raster where it has one, else in degrees; so blocks are wider than high or the
    other way round, as the city is.
    """
    across, up = (payload.lonlat if payload.cells is None else payload.cells).astype(np.float64).T

    def along(values: Floats) -> Ints:
        low = float(values.min())
        span = max(float(values.max()) - low, 1e-12)
        return np.clip(np.floor((values - low) / span * BLOCKS).astype(np.int64), 0, BLOCKS - 1)

    return along(up) * BLOCKS + along(across)


def their_parts(payload: Payload, split: str) -> list[Parts]:
    """The parts of CityRep's five seeds.

    Whole blocks, a fifth of them, are held out, and a tenth of the others validates; no strip between them is
    cleared. At random the same shares of samples, with equal shares of classes in all parts.

    Args:
        payload: The samples.
        split: ``"block"`` or ``"random"``.

    Raises:
        InputError: Too few blocks or samples, or of a class.
    """
    from sklearn.model_selection import train_test_split

    blocks = block_numbers(payload)
    whole = np.unique(blocks) if split == "block" else np.arange(len(payload))
    classes = payload.y if payload.task.kind == "classes" and split == "random" else None
    made = []
    for seed in SEEDS:
        try:
            rest, test = train_test_split(whole, test_size=TEST_SHARE, random_state=seed, stratify=classes)
            train, val = train_test_split(
                rest, test_size=VALIDATION_SHARE, random_state=seed,
                stratify=None if classes is None else classes[rest],
            )  # fmt: skip
        except ValueError as error:
            remedy = "give the table as CityRep publishes it"
            raise InputError(
                f"the samples cannot be split as CityRep does: {error}",
                value=len(whole), where=payload.task.name, remedy=remedy,
            ) from error  # fmt: skip
        if split == "block":
            inside = [np.flatnonzero(np.isin(blocks, part)) for part in (train, val, test)]
            made.append(Parts(seed, inside[0], inside[1], inside[2], (train, val, test)))
        else:
            made.append(Parts(seed, train, val, test))
    return made


def buffered_folds(payload: Payload, buffer_km: float, folds: int = 5, seed: int = 0) -> list[Fold]:
    """CityRep's blocks, each held out once, with a strip cleared around those that are.

    Args:
        payload: The samples.
        buffer_km: Training samples this near to a held-out one leave.
        folds: To which the blocks are dealt, about equally full.
        seed: Of dealing.

    Raises:
        InputError: Too few blocks, or nothing is left to train on.
    """
    names = block_numbers(payload).astype(str)
    return district_split(payload.lonlat, names, buffer_km=buffer_km, folds=folds, seed=seed)


def split_digest(payload: Payload, split: str, parts: Sequence[Parts]) -> str:
    """SHA-256 of the split file that CityRep writes for these parts, as its ``splits/manifest.csv`` names it.

    Equal digests say that every sample of every seed stands where it does in CityRep's own file, in its
    order.

    Args:
        payload: The samples.
        split: ``"block"`` or ``"random"``.
        parts: From :func:`their_parts`.
    """
    shares = {"test_ratio": TEST_SHARE, "val_ratio_on_train": VALIDATION_SHARE}
    folds = []
    for one in parts:
        meta: dict[str, Any] = {"method": "random", **shares}
        if split == "block":
            names = [f"{part}_blocks" for part in ("train", "val", "test")]
            meta = {"method": "spatial_block", "n_blocks_x": BLOCKS, "n_blocks_y": BLOCKS, **shares} | {
                name: np.sort(numbers).tolist() for name, numbers in zip(names, one.blocks, strict=True)
            }
        ids = {part: payload.ids[getattr(one, part)].tolist() for part in ("train", "val", "test")}
        folds.append({"seed": one.seed, "meta": meta, **ids})
    file = {
        "schema_version": "1.0", "task_id": payload.task.name, "protocol_id": PROTOCOLS[split],
        "sample_count": len(payload), "folds": folds,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(file, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
