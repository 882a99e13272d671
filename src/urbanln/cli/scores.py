"""What a probe prints on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print the closing table and the verdicts of a probe."""
    from rich.console import Console

    from urbanln.probe.table import scores_rich

    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(scores_rich(scores))
    for verdict in scores["verdicts"]:
        console.print(verdict["sentence"], markup=False, highlight=False, soft_wrap=True)
