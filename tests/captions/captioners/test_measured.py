"""The words of the measured captions follow the numbers."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from urbanln.base.files import hash_file
from urbanln.captions.captioners.base import Ask, Captioner, Picture
from urbanln.captions.captioners.measured import MeasuredCaptioner, describe_measures
from urbanln.captions.captioners.phrases import Phrases, amount, corner_list
from urbanln.city.pixels import PIXEL_FEATURES, measure_pixels

GREEN, GREY, BLUE, SKY = (70, 120, 50), (140, 140, 138), (40, 80, 140), (215, 220, 228)
# What no pixel statistics can know, and what must never leak into a caption.
FORBIDDEN = re.compile(
    r"\b(shop|people|person|car|house|building|park|road|street|river|lake|tree|population|gdp|income|poor|rich|"
    r"crime|carbon|city|north|south|east|west)s?\b"
)


def _caption(image: Image.Image, view: str, seed: str = "0") -> str:
    return describe_measures(measure_pixels(image, view=view), view, seed=seed)


def _tile() -> Image.Image:
    image = Image.new("RGB", (128, 128), GREY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((64, 0, 127, 63), fill=GREEN)
    draw.rectangle((0, 96, 127, 127), fill=BLUE)
    return image


def test_a_tile_is_described_as_it_is() -> None:
    text = _caption(_tile(), "satellite").lower()
    assert "upper right" in text  # where the green is
    assert "about half" in text  # grey
    assert text.count("about a quarter") >= 2  # green and blue, as surfaces and as colours
    assert "sky" not in text
    assert "lower half" in text  # where the blue is


def test_a_street_view_is_described_as_it_is() -> None:
    image = Image.new("RGB", (160, 120), SKY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 80, 159, 119), fill=(90, 90, 88))
    draw.rectangle((110, 20, 159, 119), fill=GREEN)
    text = _caption(image, "street").lower()
    assert "sky" in text
    assert "almost only on the right" in text
    assert "water" not in text


def test_each_seed_is_stable_and_seeds_differ() -> None:
    texts = {_caption(_tile(), "satellite", seed=str(n)) for n in range(20)}
    assert len(texts) >= 18
    assert _caption(_tile(), "satellite", seed="7") == _caption(_tile(), "satellite", seed="7")


@pytest.mark.parametrize("view", ["satellite", "street"])
@pytest.mark.parametrize("value", [0.0, 0.004, 0.02, 0.1, 0.3, 0.6, 1.0])
def test_any_measures_give_well_formed_text(view: str, value: float) -> None:
    for seed in "abc":
        text = describe_measures(dict.fromkeys(PIXEL_FEATURES, value), view, seed=seed)
        assert len(text.split()) >= 20
        assert "  " not in text
        assert "{" not in text
        assert all(sentence[0].isupper() for sentence in text.rstrip(".").split(". "))
        assert not FORBIDDEN.search(text.lower())


def test_words_follow_numbers_upwards() -> None:
    shares = [n / 200 for n in range(201)]
    words = [amount(share) for share in shares]
    assert [words[k] for k in (0, 10, 20, 50, 66, 100, 200)] == [
        "next to nothing", "about a twentieth", "about a tenth", "about a quarter", "about a third",
        "about half", "all",
    ]  # fmt: skip
    assert len(set(words)) == sum(a != b for a, b in pairwise(words)) + 1  # no word comes back


def test_places_from_quarters() -> None:
    def at(*shares: float) -> str:
        names = ("upper left", "upper right", "lower left", "lower right")
        return corner_list(dict(zip(names, shares, strict=True)))

    assert at(0.5, 0.5, 0.5, 0.5) == "is spread over all four quarters"
    assert at(0.9, 0.0, 0.0, 0.1) == "lies mostly in the upper left"
    assert at(0.5, 0.0, 0.5, 0.0) == "lies mainly in the left half"
    assert at(0.5, 0.0, 0.0, 0.5) == "lies mainly in the upper left and the lower right"
    assert at(0.4, 0.2, 0.2, 0.1) == "is thickest in the upper left and least in the lower right"


def test_phrasings_are_about_equally_often_chosen() -> None:
    chosen = [Phrases(str(n)).choose("key", 0, 1, 2) for n in range(300)]
    assert all(70 < chosen.count(option) < 130 for option in (0, 1, 2))


def test_a_picture_without_a_known_hash_is_hashed(tmp_path: Path) -> None:
    _tile().save(tmp_path / "a.png")
    known, unknown = (
        Picture("a", "satellite", "a.png", sha, (tmp_path / "a.png").read_bytes)
        for sha in (hash_file(tmp_path / "a.png"), "")
    )
    assert MeasuredCaptioner().describe(known) == MeasuredCaptioner().describe(unknown)


def test_an_answer_is_the_description_and_the_pixels_are_measured_beside_the_loop(tmp_path: Path) -> None:
    _tile().save(tmp_path / "a.png")
    threads = []

    def read() -> bytes:
        threads.append(threading.get_ident())
        return (tmp_path / "a.png").read_bytes()

    picture = Picture("a", "satellite", "a.png", hash_file(tmp_path / "a.png"), read)
    captioner: Captioner = MeasuredCaptioner()
    answer = asyncio.run(captioner.answer(Ask(picture)))
    assert threads
    assert threading.get_ident() not in threads
    assert answer is not None
    assert answer.text == MeasuredCaptioner().describe(picture)
    assert (answer.finish, answer.cost_usd) == ("stop", 0.0)
    assert asyncio.run(captioner.answer(Ask(picture, stage="merge"))) is None
    assert not captioner.prompted


def test_a_picture_that_cannot_be_read_says_so() -> None:
    picture = Picture("a", "satellite", "a.png", "", lambda: b"no picture")
    with pytest.raises(OSError, match="cannot identify"):
        asyncio.run(MeasuredCaptioner().answer(Ask(picture)))


def test_captions_of_real_street_views_differ() -> None:
    folder = os.environ.get("URBANLN_WUHAN")
    if not folder:
        pytest.skip("URBANLN_WUHAN does not name the folder of real street views")
    paths = sorted(Path(folder).glob("images/*.jpg"))[::4]
    captions = []
    for path in paths:
        with Image.open(path) as image:
            captions.append(_caption(image, "street", hash_file(path)))
    assert len(paths) > 100
    assert len(set(captions)) == len(captions)
    # Also when the phrasing is the same for all, most differ: the words follow the measures.
    fixed = {_caption(Image.open(path), "street") for path in paths}
    assert len(fixed) > 0.9 * len(paths)
    assert all(80 <= len(text.split()) <= 180 for text in captions)
    assert not any(FORBIDDEN.search(text.lower()) for text in captions)
    # A dash camera under an overcast sky: nearly every picture shows some.
    assert sum("hardly any sky" not in text for text in captions) > 0.8 * len(captions)
