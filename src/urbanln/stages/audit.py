"""What the verb ``audit`` does: labels, pictures and captions looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from urbanln.base.bounds import SHARES_OFF
from urbanln.base.errors import InputError
from urbanln.base.kinds import is_words
from urbanln.base.outputs import FileKind, json_of_kind
from urbanln.city.labels import AskedLabels, take
from urbanln.city.store import City
from urbanln.probe.audit import audit_labels
from urbanln.probe.label_audit import LabelAudit

if TYPE_CHECKING:
    from urbanln.base.written import Written
    from urbanln.captions.audit import CaptionAudit
    from urbanln.captions.settings import CleanSettings
    from urbanln.city.coordinates import Positions
    from urbanln.city.near_duplicates import PictureAudit

AUDIT = FileKind("an audit", {".json": json_of_kind("audit")})
_POSITION = ("region_id", "lon", "lat", "city", "district")


@dataclass(frozen=True)
class Audit:
    """What was found; nothing is changed by it.

    Attributes:
        name: Of the city or table.
        labels: Of the labels; None where there are none.
        pictures: View → of its pictures.
        captions: Of the captions; None where there are none.
        synthetic: Whether the city's labels are simulated.
        notes: What was decided on reading a plain table, a sentence each.
        source: The city or table that was looked at, where there is one.
    """

    name: str
    labels: LabelAudit | None = None
    pictures: Mapping[str, PictureAudit] = field(default_factory=dict)
    captions: CaptionAudit | None = None
    synthetic: bool = False
    notes: Sequence[str] = ()
    source: City | pd.DataFrame | None = field(default=None, repr=False, compare=False)

    def found(self) -> list[str]:
        """What a user should know, worst first."""
        said = self.labels.found() if self.labels else []
        said += [pair for view, audit in self.pictures.items() for pair in audit.found(view)]
        said += _of_captions(self.captions) if self.captions else []
        return [sentence for _, sentence in sorted(said, key=lambda pair: -pair[0])]

    def lines(self) -> list[str]:
        """The audit as lines to print."""
        lines = [*self.notes, *(self.labels.lines() if self.labels else [])]
        lines += [line for view, audit in self.pictures.items() for line in audit.lines(view)]
        lines += self.captions.lines() if self.captions else []
        found = self.found()
        return [*lines, *(["found, worst first:"] if found else []), *(f"  {sentence}" for sentence in found)]

    def as_json(self) -> dict[str, Any]:
        """JSON values: ``labels`` by indicator, ``pictures`` by view, ``captions``, ``found`` in words."""
        labels = self.labels
        return {
            "schema_version": 1,
            "kind": "audit",
            "name": self.name,
            "synthetic": self.synthetic,
            "regions": labels.regions if labels else None,
            "unplaced": labels.unplaced if labels else 0,
            "spacing_km": labels.spacing_km if labels and labels.spacing_km < float("inf") else None,
            "labels": labels.as_json() if labels else {},
            "suggested": labels.suggested() if labels else None,
            "pictures": {view: audit.as_json() for view, audit in self.pictures.items()},
            "captions": self.captions.as_json() if self.captions else {},
            "notes": list(self.notes),
            "found": self.found(),
        }

    def table(self) -> pd.DataFrame:
        """The labels' audit, one row per indicator."""
        return self.labels.table() if self.labels else pd.DataFrame()


