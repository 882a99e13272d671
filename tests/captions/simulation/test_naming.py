"""What a text names: longest names, plurals, words that mean something else; and prompts taken apart."""

from __future__ import annotations

import pytest

from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import LastingFault
from urbanln.captions.simulation.naming import (
    Errors,
    meant_objects,
    mentions_any,
    named_objects,
    object_errors,
    read_prompt,
)
from urbanln.captions.simulation.simulated import SimulatedCaptioner
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import VOCABULARY
from urbanln.city.synthetic.street import draw_view


@pytest.mark.parametrize(
    ("text", "view", "names"),
    [
        ("Street lamps light the STREET.", "street", ["street lamp", "street"]),
        ("a street-level photo and a street view of two benches", "street", ["bench"]),
        ("parked cars in a parking lot", "satellite", ["parked car", "parking lot"]),
        ("a park, buses, people", "satellite", ["park", "bus"]),
        ("people under a hazy sky", "street", ["person", "sky"]),
        ("market stalls in rows with colourful awnings", "street", ["market stall"]),
        ("market stalls below awnings", "street", ["market stall", "awning"]),
        ("parkland, bushes, treeless, upstreet", "satellite", []),
        ("", "street", []),
    ],
)
def test_the_longest_name_counts_once(text: str, view: str, names: list[str]) -> None:
    assert named_objects(text, view) == names


def test_every_word_of_the_vocabulary_is_found_in_both_numbers() -> None:
    for thing in VOCABULARY.values():
        for view in thing.views:
            assert named_objects(f"There is a {thing.name}.", view) == [thing.name]
            assert named_objects(f"There are {thing.plural}, too.", view) == [thing.name]


def test_a_phrase_may_mean_all_objects_of_its_last_word() -> None:
    assert set(meant_objects("houses", "satellite")) == {"detached house", "terraced house"}
    assert meant_objects("red parked car", "street") == ("parked car",)
    assert set(meant_objects("lamp", "street")) == {"street lamp", "broken lamp"}
    assert meant_objects("roof", "satellite") == ()
    assert meant_objects("bright play towers", "satellite") == ()
    assert meant_objects("neighbourhood", "satellite") == ()
    assert meant_objects("", "street") == ()


def test_errors_are_counted_by_hand() -> None:
    scene = {"view": "satellite", "objects": [{"name": n} for n in ("tree", "park", "river", "pond")]}
    errors = object_errors("Trees and a park, two buses, trees again.", scene)
    assert errors == Errors(named=3, true=4, hits=2)
    assert errors.hallucinated == pytest.approx(1 / 3)
    assert errors.missed == pytest.approx(1 / 2)
    assert errors.f1 == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert Errors(0, 0, 0).f1 == 1.0


def test_texts_without_errors_have_hardly_any() -> None:
    """What the measure itself adds is small: fixed sentences that name streets, lists cut for length."""
    perfect = SimulatedCaptioner("perfect", omission=0, hallucination=0, wrong_attribute=0)
    cells, _ = make_cells(40, seed=12, cell_km=1.0, street_views=1, street_missing=0.0)
    scenes = [draw_tile(cell, 48)[1] for cell in cells] + [draw_view(cell, 0)[1] for cell in cells]
    errors = [object_errors(perfect.describe(scene, str(k)), scene) for k, scene in enumerate(scenes)]
    named, hits = sum(e.named for e in errors), sum(e.hits for e in errors)
    assert (named - hits) / named < 0.005
    assert 1 - hits / sum(e.true for e in errors) < 0.05


@pytest.mark.parametrize("view", ["satellite", "street"])
def test_the_packages_prompts_are_taken_apart(view: str) -> None:
    fields = {"description": "A park.\nAnd a pond.", "notes": "- two cars\n- unclear", "rejected": "bus; sky"}
    told = read_prompt(Prompts().render("merge", view, **fields).text)
    assert told == ("A park.\nAnd a pond.", "- two cars\n- unclear", ("bus", "sky"))
    told = read_prompt(
        Prompts().render("repair", view, description="A park.", rejected='- "red bus"\n- sky').text
    )
    assert told == ("A park.", "", ("red bus", "sky"))
    told = read_prompt(Prompts().render("repair", view, description="A park.", rejected="none").text)
    assert told.rejected == ()


def test_a_prompt_without_headings_is_refused() -> None:
    with pytest.raises(LastingFault, match="finds no description"):
        read_prompt("Merge this: a park. Avoid: bus.")


def test_whole_words_are_looked_for() -> None:
    assert mentions_any("Two Red Buses.", ["red buses"])
    assert not mentions_any("A parking lot.", ["park", "lots"])
    assert not mentions_any("anything", [])
