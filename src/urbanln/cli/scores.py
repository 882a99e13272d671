"""What a probe prints on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.base.saying import answer, answer_table


def print_scores(scores: Mapping[str, Any]) -> None:
    """Print the closing table of a probe, what it comes to, and the verdicts."""
    from urbanln.probe.headline import headline
    from urbanln.probe.table import scores_rich

    answer_table(scores_rich(scores))
    answer(headline(scores), *(verdict["sentence"] for verdict in scores["verdicts"]))
