"""RSICD from a clone to a table of pictures and a table of recorded captions.

    git clone https://github.com/ragavpn/ARAT_TRINIT rsicd-clone
    python tools/rsicd.py rsicd-clone --out rsicd-tables

The clone holds 10,921 satellite pictures with five human sentences each, in three CSV files whose captions
column is a printed array. Written are ``pictures.csv`` (image, split) and tables of recorded captions (image,
captioner, caption):

- ``humans.csv``: ``human-1`` to ``human-5``, a sentence each, in the order of the file;
- ``joined.csv``: ``joined``, the five sentences as one text;
- ``texts.csv``: ``joined``; ``first``, the first sentence alone; ``shuffled``, another training
  picture's ``joined``; and ``swap20``, ``swap40``, ``swap60``, which are ``joined`` with noise whose
  share is known: so many percent of the objects that are named are other ones wherever they stand, drawn
  from what the captions of all pictures name and never among what this picture's do. What is swapped at
  20 % is swapped at 40 % too. Wrong texts are of training pictures alone: those of the validation and
  test part stay as they are.

``facts.json`` tells counts, lengths and the shares that came out. Nothing of it may be passed on: the
pictures are from Google Earth, Baidu Map and others, for research alone.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from urbanln.base.errors import InputError
from urbanln.base.files import atomic_folder, write_json
from urbanln.base.saying import answer
from urbanln.captions.parsing.parse import load_parser, parse_all
from urbanln.captions.parsing.scene_words import singular

SPLITS = ("train", "valid", "test")
HUMANS = 5
SHARES = (20, 40, 60)
# One string of a printed array, in either kind of quotation marks.
_PRINTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_WORD = re.compile(r"[^\W\d_]+")

Mention = tuple[int, int, str]  # first and last character of an object in a text, and its name


def read_printed(cell: str) -> list[str]:
    """The strings of a printed numpy array of strings; nothing in it is run.

    Raises:
        InputError: Something else stands in it.

    Example:
        >>> read_printed("['A road.' \\"A boat's wake.\\"]")
        ['A road.', "A boat's wake."]
    """
    if "".join(_PRINTED.sub("", cell).split()) != "[]":
        raise InputError(
            "this is no printed array of texts",
            value=cell[:200],
            where="captions",
            remedy="use the CSV files of the clone as they are",
        )
    return [re.sub(r"\\(.)", r"\1", one or other) for one, other in _PRINTED.findall(cell)]


def finished(text: str) -> str:
    """A sentence with one blank between words, a capital and one full stop.

    Example:
        >>> finished("many planes  are parked near a building .")
        'Many planes are parked near a building.'
    """
    plain = re.sub(r"[\s.,;]+$", "", " ".join(text.split()))
    return plain[:1].upper() + plain[1:] + "."


def read_part(clone: Path, split: str) -> pd.DataFrame:
    """One part of the clone: ``image`` (its path inside it), ``split``, ``sentences`` (five, finished).

    Raises:
        InputError: A picture has another number of captions.
    """
    table = pd.read_csv(clone / f"{split}.csv")
    sentences = [[finished(text) for text in read_printed(cell)] for cell in table["captions"]]
    for image, found in zip(table["filepath"], sentences, strict=True):
        if len(found) != HUMANS:
            raise InputError(
                f"a picture has not {HUMANS} captions",
                value=image,
                where=clone / f"{split}.csv",
                remedy="use the CSV files of the clone as they are",
            )
    return pd.DataFrame({"image": table["filepath"], "split": split, "sentences": sentences})


def mentions(sentence: str, objects: Sequence[str]) -> list[Mention]:
    """Where a sentence names its objects, in order; a longer name is looked for before its parts.

    Args:
        sentence: As it was parsed.
        objects: Of its scene graph: nouns in the singular, of one word or more.
    """
    words = [(found.start(), found.end(), found[0].lower()) for found in _WORD.finditer(sentence)]
    found: list[Mention] = []
    taken: set[int] = set()
    for name in sorted(objects, key=lambda one: (-len(one.split()), one)):
        parts = _WORD.findall(name.lower())
        for first in range(len(words) - len(parts) + 1):
            here = range(first, first + len(parts))
            said = [words[at][2] for at in here]
            same = said == parts or [*said[:-1], singular(said[-1])] == parts
            if parts and same and taken.isdisjoint(here):
                taken |= set(here)
                found.append((words[first][0], words[here[-1]][1], name))
    return sorted(found)


def swap(
    sentences: Sequence[str],
    objects: Sequence[Sequence[str]],
    share: float,
    pool: Mapping[str, int],
    rng: np.random.Generator,
) -> tuple[list[str], int, int]:
    """Replace a share of the objects that a picture's sentences name by wrong ones, wherever they stand.

    Args:
        sentences: Of the picture.
        objects: Of each sentence.
        share: 0 to 1, of the objects.
        pool: How often each object is mentioned anywhere; the wrong ones are drawn by it, each once.
        rng: Equal generators swap the same objects first, and for the same ones, whatever the share.

    Returns:
        The sentences, how many objects were replaced, and how many there are.
    """
    places = [(k, *one) for k, text in enumerate(sentences) for one in mentions(text, objects[k])]
    named = sorted({name for *_, name in places})
    own = {name for names in objects for name in names}
    others = [name for name in pool if name not in own]
    weights = np.array([pool[name] for name in others], dtype=float)
    drawn = rng.choice(len(others), size=len(named), replace=False, p=weights / weights.sum())
    wrong = {name: others[at] for name, at in zip(rng.permutation(named).tolist(), drawn, strict=True)}
    # Rounded at random, or pictures with few objects would all fall short, or all go beyond.
    count = min(int(share * len(named) + rng.random()), len(named))
    swapped = dict(list(wrong.items())[:count])
    told = [list(text) for text in sentences]
    for k, start, end, name in places:
        if name in swapped:
            said = sentences[k][start:end]
            word = swapped[name] if said.lower() == name else _plural(swapped[name])
            told[k][start:end] = [word.capitalize() if said[0].isupper() else word, *[""] * (end - start - 1)]
    return ["".join(letters) for letters in told], count, len(named)


def _plural(name: str) -> str:
    if re.search(r"[^aeiou]y$", name):
        return name[:-1] + "ies"
    return name + ("es" if re.search(r"(s|x|z|ch|sh)$", name) else "s")


def caption_rows(parts: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, float]]:
    """The table of captions, and the shares of objects that were swapped in the training part."""
    distinct = sorted({text for found in parts["sentences"] for text in found})
    named = dict(zip(distinct, parse_all(distinct, load_parser("spacy"), processes=1), strict=True))
    pool = Counter(name for text in distinct for name in named[text].objects)
    others = other_texts(parts, seed)
    rows, done, all_of = [], Counter[int](), Counter[int]()
    for number, (image, split, found) in enumerate(parts.itertuples(index=False)):
        rows += [(image, f"human-{k + 1}", text) for k, text in enumerate(found)]
        rows += [(image, "joined", " ".join(found)), (image, "first", found[0])]
        rows.append((image, "shuffled", others[number]))
        objects = [named[text].objects for text in found]
        for share in SHARES:
            told = found
            if split == "train":
                rng = np.random.default_rng((seed, number))
                told, count, whole = swap(found, objects, share / 100, pool, rng)
                done[share] += count
                all_of[share] += whole
            rows.append((image, f"swap{share}", " ".join(told)))
    table = pd.DataFrame(rows, columns=["image", "captioner", "caption"])
    return table, {f"swap{share}": round(done[share] / all_of[share], 4) for share in SHARES}


def other_texts(parts: pd.DataFrame, seed: int) -> list[str]:
    """For each training picture another one's joined text, each text once; for the others their own."""
    texts = parts["sentences"].map(" ".join).to_numpy(dtype=object)
    circle = np.random.default_rng((seed, len(parts))).permutation(np.flatnonzero(parts["split"] == "train"))
    texts[circle] = texts[np.roll(circle, 1)]
    return list(texts)


def lengths(texts: Sequence[str]) -> dict[str, float]:
    """CLIP tokens of texts: their median, and the share that 77 positions do not hold."""
    from urbanln.model.tokens import load_tokenizer

    counts = np.array(load_tokenizer("clip").count_tokens(list(texts)))
    return {"median_tokens": float(np.median(counts)), "over_77": round(float((counts > 77).mean()), 4)}


def main() -> None:
    """Read the clone; write both tables and what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    parts = pd.concat([read_part(args.clone, split) for split in SPLITS], ignore_index=True)
    captions, shares = caption_rows(parts, args.seed)
    facts = {
        "pictures": parts["split"].value_counts().to_dict(),
        "joined": lengths(captions.loc[captions["captioner"] == "joined", "caption"].tolist()),
        "objects_swapped": shares,
        "seed": args.seed,
    }
    with atomic_folder(args.out) as folder:
        parts[["image", "split"]].to_csv(folder / "pictures.csv", index=False)
        human = captions["captioner"].str.startswith("human")
        captions[human].to_csv(folder / "humans.csv", index=False)
        captions[~human].to_csv(folder / "texts.csv", index=False)
        captions[captions["captioner"] == "joined"].to_csv(folder / "joined.csv", index=False)
        write_json(folder / "facts.json", facts)
    answer(*(f"{name}: {value}" for name, value in facts.items()))


if __name__ == "__main__":
    main()
