"""Processes that work for another one."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process


def die_with_parent() -> None:
    """End this process as soon as the one that started it is gone; for a pool's ``initializer``.

    A pool's processes would outlive a kill, finish what was handed to them and then wait for ever: they would
    write into a folder in which the same command, run again, is at work.
    """
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
