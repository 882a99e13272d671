"""What a city folder says of itself: name, datum, sources, units of labels, whether it has places."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.kinds import Kind, LabelKind
from urbanln.base.parsing import read_toml

SCHEMA_VERSION = 1
CITY_FILE = "city.toml"


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Source(_Note):
    """Where data came from and on what terms."""

    name: str
    licence: str = ""
    attribution: str = ""


class IndicatorNote(_Note):
    """What an indicator is, what its numbers mean, and where they are from.

    Args:
        kind: ``number``, ``classes`` (a column of text) or ``shares`` (parts that sum to one).
        columns: Of shares, the columns of its parts.
        unit: Of numbers.
        year: Of the data.
        source: Which data.
        licence: Of the data.
    """

    kind: Kind = "number"
    columns: tuple[str, ...] = ()
    unit: str = ""
    year: int | None = Field(None, ge=-100_000, le=100_000)
    source: str | None = None
    licence: str | None = None

    @model_validator(mode="after")
    def _parts(self) -> Self:
        if (self.kind == "shares") != bool(self.columns):
            raise ValueError('columns names the parts of kind = "shares": they go together')
        return self


class Meta(_Note):
    """The content of ``city.toml``.

    Args:
        schema_version: Of the folder's layout.
        name: Name of the city, shown in reports.
        synthetic: True when pictures and labels are simulated; shown wherever the city is.
        places: False for a corpus: pictures without places, to train on.
        datum: Free note on the datum the coordinates came in.
        sources: Sources with licence and attribution.
        indicators: Kind, unit, year, source and licence per indicator; without a note it is a number.
    """

    schema_version: int = Field(SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    name: str = Field(min_length=1)
    synthetic: bool = False
    places: bool = True
    datum: str = "WGS 84"
    sources: list[Source] = []
    indicators: dict[str, IndicatorNote] = {}

    def kinds(self) -> dict[str, LabelKind]:
        """Indicators that are no numbers: what each is, and in which columns it stands."""
        noted = ((name, note) for name, note in self.indicators.items() if note.kind != "number")
        return {name: LabelKind(note.kind, note.columns or (name,)) for name, note in noted}

    def as_toml(self) -> dict[str, Any]:
        """What ``city.toml`` holds; of a number it is not said that it is one."""
        values = self.model_dump(exclude_none=True)
        for note in values["indicators"].values():
            if note["kind"] != "shares":
                del note["columns"]
            if note["kind"] == "number":
                del note["kind"]
        return values

    def terms(self) -> str:
        """Every source with its licence and whom to name, in one line."""
        return "; ".join(self.named()) or "none named"

    def named(self) -> list[str]:
        """Every source with its licence and whom to name."""
        told = [(one.name, one.licence or "no licence named", one.attribution) for one in self.sources]
        return [", ".join(filter(None, parts)) for parts in told]


def read_meta(folder: Path) -> Meta:
    """Read ``city.toml``.

    Args:
        folder: Of the city.

    Raises:
        InputError: No city there, or a value is wrong.
        ArtefactError: The file is damaged or written by a newer version.
    """
    path = folder / CITY_FILE
    if not folder.is_dir():
        what, remedy = "no such folder", "give the folder that urbanln ingest wrote"
        if folder.exists():
            what = "this is a file, not a city folder"
            remedy += "; of a table: urbanln ingest makes one, urbanln audit --labels looks at it as it is"
        raise InputError(what, where=folder, remedy=remedy)
    if not path.exists():
        raise InputError(
            "not a city folder: there is no city.toml",
            where=folder,
            remedy="give the folder that urbanln ingest wrote; if that was stopped, run it again",
        )
    remedy = "mend it at the line that is named, or ingest the city again"
    values = read_toml(path, "city's description", fault=ArtefactError, remedy=remedy)
    version = values.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ArtefactError(
            f"written by a newer urbanln (schema {version}, this one knows {SCHEMA_VERSION})",
            where=path,
            remedy="upgrade urbanln",
        )
    try:
        return Meta.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        what, value = f"{key}: {fault['msg']}", fault.get("input")
        raise InputError(what, value=value, where=path, remedy=f"mend '{key}' in this file") from error
