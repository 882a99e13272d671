"""The verb that looks for pictures and texts among one another; it parses, calls one function, prints."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from urbanln.base.saying import answer, answer_table, say
from urbanln.cli.options import SetOption, SettingsOption

if TYPE_CHECKING:
    from rich.table import Table

    from urbanln.stages.retrieve import Retrieval


def retrieve(
    city: Annotated[Path, typer.Argument(metavar="CORPUS_OR_CITY", help="a corpus or city folder")],
    model: Annotated[
        list[str],
        typer.Option(
            metavar="NAME_OR_RUN",
            help="a run, a model's folder or name, 'tiny'; may be given again: compared with the first",
        ),
    ],
    split: Annotated[
        Literal["test", "val", "train", "all"] | None,
        typer.Option(help="pictures looked at; left out: test where pictures are divided, else all"),
    ] = None,
    texts: Annotated[
        str | None,
        typer.Option(
            metavar="selected|each|CAPTIONER",
            help="one text per picture (the default), every caption, or those of a captioner",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to write as well")] = None,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Find each picture's text among all texts, and each text's picture: recall beside chance."""
    from urbanln.base.config import load_settings
    from urbanln.base.files import write_json
    from urbanln.base.outputs import output_file
    from urbanln.stages import retrieve as stage

    chosen = load_settings(settings, set_)
    given = {name: value for name, value in (("split", split), ("texts", texts)) if value is not None}
    chosen = chosen.model_copy(update={"retrieve": chosen.retrieve.model_copy(update=given)})
    if out is not None:
        output_file(out, stage.RETRIEVAL, inputs=[*model])
    found = stage.retrieve(city, model, chosen)
    answer(*found.lines())
    answer_table(_table(found))
    if out is not None:
        write_json(out, found.as_json())
        say(str(out))


def _table(found: Retrieval) -> Table:
    """A row per direction, rule and model, the difference to the first model under it, and one of chance."""
    from rich.markup import escape
    from rich.table import Table

    from urbanln.base.config import RANKS
    from urbanln.base.errors import printable
    from urbanln.pages.text import score

    table = Table()
    for name in ("direction", "rule", "model", *(f"R@{k}" for k in RANKS)):
        table.add_column(name, justify="right" if name.startswith("R@") else "left")
    frame, models = found.table(), [one["name"] for one in found.facts["models"]]
    for (direction, rule), part in frame.groupby(["direction", "rule"], sort=False):
        table.add_section()
        told = [str(direction), str(rule)]
        for one, rows in part.groupby("model", sort=False):
            recalls = rows.to_dict("records")
            lines = [[str(one), *(_interval(row, "recall", "") for row in recalls)]]
            if one != models[0]:
                lines.append([f"− {models[0]}", *(_interval(row, "diff", "diff_") for row in recalls)])
            for line in lines:
                table.add_row(*told, *(escape(printable(cell)) for cell in line))
                told = ["", ""]
        first = part[part["model"] == models[0]]
        table.add_row("", "", "chance", *(score(value, 3) for value in first["chance"]), style="dim")
    return table


def _interval(row: Mapping[Hashable, Any], name: str, ends: str) -> str:
    from urbanln.pages.text import score

    value, low, high = (score(row[key], 3, name == "diff") for key in (name, f"{ends}low", f"{ends}high"))
    return f"{value} [{low}, {high}]"
