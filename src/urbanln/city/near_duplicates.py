"""Pictures that show up in several regions: byte for byte, or nearly (saved again, scaled, brightened).

A picture that stands on both sides of a split lets a model recognise instead of predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.pictures import upright_rgb
from urbanln.base.progress import track
from urbanln.city.pictures import decode_picture, in_threads, read_bytes
from urbanln.city.splits import SPLIT
from urbanln.city.store import City

NEAR_BITS = 3
"""Bits of 64 in which the hashes of near-duplicates may differ."""
_FLAT = 3.0  # standard deviation of the thumbnail's grey levels (of 255); below, the hash is noise
_SAME = 0.98  # correlation of two thumbnails that show the same
_SIDE = 16
_BANDS = NEAR_BITS + 1  # hashes that differ in 3 bits agree in at least one of 4 bands
_MOST_KINDS = 50  # pictures of one hash that show different things are told apart up to so many kinds
_CHUNK = 4_000_000  # pairs compared at once
_ROWS = 50_000  # thumbnails held as floats at once
_EXAMPLES = 5
_PAIRS = ("examples", "exact_examples", "leak_examples")

Hashes = npt.NDArray[np.uint64]
Pairs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PictureAudit:
    """What was found among the pictures of one view.

    Attributes:
        pictures: Pictures, unreadable ones too.
        regions: Regions that have any.
        without: Regions that have none.
        unreadable: (image_id, reason) of pictures that could not be read; they are in no other count.
        flat: Pictures without structure (water, haze, a blank), whose likeness means nothing.
        exact: Pictures whose bytes a picture of another region has.
        exact_regions: Regions that have such a picture.
        near: Further pictures that nearly show what one of another region shows.
        near_regions: Regions that have such a picture.
        examples: (image_id, image_id, bits that differ) of some near-duplicates in two regions.
        flat_examples: image_id of some flat ones.
        exact_examples: (image_id, image_id) of some in two regions whose bytes are equal.
        leak_examples: (image_id of val or test, image_id of train) of some that show the same.
        leaks: Pictures of val or test that show, nearly or exactly, what one of train shows; None where
            pictures are not divided.
        places: Whether they have any; without, each picture counts as a region of its own.
    """

    pictures: int
    regions: int
    without: int
    unreadable: Sequence[tuple[str, str]]
    flat: int
    exact: int
    exact_regions: int
    near: int
    near_regions: int
    examples: Sequence[tuple[str, str, int]]
    flat_examples: Sequence[str] = ()
    exact_examples: Sequence[tuple[str, str]] = ()
    leak_examples: Sequence[tuple[str, str]] = ()
    leaks: int | None = None
    places: bool = True

    def as_json(self) -> dict[str, Any]:
        """JSON values; of pictures without places nothing is said of regions."""
        of_places = ("regions", "without", "exact_regions", "near_regions")
        hidden = {"places", *(() if self.places else of_places)}
        return {
            **{name: value for name, value in vars(self).items() if name not in hidden},
            "unreadable": [list(pair) for pair in self.unreadable],
            **{name: list(map(list, getattr(self, name))) for name in _PAIRS},
            "flat_examples": list(self.flat_examples),
        }

    def found(self, view: str) -> list[tuple[int, str]]:
        """What a user should know, as (badness, sentence): 3 spoils a score, 2 flatters it, 1 is to know."""
        whose, apart, of = "another one", "", ("", "")
        if self.places:
            whose, apart = "another region's", "; probe keeps these regions on one side of a split"
            of = (f" ({self.exact_regions} regions)", f" ({self.near_regions} regions)")
        bad = len(self.unreadable)
        counts = (
            (bad, 2, f"{bad} of {self.pictures} pictures cannot be read."),
            (
                self.leaks or 0,
                3,
                f"{self.leaks} pictures of val or test show what one of train shows: scores on them flatter.",
            ),
            (self.exact, 2, f"{self.exact} pictures are byte for byte {whose}{of[0]}{apart}."),
            (self.near, 2, f"{self.near} pictures nearly equal {whose}{of[1]}."),
            (self.without, 1, f"{self.without} regions have no such picture."),
            (self.flat, 1, f"{self.flat} pictures are flat (water, haze or blank)."),
        )
        return [(badness, f"{view}: {what}") for count, badness, what in counts if count]

    def lines(self, view: str) -> list[str]:
        """The audit as lines to print."""
        pairs = [f"  {one} and {other} differ in {bits} of 64 bits" for one, other, bits in self.examples]
        leaks = [] if self.leaks is None else [f"  of val or test, and in train as well: {self.leaks}"]
        seen = f"  unreadable {len(self.unreadable)}, flat {self.flat}"
        if not self.places:
            twice = f"  there twice: {self.exact} byte for byte, {self.near} nearly"
            return [f"{self.pictures} {view} pictures without places", seen, twice, *leaks, *pairs]
        return [
            f"{self.pictures} {view} pictures in {self.regions} regions, {self.without} regions without",
            seen,
            f"  in several regions: {self.exact} byte for byte ({self.exact_regions} regions), "
            f"{self.near} nearly ({self.near_regions} regions)",
            *leaks,
            *pairs,
        ]


def audit_pictures(city: City, *, workers: int | None = None) -> dict[str, PictureAudit]:
    """Look for pictures that stand in several regions, view by view.

    Args:
        city: Whose pictures.
        workers: Threads that decode; the number of cores (at most 8) when left out.

    Returns:
        View → what was found; only views that the city has.

    Raises:
        MissingExtraError: An address needs a package that is not installed.
    """
    return {
        str(view): _audit_view(city, images.reset_index(drop=True), str(view), workers)
        for view, images in city.images.groupby("view", sort=True)
    }


def _audit_view(city: City, images: pd.DataFrame, view: str, workers: int | None) -> PictureAudit:
    def look(path: str) -> tuple[np.uint64, npt.NDArray[np.uint8], str]:
        data = read_bytes(city, path)
        return *decode_picture(data, thumbnail, city, path), city.known_hash(path) or hash_bytes(data)

    read = in_threads(look, images["path"], workers)
    thumbs = np.zeros((len(images), _SIDE, _SIDE), dtype=np.uint8)
    hashes = np.zeros(len(images), dtype=np.uint64)
    digests: list[str] = []
    bad: dict[int, str] = {}
    for row, found in enumerate(track(read, f"looking at {view} pictures", len(images))):
        if isinstance(found, InputError):
            bad[row] = found.what
        else:
            hashes[row], thumbs[row], digest = found
            digests.append(digest)
    good = np.array([row for row in range(len(images)) if row not in bad], dtype=np.int64)
    kept, hashes, thumbs = images.iloc[good].reset_index(drop=True), hashes[good], thumbs[good]
    region = pd.factorize(kept["region_id"])[0]
    same = pd.factorize(np.array(digests, dtype=object))[0]
    exact = _in_several(same, region)
    flat = _spread(thumbs) < _FLAT
    lively = np.flatnonzero(~flat)
    pairs = lively[near_pairs(hashes[lively], thumbs[lively])]
    across = pairs[region[pairs[:, 0]] != region[pairs[:, 1]]]
    near = np.zeros(len(kept), dtype=bool)
    near[_in_several_groups(pairs, region)] = True
    near &= ~exact
    shown = across[near[across].any(axis=1)][:_EXAMPLES]
    ids = kept["image_id"].astype(str).to_numpy()
    places = city.meta.places
    leaks = _leaks(kept[SPLIT], pairs, same) if SPLIT in kept else None
    return PictureAudit(
        pictures=len(images),
        regions=images["region_id"].nunique(),
        without=len(city.regions) - images["region_id"].nunique() if places else 0,
        unreadable=[(str(images["image_id"].iloc[row]), reason) for row, reason in bad.items()],
        flat=int(flat.sum()),
        exact=int(exact.sum()),
        exact_regions=len(np.unique(region[exact])),
        near=int(near.sum()),
        near_regions=len(np.unique(region[near])),
        examples=[(str(ids[a]), str(ids[b]), int(np.bitwise_count(hashes[a] ^ hashes[b]))) for a, b in shown],
        flat_examples=[str(one) for one in ids[flat][:_EXAMPLES]],
        exact_examples=[(str(ids[a]), str(ids[b])) for a, b in _first_pairs(same, region, exact)],
        leak_examples=[(str(ids[a]), str(ids[b])) for a, b in leaks[1]] if leaks else (),
        leaks=leaks[0] if leaks else None,
        places=places,
    )


def _first_pairs(
    group: npt.NDArray[np.int64], side: npt.NDArray[Any], wanted: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Some pairs of rows of a group that lie on two sides, one of each group that a wanted row is in."""
    found = []
    for number in pd.unique(group[wanted])[:_EXAMPLES]:
        rows = np.flatnonzero(group == number)
        apart = rows[side[rows] != side[rows[0]]]
        if len(apart):
            found.append((int(rows[0]), int(apart[0])))
    return found


