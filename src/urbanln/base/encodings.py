"""Encodings of text files: what a byte order mark says, and which ones are likely where nothing says it."""

from __future__ import annotations

import codecs
import re
from itertools import pairwise
from pathlib import Path

from urbanln.base.errors import InputError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 20
# The characters are those that names of places are full of: bytes of one encoding make rare ones in another.
_EAST_ASIAN = {
    "cp949": ("Korean, EUC-KR", "euc_kr", (0xB0, 0xC8), "시군구동읍면리도로길서울부산대인천광주역강남북신"),
    "cp932": ("Japanese, Shift-JIS", "shift_jis", (0x82, 0x97), "都道府県市区町村丁目東京大阪田山川島木本"),
    "gb18030": ("Chinese, GBK, GB2312", "gb2312", (0xB0, 0xD7), "省市区县镇乡村街道路号京海南东西大小江州学"),
    "big5": ("traditional Chinese", "big5", (0xA4, 0xC6), "市區縣鎮鄉村街道路號京海南東西大江州台灣高雄學"),
}
_ALPHABETS = {
    "cp1252": ("Western European, latin-1",
               "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüœŒ°²³€£§–—’“”«»"),
    "cp1254": ("Turkish", "ğışİĞŞçöüÇÖÜâîûÂÎÛ°²–’“”"),
    "cp1250": ("Central European, latin-2",
               "ĄĆĘŁŃÓŚŹŻąćęłńóśźżÁČĎÉĚÍŇŘŠŤÚŮÝŽáčďéěíňřšťúůýžőűŐŰăĂâÂșțşţäöüÄÖÜß–„”"),
    "cp1251": ("Cyrillic", "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯёЁ№іІїЇєЄ«»–"),
    "cp1253": ("Greek", "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΉΊΌΎΏ"),
    "cp1255": ("Hebrew", "אבגדהוזחטיךכלםמןנסעףפץצקרשת"),
    "cp1256": ("Arabic", "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيپچژگ،؟"),
    "cp874": ("Thai", "".join(map(chr, (*range(0x0E01, 0x0E3B), *range(0x0E40, 0x0E50))))),
}  # fmt: skip
_OWN_SCRIPT = ("cp1251", "cp1253", "cp1255", "cp1256", "cp874")
_CASED = ("cp1251", "cp1253")


def byte_order_mark(path: Path) -> str | None:
    """The encoding that the file's first bytes declare; None where they declare none."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def not_decoded(path: Path, encoding: str, sample: bytes | None = None) -> InputError:
    """The error for a file that is not in this encoding: the likely ones, and how they read a word of it.

    Args:
        path: The file.
        encoding: The one it is not in; ``"declared"`` where nothing says any.
        sample: Bytes of its text; by default its own.
    """
    if sample is None:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
    if (broken := _damaged(sample)) and encoding.startswith("utf-8"):
        return InputError(
            "not UTF-8 text throughout: it seems to be, but for some damaged letters",
            value=broken,
            where=path,
            remedy="write the file anew, or mend this line",
        )
    likely = likely_encodings(sample)
    names = [name for name, _ in likely] or ["cp1252", "gb18030"]
    called = {name: about[0] for name, about in (*_EAST_ASIAN.items(), *_ALPHABETS.items())}
    shown = "; ".join(f"'{word}' in {name}" for name, word in likely)
    first = f"{names[0]} ({called[names[0]]})" if names[0] in called else names[0]
    others = f" (or {', '.join(names[1:])})" if names[1:] else ""
    if encoding == "declared":
        try:
            sample.decode("utf-8")
            first, names, others = "UTF-8", ["utf-8"], ""
        except UnicodeDecodeError:
            pass
    what = (
        "nothing says in which encoding its text is"
        if encoding == "declared"
        else "not UTF-8 text"
        if encoding.startswith("utf-8")
        else f"not {encoding} text"
    )
    return InputError(
        f"{what}; likely {first}",
        value=shown or None,
        where=path,
        remedy=f"read it with --encoding {names[0]}{others}; or save it as UTF-8",
    )


def _damaged(sample: bytes) -> str | None:
    """Line with the first damaged letter of what is UTF-8 otherwise; None where most is another encoding."""
    text = sample.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if not broken or 10 * broken > sum(not character.isascii() for character in text):
        return None
    at = text.index("\ufffd")
    return f"line {text.count(chr(10), 0, at) + 1}: …{text[max(at - 10, 0) : at + 10]!r}…"


def likely_encodings(sample: bytes) -> list[tuple[str, str]]:
    """Encodings in which bytes that are not UTF-8 make sense, the likeliest first, three at most.

    Args:
        sample: The beginning of a file.

    Returns:
        Name, and how the first word beyond ASCII reads in it.
    """
    if 3 * sample.count(0) > len(sample):
        even = sample[::2].count(0) > sample[1::2].count(0)
        name = "utf-16-be" if even else "utf-16-le"
        return [(name, sample[: len(sample) // 2 * 2].decode(name, "replace").split("\n")[0][:30].strip())]
    lines = [line for line in sample.split(b"\n")[:-1] or [sample] if not line.isascii()][:2000]
    scored = []
    for turn, name in enumerate((*_EAST_ASIAN, *_ALPHABETS)):
        try:
            text = b"\n".join(lines).decode(name)
        except UnicodeDecodeError:
            continue
        score = _east_asian(text, name) if name in _EAST_ASIAN else _alphabetic(text, name)
        word = re.search(r"[^\s,;|\"]*[^\x00-\x7f][^\s,;|\"]*", text)
        if word and score > 0.3:
            scored.append((-round(score, 2), turn, name, word[0][:20]))
    return [(name, word) for _, _, name, word in sorted(scored)[:3]]


def _east_asian(text: str, name: str) -> float:
    """Share of the characters beyond ASCII that are common ones, the first level of the old standard.

    Up to half as much again for those that are in every other address.
    """
    _, standard, (low, high), frequent = _EAST_ASIAN[name]
    beyond = [c for c in text if not c.isascii()]
    common = 0
    for character in beyond:
        raw = character.encode(standard, "ignore")
        common += len(raw) == 2 and low <= raw[0] <= high
    often = sum(character in frequent for character in beyond)
    return (common + 0.5 * often) / max(len(beyond), 1)


def _alphabetic(text: str, name: str) -> float:
    """Share of the characters beyond ASCII that are letters of the alphabet, in the company they keep."""
    usual = set(_ALPHABETS[name][1])
    beyond = [c for c in text if not c.isascii()]
    share = sum(c in usual for c in beyond) / max(len(beyond), 1)
    # Cyrillic and Greek words are whole; accents stand between plain letters.
    mixed = len(re.findall(r"[^\W\d_](?<=[a-zA-Z])[^\x00-\x7f]|[^\x00-\x7f](?=[a-zA-Z])", text)) > 0.5 * len(
        beyond
    )
    runs = sum(len(run) for run in re.findall(r"[^\x00-\x7f]{3,}", text)) > 0.5 * len(beyond)
    fits = (runs or not mixed) if name in _OWN_SCRIPT else not runs
    if name in _CASED:  # names begin with capitals, and have none within
        within = sum(a.islower() and b.isupper() for a, b in pairwise(text))
        fits = fits and 33 * within <= len(beyond)
        share *= 1.0 if any(c.isupper() for c in beyond) else 0.95
    if name == "cp1255":  # five letters look otherwise at the end of a word, and stand nowhere else
        fits = fits and not re.search(r"[ךםןףץ][א-ת]", text)
    return share * (1.0 if fits else 0.35)
