"""How many text positions a base has, and gets where nobody says: by its configuration, before it is read."""

from __future__ import annotations

from typing_extensions import TypedDict

from urbanln.base.parsing import read_json
from urbanln.model.source import AGAIN, RECORD_FILE, Source

# The paper's numbers: of 77 positions 20 are kept and the others stretched four times, which makes 248.
_KEPT, _RATIO = 20, 4
CLIP_POSITIONS, SIGLIP_POSITIONS, _BERT_POSITIONS = 77, 64, 512
# Text towers with a table of positions that is understood; its first position has row 0 …
_FROM_FIRST = (
    "albert", "bert", "chinese_clip_text_model", "clip", "clip_text_model", "siglip", "siglip_text_model",
)  # fmt: skip
# … or the row behind that of the padding token's number.
_BEHIND_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")
_PADDING = 1  # in those, where the configuration does not say


class _Text(TypedDict, total=False):
    model_type: str
    max_position_embeddings: int
    pad_token_id: int | None


class _Note(TypedDict, total=False):
    stretched_from: int | None


class _Config(TypedDict, total=False):
    model_type: str
    text_config: _Text | None
    urbanln: _Note


def natural_context(positions: int) -> int:
    """Text positions of a base where nobody asks for another number.

    A table of up to 77 is stretched as in the paper, a longer one is left as it is.

    Args:
        positions: Those that the base has.

    Example:
        >>> [natural_context(positions) for positions in (77, 64, 248, 512)]
        [248, 196, 248, 512]
    """
    stretched = _KEPT + _RATIO * (positions - _KEPT)
    return max(positions, stretched) if positions <= CLIP_POSITIONS else positions


def settled_context(source: Source) -> int:
    """What :func:`natural_context` comes to for a base, so that a run names it before the base is loaded.

    Args:
        source: Its files; the weights may be missing.

    Raises:
        ArtefactError: Its configuration is damaged.
    """
    facts = read_json(source.folder / "config.json", _Config, remedy=AGAIN)
    note = facts.get("urbanln", {})
    if (source.folder / RECORD_FILE).is_file():
        note = read_json(source.folder / RECORD_FILE, _Note, remedy=AGAIN)
    text = facts.get("text_config") or {}
    kind = text.get("model_type") or facts.get("model_type", "")
    positions = own_positions(kind, text.get("max_position_embeddings"), text.get("pad_token_id"))
    stays = note.get("stretched_from") is not None or not is_understood(kind)
    return positions if stays else natural_context(positions)


def own_positions(text_tower: str, rows: int | None, padding: int | None) -> int:
    """Text positions that a text tower reads.

    Args:
        text_tower: Its ``model_type``.
        rows: ``max_position_embeddings`` of its configuration; None for the default of its class.
        padding: ``pad_token_id`` there; None for the default.

    Returns:
        512 at most of a tower whose positions are not understood: that many was read by any of BERT's time.
    """
    kind = text_tower.split("_")[0]
    default = {"clip": CLIP_POSITIONS, "siglip": SIGLIP_POSITIONS}.get(kind, _BERT_POSITIONS)
    rows = rows or default
    if not is_understood(text_tower):
        return min(rows, _BERT_POSITIONS)
    return rows - rows_before(text_tower, padding)


def is_understood(text_tower: str) -> bool:
    """Whether it is known how a text tower, named by its ``model_type``, finds the rows of its positions."""
    return text_tower in (*_FROM_FIRST, *_BEHIND_PADDING)


def rows_before(text_tower: str, padding: int | None) -> int:
    """Rows of a text tower's table before that of its first position.

    Args:
        text_tower: Its ``model_type``.
        padding: ``pad_token_id`` of its configuration; None for the default.
    """
    if text_tower not in _BEHIND_PADDING:
        return 0
    return 1 + (_PADDING if padding is None else padding)
