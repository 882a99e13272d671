"""Clean captions before anything is scored: each fault is a named flag, what is done about it a setting."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal, get_args

import numpy as np
import pandas as pd

from urbanln.base.sentences import join_sentences, normalise, split_sentences
from urbanln.captions.cleaning.place_names import PlaceNames
from urbanln.captions.cleaning.text_faults import (
    REFUSED,
    Fault,
    find_cut_off,
    find_places,
    find_refusal,
    find_repeated,
    find_too_long,
    is_wordless,
)
from urbanln.captions.settings import Action, CleanSettings
from urbanln.captions.table import TokenCounter, check_columns, tidy_text

Flag = Literal["refusal", "empty", "cut_off", "repeated", "boilerplate", "place_names", "too_long"]
FLAGS: tuple[Flag, ...] = get_args(Flag)
# Mending one fault may lay bare another (two sentences that differed by a city's name); real texts settle in
# two or three rounds.
_ROUNDS = 20


@dataclass(frozen=True)
class Cleaned:
    """What is left after cleaning, and what was found.

    Attributes:
        frame: The surviving rows with their mended texts, in order; all columns of the input.
        flags: One row per fault: ``image_id``, ``captioner``, ``flag``, ``action`` (``"drop"``, ``"trim"`` or
            ``"keep"``: what became of the text), ``detail``.
        n_before: Captions before cleaning.
    """

    frame: pd.DataFrame = field(repr=False)
    flags: pd.DataFrame = field(repr=False)
    n_before: int

    def counts(self) -> dict[str, int]:
        """Captions with each flag, all flags named."""
        found = self.flags["flag"].value_counts()
        return {flag: int(found.get(flag, 0)) for flag in FLAGS}

    def lines(self) -> list[str]:
        """The outcome as lines to print."""
        lines = [f"captions before cleaning: {self.n_before}, after: {len(self.frame)}"]
        for flag, count in self.counts().items():
            if count:
                actions = self.flags.loc[self.flags["flag"] == flag, "action"].value_counts()
                done = ", ".join(f"{actions[a]} {word}" for a, word in _DONE.items() if a in actions)
                lines.append(f"  {flag}: {count} ({count / self.n_before:.1%}; {done})")
        return lines


_TOGETHER = 4_096  # texts that are looked at, and counted in tokens, at a time
_DONE = {"drop": "dropped", "trim": "mended", "keep": "kept as they are"}


def clean_captions(
    frame: pd.DataFrame,
    settings: CleanSettings | None = None,
    *,
    places: Sequence[str] = (),
    count_tokens: TokenCounter | None = None,
    max_tokens: int = 248,
) -> Cleaned:
    """Find the faults of captions and drop, mend or keep each as set.

    Deterministic; cleaning what was cleaned changes nothing. The time is linear in the length of the texts.

    Args:
        frame: Columns ``image_id``, ``captioner``, ``caption`` as it came, and perhaps ``finish``.
        settings: What to do about each fault; default: :class:`CleanSettings` as it stands.
        places: The city's own names; ``settings.places`` and the built-in names come on top.
        count_tokens: Gives the number of tokens of each text, untruncated; without it no text is too long.
        max_tokens: Text positions of the model, BOS and EOT included (248 after stretching, 77 in CLIP).

    Raises:
        InputError: A column is missing.
    """
    check_columns(frame, "captions to be cleaned")
    cleaning = _Cleaning(frame, settings or CleanSettings(), places, count_tokens, max_tokens)
    cleaning.settle()
    alive = list(cleaning.texts)
    kept = frame.drop(columns="caption").iloc[alive].reset_index(drop=True)
    kept = kept.assign(caption=[cleaning.texts[row] for row in alive])
    return Cleaned(kept[list(frame.columns)], cleaning.flags(), len(frame))


def caption_faults(
    frame: pd.DataFrame,
    settings: CleanSettings,
    *,
    places: Sequence[str] = (),
    count_tokens: TokenCounter | None = None,
    max_tokens: int = 248,
) -> pd.DataFrame:
    """The flags of :func:`clean_captions` alone, with the same arguments: no cleaned text is held for them.

    Raises:
        InputError: A column is missing.
    """
    check_columns(frame, "captions to be looked at")
    cleaning = _Cleaning(frame, settings, places, count_tokens, max_tokens)
    cleaning.settle()
    return cleaning.flags()


class _Texts(MutableMapping[int, str]):
    """Texts by row number: as they came, but for those that were mended; those that were dropped are gone.

    Only what was mended is in memory, not once more what a frame holds, perhaps on disk.
    """

    def __init__(self, texts: pd.Series) -> None:
        self._came, self._mended = texts.array, dict[int, str]()
        self._there = bytearray(b"\1") * len(texts)

    def __getitem__(self, row: int) -> str:
        mended = self._mended.get(row)
        return tidy_text(self._came[row]) if mended is None else mended

    def __setitem__(self, row: int, text: str) -> None:
        self._mended[row] = text

    def __delitem__(self, row: int) -> None:
        self._there[row] = 0

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and bool(self._there[row])

    def __iter__(self) -> Iterator[int]:
        return (row for row, there in enumerate(self._there) if there)

    def __len__(self) -> int:
        return sum(self._there)


class _Cleaning:
    """Texts by row number while they are being cleaned, and the flags found so far."""

    def __init__(
        self,
        frame: pd.DataFrame,
        settings: CleanSettings,
        places: Sequence[str],
        count_tokens: TokenCounter | None,
        max_tokens: int,
    ) -> None:
        self._settings, self._count, self._max = settings, count_tokens, max_tokens
        self._places = PlaceNames([*places, *settings.places])
        self._images, self._captioners = frame["image_id"].array, frame["captioner"].array
        self._finish = frame["finish"].array if "finish" in frame.columns else None
        self._found: dict[tuple[int, Flag], tuple[Action, str]] = {}
        self.texts = _Texts(frame["caption"])

    def settle(self) -> None:
        """Look until nothing changes."""
        pending: Sequence[int] = list(self.texts)
        for _ in range(_ROUNDS):
            pending = self._round(pending)
            if not pending:
                break

    def _round(self, rows: Sequence[int]) -> list[int]:
        """Look at some rows once, and at what all share; the rows that changed and still stand."""
        changed: set[int] = set()
        for start in range(0, len(rows), _TOGETHER):
            before = {row: self.texts[row] for row in rows[start : start + _TOGETHER]}
            for row in before:
                self._look_at(row)
            self._look_at_lengths([row for row in before if row in self.texts])
            changed |= {row for row, text in before.items() if row in self.texts and self.texts[row] != text}
        changed |= self._look_at_boilerplate()
        return sorted(row for row in changed if row in self.texts)

    def flags(self) -> pd.DataFrame:
        """The flags found, by row, then in the order of :data:`FLAGS`."""
        order = {flag: at for at, flag in enumerate(FLAGS)}
        found = sorted(self._found.items(), key=lambda item: (item[0][0], order[item[0][1]]))
        rows = [(self._images[row], self._captioners[row], flag, *done) for (row, flag), done in found]
        return pd.DataFrame(rows, columns=["image_id", "captioner", "flag", "action", "detail"])

    def _look_at(self, row: int) -> None:
        ended = None if self._finish is None else self._finish[row]
        finish = ended if isinstance(ended, str) else ""
        # Names go first: two sentences may differ in nothing else, and then one repeats the other.
        looks: tuple[tuple[Flag, Callable[[str], Fault | None]], ...] = (
            ("refusal", lambda text: find_refusal(text, finish) if finish in REFUSED else None),
            ("empty", lambda text: Fault(text[:20], "") if is_wordless(text) else None),
            ("place_names", lambda text: find_places(text, self._places)),
            ("refusal", find_refusal),
            ("repeated", find_repeated),
            ("cut_off", lambda text: find_cut_off(text, finish)),
        )
        for flag, find in looks:
            if row in self.texts:
                self._act(row, flag, find(self.texts[row]))

    def _look_at_lengths(self, rows: list[int]) -> None:
        count = self._count
        if count is None or not rows:
            return
        for row, tokens in zip(rows, count([self.texts[row] for row in rows]), strict=True):
            fault = find_too_long(self.texts[row], int(tokens), self._max, lambda text: int(count([text])[0]))
            self._act(row, "too_long", fault)

    def _look_at_boilerplate(self) -> set[int]:
        rows = list(self.texts)
        said = _Said((self._captioners[row], text) for row, text in self.texts.items())
        stock = said.shared([self._images[row] for row in rows], self._settings.boilerplate_pictures)
        changed: set[int] = set()
        for at in said.texts_with(stock):
            row, keys = rows[at], said.of(at)
            parts = split_sentences(self.texts[row])
            first = next(number for number, key in enumerate(keys) if key in stock)
            own = [part for part, key in zip(parts, keys, strict=True) if key not in stock]
            fault = Fault(f"{stock[keys[first]]} pictures: {parts[first][:60]}", join_sentences(own))
            if self._act(row, "boilerplate", fault):
                changed.add(row)
        return changed

    def _act(self, row: int, flag: Flag, fault: Fault | None) -> bool:
        """Note a fault and do what is set; whether the text changed or went."""
        if fault is None:
            return False
        text = self.texts[row]
        action: Action = "drop" if flag == "empty" else getattr(self._settings, flag)
        if action == "trim" and is_wordless(fault.mended):
            action = "drop"
        elif action == "trim" and fault.mended == text:
            action = "keep"
        if action == "drop":
            del self.texts[row]
        elif action == "trim":
            self.texts[row] = fault.mended
        if action != "keep" or (row, flag) not in self._found:
            self._found[row, flag] = (action, fault.detail)
        return action != "keep"


def stock_sentences(frame: pd.DataFrame, least: int = 2) -> list[tuple[str, int]]:
    """Sentences of one captioner that several pictures share.

    Args:
        frame: Columns ``image_id``, ``captioner``, ``caption``.
        least: Pictures that must share a sentence.

    Returns:
        Sentence as it was first written and number of pictures, most shared first.
    """
    texts = frame["caption"].array
    said = _Said(zip(frame["captioner"], texts, strict=True))
    shared = said.shared(frame["image_id"].array, least)
    spelling: dict[int, str] = {}
    for at in said.texts_with(shared):
        for key, sentence in zip(said.of(at), split_sentences(texts[at]), strict=True):
            spelling.setdefault(key, sentence)
    found = [(spelling[key], n) for key, n in shared.items()]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


class _Said:
    """What texts say, sentence by sentence, as numbers: equal ones where a captioner says the same again.

    Most sentences are said once, and in a large city all of them, normalised, are larger than the texts.

    Args:
        texts: Captioner and text of each.
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        keys, ends = array("Q"), array("q", [0])
        for captioner, text in texts:
            for sentence in split_sentences(text):
                said = f"{captioner}\0{normalise(sentence)}".encode(errors="surrogatepass")
                keys.frombytes(blake2b(said, digest_size=8).digest())
            ends.append(len(keys))
        self._keys, self._ends = np.array(keys, np.uint64), np.array(ends, np.int64)

    def of(self, text: int) -> list[int]:
        """The sentences of a text, in order."""
        found: list[int] = self._keys[self._ends[text] : self._ends[text + 1]].tolist()
        return found

    def shared(self, images: Sequence[str], least: int) -> dict[int, int]:
        """Pictures by sentence, of those that so many share.

        Args:
            images: The picture of each text.
            least: Pictures that must share a sentence.
        """
        image = np.repeat(pd.factorize(pd.Series(images))[0], np.diff(self._ends))
        order = np.lexsort((image, self._keys))
        keys, image = self._keys[order], image[order]
        new = np.ones(len(keys), dtype=bool)  # the first of each pair of sentence and picture
        new[1:] = (keys[1:] != keys[:-1]) | (image[1:] != image[:-1])
        different, pictures = np.unique(keys[new], return_counts=True)
        often = pictures >= least
        return dict(zip(different[often].tolist(), pictures[often].tolist(), strict=True))

    def texts_with(self, sentences: Iterable[int]) -> list[int]:
        """The texts that say one of some sentences, in order."""
        at = np.flatnonzero(np.isin(self._keys, np.array(list(sentences), np.uint64)))
        found: list[int] = np.unique(np.searchsorted(self._ends, at, side="right") - 1).tolist()
        return found