def audit(
    source: City | Path | str | pd.DataFrame,
    *,
    labels: Sequence[str] = (),
    classes: Sequence[str] = (),
    shares: Sequence[str] | Mapping[str, Sequence[str]] = (),
    share_tolerance: float = SHARES_OFF,
    pictures: bool = True,
    captions: pd.DataFrame | None = None,
    clean: CleanSettings | None = None,
    model: str = "clip",
    ledger: str = "",
) -> Audit:
    """Look at a city, or at a table of labels with coordinates.

    Args:
        source: A city or its folder; or a frame with ``lon``, ``lat`` in degrees (EPSG:4326), one row per
            region, perhaps ``region_id`` and ``city``; rows without coordinates are counted and left out.
        labels: Labels to look at; all when empty (of a frame, all columns of numbers).
        classes, shares: Of a frame, labels that are no numbers (:class:`urbanln.city.labels.AskedLabels`); a
            city says of itself which are.
        share_tolerance: How far a row's shares may be from summing to 1, of a frame.
        pictures: Also read the pictures, which takes a few milliseconds each.
        captions: ``image_id``, ``captioner``, ``caption``; a city's own (of its ledger, else its table) when
            left out.
        clean: When a sentence of a caption is boilerplate, and further names of places.
        model: Whose tokenizer counts tokens; ``"clip"`` is CLIP's own.
        ledger: URL of the city's ledger, where it is on a server (``captions.ledger``).

    Raises:
        InputError: A column is missing, a label is no number, a position out of range, or nothing is there.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"lon": [0.0, 0.1, 0.2], "lat": 0.0, "x": [1.0, 1.0, 1.0]})
        >>> audit(table).found()[0]
        'x: every region has the value 1: there is nothing to predict.'
    """
    if isinstance(source, pd.DataFrame):
        numbers = _numbers_of(source, labels, classes, shares)
        asked = AskedLabels.of(numbers, classes, shares, share_tolerance=share_tolerance)
        frame, notes = _taken(source, asked)
        if others := [] if labels or classes or shares else _texts_of(frame):
            notes.append(f"not looked at, since not numbers: {', '.join(others)}; classes=[…] takes classes")
        said = _captions(captions, (), clean, model)
        return Audit("table", _labels_of_frame(frame, asked), captions=said, notes=notes, source=frame)
    _refuse_kinds(classes or shares)
    city = source if isinstance(source, City) else City.open(source, check_files=False)
    texts = captions_of(city, ledger) if captions is None else captions
    seen: Mapping[str, PictureAudit] = {}
    if pictures and len(city.images):
        from urbanln.city.near_duplicates import audit_pictures

        seen = audit_pictures(city)
    said = _captions(texts, (city.name,), clean, model)
    return Audit(city.name, _labels_of_city(city, labels), seen, said, city.meta.synthetic, source=city)


def look(
    city: Path | None,
    table: Path | None,
    captions: Sequence[Path],
    *,
    chosen: AskedLabels,
    where: Positions,
    pictures: bool,
    clean: CleanSettings,
    model: str,
    ledger: str = "",
    written: Written | None = None,
) -> Audit:
    """The audit of what the command line names: a city, a plain table of labels, files of captions.

    Args:
        city: A city folder.
        table: A table of labels instead.
        captions: Recorded captions, with either or alone.
        chosen: Labels to look at, and what of a plain table is what; of a city its names alone.
        where: Where the table's coordinates stand.
        pictures, clean, model, ledger: As for :func:`audit`.
        written: Encoding of the table, and how its numbers are written.

    Raises:
        InputError: Nothing is named, or both a city and a table; and as :func:`audit` does.
    """
    from urbanln.base.written import Written
    from urbanln.captions.captioners.recorded import read_rows

    if city is not None and table is not None:
        what = "either a city or a table of labels is audited"
        raise InputError(what, value=str(table), remedy="call audit twice", where="--labels")
    if table is None and (chosen.missing or written not in (None, Written())):
        raise InputError(
            "--missing, --encoding, --thousands and --decimal are of a plain table",
            remedy="give it with --labels TABLE; a city was read when it was made, by urbanln ingest",
            where="urbanln audit",
        )
    texts = pd.concat([read_rows(path) for path in captions], ignore_index=True) if captions else None
    if city is not None:
        _refuse_kinds(chosen.classes or chosen.shares)
        return audit(
            city, labels=chosen.numbers, pictures=pictures, captions=texts, clean=clean, model=model,
            ledger=ledger,
        )  # fmt: skip
    if table is not None:
        frame = read_labels(table, chosen, where, written=written)
        labels, said = _labels_of_frame(frame, chosen), _captions(texts, (), clean, model)
        return Audit(table.stem, labels, captions=said, notes=frame.attrs["notes"], source=frame)
    if texts is None:
        what = "nothing to audit"
        raise InputError(
            what, remedy="urbanln audit CITY, or --labels TABLE, or --captions FILE", where="urbanln audit"
        )
    if texts.empty:
        what = "there are no captions to audit"
        raise InputError(what, where=captions[0], remedy="give a file with captions")
    return Audit("captions", captions=_captions(texts, (), clean, model))


