"""Arguments and options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="change one setting, e.g. train.lr=1e-5")
]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="a TOML file of settings")]
