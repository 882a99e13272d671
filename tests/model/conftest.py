from __future__ import annotations

from pathlib import Path

import pytest

from urbanln.model.clip import LongClip, load_clip, new_clip
from urbanln.model.tokens import train_clip_tokenizer

SENTENCES = [
    "a park beside a river, with tall trees and a footpath",
    "the apartment blocks stand north of the avenue; their roofs are grey",
    "grey-roofed houses and a large parking lot in the south-east",
    "water to the west, industry to the east, and a wide street between them",
]


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return SENTENCES


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of 77 positions with random weights, as a folder."""
    tokenizer = train_clip_tokenizer(SENTENCES * 3, 600)
    model = new_clip(tokenizer, image_size=32, patch=8, width=32, layers=2, heads=2, dim=16, seed=3)
    return model.save(tmp_path_factory.mktemp("base") / "clip77")


@pytest.fixture
def long_clip(base_folder: Path) -> LongClip:
    return load_clip(base_folder)
