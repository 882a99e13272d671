"""The page as files: what a server would answer is prepared.

Up to 20,000 regions one script holds it all, and the page opens from disk or any static host. Of more the
page asks a static host for the parts that it shows (``wide``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyproj

from urbanln.base.errors import UrbanLNError
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
from urbanln.explore.wide import Wide
from urbanln.pages.maps import embed_json

_PICTURES_PER_REGION = 4
_MOST_PICTURES = 80_000  # four of 20,000 regions; of more regions the first pictures of as many as that
_SERVE = "this is an export: serve the city with urbanln explore"
_Kept = Callable[[npt.NDArray[Any]], str]


def export_page(content: Content, folder: Path, *, with_pictures: bool = False) -> list[str]:
    """Write the page and all it may be asked.

    Args:
        content: What it is about.
        folder: A new one, or one that holds an earlier export, which is replaced file by file.
        with_pictures: Also pictures whose licence is not named as one that lets anybody pass them on.

    Returns:
        Lines on what was written.

    Raises:
        InputError: The folder holds something else, or the map of streets has an address with a key.
    """
    refuse_secret(content.basemap)
    target = output_folder(folder, EXPORT, option="--export")
    target.mkdir(parents=True, exist_ok=True)
    # First what says whose folder it is, last what opens: half an export is ours, and not taken for whole.
    write_json(target / "explore.json", {"kind": "explore", "title": content.title, "regions": len(content)})
    answers = Answers(content)
    asking = Asking(answers)
    wide = Wide(answers, target) if answers.tiled else None
    keep = wide.numbers if wide else as_base64
    texts, columns, explaining = _prepared(asking, keep)
    shown, kept = _pictures(content, target, with_pictures)
    told = _Told(answers, shown)
    overview = answers.overview() | ({"tiles": wide.regions(told)} if wide else answers.places())
    overview["can"] |= {
        "upload": False, "text": bool(texts), "evidence": bool(explaining.whose), "pictures": bool(shown),
    }  # fmt: skip
    cannot = ["upload", *([] if texts else ["text"]), *([] if explaining.whose else ["evidence"])]
    overview["why_not"] = _why_not(cannot, content)
    near = _vectors(answers, wide)
    if content.vectors and not near:
        overview["can"]["similar"] = False
        overview["why_not"]["similar"] = (
            "its vectors are too large for an export: serve the city with urbanln explore"
        )
    overview["basemap"] = export_basemap(content.basemap, content.regions.geometry.bounds.to_numpy(), target)
    data = {
        "content": overview, "texts": texts, "columns": columns,
        "vectors": near, "regions": None if wide else _regions(told, len(content)),
        "evidence": explaining.evidence, "explained": explaining.whose,
        "crs": pyproj.CRS(4326).to_json_dict(), "exact": _exact(content, keep), "wide": bool(wide),
    }  # fmt: skip
    write_text(target / "data.js", f"window.URBANLN_DATA = {embed_json(plain(data))};\n")
    form: Literal["wide", "disk"] = "wide" if wide else "disk"
    for name, (_, body) in reversed(page_files(content.title, content.basemap, form).items()):
        write_quickly(target / name, body)
    if kept:
        say(
            f"{kept:,} pictures stay here: no licence that lets anybody pass them on is named; "
            "--with-pictures exports them"
        )
    if wide:
        say(
            f"{len(content):,} regions are too many for a page from disk: run `python -m http.server` in "
            f"{target}, or put it on a static host; one that answers range requests sends only what is shown"
        )
    return [str(target / "index.html")]


def _why_not(cannot: Sequence[str], content: Content) -> dict[str, str]:
    """What brings each thing that cannot be asked: without a model a server would not answer either."""
    reasons = dict.fromkeys(cannot, _SERVE) | dict(content.why_not)
    if "upload" in content.why_not:
        reasons["upload"] += ", without --export"
    return reasons


def _vectors(answers: Answers, wide: Wide | None) -> dict[str, Any] | None:
    content = answers.content
    if content.vectors is None:
        return None
    if wide:
        return wide.vectors(content.vectors)
    near = rounded(content.vectors)
    n, width = near.steps.shape
    say(
        f"data.js holds {n:,} vectors of {width} numbers, {near.steps.nbytes * 4 / 3e6:.1f} MB; "
        f"cosines there are within {near.bound:.0e} of the exact ones"
    )
    return near.packed(content.metres())


def _prepared(asking: Asking, keep: _Kept) -> tuple[dict[str, Any], dict[str, str], Explaining]:
    """Answers to the queries that are offered; columns, theirs among them; evidence."""
    content, explaining = asking.content, Explaining(asking)
    texts: dict[str, Any] = {}
    columns = {key: keep(_numbers(asking, key)) for key in content.columns}
    # One query after the other, since only the last ones are held.
    for text in content.queries if content.reader else ():
        told = texts[text] = asking.text(text)
        made = [f"{told['key']}:{by}" for by, found in told["by"].items() if found]
        columns |= {key: keep(_numbers(asking, key)) for key in made}
        explaining.query(told)
    explaining.predictions()
    return texts, columns, explaining


def _numbers(asking: Asking, key: str) -> npt.NDArray[Any]:
    return asking.column(key).values.astype("<f4")


def _exact(content: Content, keep: _Kept) -> dict[str, str]:
    """Columns of which float32 holds not all digits, to be taken away."""
    return {
        key: keep(one.exact.astype("<f8")) for key, one in content.columns.items() if one.exact is not None
    }


class _Told:
    """Everything about a region; of its pictures those that were exported."""

    def __init__(self, answers: Answers, shown: set[int]) -> None:
        self._answers, self._shown = answers, shown

    def __call__(self, row: int) -> dict[str, Any]:
        told = self._answers.region(row, alike=0)
        told["pictures"] = [one for one in told["pictures"] if int(one["id"][1:]) in self._shown]
        return told


def _regions(told: _Told, n: int) -> list[dict[str, Any]]:
    out = []
    with progress("describing regions", n) as advance:
        for row in range(n):
            out.append(told(row))
            advance(1)
    return out


def _pictures(content: Content, target: Path, all_of_them: bool) -> tuple[set[int], int]:
    """Write small pictures: which were written, and how many were kept back for their licence."""
    table = content.pictures
    turn = table.groupby("row").cumcount().to_numpy()
    free = table["free"].to_numpy(bool) | all_of_them
    chosen = np.flatnonzero((turn < _PICTURES_PER_REGION) & free)
    if len(chosen) > _MOST_PICTURES:
        say(f"{_MOST_PICTURES:,} of {len(chosen):,} pictures go along: an export holds no more")
        chosen = np.sort(chosen[np.argsort(turn[chosen], kind="stable")[:_MOST_PICTURES]])
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
