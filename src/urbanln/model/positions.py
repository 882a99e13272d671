"""A base's text positions: stretched once, put in their place, and the first of them held."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from urbanln.base.errors import InputError, placed
from urbanln.model.checkpoint import Checkpoint, Record
from urbanln.model.context import natural_context
from urbanln.model.families.family import TextTable
from urbanln.model.stretch import (
    Stretch,
    Tail,
    TextPositions,
    interpolate_positions,
    ratio_for,
    stretch_positions,
)


def stretch_base(
    found: Checkpoint, context: int | None, stretch: Stretch, keep: int, tail: Tail, *, restretch: bool
) -> Record:
    """Give a checkpoint the text positions that are wanted of it.

    Args:
        found: Its network is changed in place.
        context: Positions wanted; 0 as many as follow from its own, None those that it has.
        stretch: See :func:`urbanln.model.clip.load_clip`; the others likewise.
        keep: First positions kept.
        tail: Rows past the last source row.
        restretch: Also where it looks as if it was stretched before.

    Returns:
        What was done to its positions, now or before.

    Raises:
        InputError: A context that does not fit it.
    """
    record, table = found.record or Record(), found.family.table(found.clip)
    length = found.family.positions(found.clip.config)
    as_it_is = record.stretched_from is not None or table is None
    natural = length if as_it_is else natural_context(length)
    wanted = length if context is None else context or natural
    if wanted != length:
        _may_stretch(found, length, wanted, restretch)
    if as_it_is or table is None:
        return record
    rows = position_rows(found.clip, table)
    rows, record = _stretched(rows, wanted, stretch, keep, tail, found.where)
    _put_rows(found.clip, table, rows)
    return record


def position_rows(network: nn.Module, table: TextTable) -> Tensor:
    """The rows of all positions, (L, W)."""
    return _weight(network, table)[table.before :].detach()


def hold_positions(network: Any, table: TextTable, frozen: int) -> int:
    """Take the first positions out of the training, and fit what depends on how many there are.

    Args:
        network: Changed in place.
        table: Where its positions are.
        frozen: First positions that are no parameters.

    Returns:
        How many positions there are.
    """
    weight = _weight(network, table)
    owner = _put(network, table.place, TextPositions(weight, frozen + table.before if frozen else 0))
    owner.position_ids = torch.arange(len(weight))[None]
    if hasattr(owner, "token_type_ids"):
        owner.token_type_ids = torch.zeros(1, len(weight), dtype=torch.long)
    network.config.text_config.max_position_embeddings = len(weight)
    return len(weight) - table.before


def _put_rows(network: nn.Module, table: TextTable, rows: Tensor) -> None:
    """Other rows (T, W) in their place; those before the first position stay."""
    before = _weight(network, table)[: table.before].detach()
    whole = torch.cat([before, rows]) if table.before else rows
    _put(network, table.place, nn.Embedding.from_pretrained(whole, freeze=False))


def _weight(network: nn.Module, table: TextTable) -> Tensor:
    weight = network.get_submodule(table.place).weight
    assert isinstance(weight, Tensor)
    return weight


def _put(network: nn.Module, place: str, module: nn.Module) -> Any:
    above, _, name = place.rpartition(".")
    owner = network.get_submodule(above)
    setattr(owner, name, module)
    return owner


def _may_stretch(found: Checkpoint, length: int, wanted: int, restretch: bool) -> None:
    """A table is stretched once; without a record its length tells whether it was."""
    as_it_is = f"load it with context={length} or context=None"
    if found.family.table(found.clip) is None:
        raise InputError(
            "its text tower has no table of positions that is understood, so it cannot be stretched",
            value=f"context={wanted}",
            where=found.where,
            remedy=f"{as_it_is} (model.context={length})",
        )
    if found.record is not None and found.record.stretched_from is not None:
        raise InputError(
            f"this checkpoint was stretched to {length} positions before; a table is stretched once",
            value=f"context={wanted}",
            where=found.where,
            remedy=f"{as_it_is}, or start from its base",
        )
    native = found.family.native
    if found.record is None and native and length > native and wanted > length and not restretch:
        raise InputError(
            f"this checkpoint has {length} positions and no record of them; it looks stretched already",
            value=f"context={wanted}",
            where=found.where,
            remedy=f"{as_it_is} (model.context={length}), start from its base, or stretch it all the same: "
            "restretch=True (--set model.restretch=true)",
        )


def _stretched(
    weight: Tensor, wanted: int, stretch: Stretch, keep: int, tail: Tail, where: str
) -> tuple[Tensor, Record]:
    """The table of positions at its final length, and what was done to it."""
    length, kept = len(weight), keep if stretch == "keep" else 0
    with placed(where):
        ratio = ratio_for(wanted, length, kept)
    if wanted == length:
        return weight, Record(keep=kept, method=stretch)
    if stretch == "interpolate":
        return interpolate_positions(weight, wanted), Record(stretched_from=length, method=stretch)
    table = stretch_positions(weight, keep, ratio, tail)[:wanted]
    return table, Record(keep=keep, ratio=ratio, tail=tail, stretched_from=length)
