"""Where ledgers of the tests are kept: in a file, and on a PostgreSQL server where there can be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.captions.asking.postgres import Server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Of a ledger that is not there yet."""
    if request.param == "sqlite":
        return tmp_path
    server: Server = request.getfixturevalue("postgres")
    return server.new_schema()
