"""What a question may cost at most: set aside before it is asked, so that a budget is not overshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.captions.captioners.base import Ask, Limits

# Assumptions, on the generous side: models cut a picture into patches of 14 pixels or larger, and a token of
# English prose is rarely shorter than two letters.
_PATCH = 14
_LETTERS_PER_TOKEN = 2
_EDGE = 768
_OUT = 400


def most_tokens(ask: Ask, decoding: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens a question may take and its answer may have, at most.

    Args:
        ask: The question.
        decoding: Of the captioner's identity; ``max_edge``, ``max_tokens`` and ``max_tokens_local`` count.
    """
    edge = int(decoding.get("max_edge", _EDGE))
    local = ask.stage == "local" and "max_tokens_local" in decoding
    out = int(decoding["max_tokens_local"] if local else decoding.get("max_tokens", _OUT))
    return (edge // _PATCH) ** 2 + len(ask.prompt.text) // _LETTERS_PER_TOKEN + 64, out


def most_usd(ask: Ask, decoding: Mapping[str, Any], limits: Limits) -> float:
    """Price of :func:`most_tokens` in US dollars; 0 without prices."""
    return limits.cost(*most_tokens(ask, decoding)) or 0.0
