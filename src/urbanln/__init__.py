"""UrbanLN: region vectors from city pictures and long captions, and an honest score of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from urbanln.errors import require

__version__ = "0.1.0"

# Public names and where they live; imported on first use so that `import urbanln` stays light.
_LAZY = {
    "City": "urbanln.city.store",
    "audit": "urbanln.audit_verb",
    "caption_city": "urbanln.captions.run",
    "vote": "urbanln.captions.consensus",
    "pretrain": "urbanln.train.loop",
    "embed_regions": "urbanln.embed.encode",
    "load_clip": "urbanln.model.clip",
    "stretch_positions": "urbanln.model.stretch",
}

__all__ = [
    "City", "__version__", "audit", "caption_city", "embed_regions", "load_clip", "pretrain",
    "stretch_positions", "vote",
]  # fmt: skip

if TYPE_CHECKING:
    from urbanln.audit_verb import audit
    from urbanln.captions.consensus import vote
    from urbanln.captions.run import caption_city
    from urbanln.city.store import City
    from urbanln.embed.encode import embed_regions
    from urbanln.model.clip import load_clip
    from urbanln.model.stretch import stretch_positions
    from urbanln.train.loop import pretrain


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(require(_LAZY[name]), name)
    raise AttributeError(f"module 'urbanln' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
