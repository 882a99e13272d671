from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.captions.captioners.base import Box, Picture
from urbanln.captions.facts import MemoryFacts
from urbanln.captions.refine.grounding import (
    NEUTRAL,
    Calibration,
    ClipGrounder,
    NoGrounder,
    Scored,
    ground_phrases,
)


def picture(colour: str = "red", sha256: str = "p") -> Picture:
    file = io.BytesIO()
    image = Image.new("RGB", (40, 20), "grey")
    image.paste(colour, (20, 0, 40, 20))
    image.save(file, "PNG")
    return Picture("p", "satellite", "p.png", sha256, file.getvalue)


class Counting:
    version, threshold = "counting", 0.5

    def __init__(self, give: float = 0.7) -> None:
        self.asked: list[str] = []
        self.give = give

    def ground(self, picture: Picture, boxes: Sequence[Box], phrases: Sequence[str]) -> list[float]:
        self.asked += phrases
        return [self.give] * len(phrases)


def test_no_grounder_keeps_everything_and_says_so() -> None:
    facts = MemoryFacts()
    assert ground_phrases(picture(), [], ["tree", "dragon"], NoGrounder(), facts) == [1.0, 1.0]
    report = Calibration(NoGrounder())
    report.add([Scored("tree", "describe", 1.0, True)])
    assert report.lines() == ["grounding: none; nothing that was said was looked for in the pictures"]


def test_a_phrase_is_looked_for_once_per_picture_and_parts() -> None:
    facts, grounder = MemoryFacts(), Counting()
    box = (0.0, 0.0, 0.5, 1.0)
    assert ground_phrases(picture(), [box], ["tree", "car", "tree"], grounder, facts) == [0.7, 0.7, 0.7]
    ground_phrases(picture(), [box], ["car", "bus"], grounder, facts)
    assert grounder.asked == ["tree", "car", "bus"]
    ground_phrases(picture(sha256="q"), [box], ["car"], grounder, facts)
    ground_phrases(picture(), [], ["car"], grounder, facts)
    assert grounder.asked == ["tree", "car", "bus", "car", "car"]


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_an_error(wrong: float) -> None:
    with pytest.raises(InputError, match="one finite score"):
        ground_phrases(picture(), [], ["tree"], Counting(wrong), MemoryFacts())


def reds(images: list[Image.Image], texts: list[str]) -> np.ndarray:
    """A CLIP that knows one thing: "red" fits by a picture's red, and other words fit anything a little."""
    red = [float((np.asarray(image, dtype=float) @ (1, -0.5, -0.5)).clip(0).mean() / 255) for image in images]
    return np.array([[share if "red" in text else 0.3 for text in texts] for share in red])


def test_clip_looks_at_the_parts_too() -> None:
    grounder = ClipGrounder(reds, model="reds", scale=100)
    right = (0.5, 0.0, 1.0, 1.0)
    (half,), (close,) = (grounder.ground(picture("#a00000"), b, ["red roof"]) for b in ([], [right]))
    # Cosine of the half-red whole .31, of the red part .63, of neutral words .3.
    assert half == pytest.approx(1 / (1 + math.exp(-100 * (160 / 255 / 2 - 0.3))), rel=1e-6)
    assert close > 0.999
    (other,) = grounder.ground(picture("#a00000"), [right], ["dragon"])
    assert other == pytest.approx(0.5)
    (absent,) = grounder.ground(picture("blue"), [right], ["red roof"])
    assert absent < 0.01


def test_clip_takes_phrases_as_they_are() -> None:
    seen: list[str] = []

    def similarity(images: list[Image.Image], texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.zeros((len(images), len(texts)))

    ClipGrounder(similarity, model="m").ground(picture(), [], ["{0} {x}", "%s"])
    assert seen[:2] == ["a picture of {0} {x}", "a picture of %s"]
    assert len(seen) == 2 + len(NEUTRAL)
    versions = {
        ClipGrounder(similarity, model=m, scale=s, template=t).version
        for m, s, t in (("m", 100, "{}"), ("n", 100, "{}"), ("m", 50, "{}"), ("m", 100, "a {}"))
    }
    assert len(versions) == 4


def test_calibration_tells_of_cut_phrases() -> None:
    class Short(Counting):
        cut = 0

    grounder = Short()
    report = Calibration(grounder)
    report.add([Scored("a", "describe", 0.9, True)])
    assert "cut" not in " ".join(report.lines())
    grounder.cut = 3
    assert report.lines()[-1] == "  phrases too long for the grounder, and cut: 3"


def test_calibration_counts_by_stage() -> None:
    report = Calibration(Counting(), threshold=0.25)
    assert report.lines() == ["grounding by counting: no phrase was checked"]
    report.add([Scored("a", "describe", 0.1, False), Scored("b", "describe", 0.25, True)])
    report.add([Scored("c", "local", 0.9, True), Scored("d", "merge", 0.9, True)])
    lines = report.lines()
    assert lines[0] == "grounding by counting, threshold 0.25: 75.0 % of 4 phrases kept"
    assert lines[1:4] == [
        "  named first by describe: 50.0 % of 2",
        "  named first by local: 100.0 % of 1",
        "  named first by merge: 100.0 % of 1",
    ]
    assert "50 % 0.575" in lines[4]
