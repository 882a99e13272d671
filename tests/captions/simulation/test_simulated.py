"""Simulated captioners: errors at known rates, said truly, always the same, and never about labels."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.simulation.naming import named_objects
from urbanln.captions.simulation.short import short_caption
from urbanln.captions.simulation.simulated import SIMULATED, UNCLEAR, SimulatedCaptioner
from urbanln.captions.simulation.wording import STYLES, Mention, generator, noun_phrase
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import VOCABULARY, part_of_scene
from urbanln.city.synthetic.street import draw_view

PROMPTS = Prompts()


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


QUARTERS = tuple((a, b, a + 0.5, b + 0.5) for a in (0.0, 0.5) for b in (0.0, 0.5))
BY_NAME = {captioner.name: captioner for captioner in SIMULATED}


def _true(scene: dict) -> set[str]:
    return {thing["name"] for thing in scene["objects"]}


def test_parts_are_described_in_twenty_words_of_what_lies_there(scenes: list[tuple[str, dict]]) -> None:
    perfect = SimulatedCaptioner("perfect", omission=0, hallucination=0, wrong_attribute=0)
    for image_id, scene in scenes:
        for box in QUARTERS:
            text = perfect.describe_part(scene, image_id, box)
            inside = _true(part_of_scene(scene, box))
            named = set(named_objects(text, scene["view"]))
            assert len(text.split()) <= 20
            assert named <= inside
            assert bool(named) is bool(inside)
            assert (text == UNCLEAR) is not bool(inside)


def test_a_closer_look_misses_less_than_the_whole_and_invents_too(scenes: list[tuple[str, dict]]) -> None:
    worst = SIMULATED[-1]
    small = [n for n, thing in VOCABULARY.items() if thing.size == "small"]
    whole, parts, invented = [], [], 0
    for image_id, scene in scenes:
        seen = set(named_objects(worst.describe(scene, image_id), scene["view"]))
        boxes = [(x / 4, y / 4, (x + 1) / 4, (y + 1) / 4) for x in range(4) for y in range(4)]
        close = {
            n for b in boxes for n in named_objects(worst.describe_part(scene, image_id, b), scene["view"])
        }
        there = _true(scene) & set(small)
        whole += [name in seen for name in there]
        parts += [name in close for name in there]
        invented += len(close - _true(scene))
    assert np.mean(parts) > np.mean(whole) + 0.15
    assert invented > len(scenes)


def _merged(captioner: SimulatedCaptioner, image_id: str, scene: dict, description: str, **told: str) -> str:
    fields = {"notes": "none", "rejected": "none"} | told
    prompt = PROMPTS.render("merge", scene["view"], description=description, **fields).text
    return captioner.merge(scene, image_id, prompt)


def test_merging_adds_what_notes_hold_and_doubts_what_is_not_there(scenes: list[tuple[str, dict]]) -> None:
    captioner = BY_NAME["simulated-c"]
    added, believed, lengths = [], [], []
    for image_id, scene in scenes:
        view, true = scene["view"], _true(scene)
        description = captioner.describe(scene, image_id)
        lacking = [n for n in sorted(true) if n not in named_objects(description, view)][:2]
        false = next(n for n, t in VOCABULARY.items() if view in t.views and n not in true and not t.gross)
        text = _merged(
            captioner, image_id, scene, description, notes="\n".join(f"- a {n}" for n in [*lacking, false])
        )
        named = named_objects(text, view)
        added += [name in named for name in lacking]
        believed.append(false in named)
        lengths.append(len(text.split()))
    assert np.mean(added) > 0.75
    assert 0.4 < np.mean(believed) < 0.85
    assert 60 <= min(lengths) <= max(lengths) <= 165


def test_what_is_rejected_is_left_out_nine_times_in_ten(scenes: list[tuple[str, dict]]) -> None:
    captioner = BY_NAME["simulated-e"]
    disobeyed, doubted = [], []
    for image_id, scene in scenes:
        view, true = scene["view"], _true(scene)
        false = next(n for n, t in VOCABULARY.items() if view in t.views and n not in true and not t.gross)
        description = f"{captioner.describe(scene, image_id)} There is a {false}."
        for rejected, found in ((false, disobeyed), ("none", doubted)):
            text = _merged(captioner, image_id, scene, description, rejected=rejected)
            found.append(false in named_objects(text, view))
    assert np.mean(disobeyed) < 0.2 < 0.5 < np.mean(doubted)


def test_repair_changes_only_sentences_that_name_what_is_rejected(scenes: list[tuple[str, dict]]) -> None:
    captioner = SIMULATED[3]
    gone, kept_true = [], []
    for image_id, scene in scenes:
        view = scene["view"]
        description = captioner.describe(scene, image_id)
        lines = re.split(r"(?<=\.) ", description)
        names = named_objects(description, view)
        target = next((n for n in reversed(names) if not VOCABULARY[n].gross), names[-1])
        prompt = PROMPTS.render("repair", view, description=description, rejected=target).text
        text = captioner.repair(scene, image_id, prompt)
        assert text == captioner.repair(scene, image_id, prompt)
        gone.append(target not in named_objects(text, view))
        assert all(line in text for line in lines if target not in named_objects(line, view))
        if gone[-1]:
            kept_true += [n in named_objects(text, view) for n in names if n != target]
        else:
            assert text == description
    assert 0.8 < np.mean(gone) < 1
    assert np.mean(kept_true) > 0.98


def test_repair_without_anything_left_gives_the_text_back(scenes: list[tuple[str, dict]]) -> None:
    image_id, scene = scenes[0]
    prompt = PROMPTS.render("repair", scene["view"], description="A layout.", rejected="layout, a, A").text
    assert SIMULATED[0].repair(scene, image_id, prompt) == "A layout."


def test_the_revision_follows_every_rate() -> None:
    first = SIMULATED[0]
    others = [
        replace(first, **change)
        for change in (
            {"omission": 0.07},
            {"hallucination": 0.0},
            {"style": "terse"},
            {"seed": 1},
            {"name": "x"},
        )
    ]
    assert len({first.revision, *(other.revision for other in others)}) == 6
    assert replace(first).revision == first.revision
