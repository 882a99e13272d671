"""One thread for what is fitted, so that results do not depend on the number of cores."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_thread(**which: str) -> AbstractContextManager[Any]:
    """Numerical libraries that are loaded take one thread each, as long as the block lasts.

    Args:
        which: ``user_api="openmp"`` or ``"blas"``, to limit these alone.
    """
    limit: AbstractContextManager[Any] = _libraries(len(sys.modules)).limit(limits=1, **which)
    return limit


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries there are, looked for again (6 ms) only when another module has been imported."""
    return ThreadpoolController()