def _leaks(split: pd.Series, pairs: Pairs, same: npt.NDArray[np.int64]) -> tuple[int, list[tuple[int, int]]]:
    """Pictures of val or test that hang together with one of train, by pairs or by equal bytes, and some such
    pairs, what is held out first."""
    rows = np.arange(len(split))
    one, other = np.concatenate([pairs[:, 0], rows]), np.concatenate([pairs[:, 1], same + len(split)])
    group = _groups(one, other, int(other.max(initial=0)) + 1)[rows].astype(np.int64)
    trained = (split == "train").to_numpy()
    leaks = ~trained & np.isin(group, group[trained])
    shown = [(b, a) if trained[a] else (a, b) for a, b in _first_pairs(group, trained, leaks)]
    return int(leaks.sum()), shown


def thumbnail(image: Image.Image) -> tuple[np.uint64, npt.NDArray[np.uint8]]:
    """A picture's difference hash and its thumbnail, both of its grey levels.

    Args:
        image: Any mode of 8 bits per channel, any size.

    Returns:
        64 bits, each whether a pixel of a 9 × 8 copy is darker than its right neighbour (D. Krawetz's
        difference hash): unchanged by scale, brightness and most of what saving again does; and the
        (16, 16) thumbnail that tells apart what only hashes alike.
    """
    grey = upright_rgb(image).convert("L")
    small = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    digest = np.packbits(bits).view(">u8")[0]
    return np.uint64(digest), np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.uint8)


