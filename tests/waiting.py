from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_PATIENCE_S = 180.0  # a busy machine takes its time


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait, not for ever, until something holds, and give it."""
    end = time.monotonic() + _PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.01)
    return found
