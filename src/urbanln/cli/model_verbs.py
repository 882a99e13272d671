"""The verbs that bring a model in and take one out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from urbanln.cli.options import named_folder


def import_model(
    source: Annotated[
        Path, typer.Argument(metavar="FILE_OR_FOLDER", help="weights of open_clip, OpenAI or Long-CLIP")
    ],
    out: Annotated[Path, typer.Option(parser=named_folder, help="CLIP folder to write")],
    activation: Annotated[
        Literal["gelu", "quick_gelu"] | None,
        typer.Option(help="of the towers, where neither open_clip_config.json nor the file's name says it"),
    ] = None,
    licence: Annotated[str, typer.Option(help="of the weights; kept with them")] = "",
) -> None:
    """Make a CLIP folder of a checkpoint of open_clip, OpenAI or Long-CLIP; nothing in the file is run."""
    from urbanln.stages import models

    models.import_model(source, out, activation=activation, licence=licence)


def export_model(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="a run, a model's folder or name, or 'tiny'")
    ],
    to: Annotated[
        Literal["transformers", "open_clip", "onnx", "sentence-transformers"],
        typer.Option(help="the tool that shall open it"),
    ],
    out: Annotated[Path, typer.Option(parser=named_folder, help="folder to write")],
    encoder: Annotated[
        Literal["student", "teacher"] | None,
        typer.Option(help="which network of a run; left out: the student"),
    ] = None,
    scores: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER_OR_FILE", help="what probe or retrieve wrote, for the card; may be given again"
        ),
    ] = [],  # noqa: B006
) -> None:
    """Write a model for another tool, with equal vectors there, and its card, with scores where given."""
    from urbanln.stages import models

    models.export_model(source, to, out, encoder=encoder, scores=scores)