def _refuse_kinds(given: object) -> None:
    if given:
        raise InputError(
            "a city says of itself which labels are classes and shares",
            value=given,
            where="urbanln audit CITY",
            remedy="leave --classes and --shares out; --label names those to look at",
        )


def read_labels(
    table: Path, labels: AskedLabels, where: Positions, *, written: Written | None = None
) -> pd.DataFrame:
    """A plain table of labels as a frame for :func:`audit`; ``.attrs["notes"]``: what was decided, in words.

    Args:
        table: CSV, Parquet, GeoJSON or GeoPackage.
        labels: Columns to take, and as what.
        where: Where the coordinates stand.
        written: As for :func:`look`.

    Raises:
        InputError: A column or coordinate is wrong, or no label is named.
    """
    from urbanln.base.frames import read_frame
    from urbanln.base.geometry import as_geometry
    from urbanln.base.written import AS_IT_IS
    from urbanln.city.coordinates import point_coordinates
    from urbanln.city.extent import Extent, null_island, odd_places
    from urbanln.city.ingest_report import what_was_read

    text = [c for c in (where.lonlat, where.latlon, *labels.classes) if c]
    frame = read_frame(
        table, text=text, written=written or AS_IT_IS, shapes=False, ungrouped=(where.lon, where.lat)
    )
    if not (where.lonlat or where.latlon or {where.lon, where.lat} <= {str(c) for c in frame}):
        frame = as_geometry(frame, table, crs=where.said_crs)
    if not labels:
        known = ", ".join(map(str, frame.columns))
        raise InputError("which columns are labels?", where=table, remedy=f"name --label; there are: {known}")
    values, notes = take(frame, labels, table=str(table))
    lon, lat, note = point_coordinates(frame, where, str(table))
    if taken := sorted({"lon", "lat"} & {*labels.columns}):
        raise InputError(
            "a coordinate is no label", value=taken[0], where=table, remedy="leave it out of --label"
        )
    values.insert(0, "lat", lat)
    values.insert(0, "lon", lon)
    nowhere = null_island(lon, lat)
    values.loc[nowhere, ["lon", "lat"]] = np.nan
    placed = values[values["lon"].notna()]
    if len(placed):
        extent = Extent.around(placed["lon"].to_numpy(), placed["lat"].to_numpy())
        notes = [str(extent), *odd_places(placed, where.lon, where.lat), *notes]
    shifted = [note] if where.datum != "wgs84" else []
    notes = [what_was_read(table, frame, where, labels.said(), written or AS_IT_IS), *shifted, *notes]
    if nowhere.any():
        notes.append(f"{int(nowhere.sum())} rows at (0, 0), far from all others, left out")
    values.attrs["notes"] = notes
    return values


def captions_of(city: City, url: str = "") -> pd.DataFrame:
    """The last word of each captioner on each picture, uncleaned; the table's where there is no ledger."""
    from urbanln.captions.asking.ledger_place import has_ledger
    from urbanln.captions.spoken import last_words

    if not has_ledger(city, url):
        return city.captions
    return last_words(city, url)[["image_id", "captioner", "caption", "finish"]]