def near_pairs(hashes: Hashes, thumbs: npt.NDArray[np.uint8]) -> Pairs:
    """Pairs of pictures that show nearly the same: enough to hang groups of them together.

    A picture is compared with the first of its hash that looks like it, and these firsts with each other. So
    a chain whose links are pictures that stand for none may be missed.

    Args:
        hashes: (N,) of :func:`thumbnail`.
        thumbs: (N, 16, 16) of :func:`thumbnail`.

    Returns:
        (P, 2) row numbers: hashes differ in three bits or fewer and thumbnails correlate at .98 or more.
    """
    # The first picture of a hash stands for all that look like it; those that do not make a further kind.
    rest = np.arange(len(hashes))
    kinds: list[npt.NDArray[np.int64]] = []
    equal: list[Pairs] = []
    while len(rest) and len(kinds) < _MOST_KINDS:
        _, first, which = np.unique(hashes[rest], return_index=True, return_inverse=True)
        pairs = np.column_stack([rest[first[which]], rest])[first[which] != np.arange(len(rest))]
        same = _alike(thumbs, pairs)
        kinds.append(rest[first])
        equal.append(pairs[same])
        rest = pairs[~same, 1]
    heads = np.sort(np.concatenate(kinds)) if kinds else rest
    close = heads[_close(hashes[heads])]
    return np.concatenate([*equal, close[_alike(thumbs, close)]]).astype(np.int64).reshape(-1, 2)


def _alike(thumbs: npt.NDArray[np.uint8], pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Whether the thumbnails of each pair, of (N, 16, 16), correlate."""
    likeness = [
        np.einsum("pd,pd->p", _tuned(thumbs[part[:, 0]]), _tuned(thumbs[part[:, 1]]))
        for part in np.array_split(pairs, max(1, -(-len(pairs) // _ROWS)))
    ]
    return np.asarray(np.concatenate(likeness) >= _SAME)


def _tuned(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Thumbnails as (n, 256), each of mean 0 and length 1."""
    flat = thumbs.reshape(-1, _SIDE * _SIDE).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return flat


def _spread(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Standard deviation of each thumbnail's grey levels; of all at once it would be 16 bytes a pixel."""
    flat = thumbs.reshape(-1, _SIDE * _SIDE)
    pieces = [flat[at : at + _ROWS].std(axis=1) for at in range(0, len(flat), _ROWS)]
    return np.concatenate(pieces) if pieces else np.empty(0)


def _close(different: Hashes) -> Pairs:
    """(P, 2) pairs among hashes that differ in few bits, found by bands that are equal."""
    found = [np.empty((0, 2), dtype=np.int64)]
    width = 64 // _BANDS
    for band in range(_BANDS):
        key = (different >> np.uint64(band * width)) & np.uint64(2**width - 1)
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        for group in np.split(order, edges):
            step = max(1, _CHUNK // max(len(group), 1))
            for start in range(0, len(group) if len(group) > 1 else 0, step):
                some = different[group[start : start + step], None] ^ different[group][None]
                one, other = np.nonzero(np.bitwise_count(some) <= NEAR_BITS)
                both = np.column_stack([group[start + one], group[other]])
                found.append(both[both[:, 0] < both[:, 1]])
    return np.unique(np.concatenate(found), axis=0)


def shared_pictures(images: pd.DataFrame) -> dict[str, int]:
    """Regions that show the same picture, by content, directly or through a third one.

    Args:
        images: A city's ``images``.

    Returns:
        Region id to the number of its group, for regions that share a picture alone: to be kept off the two
        sides of a split.
    """
    known = images.dropna(subset=["sha256"])
    pairs = known[["sha256", "region_id"]].drop_duplicates()
    pairs = pairs[pairs["sha256"].duplicated(keep=False)]
    if pairs.empty:
        return {}
    region, regions = pd.factorize(pairs["region_id"])
    picture = pd.factorize(pairs["sha256"])[0] + len(regions)
    group = _groups(region, picture, int(picture.max()) + 1)
    return {str(name): int(group[number]) for number, name in enumerate(regions)}


def _in_several(group: npt.NDArray[np.int64], region: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each row's group stands in more than one region."""
    seen = pd.DataFrame({"group": group, "region": region}).groupby("group")["region"].transform("nunique")
    return np.asarray(seen > 1)


def _in_several_groups(pairs: Pairs, region: npt.NDArray[np.int64]) -> Pairs:
    """Rows that hang together, by pairs, with a row of another region."""
    group = _groups(pairs[:, 0], pairs[:, 1], len(region)).astype(np.int64)
    return np.flatnonzero(_in_several(group, region))


def _groups(one: npt.NDArray[Any], other: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Number of the group of each of ``count`` things, of which pairs hang together."""
    links = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1])
