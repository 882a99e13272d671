"""Where ledgers of the tests are kept: in files, and on a PostgreSQL server where there can be one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.captions.asking.postgres import Server, lacking, serving


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for the tests of this process; they are skipped where there can be none."""
    if (why := lacking()) is not None:
        pytest.skip(why)
    with serving() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Of a ledger that is not there yet."""
    if request.param == "sqlite":
        return tmp_path
    server: Server = request.getfixturevalue("postgres")
    return server.new_database()