def _labels_of_city(city: City, labels: Sequence[str]) -> LabelAudit | None:
    if not city.meta.places and not labels:
        return None
    table, kinds = city.indicators, city.kinds()
    chosen = list(labels) or list(kinds)
    if not chosen:
        return None
    if unknown := [name for name in chosen if name not in kinds]:
        remedy = f"there are: {', '.join(kinds)}"
        raise InputError("no such indicator", value=unknown[0], where=city.folder, remedy=remedy)
    columns = [column for name in dict.fromkeys(chosen) for column in kinds[name].columns]
    lonlat = city.centroids()
    where = pd.DataFrame({"region_id": city.regions["region_id"], "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    units = {name: note.unit for name, note in city.meta.indicators.items()}
    noted = {name: label for name, label in city.meta.kinds().items() if name in chosen}
    return audit_labels(table[["region_id", *columns]], where, units, kinds=noted)


def _numbers_of(
    frame: pd.DataFrame, labels: Sequence[str], classes: Sequence[str], shares: Any
) -> Sequence[str]:
    """The columns of numbers to look at: those that are named, else all; none where others are named."""
    if labels or classes or shares:
        return labels
    given = frame.rename(columns=str)
    numeric = [c for c in given.columns if c not in _POSITION and pd.api.types.is_numeric_dtype(given[c])]
    if not numeric:
        raise InputError(
            "the table has no numeric label",
            value=", ".join(map(str, frame.columns)),
            remedy="turn what is text into numbers, or name classes",
            where="the columns of the table",
        )
    return numeric


def _texts_of(frame: pd.DataFrame) -> list[str]:
    """Columns of words, which may be classes."""
    return [name for name in frame.columns if name not in _POSITION and is_words(frame[name])]


def _taken(frame: pd.DataFrame, asked: AskedLabels) -> tuple[pd.DataFrame, list[str]]:
    """A frame whose classes and shares are read as a table's are, and what was done to them."""
    from urbanln.base.columns import need_columns

    frame = frame.rename(columns=str)
    need_columns(frame.columns, ["lon", "lat", *asked.columns], "table")
    if taken := [name for name in asked.columns if name in _POSITION]:
        raise InputError(
            "this column says where a region is, and is no label",
            value=taken[0],
            where="labels",
            remedy="leave it out",
        )
    others = replace(asked, numbers=())
    values, said = take(frame, others, table="table") if others else (frame[[]], [])
    return frame.assign(**{name: values[name] for name in values.columns}), said


def _labels_of_frame(frame: pd.DataFrame, asked: AskedLabels) -> LabelAudit:
    ids = frame["region_id"] if "region_id" in frame.columns else range(len(frame))
    table = frame.assign(region_id=ids)
    kept = ["region_id", "lon", "lat", *(["city"] if "city" in frame.columns else [])]
    placed = table[["lon", "lat"]].notna().all(axis=1)
    if len(table) and not placed.any():
        raise InputError("no row has coordinates", remedy="check the columns lon and lat", where="lon, lat")
    return audit_labels(table[["region_id", *asked.columns]], table.loc[placed, kept], kinds=asked.noted())


def _captions(
    frame: pd.DataFrame | None, places: Sequence[str], clean: CleanSettings | None, model: str
) -> CaptionAudit | None:
    if frame is None or frame.empty:
        return None
    from urbanln.captions.audit import audit_captions
    from urbanln.stages.bridges import text_positions, token_counter

    count, positions = token_counter(model), text_positions(model)
    return audit_captions(frame, clean, places=places, count_tokens=count, max_tokens=positions)


def _of_captions(found: CaptionAudit) -> list[tuple[int, str]]:
    """What a user should know of the captions, as (badness, sentence)."""
    total = found.n_captions
    flagged = {flag: sum(by.values()) for flag, by in found.flags.items()}
    said = [
        (2 if flag == "place_names" else 1, f"captions: {count} ({count / total:.1%}) flagged {flag}.")
        for flag, count in flagged.items()
        if count and not (flag == "too_long" and found.tokens is None)
    ]
    if found.equal:
        said.append((1, f"captions: {found.equal} ({found.equal / total:.1%}) equal another picture's."))
    return said
