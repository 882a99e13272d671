"""The aerial base: no picture that is tested on is learnt from, and a stopped stage goes on exactly."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def aerial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("make_aerial_base", TOOLS / "make_aerial_base.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_aerial_base", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_pictures_like_those_tested_on_are_found(aerial: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 255, (7, 7, 3), dtype=np.uint8) for _ in range(2))
    made = {"test": one, "same": one, "brighter": np.clip(one * 0.9 + 20, 0, 255).astype(np.uint8),
            "other": other, "valid": other[::-1]}  # fmt: skip
    rows = []
    for name, values in made.items():
        file = tmp_path / f"{name}.png"
        Image.fromarray(values).resize((70, 70), Image.Resampling.BICUBIC).save(file)
        rows.append((str(file), name if name in ("test", "valid") else "train"))
    found = aerial.near_held_out(pd.DataFrame(rows, columns=["file", "split"]))
    assert found.tolist() == [False, True, True, False, False]


def test_a_stage_that_was_stopped_ends_as_one_that_was_not(
    aerial: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aerial, "CHECKPOINT_SECONDS", 0)
    stage = aerial.Stage(epochs=2, batch=4, lr=1e-3, decay=0.1, patch_dropout=0.5, whole_epochs=1)
    data = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))

    class Stopped(Exception):
        pass

    def run(folder: str, stop_at: int | None) -> list[float]:
        torch.manual_seed(1)
        model, head = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)
        left = [stop_at]

        def loss_of(some: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
            if left[0] == 0:
                raise Stopped
            left[0] = None if left[0] is None else left[0] - 1
            noise = float(rng.random())
            return (head(model(data[some])) - noise).float().pow(2).mean()

        aerial.fit("stage", stage, model, head, np.arange(12), tmp_path / folder, 0, loss_of)
        return [*model.weight.flatten().tolist(), *head.weight.flatten().tolist()]

    whole = run("whole", None)
    with pytest.raises(Stopped):
        run("stopped", 4)
    assert run("stopped", None) == whole
    assert run("whole", 0) == whole  # a finished one is read, not run
