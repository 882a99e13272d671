"""Captions somebody wrote down before: in a table, in JSON lines, or in UrbanCLIP's JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from numbers import Number
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.columns import at_row, refuse
from urbanln.base.delimited import read_csv
from urbanln.base.errors import InputError, printable
from urbanln.base.files import UNREADABLE, hash_bytes, hash_file
from urbanln.base.frames import id_text
from urbanln.base.parsing import parse_json
from urbanln.base.spool import Spool
from urbanln.captions.captioners.answers import judge
from urbanln.captions.captioners.base import Answer, Ask, Captioner, Identity, Limits, Picture
from urbanln.captions.table import COLUMNS, tidy_text
from urbanln.city.picture_files import spelling

IMAGE_COLUMNS = ("image_id", "image", "picture", "path", "file", "filename", "file_name", "image_path")
TEXT_COLUMNS = ("caption", "text", "description")
_NAME = "recorded"
_PARQUET = (".parquet", ".pq")
_SHOWN = 3
_TOGETHER = 8_192  # rows of a file that are tidied at a time
# What Python leaves of a list, a dictionary or bytes in a column of text.
_PRINTED = re.compile(r"""\s*(?:\[\s*'.*['"]\s*\]|\[\s*".*'\s*\]|\{\s*'.*\}|b'.*'|b".*")\s*""", re.DOTALL)


class RecordedCaptioner(Captioner):
    """Gives back captions that were recorded under an image's id or a picture's file name.

    Args:
        name: Name in the caption table.
        texts: Image id, path or file name → caption.
        sources: Name and SHA-256 of the file the captions come from; the first hash is the captioner's
            revision. Without any, the captions themselves are hashed.
        remarks: Said once in the report.
    """

    limits = Limits(concurrency=256, retries=0)

    def __init__(
        self,
        name: str,
        texts: Mapping[str, str],
        *,
        sources: Mapping[str, str] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.sources = dict(sources or {})
        self._texts, self._remarks = dict(texts), list(remarks)
        revision = next(iter(self.sources.values()), None)
        if revision is None:
            revision = hash_bytes(json.dumps(self._texts, sort_keys=True).encode())
        self.identity = Identity(name, revision=revision[:12])
        self._key_of: dict[str, str] = {}

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Match the recorded keys to the pictures: by id, by path, then by file name, at last in whatever
        spelling ingest finds one by, if that is unique among the pictures and among the keys.

        Raises:
            InputError: Not one key belongs to a picture.
        """
        names = [PurePosixPath(picture.path).name for picture in pictures]
        exact, spelled = Counter(names), Counter(map(spelling, names))
        by_name, by_spelling = _unique_names(self._texts), _by_name(self._texts, spelling)
        self._key_of = {}
        for picture, name in zip(pictures, names, strict=True):
            keys = [key for key in (picture.image_id, picture.path) if key in self._texts]
            if name in by_name and exact[name] == 1:
                keys.append(by_name[name])
            alike = by_spelling.get(spelling(name), [])
            if len(alike) == 1 and spelled[spelling(name)] == 1:
                keys += alike
            if keys:
                self._key_of[picture.image_id] = keys[0]
        if not self._key_of:
            raise InputError(
                "none of the recorded captions belongs to a picture of this city",
                value=", ".join(list(self._texts)[:3]) or "no captions at all",
                where=next(iter(self.sources), "recorded captions"),
                remedy="name each picture by its image_id or its file name, e.g. "
                + (
                    f"{pictures[0].image_id} or {PurePosixPath(pictures[0].path).name}"
                    if pictures
                    else "0001.jpg"
                ),
            )
        known = set(self._key_of.values())
        unknown = [key for key in self._texts if key not in known]
        said = (
            f"{self.identity.name}: {len(self._key_of)} of {len(pictures)} pictures have a recorded caption"
        )
        if unknown:
            some = ", ".join(unknown[:_SHOWN]) + (", …" if len(unknown) > _SHOWN else "")
            said += (
                f", {len(unknown)} recorded captions belong to no picture of this city ({printable(some)})"
            )
        return ["; ".join([*self._remarks, said])]

    def describe(self, picture: Picture) -> str | None:
        """The recorded caption, or None where there is none."""
        key = self._key_of.get(picture.image_id)
        return None if key is None else self._texts[key]

    async def answer(self, ask: Ask) -> Answer | None:
        """The recorded caption of a whole picture; None where there is none, and for every later stage."""
        text = self.describe(ask.picture) if ask.stage == "describe" else None
        return None if text is None else Answer(text, cost_usd=0.0)


