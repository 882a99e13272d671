"""The audit of captions as the page prints it: one line, faults by kind with examples, stock sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.pages.text import clean, count, finite, quantity, share, words

_MEANT = {
    "refusal": "declines to describe the picture",
    "empty": "has no words",
    "cut_off": "ends in the middle of a sentence",
    "repeated": "says one thing again and again",
    "boilerplate": "has a sentence that many pictures share",
    "place_names": "names a place, which a region’s label may be told from",
    "too_long": "is longer than the model reads",
}
_FIRST, _MOST = 3, 20  # stock sentences that are seen at once, and that are listed at all


def caption_faults(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the template prints of the captions; ``None`` where there are none.

    Args:
        part: As :meth:`urbanln.captions.audit.CaptionAudit.as_json` makes it; what is missing is left out.
    """
    if not part:
        return None
    given = part.get("flags")
    flags = {
        str(name): one
        for name, one in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(one, Mapping)
    }
    found = {name: one for name, one in flags.items() if finite(one.get("captions"))}
    counted = part.get("tokens") is not None
    none = [words(name) for name in flags if name not in found and (counted or name != "too_long")]
    captioners = list(dict.fromkeys(name for one in found.values() for name in one.get("by_captioner") or {}))
    stock = [one for one in part.get("stock_sentences") or [] if isinstance(one, Mapping)][:_MOST]
    said = [(clean(one.get("sentence"), 300), count(one.get("pictures"))) for one in stock]
    places = list((part.get("places") or {}).items())[:_MOST]
    return {
        "summary": _summary(part),
        "faults": [_fault(name, found[name]) for name in sorted(found, key=lambda name: -_of(found[name]))],
        "none": ", ".join(none),
        "captioners": [clean(name, 60) for name in captioners] if len(captioners) > 1 else [],
        "by_captioner": [
            (words(name), [count((one.get("by_captioner") or {}).get(who, 0)) for who in captioners])
            for name, one in found.items()
        ],
        "stock": said[:_FIRST],
        "more_stock": said[_FIRST:],
        "places": clean(", ".join(f"{name} ({count(said)})" for name, said in places), 600),
    }


def _of(fault: Mapping[str, Any]) -> float:
    return finite(fault.get("captions")) or 0.0


def _fault(name: str, fault: Mapping[str, Any]) -> dict[str, Any]:
    examples = [
        (clean(one.get("words"), 300), clean(one.get("image"), 120), clean(one.get("captioner"), 60))
        for one in fault.get("examples") or []
        if isinstance(one, Mapping)
    ]
    return {
        "name": words(name),
        "meant": _MEANT.get(name, ""),
        "captions": count(fault.get("captions")),
        "share": share(fault.get("share")),
        "example": examples[0] if examples else None,
        "more": examples[1:],
    }


def _summary(part: Mapping[str, Any]) -> str:
    """How many, by how many, how long; a sentence."""
    by = part.get("captioners")
    parts = [f"{count(part.get('captions'))} captions"]
    if finite(part.get("pictures")) is not None:
        parts[0] += f" of {count(part['pictures'])} pictures"
    if isinstance(by, Mapping) and by:
        parts[0] += f" by {len(by)} captioner{'' if len(by) == 1 else 's'}"
    for unit in ("words", "tokens"):
        lengths = part.get(unit)
        if isinstance(lengths, Mapping):
            text = (
                f"{quantity(lengths.get('median'))} {unit} (median; {count(lengths.get('longest'))} at most)"
            )
            over = lengths.get("over")
            beyond = [
                f"{share(one.get('share'))} over {limit}"
                for limit, one in (over.items() if isinstance(over, Mapping) else ())
                if isinstance(one, Mapping)
            ]
            parts.append(", ".join([text, *beyond]))
    equal = finite(part.get("equal_across_pictures"))
    if equal is not None:
        parts.append(f"{count(equal) if equal else 'none'} equal to another picture’s")
    return clean("; ".join(parts) + ".", 600)
