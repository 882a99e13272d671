"""What a set of captions is like before cleaning: lengths, faults, stock sentences, names of places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.sentences import normalise
from urbanln.base.spool import spooled
from urbanln.captions.cleaning.clean import FLAGS, caption_faults, stock_sentences
from urbanln.captions.cleaning.place_names import PlaceNames
from urbanln.captions.cleaning.text_faults import shorten
from urbanln.captions.settings import CleanSettings
from urbanln.captions.table import (
    CLIP_LENGTHS,
    COLUMNS,
    TokenCounter,
    check_columns,
    lengths_told,
    tidy_text,
)

_TOP = 10
_EXAMPLES = 5  # captions shown of each flag
_TOGETHER = 4_096  # texts that are in memory at a time


@dataclass(frozen=True)
class Lengths:
    """Lengths of captions, in words or tokens.

    Attributes:
        mean: Of all captions.
        median: Of all captions.
        longest: The largest.
        over: Limit → captions that exceed it.
    """

    mean: float
    median: float
    longest: int
    over: Mapping[int, int]


@dataclass(frozen=True)
class CaptionAudit:
    """What was found; nothing is changed by it.

    Attributes:
        n_captions: Captions, empty ones too.
        n_pictures: Pictures they belong to.
        captioners: Captioner → number of captions.
        words: Lengths in words.
        tokens: Lengths in the model's tokens, BOS and EOT included; None when they were not counted.
        flags: Flag of :mod:`urbanln.captions.cleaning.clean` → captioner → captions with it.
        examples: Flag → some captions with it that differ: (image_id, captioner, the words in question).
        stock: Sentence → pictures of one captioner that share it, most shared first.
        n_stock: Sentences that so many pictures share as to be boilerplate.
        places: Name of a place → captions that say it, most frequent first.
        equal: Captions that another picture has too, by the same or another captioner.
    """

    n_captions: int
    n_pictures: int
    captioners: Mapping[str, int]
    words: Lengths
    tokens: Lengths | None
    flags: Mapping[str, Mapping[str, int]]
    examples: Mapping[str, Sequence[tuple[str, str, str]]]
    stock: Sequence[tuple[str, int]]
    n_stock: int
    places: Mapping[str, int]
    equal: int

    def lines(self) -> list[str]:
        """The audit as lines to print."""
        n = self.n_captions
        lines = [f"{n} captions of {self.n_pictures} pictures by {len(self.captioners)} captioners"]
        if len(self.captioners) > 1:
            lines += [f"  {name}: {count}" for name, count in self.captioners.items()]
        lines.append(f"words per caption: {_spread(self.words)}")
        if self.tokens is None:
            lines.append("tokens per caption: not counted")
        else:
            over = [f"{self._share(count)} over {limit}" for limit, count in self.tokens.over.items()]
            lines.append(f"tokens per caption: {_spread(self.tokens)}; {', '.join(over)}")
        lines.append(f"equal to another picture's caption: {self.equal} ({self._share(self.equal)})")
        for flag, by in self.flags.items():
            if flag == "too_long" and self.tokens is None:
                continue
            count = sum(by.values())
            lines.append(f"{flag}: {count} ({self._share(count)})")
            if len(self.captioners) > 1:
                lines += [f"  {name}: {found}" for name, found in by.items() if found]
        if self.places:
            named = ", ".join(f"{k} {self._share(v)}" for k, v in list(self.places.items())[:_TOP])
            lines.append(f"places named: {named}")
        if self.stock:
            lines.append(f"stock sentences: {self.n_stock}; those of most pictures:")
            lines += [f"  {count} × {shorten(sentence, 90)}" for sentence, count in self.stock[:_TOP]]
        return lines

    def as_json(self) -> dict[str, Any]:
        """The audit as JSON values; shares are of all captions."""

        def lengths(found: Lengths) -> dict[str, Any]:
            over = {str(k): {"captions": v, "share": v / self.n_captions} for k, v in found.over.items()}
            return {"mean": found.mean, "median": found.median, "longest": found.longest, "over": over}

        flags = {
            flag: {
                "captions": sum(by.values()),
                "share": sum(by.values()) / self.n_captions,
                "by_captioner": dict(by),
                "examples": [
                    {"image": image, "captioner": captioner, "words": words}
                    for image, captioner, words in self.examples.get(flag, ())
                ],
            }
            for flag, by in self.flags.items()
        }
        return {
            "captions": self.n_captions,
            "pictures": self.n_pictures,
            "captioners": dict(self.captioners),
            "words": lengths(self.words),
            "tokens": None if self.tokens is None else lengths(self.tokens),
            "equal_across_pictures": self.equal,
            "flags": flags,
            "places": dict(self.places),
            "stock_sentences": [{"sentence": s, "pictures": n} for s, n in self.stock],
        }

    def _share(self, count: int) -> str:
        return f"{count / self.n_captions:.1%}"


def audit_captions(
    frame: pd.DataFrame,
    settings: CleanSettings | None = None,
    *,
    places: Sequence[str] = (),
    count_tokens: TokenCounter | None = None,
    max_tokens: int = CLIP_LENGTHS[-1],
) -> CaptionAudit:
    """Look at captions as they are: of a city's table, of its ledger, or read from a file.

    Every fault is looked for in the raw texts, whatever the settings would do about another one first.

    Args:
        frame: Columns ``image_id``, ``captioner``, ``caption``, and perhaps ``finish``; see
            :func:`urbanln.captions.captioners.recorded.read_rows` for files.
        settings: When a sentence is boilerplate, and further names of places; their actions do not matter.
        places: The city's own names.
        count_tokens: Gives the number of tokens of each text, untruncated; use the tokenizer of the model
            that is to read the captions.
        max_tokens: Text positions of that model (248 after stretching); longer captions are flagged.

    Raises:
        InputError: A column is missing, or there are no captions.
    """
    settings = settings or CleanSettings()
    look = settings.model_copy(update=dict.fromkeys((flag for flag in FLAGS if flag != "empty"), "keep"))
    check_columns(frame, "captions to be audited")
    if frame.empty:
        raise InputError("there are no captions to audit", where="captions", remedy="give a table with rows")
    tidied = _tidied(frame)
    texts = tidied["caption"].array
    words, known = _counted(texts, count_tokens)
    found = caption_faults(tidied, look, places=places, count_tokens=known, max_tokens=max_tokens)
    captioners = tidied["captioner"].value_counts(sort=False)
    counted = found.groupby(["flag", "captioner"]).size()
    stock = stock_sentences(tidied)
    return CaptionAudit(
        n_captions=len(tidied),
        n_pictures=int(tidied["image_id"].nunique()),
        captioners={str(name): int(count) for name, count in captioners.items()},
        words=_lengths(words, ()),
        tokens=None if known is None else _lengths(known.tokens, lengths_told(max_tokens)),
        flags={f: {name: int(counted.get((f, name), 0)) for name in captioners.index} for f in FLAGS},
        examples=_examples(found),
        stock=stock[: 2 * _TOP],
        n_stock=sum(count >= settings.boilerplate_pictures for _, count in stock),
        places=_places(texts, PlaceNames([*places, *settings.places])),
        equal=_equal(tidied),
    )


def _tidied(frame: pd.DataFrame) -> pd.DataFrame:
    """The captions tidied, on disk: of a million they are half a gigabyte, which the frame holds already."""
    columns = [*COLUMNS, *(["finish"] if "finish" in frame.columns else [])]

    def tidied(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(caption=[tidy_text(text) for text in rows["caption"]]).astype("str")

    starts = range(0, len(frame), _TOGETHER)
    parts = (tidied(frame[columns].iloc[start : start + _TOGETHER]) for start in starts)
    return spooled(parts, frame[columns].iloc[:0].astype("str"))


class _Tokens:
    """The number of tokens of each text, which it does not count again when asked.

    Args:
        hashes: (n,) of the texts that were counted.
        tokens: (n,) of each.
        count: Counts what is not among them.
    """

    def __init__(self, hashes: np.ndarray, tokens: np.ndarray, count: TokenCounter) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._sorted, self._count = hashes[order], tokens[order], count
        self.tokens = tokens

    def __call__(self, texts: list[str]) -> Sequence[int]:
        asked = np.array([hash(text) for text in texts], np.int64)
        at = np.minimum(np.searchsorted(self._hashes, asked), len(self._hashes) - 1)
        known = self._hashes[at] == asked
        return [
            int(self._sorted[place]) if there else int(self._count([text])[0])
            for text, place, there in zip(texts, at, known, strict=True)
        ]


def _counted(texts: Sequence[str], count_tokens: TokenCounter | None) -> tuple[np.ndarray, _Tokens | None]:
    """Words of each text, and its tokens where there is a counter; a number each stays of a text."""
    words, hashes = np.zeros(len(texts), np.int32), np.zeros(len(texts), np.int64)
    tokens = np.zeros(len(texts), np.int32)
    for start in range(0, len(texts), _TOGETHER):
        some = list(texts[start : start + _TOGETHER])
        own = slice(start, start + len(some))
        words[own] = [len(text.split()) for text in some]
        if count_tokens is not None:
            hashes[own], tokens[own] = [hash(text) for text in some], count_tokens(some)
    return words, None if count_tokens is None else _Tokens(hashes, tokens, count_tokens)


def _examples(found: pd.DataFrame) -> dict[str, list[tuple[str, str, str]]]:
    """Some captions of each flag whose words in question differ, in the captions' order."""
    some = found.drop_duplicates(["flag", "detail"]).groupby("flag", sort=False).head(_EXAMPLES)
    shown: dict[str, list[tuple[str, str, str]]] = {}
    for row in some.itertuples():
        shown.setdefault(str(row.flag), []).append((str(row.image_id), str(row.captioner), str(row.detail)))
    return shown


def _places(texts: Sequence[str], known: PlaceNames) -> dict[str, int]:
    said: Counter[str] = Counter()
    for text in texts:
        said.update({name for mention in known.mentions(text) for name in mention.names})
    return dict(sorted(said.items(), key=lambda pair: (-pair[1], pair[0])))


def _equal(frame: pd.DataFrame) -> int:
    """Captions whose words some other picture has in the same order."""
    keys = np.array([hash(normalise(text)) if text else 0 for text in frame["caption"].array], np.int64)
    picture = pd.Series(pd.factorize(frame["image_id"])[0])[keys != 0]
    return int((picture.groupby(keys[keys != 0]).transform("nunique") > 1).sum())


def _lengths(values: np.ndarray, limits: Sequence[int]) -> Lengths:
    over = {limit: int((values > limit).sum()) for limit in limits}
    return Lengths(float(values.mean()), float(np.median(values)), int(values.max()), over)


def _spread(lengths: Lengths) -> str:
    return f"mean {lengths.mean:.1f}, median {lengths.median:.0f}, longest {lengths.longest}"
