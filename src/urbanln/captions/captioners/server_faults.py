"""What a server's status and words mean: ask again, leave this question, or ask nothing more."""

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
_USED_UP = re.compile(
    r"insufficient_quota|exceeded your current quota|billing|insufficient (?:credit|balance|fund)|"
    r"credit balance is too low|arrears",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model_not_found|model\b.{0,120}\b(?:not (?:found|exist)|does not exist)", re.IGNORECASE
)
# Said by LM Studio, llama.cpp, vLLM, Ollama and routers of a model that cannot be shown anything; not of one
# picture whose format or size they refuse.
_BLIND = re.compile(
    r"vision add-?on|mmproj|at most 0 image|missing data required for image input|"
    r"not a (?:multi-?modal|vision)|no endpoints found that support image|"
    r"(?:image|vision|multi-?modal)(?: inputs?)? (?:is|are) not (?:supported|enabled|available)|"
    r"(?:does|do)(?: not|n't) support (?:image|vision|multi-?modal)(?: inputs?|s)?\b"
    r"(?![ /]*(?:format|type|size))",
    re.IGNORECASE,
)
_REMEDIES = {
    "used up": "top the account up, or name another captioner",
    "key": "name the key's variable as key_env and set it",
    "model": "check model and base_url (it often ends in /v1)",
    "settings": "change what it complains of in [captioners.NAME]",
    "blind": "load a model that reads pictures, with its part for them (vision add-on, mmproj)",
}


def fault_of_status(status: int, said: str, headers: Mapping[str, str], host: str) -> CaptionerFault:
    """The fault an HTTP status stands for.

    Args:
        status: 3xx, 4xx or 5xx.
        said: What the server said about it, see :func:`quoted`.
        headers: Of the answer; ``retry-after`` counts.
        host: Told as the place where it happened.

    Returns:
        Passing for 200 (an error in place of an answer), 408, 409, 425, 429 and 5xx. Lasting for the rest; of
        these 401, 403, 404, redirections and an unknown model would be the same for every question, and so
        would, at any status, a used-up account and a model that cannot be shown pictures.
    """
    what, value = f"the server answered {status}", said or None
    if status == 200:
        what += " with an error"
    if _BLIND.search(said):
        return _for_all(what + ": this model cannot be shown pictures", "blind", value, host)
    if status == 402 or _USED_UP.search(said):
        return _for_all(what + ": the account is used up", "used up", value, host)
    if status in (401, 403):
        return _for_all(what + ": the key is missing or wrong", "key", value, host)
    if status == 404 or (status < 500 and status != 429 and _NO_MODEL.search(said)):
        return _for_all(what + ": no such model or address", "model", value, host)
    if status == 200 or status in _PASSING or status >= 500:
        wait = retry_after_s(headers.get("retry-after"))
        return PassingFault(
            what,
            retry_after=wait,
            value=value,
            where=host,
            remedy="run the same command again later; it goes on",
        )
    return LastingFault(what, whole=status < 400, value=value, where=host, remedy=_REMEDIES["settings"])


def _for_all(what: str, remedy: str, value: str | None, host: str) -> LastingFault:
    return LastingFault(what, whole=True, value=value, where=host, remedy=_REMEDIES[remedy])


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
    text = _words(body)
    # A server may show its start and end only: "sk-ab…yz".
    for secret in (hide, *((hide[:8], hide[-4:]) if len(hide) >= 16 else ())):
        text = text.replace(secret, "…") if len(hide) > 4 else text
    text = printable(" ".join(text.split()))
    return text[:_LONGEST] + (" …" if len(text) > _LONGEST else "")


def _words(body: object) -> str:
    """The message in an error's JSON, with its code; else all of it."""
    if isinstance(body, str):
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return body
    else:
        found = body
    error = found.get("error") or found if isinstance(found, dict) else found
    if isinstance(error, dict):
        message = next((error[k] for k in ("message", "detail", "msg") if isinstance(error.get(k), str)), "")
        code = str(error.get("code") or error.get("type") or "")
        if message:
            return f"{message} ({code})" if code and code not in message else message
    return "" if error is None else error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
