"""The verb that makes a city of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from urbanln.base.bounds import MOST
from urbanln.base.errors import InputError
from urbanln.base.saying import answer
from urbanln.cli.options import named_folder


def gather(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="a recipe: docs/gather.md")],
    out: Annotated[Path | None, typer.Option(parser=named_folder, help="folder of the new city")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="say what it would take; fetches a small sample at most")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="only the first regions, for a try")
    ] = None,
    only: Annotated[
        list[str], typer.Option(metavar="SOURCE", help="only this source, or kind of it; may be given again")
    ] = [],  # noqa: B006
) -> None:
    """Make a city of a place: fetch its pictures from servers or folders, as a recipe says."""
    from urbanln.gather import run

    if plan:
        return answer(*run.plan(run.prepare(recipe, limit=limit, only=only)).lines())
    if out is None:
        remedy = "urbanln gather RECIPE --out CITY, or --plan to see what it would take"
        raise InputError("the city needs a folder", where="--out", remedy=remedy)
    return answer(*run.gather(recipe, out, limit=limit, only=only).lines())
