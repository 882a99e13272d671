"""UrbanLN: region vectors from city pictures and long captions, and an honest score of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from urbanln.base.errors import require
from urbanln.base.version import __version__

# Public names and where they live; imported on first use so that `import urbanln` stays light.
_LAZY = {
    "City": "urbanln.city.store",
    "audit": "urbanln.stages.audit",
    "caption_city": "urbanln.captions.run",
    "embed_regions": "urbanln.embed.encode",
    "ingest": "urbanln.city.ingest",
    "load_clip": "urbanln.model.clip",
    "load_settings": "urbanln.base.config",
    "pretrain": "urbanln.train.loop",
    "read_vectors": "urbanln.tables.cities",
    "retrieve": "urbanln.stages.retrieve",
    "stretch_positions": "urbanln.model.stretch",
    "to_metres": "urbanln.base.space",
    "vote": "urbanln.captions.consensus",
}

__all__ = [
    "City", "__version__", "audit", "caption_city", "embed_regions", "ingest", "load_clip", "load_settings",
    "pretrain", "read_vectors", "retrieve", "stretch_positions", "to_metres", "vote",
]  # fmt: skip

if TYPE_CHECKING:
    from urbanln.base.config import load_settings
    from urbanln.base.space import to_metres
    from urbanln.captions.consensus import vote
    from urbanln.captions.run import caption_city
    from urbanln.city.ingest import ingest
    from urbanln.city.store import City
    from urbanln.embed.encode import embed_regions
    from urbanln.model.clip import load_clip
    from urbanln.model.stretch import stretch_positions
    from urbanln.stages.audit import audit
    from urbanln.stages.retrieve import retrieve
    from urbanln.tables.cities import read_vectors
    from urbanln.train.loop import pretrain


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(require(_LAZY[name]), name)
    raise AttributeError(f"module 'urbanln' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
