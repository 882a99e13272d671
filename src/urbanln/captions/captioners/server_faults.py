"""What a server's refusal means: ask again later, not this again, or nothing again."""

from __future__ import annotations

import email.utils
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from urbanln.base.errors import printable
from urbanln.captions.captioners.base import CaptionerFault, LastingFault, PassingFault

_LONGEST = 300
_PASSING = (408, 409, 425, 429)
_USED_UP = re.compile(r"insufficient_quota|exceeded your current quota|billing", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model_not_found|model\b.{0,120}\b(?:not (?:found|exist)|does not exist)", re.IGNORECASE
)


def fault_of_status(status: int, said: str, headers: Mapping[str, str], host: str) -> CaptionerFault:
    """The fault an HTTP status stands for.

    Args:
        status: 3xx, 4xx or 5xx.
        said: What the server said about it, see :func:`quoted`.
        headers: Of the answer; ``retry-after`` counts.
        host: Told as the place where it happened.

    Returns:
        Passing for 408, 409, 425, 429 and 5xx. Lasting for the rest; of these 401, 403, 404, redirections, a
        used-up account and an unknown model would be the same for every question.
    """
    what = f"the server answered {status}"
    value = said or None
    if status == 429 and _USED_UP.search(said):
        return LastingFault(what + ": the account is used up", whole=True, value=value, where=host)
    if status in _PASSING or status >= 500:
        wait = retry_after_s(headers.get("retry-after"))
        return PassingFault(what, retry_after=wait, value=value, where=host)
    if status in (401, 403):
        what, remedy = what + ": the key is missing or wrong", "name the key's variable as key_env and set it"
        return LastingFault(what, whole=True, value=value, where=host, remedy=remedy)
    if status == 404 or _NO_MODEL.search(said):
        what, remedy = what + ": no such model or address", "check model and base_url (it often ends in /v1)"
        return LastingFault(what, whole=True, value=value, where=host, remedy=remedy)
    return LastingFault(what, whole=status < 400, value=value, where=host)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header: a number or an HTTP date; None where it says nothing.

    Example:
        >>> retry_after_s("1.5"), retry_after_s("soon")
        (1.5, None)
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            then = email.utils.parsedate_to_datetime(header)
        except (ValueError, TypeError):
            return None
        then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
        seconds = (then - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def quoted(body: object, hide: str) -> str:
    """What a server said, in one short printable line, the key taken out: some servers repeat it.

    Args:
        body: Text, or what was read from JSON.
        hide: The key.
    """
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body, ensure_ascii=False)
    # A server may show its start and end only: "sk-ab…yz".
    for secret in (hide, *((hide[:8], hide[-4:]) if len(hide) >= 16 else ())):
        text = text.replace(secret, "…") if len(hide) > 4 else text
    text = printable(" ".join(text.split()))
    return text[:_LONGEST] + (" …" if len(text) > _LONGEST else "")
