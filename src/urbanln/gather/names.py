"""Names of files for ids that may be anything."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

_LONGEST = 100


def file_names(ids: Sequence[str]) -> dict[str, str]:
    """A name for every id, without ending: the id where any system takes it, else a likeness and a hash.

    Args:
        ids: Each once.

    Example:
        >>> file_names(["18-1-2"])
        {'18-1-2': '18-1-2'}
    """
    folded = Counter(one.casefold() for one in ids)  # two that differ in their case are one file elsewhere
    names = {}
    for one in ids:
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", one)[:_LONGEST]
        odd = plain != one or plain.startswith(".") or folded[one.casefold()] > 1
        names[one] = f"{plain.lstrip('.')}-{hashlib.sha256(one.encode()).hexdigest()[:12]}" if odd else plain
    return names
