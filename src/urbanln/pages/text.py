"""Numbers and words as the page prints them: one number format, no control characters, nothing endless."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

MINUS = "−"
DASH = "–"
_ACRONYMS = {"gdp", "poi", "co2", "ndvi", "id"}
# Control characters, lone surrogates, and the marks that turn the direction of the text around them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def clean(value: object, limit: int = 20_000) -> str:
    """Text without characters a page cannot show, cut to ``limit`` characters.

    Args:
        value: Anything; ``None`` is the empty string.
        limit: Longest text let through, in characters; 20,000 holds any settings file of ours.
    """
    text = "" if value is None else str(value)
    shown = _UNPRINTABLE.sub("�", text[:limit].replace("\r\n", "\n").replace("\r", "\n"))
    return shown + " …" if len(text) > limit else shown


def cut(name: str, most: int) -> str:
    """A name of at most ``most`` characters, the last one an ellipsis where some are left out."""
    return name if len(name) <= most else name[: most - 1] + "…"


def finalize(value: Any) -> Any:
    """What Jinja does with every printed value: ready markup passes, all else is cleaned, then escaped."""
    return value if isinstance(value, Markup) else clean(value)


def finite(value: object) -> float | None:
    """``value`` as a float, or ``None`` when it is missing, not a number or not finite."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def score(value: object, digits: int = 2, sign: bool = False) -> str:
    """A score as ``.12``, ``−.03``, ``1.00``; a dash when missing.

    Args:
        value: A number without unit.
        digits: Decimals; two, since intervals of R² are seldom narrower.
        sign: Write a plus before a positive number (for differences).
    """
    number = finite(value)
    if number is None:
        return DASH
    text = f"{abs(number):.{digits}f}"
    if text.startswith("0."):
        text = text[1:]
    zero = not text.strip(".0")
    return ("" if zero else MINUS if number < 0 else "+" if sign else "") + text


def interval(low: object, high: object) -> str:
    """An interval as ``[.05, .19]``, or nothing when an end is missing."""
    if finite(low) is None or finite(high) is None:
        return ""
    return f"[{score(low)}, {score(high)}]"


def quantity(value: object) -> str:
    """A number with a unit to three figures: ``12,300``, ``1.25 M``, ``0.031``; a dash when missing.

    Four-figure numbers stand whole and without a separator, ``2016``: years are among them.
    """
    number = finite(value)
    if number is None:
        return DASH
    size = abs(number)
    sign = MINUS if number < 0 else ""
    if size >= 999_500:
        for scale, word in ((1e12, " T"), (1e9, " bn"), (1e6, " M")):
            if size >= 0.9995 * scale:
                return sign + _figures(size / scale) + word
    if size >= 999.5:
        if size < 9_999.5:
            return f"{sign}{size:.0f}"
        step = 10 ** (len(str(round(size))) - 3)
        return f"{sign}{round(size / step) * step:,}"
    text = _figures(size)
    return text if text == "0" else sign + text


Kind = Literal["number", "count", "year", "id"]
"""What a label's values are; all but numbers are whole."""
_NUMBERED = re.compile(
    r"(^|[\W_])(id|zip|zip_?code|post_?code|postal_?code|plz|fips|geoid|code)($|[\W_])", re.I
)


def kind_of(name: str, values: npt.ArrayLike) -> Kind:
    """What the values of a label are, as they are to be written.

    Args:
        name: Of the label; whole numbers of a ``zip_code`` count nothing.
        values: (N,), NaN where there is none.
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known) or (known != np.round(known)).any():
        return "number"
    if _NUMBERED.search(name):
        return "id"
    return "year" if known.min() >= 1500 and known.max() <= 2100 else "count"


def written(value: object, kind: Kind = "number") -> str:
    """A value of a label: whole ones as they are, ``98178`` and ``12,345``, others as :func:`quantity`."""
    number = finite(value)
    if number is None or kind == "number" or abs(number) >= 2**53:
        return quantity(number)
    if kind == "count" and (number != round(number) or abs(number) < 10_000):
        return quantity(number)  # also a border between counts
    text = f"{abs(round(number)):,}" if kind == "count" else str(abs(round(number)))
    return (MINUS if number < 0 else "") + text


def _figures(size: float) -> str:
    text = f"{size:.3g}"
    return f"{size:.0f}" if "e+" in text else text


def count(value: object) -> str:
    """A number of things, all its figures: ``16,201``; a dash when missing."""
    number = finite(value)
    return DASH if number is None else f"{number:,.0f}"


def share(value: object) -> str:
    """A part of one in per cent, ``39 %``; near its ends ``0.4 %`` and ``99.6 %``; a dash when missing."""
    number = finite(value)
    if number is None:
        return DASH
    return f"{100 * number:.{0 if 0.1 <= number <= 0.99 or number in (0, 1) else 1}f} %"


def words(name: object) -> str:
    """An indicator or a setting as a reader would write it: ``night_light`` becomes ``night light``."""
    parts = clean(name, 120).replace("_", " ").split()
    return " ".join(part.upper() if part in _ACRONYMS else part for part in parts) or "(no name)"
