"""What tests of gathering have: a cache of their own, no pauses, a token, a server where they ask for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gather.streets import TOKEN
from tests.gather.world import TileServer, serving

from urbanln.gather.fetching import client as client_module


@pytest.fixture
def server() -> Iterator[TileServer]:
    with serving() as world:
        yield world


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setenv("URBANLN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAPILLARY_TOKEN", TOKEN)
