"""Everything that was said about one picture, as a page: texts by captioner and stage, parts, phrases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from PIL import Image
from pydantic import Field

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes, write_text
from urbanln.base.version import __version__
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_schema import stored_json
from urbanln.captions.captioners.answers import judge
from urbanln.captions.captioners.base import STAGES, Ask, Box, Picture, cut_out
from urbanln.captions.captioners.sending import jpeg_url
from urbanln.captions.cleaning.text_faults import find_cut_off, find_refusal, find_repeated, is_wordless
from urbanln.captions.refine.flow import accounts_of
from urbanln.city.pictures import READ_ERRORS, unreadable

_PICTURE_EDGE, _CROP_EDGE, _QUALITY = 768, 240, 88
_LONGEST = 20_000
_COLOURS = ("#ffd400", "#ff5fa2", "#35d0ff", "#7dff5a", "#ff8c1a", "#c79bff", "#ffffff", "#ff4d4d")
_NAMES = {"describe": "Description", "merge": "Merged with the parts", "repair": "Repaired"}
# Control characters, lone surrogates, and the marks that turn the direction of the text around them.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def show_picture(
    ledger: Ledger, picture: Picture, *, out: Path | str, captions: pd.DataFrame | None = None
) -> Path:
    """Write the page of one picture: one HTML file that needs nothing else.

    Args:
        ledger: Knows the texts and what refining found out.
        picture: The picture.
        out: HTML file to write.
        captions: The city's caption table; what was chosen from the texts is shown with it.

    Returns:
        The file.

    Raises:
        InputError: Nothing was ever said about this picture.
        StorageError: The file could not be written.
    """
    rows = ledger.rows_of(picture.sha256 or picture.image_id)
    chosen = _chosen(captions, picture.image_id)
    if rows.empty and not chosen:
        raise InputError(
            "nothing has been said about this picture",
            value=picture.image_id,
            remedy="describe it first: urbanln caption CITY",
            where="--show",
        )
    boxes = _boxes(rows, ledger.place)
    whole, problem = _read(picture)
    sha256 = picture.sha256 or (str(rows["picture"].iloc[0]) if len(rows) else "")
    captioners = list(dict.fromkeys(rows["captioner"].astype(str)))
    context = {
        "picture": picture,
        "problem": problem,
        "size": whole.size if whole is not None else None,
        "image": jpeg_url(whole.copy(), _PICTURE_EDGE, _QUALITY) if whole is not None else "",
        "parts": [
            _part(number, box, rows[rows["box"] == text], whole)
            for number, (text, box) in enumerate(boxes.items(), start=1)
        ],
        "captioners": [_captioner(name, rows, accounts_of(ledger, sha256, name)) for name in captioners],
        "chosen": chosen,
        "texts": len(rows),
        "cost": float(rows["cost_usd"].sum()) if len(rows) else 0.0,
    }
    write_text(out, _render(context))
    return Path(out)


def _render(context: Mapping[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("urbanln.captions"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    return environment.get_template("show.html.j2").render(**context, version=__version__)


def _printable(value: Any) -> Any:
    """What Jinja does with every printed value before it escapes it; ready markup passes."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    if len(value) > _LONGEST and not value.startswith("data:image/"):
        value = value[:_LONGEST] + " …"
    return _UNPRINTABLE.sub("\ufffd", value)


def _read(picture: Picture) -> tuple[Image.Image | None, str]:
    try:
        return Ask(picture).image(), ""
    except READ_ERRORS as error:
        return None, unreadable(picture.path, error)


def _chosen(captions: pd.DataFrame | None, image_id: str) -> list[dict[str, Any]]:
    if captions is None:
        return []
    rows = captions[captions["image_id"] == image_id]
    return [
        {
            "caption": str(row.caption),
            "captioner": str(row.captioner),
            "selected": bool(row.selected),
            "facts": _facts(agreement=row.agreement, margin=row.margin, weight=row.weight, tokens=row.tokens),
        }
        for row in rows.itertuples()
    ]


def _boxes(rows: pd.DataFrame, ledger: Path | str) -> dict[str, Box]:
    """The parts that captioners were asked about, as it is written, in that order."""
    written = [text for text in rows["box"].unique() if isinstance(text, str)]
    sides = Annotated[list[float], Field(min_length=4, max_length=4)]
    return {text: tuple(stored_json(text, ledger, sides)) for text in written}


def _part(number: int, box: Box, own: pd.DataFrame, whole: Image.Image | None) -> dict[str, Any]:
    """One part: where it is drawn, in percent of the picture, and what was said of it."""
    left, upper, right, lower = (round(100 * side, 2) for side in box)
    return {
        "number": number,
        "x": left,
        "y": upper,
        "width": round(right - left, 2),
        "height": round(lower - upper, 2),
        "colour": _COLOURS[(number - 1) % len(_COLOURS)],
        "image": jpeg_url(cut_out(whole, box), _CROP_EDGE, _QUALITY) if whole is not None else "",
        "texts": [{"captioner": str(row.captioner), **_text(row)} for row in own.itertuples()],
    }


def _captioner(name: str, rows: pd.DataFrame, accounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = rows[(rows["captioner"] == name) & rows["box"].isna()]
    texts = [
        {"stage": _NAMES.get(stage, stage), **_text(row)}
        for stage in STAGES
        for row in own[own["stage"] == stage].itertuples()
    ]
    account = accounts[-1] if accounts else None
    return {
        "name": name,
        "revision": str(own["revision"].iloc[-1]) if len(own) else "",
        "texts": texts,
        "account": account,
        "stands": account["text"] if account else "",
        "earlier": max(len(accounts) - 1, 0),
        "phrases": [_phrase(phrase) for phrase in sorted(account["phrases"], key=lambda p: p["kept"])]
        if account
        else [],
    }


def _phrase(phrase: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **phrase,
        "shown": f"{phrase['score']:.3g}",
        "per_cent": round(100 * min(max(phrase["score"], 0), 1), 1),
    }


def _text(row: Any) -> dict[str, Any]:
    """A text as it came, and what the judge and the cleaning make of it."""
    said = judge(str(row.text), str(row.finish))
    text, finish = said.text[: _LONGEST + 1], said.finish
    spoken = said.answered and not is_wordless(text)
    flags = {
        f"no answer: {said.why}": not said.answered,
        "more than the answer": said.answered and said.text != str(row.text),
        "empty": said.answered and not spoken,
        "refusal": spoken and find_refusal(text, finish) is not None,
        "cut off": spoken and find_cut_off(text, finish) is not None,
        "repeats itself": spoken and find_repeated(text) is not None,
        f"finish: {row.finish}": finish not in ("", "stop") or (not said.answered and bool(row.finish)),
    }
    facts = _facts(words=len(text.split()), read=row.tokens_in, written=row.tokens_out, seconds=row.seconds)
    if pd.notna(row.cost_usd):
        facts.append(f"{row.cost_usd:.4g} USD")
    return {
        "text": str(row.text)[: _LONGEST + 1],
        "flags": [name for name, on in flags.items() if on],
        "facts": facts,
        "prompt": str(row.prompt_text) if isinstance(row.prompt_text, str) else "",
        "hash": hash_bytes(said.text.encode("utf-8", "surrogatepass")),
    }


def _facts(**values: Any) -> list[str]:
    names = {"read": "tokens read", "written": "tokens written"}
    numbers = {name: value for name, value in values.items() if pd.notna(value)}
    return [f"{value:.3g} {names.get(n, n)}" if isinstance(value, float) else f"{value} {names.get(n, n)}"
            for n, value in numbers.items()]  # fmt: skip
