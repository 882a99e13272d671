"""Stages that cost nothing: the learning rate stands for a model, and decides how well it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.files import write_table
from urbanln.base.softmax import softmax
from urbanln.study import work

REGIONS, BLOCKS, LABELS = 60, 12, ("calm", "wild")
NAMES = {"use": ["home", "work", "wood"], "cover": ["built", "green", "water"]}
PARTS = {"use": "classes", "cover": "shares"}
FAILS = 0.666


def truth(indicator: str) -> np.ndarray:
    return np.random.default_rng(LABELS.index(indicator)).normal(size=REGIONS)


def prediction(indicator: str, seed: int, rate: float) -> np.ndarray:
    noise = np.random.default_rng([seed, LABELS.index(indicator), round(1000 * rate)]).normal(size=REGIONS)
    return truth(indicator) + rate * noise


def part_truth(name: str) -> np.ndarray:
    """Three classes, or shares of three parts."""
    rng = np.random.default_rng([1, list(PARTS).index(name)])
    return np.eye(3)[rng.integers(3, size=REGIONS)] if name == "use" else rng.dirichlet([2, 1, 1], REGIONS)


def part_prediction(name: str, seed: int, rate: float) -> np.ndarray:
    noise = np.random.default_rng([seed, len(name), round(1000 * rate)]).normal(size=(REGIONS, 3))
    return softmax(np.log(part_truth(name) + 0.1) + rate * noise)


MEAN = np.array([0.4, 0.35, 0.25])
"""The mean share of the known regions, in every fold."""


def _labels(seed: int, rate: float, kinds: bool) -> dict[str, dict[str, Any]]:
    found = {name: {"truth": truth(name), "prediction": prediction(name, seed, rate)} for name in LABELS}
    for name, kind in PARTS.items() if kinds else ():
        found[name] = {
            "kind": kind,
            "truth_parts": list(part_truth(name)),
            "parts": list(part_prediction(name, seed, rate)),
            "mean_parts": [MEAN] * REGIONS,
        }
    return found


def _frame(split: str, seed: int, rate: float, kinds: bool, **more: Any) -> pd.DataFrame:
    ids = [f"r{i}" for i in range(REGIONS)]
    parts = [
        pd.DataFrame({"split": split, "indicator": name, "region_id": ids, "fold": 0, **values, **more})
        for name, values in _labels(seed, rate, kinds).items()
    ]
    return pd.concat(parts, ignore_index=True)


class FakeStages:
    """Stands in for the work of all stages and counts it.

    Args:
        kinds: Whether there are labels of classes and shares, too.

    Attributes:
        done: Kind and label of every stage done, in order.
    """

    def __init__(self, *, kinds: bool = False) -> None:
        self.done: list[str] = []
        self.kinds = kinds

    def install(self, patch: Any) -> None:
        kinds = {name: self._nothing(name) for name in ("city", "candidates", "vote", "captions")}
        more = {"pretrain": self.pretrain, "embed": self.embed, "score": self.score, "floors": self.floors}
        patch.setattr(work, "_WORK", {**kinds, **more})

    def _nothing(self, kind: str) -> Any:
        def do(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
            self.done.append(kind)

        return do

    def pretrain(self, payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
        self.done.append("pretrain")
        if payload["train"]["lr"] == FAILS:
            raise InputError("this one cannot be trained", where="here", remedy="leave it out")
        (folder / "rate.txt").write_text(str(payload["train"]["lr"]))

    def embed(self, payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
        self.done.append("embed")
        (folder / "rate.txt").write_text("2.0" if "model" in payload else (needs[1] / "rate.txt").read_text())

    def score(self, payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
        self.done.append("score")
        rate = float((needs[1] / "rate.txt").read_text())
        splits = ["block"] if payload["by_fold"] else payload["probe"]["splits"]
        frames = [_frame(split, payload["seed"], rate, self.kinds, head="ridge") for split in splits]
        write_table(folder / work.PREDICTIONS, pd.concat(frames), kind="study-predictions", names=NAMES)

    def floors(self, payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
        self.done.append("floors")
        frames = [
            _frame(split, payload["seed"], rate, self.kinds, head=head, name=name)
            for split in payload["probe"]["splits"]
            for name, head, rate in (("mean", "none", 1.0), ("pixels", "ridge", 0.7))
        ]
        write_table(folder / work.PREDICTIONS, pd.concat(frames), kind="study-predictions", names=NAMES)
        regions = pd.DataFrame(
            {"region_id": [f"r{i}" for i in range(REGIONS)], "block": np.arange(REGIONS) % BLOCKS}
        )
        write_table(folder / work.REGIONS, regions, kind="study-regions")
