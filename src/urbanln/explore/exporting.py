"""The page as files that open from disk or any static host: what a server would answer is prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.base.files import plain, write_json, write_quickly, write_text
from urbanln.base.outputs import EXPORT, output_folder
from urbanln.base.progress import progress
from urbanln.base.saying import say
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking
from urbanln.explore.assembled import page_files
from urbanln.explore.basemap_cut import export_basemap, refuse_secret
from urbanln.explore.content import Content
from urbanln.explore.explaining import Explaining
from urbanln.explore.pictures import SIDES, small
from urbanln.explore.rounded import as_base64, rounded
from urbanln.pages.maps import MOST_REGIONS, embed_json

_PICTURES_PER_REGION = 4


def export_page(content: Content, folder: Path, *, with_pictures: bool = False) -> list[str]:
    """Write the page and all it may be asked.

    Args:
        content: What it is about.
        folder: A new one, or one that holds an earlier export, which is replaced file by file.
        with_pictures: Also pictures whose licence is not named as one that lets anybody pass them on.

    Returns:
        Lines on what was written.

    Raises:
        InputError: More regions than a page from disk can hold, the folder holds something else, or the map
            of streets has an address with a key.
    """
    if len(content) > MOST_REGIONS:
        raise InputError(
            "a page that opens from disk holds its data itself, and these are too many regions",
            value=f"{len(content):,}", where="--export",
            remedy=f"export a city of up to {MOST_REGIONS:,} regions, or serve this one: leave --export out",
        )  # fmt: skip
    refuse_secret(content.basemap)
    target = output_folder(folder, EXPORT, option="--export")
    target.mkdir(parents=True, exist_ok=True)
    # First what says whose folder it is, last what opens: half an export is ours, and not taken for whole.
    write_json(target / "explore.json", {"kind": "explore", "title": content.title, "regions": len(content)})
    answers = Answers(content)
    asking = Asking(answers)
    texts, columns, explaining = _prepared(asking)
    shown, kept = _pictures(content, target, with_pictures)
    overview = answers.overview() | answers.places()
    overview["can"] |= {
        "upload": False, "text": bool(texts), "evidence": bool(explaining.whose), "pictures": bool(shown),
    }  # fmt: skip
    cannot = ["upload", *([] if texts else ["text"]), *([] if explaining.whose else ["evidence"])]
    overview["why_not"] |= dict.fromkeys(cannot, "this is an export: serve the city with urbanln explore")
    near = rounded(content.vectors) if content.vectors else None
    overview["basemap"] = export_basemap(content.basemap, content.regions.geometry.bounds.to_numpy(), target)
    data = {
        "content": overview, "texts": texts, "columns": columns,
        "vectors": near and near.packed(content.metres()), "regions": _regions(answers, shown),
        "evidence": explaining.evidence, "explained": explaining.whose,
        "crs": pyproj.CRS(4326).to_json_dict(), "exact": _exact(content),
    }  # fmt: skip
    if near:
        n, width = near.steps.shape
        say(
            f"data.js holds {n:,} vectors of {width} numbers, {near.steps.nbytes * 4 / 3e6:.1f} MB; "
            f"cosines there are within {near.bound:.0e} of the exact ones"
        )
    write_text(target / "data.js", f"window.URBANLN_DATA = {embed_json(plain(data))};\n")
    for name, (_, body) in reversed(page_files(content.title, content.basemap, exported=True).items()):
        write_quickly(target / name, body)
    if kept:
        say(
            f"{kept:,} pictures stay here: no licence that lets anybody pass them on is named; "
            "--with-pictures exports them"
        )
    return [str(target / "index.html")]


def _prepared(asking: Asking) -> tuple[dict[str, Any], dict[str, str], Explaining]:
    """Answers to the queries that are offered; columns, theirs among them; evidence."""
    content, explaining = asking.content, Explaining(asking)
    texts: dict[str, Any] = {}
    columns = {key: _numbers(asking, key) for key in content.columns}
    # One query after the other, since only the last ones are held.
    for text in content.queries if content.reader else ():
        told = texts[text] = asking.text(text)
        made = [f"{told['key']}:{by}" for by, found in told["by"].items() if found]
        columns |= {key: _numbers(asking, key) for key in made}
        explaining.query(told)
    explaining.predictions()
    return texts, columns, explaining


def _numbers(asking: Asking, key: str) -> str:
    return as_base64(asking.column(key).values.astype("<f4"))


def _exact(content: Content) -> dict[str, str]:
    """Columns of which float32 holds not all digits, to be taken away."""
    return {
        key: as_base64(one.exact.astype("<f8"))
        for key, one in content.columns.items()
        if one.exact is not None
    }


def _regions(answers: Answers, shown: set[int]) -> list[dict[str, Any]]:
    """Everything about each region; of its pictures those that were exported."""
    out = []
    with progress("describing regions", len(answers.content)) as advance:
        for row in range(len(answers.content)):
            told = answers.region(row, alike=0)
            told["pictures"] = [one for one in told["pictures"] if int(one["id"][1:]) in shown]
            out.append(told)
            advance(1)
    return out


def _pictures(content: Content, target: Path, all_of_them: bool) -> tuple[set[int], int]:
    """Write small pictures: which were written, and how many were kept back for their licence."""
    table = content.pictures
    first = table.groupby("row").cumcount() < _PICTURES_PER_REGION
    free = table["free"].to_numpy(bool) | all_of_them
    chosen = np.flatnonzero(first & free)
    shown = set()
    (target / "pictures").mkdir(exist_ok=True)
    with progress("exporting pictures", len(chosen)) as advance:
        for row in map(int, chosen):
            try:
                data = small(content.open_picture(row), SIDES[0])
            except (UrbanLNError, OSError):
                continue  # the city's audit says which cannot be read
            write_quickly(target / "pictures" / f"p{row}.jpg", data)
            shown.add(row)
            advance(1)
    # An earlier export may have taken along more than this one may.
    for path in (target / "pictures").glob("p*.jpg"):
        if path.stem[1:].isdigit() and int(path.stem[1:]) not in shown:
            path.unlink()
    return shown, int((~free).sum())
