from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from urbanln.city.store import City

if TYPE_CHECKING:
    from tests.captions.asking.postgres import Server

# The tests of the core also run where torch is not installed, see tools/floors.py.
try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

# A shell that starts this in the background has Ctrl-C ignored, and so would every process a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes tells how busy the machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small run many times slower on threads that must share cores with other processes."""
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded pictures go to a folder of the tests, also those of the processes they start."""
    before = os.environ.get("URBANLN_CACHE")
    os.environ["URBANLN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["URBANLN_CACHE"]
    else:
        os.environ["URBANLN_CACHE"] = before


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.train.fake_city import make_clip

    return make_clip(tmp_path_factory.mktemp("clip") / "clip32")


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """24 regions, a satellite picture each, two street views in all but the first, two captions each."""
    from tests.train.fake_city import make_city

    return make_city(tmp_path_factory.mktemp("city") / "squares", street=2)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server for the tests of this process; they are skipped where there can be none."""
    from tests.captions.asking.postgres import lacking, serving

    if (why := lacking()) is not None:
        pytest.skip(why)
    with serving() as server:
        yield server
