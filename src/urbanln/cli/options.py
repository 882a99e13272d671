"""Arguments and options that several verbs have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from urbanln.base.bounds import SHARES_MOST_OFF, SHARES_OFF
from urbanln.base.errors import InputError


def a_number(value: float | None) -> float | None:
    """Refuse ``nan``, which lies in every range because it compares with nothing.

    Raises:
        typer.BadParameter: It is no number.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


def named_folder(text: str | Path) -> Path:
    """A folder to write to, or the default; an empty name would mean the one the user is in."""
    if not str(text).strip():
        raise InputError(
            "a folder needs a name", value=text, where="the command line", remedy="a dot is this folder"
        )
    return Path(text)


SetOption = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="change one setting, e.g. train.lr=1e-5")
]
SettingsOption = Annotated[Path | None, typer.Option("--settings", help="a TOML file of settings")]
LonLatOption = Annotated[
    str | None, typer.Option(help='one column with both, longitude first: "(116.4, 39.9)"')
]
LatLonOption = Annotated[
    str | None, typer.Option(help='one column with both, latitude first: "(39.9, 116.4)"')
]
CrsOption = Annotated[str, typer.Option(help="reference system of the coordinates")]
DatumOption = Annotated[
    str, typer.Option(help="wgs84 | gcj02 | bd09: Chinese maps' coordinates are converted")
]
OutsideChinaOption = Annotated[
    str,
    typer.Option(
        help="points where no map in --datum is shifted: refuse | keep (WGS 84 already) | shift (in it too)"
    ),
]
MissingOption = Annotated[
    list[str],
    typer.Option(
        metavar="[LABEL=]CODE", help="what stands for a missing label, -9999 or price=-1; none: nothing does"
    ),
]
IdColumnOption = Annotated[
    str | None, typer.Option(help="column whose value names the picture file, or the region")
]
DistrictOption = Annotated[
    str | None, typer.Option(help="districts to hold out: a column, or a file of polygons[#COLUMN]")
]
LabelOption = Annotated[
    list[str],
    typer.Option(metavar="COLUMN", help="column of numbers to predict; may be given again"),
]
ClassesOption = Annotated[
    list[str],
    typer.Option(metavar="COLUMN", help="column of classes, words or whole numbers; may be given again"),
]
SharesOption = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=COLUMN,COLUMN,…", help="columns of parts that sum to 1 or 100; may be given again"
    ),
]
EmptyPartOption = Annotated[
    str,
    typer.Option(
        help="what an empty part of shares is, where the others do not sum to one: refuse | rest | missing"
    ),
]
ShareToleranceOption = Annotated[
    float,
    typer.Option(
        min=SHARES_OFF,
        max=SHARES_MOST_OFF,
        callback=a_number,
        help="how far a row's shares may be from summing to one; 0.02 takes parts that were rounded",
    ),
]
KeyOption = Annotated[
    list[str],
    typer.Option(
        metavar="[NAME=]COL",
        help="column of the regions' ids in tables of vectors, or LON,LAT; may be given again",
    ),
]
NodataOption = Annotated[
    list[str],
    typer.Option(
        metavar="[NAME=]CODE",
        help="tables of vectors: rows that hold this number are left out; 'constant': rows of one value "
        "throughout; 'none': nothing is a code; may be given again",
    ),
]
CaptionFilesOption = Annotated[
    list[Path], typer.Option(metavar="FILE", help="recorded captions, with or without a city")
]
EncodingOption = Annotated[
    str | None, typer.Option(help="of a text table that is not UTF-8: cp1252, gb18030, …")
]
ThousandsOption = Annotated[
    str | None, typer.Option(help="what stands between thousands in numbers: , | . | ' | space")
]
DecimalOption = Annotated[str | None, typer.Option(help="what stands before decimals: . | ,")]
TrustIdsOption = Annotated[
    bool, typer.Option("--trust-ids", help="take ids that look mangled, or stand kilometres apart")
]
RegionsOption = Annotated[
    str,
    typer.Option(
        help="picture | h3:RESOLUTION | tile:ZOOM | square:KM | a file of polygons[#COLUMN of ids] | none "
        "(pictures without places: no region, nothing to predict, to train on only)"
    ),
]
SplitColumnOption = Annotated[
    str | None, typer.Option(help="column that says what a picture is for: train | val | test")
]
