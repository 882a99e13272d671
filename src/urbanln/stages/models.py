"""What the verbs ``import-model`` and ``export-model`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from urbanln.base.errors import InputError, require
from urbanln.base.outputs import new_folder
from urbanln.base.saying import answer, say

if TYPE_CHECKING:
    from urbanln.embed.networks import Encoder
    from urbanln.model.formats.exporting import Format
    from urbanln.model.formats.importing import Activation


def import_model(source: Path, out: Path, *, activation: Activation | None, licence: str) -> None:
    """Make a CLIP folder of another project's checkpoint, and say what was read.

    Args:
        source: A file of weights, or a folder of open_clip's.
        out: The folder to write; what else stands there is not touched.
        activation: Of the towers, where neither a configuration nor the name says it.
        licence: Of the weights, kept with them.

    Raises:
        InputError: See :func:`urbanln.model.formats.importing.import_checkpoint`; or ``out`` is there.
        ArtefactError: Half a checkpoint, or a damaged one.
    """
    require("torch")
    from urbanln.model.formats.importing import import_checkpoint

    new_folder(out)
    imported = import_checkpoint(source, activation=activation, licence=licence)
    say(*imported.lines())
    answer(str(imported.model.save(out)))


def export_model(
    source: str, to: Format, out: Path, *, encoder: Encoder | None = None, scores: Sequence[Path] = ()
) -> None:
    """Write the model of a run, or a CLIP folder, for another tool.

    Args:
        source: A run folder, a model's folder or name, or ``tiny``.
        to: The tool.
        out: The folder to write.
        encoder: ``"student"`` (by default) or ``"teacher"``, of a run.
        scores: What ``probe`` or ``retrieve`` wrote, for the card; see
            :func:`urbanln.stages.card_scores.card_sections`.

    Raises:
        InputError: See :func:`urbanln.model.formats.exporting.export_model`; ``out`` is there; an encoder of
            what is no run; or the scores are of another model.
        ArtefactError: The run is unfinished, or files are damaged.
    """
    require("torch")
    from urbanln.embed.networks import model_folder
    from urbanln.model.card import card_of
    from urbanln.model.clip import load_clip
    from urbanln.model.formats.exporting import export_model as export
    from urbanln.model.source import find_source
    from urbanln.stages.card_scores import card_sections

    new_folder(out)
    folder = model_folder(source, encoder or "student")
    if encoder and folder == source:
        raise InputError(
            "only a run has a student and a teacher",
            value=source,
            where="--encoder",
            remedy="leave --encoder out",
        )
    found = find_source(folder)
    sections = card_sections(scores, found.weights_hash()) if scores else []
    answer(str(export(load_clip(folder, context=None), to, out, card=card_of(found.folder), scores=sections)))