def _unique_names(keys: Iterable[str]) -> dict[str, str]:
    """File name → key; a name that several keys end in belongs to the key that is no more than it."""
    found = _by_name(keys, str)
    single = {name: ends[0] for name, ends in found.items() if len(ends) == 1}
    return single | {name: name for name, ends in found.items() if name in ends}


def _by_name(keys: Iterable[str], spelled: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in keys:
        found.setdefault(spelled(PurePosixPath(key.replace("\\", "/")).name), []).append(key)
    return found


def read_recorded(path: Path | str) -> list[RecordedCaptioner]:
    """Read recorded captions: one captioner per name in the file.

    Tables (``.csv``, ``.tsv``, ``.parquet``, ``.jsonl``) have a column naming the picture (``image_id``,
    ``image``, ``path``, ``file_name``, …), one with the text (``caption``, ``text`` or ``description``) and
    perhaps ``captioner``. ``.json`` is a list of such objects, one object ``{image: caption}`` (UrbanVLP's
    form), or UrbanCLIP's ``[[{caption, image}, …], …]``, whose sentences are joined per image in order. A
    list of texts is several captions. A second caption of one image by the same captioner becomes the
    captioner ``name-2``, and so on.

    Raises:
        InputError: No such file, of another format, a column is missing or there twice, or no text in it.
    """
    path = Path(path)
    frame, note = read_named(path)
    sources = {path.name: hash_file(path)}
    remarks = [note]
    frame = frame[frame["caption"] != ""]
    if frame.empty:
        raise InputError("there is no caption in this file", where=path, remedy="give a file with captions")
    names = _one_per_image(frame)
    captioners = []
    for name in dict.fromkeys(names):
        rows = frame[names == name]
        texts = dict(zip(rows["image_id"], rows["caption"], strict=True))
        captioners.append(RecordedCaptioner(name, texts, sources=sources, remarks=remarks))
        remarks = []
    return captioners


def _one_per_image(frame: pd.DataFrame) -> pd.Series:
    """The captioner's name of each row, numbered where it has captioned the image before."""
    taken = set(zip(frame["image_id"], frame["captioner"], strict=True))
    seen: set[tuple[str, str]] = set()
    names = []
    for image, captioner in zip(frame["image_id"], frame["captioner"], strict=True):
        name, turn = captioner, 1
        while (image, name) in seen or (turn > 1 and (image, name) in taken):
            turn += 1
            name = f"{captioner}-{turn}"
        seen.add((image, name))
        names.append(name)
    return pd.Series(names, index=frame.index)


def read_rows(path: Path | str) -> pd.DataFrame:
    """The rows of a file of recorded captions, empty ones too.

    Args:
        path: In a format that :func:`read_recorded` accepts.

    Returns:
        Columns ``image_id`` (what the file names the picture by), ``captioner``, ``caption``: all text,
        tidied, thoughts and control tokens of models taken out; order as in the file. The texts are on disk.

    Raises:
        InputError: No such file, of another format, or a column is missing or there twice.
    """
    return read_named(path)[0]


def read_named(path: Path | str) -> tuple[pd.DataFrame, str]:
    """What :func:`read_rows` gives, and a line that says which columns it is from and what was left out."""
    path = Path(path)
    frame = _frame(path)
    columns = _columns(frame, path)
    image = _column(columns, IMAGE_COLUMNS, "the picture", path)
    text = _column(columns, TEXT_COLUMNS, "the text", path)
    by = frame[columns["captioner"]] if "captioner" in columns else pd.Series(_NAME, index=frame.index)
    # A missing id is missing; one that is written "NA" is an id.
    ids = id_text(_named(frame[image], path)).fillna("")
    captions = empty = 0
    with Spool(pd.DataFrame(columns=COLUMNS, dtype="str")) as kept:
        for start in range(0, len(frame), _TOGETHER):
            some = slice(start, start + _TOGETHER)
            tidy = _tidied(ids.iloc[some], by.iloc[some], frame[text].iloc[some], start, path)
            captions += len(tidy)
            tidy = tidy[tidy["image_id"] != ""]
            empty += int((tidy["caption"] == "").sum())
            kept.add(tidy)
        rows = kept.frame()
    parts = [f"{path.name}: pictures by '{image}', texts in '{text}'"]
    parts[0] += f", captioners in '{columns['captioner']}'" if "captioner" in columns else ""
    parts.append(f"{len(frame)} rows")
    parts += [f"{captions} captions, since some are lists"] if captions > len(frame) else []
    parts += [f"{n} without a picture's name left out"] if (n := captions - len(rows)) else []
    parts += [f"{empty} empty captions dropped"] if empty else []
    return rows, ", ".join([parts[0] + ";", *parts[1:]]).replace(";,", ";")


def _tidied(ids: pd.Series, by: pd.Series, cells: pd.Series, start: int, path: Path) -> pd.DataFrame:
    """Some rows of a file from row ``start`` on: a row per caption."""
    said = [
        [_said(text) for text in _texts(value, at_row(str(path), row))]
        for row, value in enumerate(cells, start)
    ]
    tidy = pd.DataFrame({"image_id": _text(ids), "captioner": _text(by)})
    tidy = tidy.assign(caption=pd.Series(said, index=tidy.index, dtype=object)).explode("caption")
    tidy["caption"] = _text(tidy["caption"])
    tidy["captioner"] = tidy["captioner"].where(tidy["captioner"] != "", _NAME)
    return tidy


def _frame(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError("no such file of recorded captions", where=path, remedy="check the path")
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            frame = read_csv(path, text=None)
        elif kind in _PARQUET:
            frame = pd.read_parquet(path)
        elif kind in (".jsonl", ".ndjson"):
            frame = _from_json(_json_lines(path), path)
        elif kind == ".json":
            frame = _from_json(parse_json(path.read_bytes()), path)
        else:
            raise InputError(
                "recorded captions are read from .csv, .tsv, .parquet, .jsonl or .json",
                value=kind,
                where=path,
                remedy="save it as one of these",
            )
    except (*UNREADABLE, OSError) as error:
        raise InputError(
            f"not a readable {'Parquet' if kind in _PARQUET else kind} file",
            value=str(error).splitlines()[0],
            where=path,
            remedy="open it with another program and save it again",
        ) from error
    return frame


def _columns(frame: pd.DataFrame, path: Path) -> dict[str, Any]:
    """Lower-case names → names."""
    names = [str(name).strip().lower() for name in frame.columns]
    wanted = (*IMAGE_COLUMNS, *TEXT_COLUMNS, "captioner")
    twice = next((name for name in wanted if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "two columns of recorded captions have one name",
            value=twice,
            where=path,
            remedy="rename one of them",
        )
    return dict(zip(names, frame.columns, strict=True))


def _json_lines(path: Path) -> list[Any]:
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            rows += [parse_json(line)] if line.strip() else []
        except ValueError as error:
            raise InputError(
                "a line is no JSON",
                value=f"{error}: {line[:60].decode(errors='replace')}",
                where=f"{path}, line {number}",
                remedy="mend the line, or take it out",
            ) from error
    return rows


def _column(columns: Mapping[str, Any], accepted: Sequence[str], what: str, path: Path) -> Any:
    for name in accepted:
        if name in columns:
            return columns[name]
    raise InputError(
        f"recorded captions lack a column with {what} ({', '.join(accepted)})",
        value=f"columns: {', '.join(map(str, columns.values()))}",
        where=path,
        remedy="rename a column to one of these",
    )


def _named(names: pd.Series, path: Path) -> pd.Series:
    """What pictures are called: texts and numbers; of a picture stored in the table (a struct) its path."""
    if names.dtype not in (object, bool):
        return names
    bare = [value.get("path", value) if isinstance(value, Mapping) else value for value in names]
    known = [isinstance(v, str | Number) and not isinstance(v, bool | np.bool_) for v in bare]
    refuse(
        ~(np.array(known, dtype=bool) | names.isna().to_numpy()), "this names no picture", names, str(path),
        "name each picture by its image_id or its file name, as text",
    )  # fmt: skip
    return pd.Series(bare, index=names.index, dtype=object)


def _texts(value: Any, where: str) -> list[str]:
    """The captions of one cell: a text is one, a list of texts several, a missing one an empty text."""
    if isinstance(value, list | tuple | np.ndarray):
        return [text for part in value for text in _texts(part, where)] or [""]
    if isinstance(value, str) and not _PRINTED.fullmatch(value):
        return [value]
    if value is None or (not isinstance(value, str | Mapping) and bool(pd.isna(value))):
        return [""]
    raise InputError(
        "a recorded caption is neither text nor a list of texts",
        value=value,
        where=where,
        remedy="write the caption alone as text; several captions of one picture as a row each, or as a list "
        "in JSON or Parquet",
    )


def _said(text: str) -> str:
    """What of a recorded text is a caption; nothing of "NA" and "null"."""
    return judge(text).text


def _text(column: pd.Series) -> pd.Series:
    return column.map(str).map(tidy_text).mask(column.isna(), "").astype(str)


def _from_json(value: Any, path: Path) -> pd.DataFrame:
    """A list or an object of captions as rows; numbers stay as they are written."""
    if isinstance(value, dict) and all(isinstance(text, str | list | None) for text in value.values()):
        return pd.DataFrame({"image": list(value), "caption": list(value.values())})
    if not isinstance(value, list):
        raise InputError(
            "recorded captions in JSON are a list of {image, caption}, or an object of image: caption",
            value=type(value).__name__,
            where=path,
            remedy="write them so, or as CSV",
        )
    if any(isinstance(part, list) for part in value):
        return _join_sentences(value, path)
    return pd.DataFrame([_object(part, path) for part in value], dtype=object)


def _join_sentences(groups: list[Any], path: Path) -> pd.DataFrame:
    """UrbanCLIP's form, which was split at full stops: sentences of one image make one caption."""
    sentences: dict[str, list[str]] = {}
    for part in chain.from_iterable(group if isinstance(group, list) else [group] for group in groups):
        row = _object(part, path)
        lower = {str(key).lower(): key for key in row}
        image = row[_column(lower, IMAGE_COLUMNS, "the picture", path)]
        texts = _texts(row[_column(lower, TEXT_COLUMNS, "the text", path)], f"{path}, picture {image}")
        if image is None:
            continue
        sentences.setdefault(str(image), []).extend(filter(None, map(tidy_text, texts)))
    captions = [" ".join([*map(_with_stop, parts[:-1]), *parts[-1:]]) for parts in sentences.values()]
    return pd.DataFrame({"image": list(sentences), "caption": captions})


def _with_stop(sentence: str) -> str:
    # The last one stays as it is: without a full stop there, the text was cut off.
    return sentence if sentence[-1] in ".!?" else sentence + "."


def _object(part: Any, path: Path) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise InputError(
            "expected an object with image and caption",
            value=str(part)[:80],
            where=path,
            remedy='write it as {"image": …, "caption": …}',
        )
    return part
