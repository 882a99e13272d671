"""Simulated captioners: errors at known rates, said truly, always the same, and never about labels."""

from __future__ import annotations

import re

import numpy as np
import pytest

from urbanln.captions.simulated import SIMULATED, SimulatedCaptioner, short_caption
from urbanln.captions.wording import STYLES, Mention, generator, noun_phrase
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import VOCABULARY
from urbanln.city.synthetic.street import draw_view
from urbanln.errors import InputError


@pytest.fixture(scope="module")
def scenes() -> list[tuple[str, dict]]:
    cells, _ = make_cells(60, seed=11, cell_km=1.0, street_views=2, street_missing=0.0)
    tiles = [(f"{cell.region_id}_satellite", draw_tile(cell, 48)[1]) for cell in cells]
    return tiles + [(f"{cell.region_id}_0", draw_view(cell, 0)[1]) for cell in cells]


def _names(name: str, text: str) -> bool:
    thing = VOCABULARY[name]
    return re.search(rf"\b({thing.name}|{thing.plural})\b", text, re.IGNORECASE) is not None


def test_the_same_picture_gets_the_same_text_and_captioners_differ(scenes: list[tuple[str, dict]]) -> None:
    image_id, scene = scenes[0]
    texts = [captioner.describe(scene, image_id) for captioner in SIMULATED]
    assert texts == [captioner.describe(scene, image_id) for captioner in SIMULATED]
    assert len(set(texts)) == len(SIMULATED) >= 3
    first = SIMULATED[0]
    again = SimulatedCaptioner(first.name, first.omission, first.hallucination, style=first.style, seed=1)
    assert again.describe(scene, image_id) != texts[0]


def test_texts_are_long_and_of_no_exact_numbers_places_or_labels(scenes: list[tuple[str, dict]]) -> None:
    forbidden = re.compile(
        r"\d|population|gdp|carbon|crime|income|longitude|latitude|synthetic|r0", re.IGNORECASE
    )
    for image_id, scene in scenes:
        for captioner in SIMULATED:
            text = captioner.describe(scene, image_id)
            assert 60 <= len(text.split()) <= 165, text
            assert not forbidden.search(text), text
            assert "{" not in text
            assert "  " not in text


def test_reported_errors_are_those_in_the_text(scenes: list[tuple[str, dict]]) -> None:
    for image_id, scene in scenes:
        true = {thing["name"] for thing in scene["objects"]}
        for captioner in (SIMULATED[0], SIMULATED[-1]):
            told = captioner.describe_with_errors(scene, image_id)
            assert not set(told.hallucinated) & true
            assert set(told.omitted) <= true
            assert all(_names(name, told.text) for name in told.hallucinated)
            assert all(_names(name, told.text) for name in true - set(told.omitted))


def test_a_worse_captioner_omits_and_makes_up_more(scenes: list[tuple[str, dict]]) -> None:
    omitted, made_up = [], []
    for captioner in SIMULATED:
        told = [captioner.describe_with_errors(scene, image_id) for image_id, scene in scenes]
        omitted.append(np.mean([len(t.omitted) for t in told]))
        made_up.append(np.mean([len(t.hallucinated) for t in told]))
    assert omitted == sorted(omitted)
    assert made_up == sorted(made_up)
    assert omitted[-1] > 2 * omitted[0]
    assert made_up[-1] > 1 > made_up[0]


def test_no_error_rates_no_made_up_objects_and_hardly_an_omission(scenes: list[tuple[str, dict]]) -> None:
    perfect = SimulatedCaptioner("perfect", omission=0, hallucination=0, wrong_attribute=0)
    told = [perfect.describe_with_errors(scene, image_id) for image_id, scene in scenes]
    assert sum(len(t.hallucinated) for t in told) == 0
    # Only what the longest text has no room for is left out.
    assert np.mean([len(t.omitted) for t in told]) < 0.5


def test_details_come_after_the_gross_layout(scenes: list[tuple[str, dict]]) -> None:
    perfect = SimulatedCaptioner("perfect", omission=0, hallucination=0, wrong_attribute=0)
    found = 0
    for image_id, scene in scenes[:20]:
        text = perfect.describe(scene, image_id)
        details = [
            t["name"] for t in scene["objects"] if not VOCABULARY[t["name"]].gross and _names(t["name"], text)
        ]
        first = text.split(". ")[0]
        found += len(details)
        assert not any(_names(name, first) for name in details)
    assert found > 60


def test_short_captions_are_short_true_and_vary_with_the_seed(scenes: list[tuple[str, dict]]) -> None:
    for image_id, scene in scenes:
        texts = [short_caption(scene, image_id, seed) for seed in range(4)]
        assert all(3 < len(text.split()) <= 40 for text in texts)
        assert len(set(texts)) > 1
        true = {thing["name"] for thing in scene["objects"]}
        details = [name for name, thing in VOCABULARY.items() if not thing.gross and name not in true]
        # A market stall's awnings are its attribute, not an object of their own.
        assert not any(_names(name, text) for name in details if name != "awning" for text in texts)


def test_noun_phrases_read_well() -> None:
    rng = generator(0, "x", "y")
    one = Mention("avenue", 1, ("wide", "running north to south"), "centre", 0.1)
    assert noun_phrase(one, rng) == "a wide avenue running north to south"
    assert noun_phrase(Mention("office tower", 1, (), "", 0.1), rng) == "an office tower"
    two = noun_phrase(Mention("apartment block", 2, ("tall", "red-roofed"), "", 0.1), rng)
    assert two in ("two tall, red-roofed apartment blocks", "a pair of tall, red-roofed apartment blocks")
    mixed = noun_phrase(Mention("parked car", 40, ("red", "silver"), "", 0.1), rng)
    assert mixed in ("dozens of red and silver parked cars", "very many red and silver parked cars")


@pytest.mark.parametrize("bad", [{"omission": 1.2}, {"hallucination": -0.1}, {"style": "baroque"}])
def test_bad_rates_and_styles_are_named(bad: dict) -> None:
    with pytest.raises(InputError):
        SimulatedCaptioner("x", **bad)


def test_every_style_serves_both_views() -> None:
    assert all(set(style.openings) == {"satellite", "street"} for style in STYLES.values())
    assert {captioner.style for captioner in SIMULATED} <= set(STYLES)
