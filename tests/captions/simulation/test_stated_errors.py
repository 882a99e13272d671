"""False statements at the share that was asked for, alone or in common; and where in a text details stand."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.base.sentences import split_sentences
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.named import choose_captioners
from urbanln.captions.run import Language, make_tools
from urbanln.captions.settings import CaptionSettings, SimulationSettings
from urbanln.captions.simulation.naming import named_objects, object_errors
from urbanln.captions.simulation.scene_captioner import simulated_as
from urbanln.captions.simulation.simulated import SIMULATED, SimulatedCaptioner
from urbanln.city.synthetic import VOCABULARY
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile

PARTS = tuple((a, b, a + 0.5, b + 0.5) for a in (0.0, 0.5) for b in (0.0, 0.5))


@pytest.fixture(scope="module")
def scenes() -> list[tuple[str, dict]]:
    cells, _ = make_cells(60, seed=21, cell_km=1.0, street_views=0, street_missing=1.0)
    return [(cell.region_id, draw_tile(cell, 48)[1]) for cell in cells]


def alike(count: int, **how: Any) -> list[SimulatedCaptioner]:
    return simulated_as(SimulationSettings(captioners=count, **how))


def untrue_share(captioner: SimulatedCaptioner, scenes: list[tuple[str, dict]]) -> float:
    found = [object_errors(captioner.describe(scene, image_id), scene) for image_id, scene in scenes]
    return 1 - sum(one.hits for one in found) / sum(one.named for one in found)


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_as_much_is_false_as_was_asked(scenes: list[tuple[str, dict]], share: float, shared: float) -> None:
    captioners = alike(5, untrue=share, shared=shared)
    measured = [untrue_share(one, scenes) for one in captioners]
    # Of 60 pictures with 12 things each; what all err in alike is drawn once, not five times.
    assert np.mean(measured) == pytest.approx(share, abs=0.04 if shared else 0.025)
    assert all(found == pytest.approx(share, abs=0.07) for found in measured)


def test_shared_means_the_same_false_statement_by_all(scenes: list[tuple[str, dict]]) -> None:
    def agreement(shared: float) -> float:
        sets = [
            [set(one.describe_with_errors(scene, image_id).hallucinated) for image_id, scene in scenes]
            for one in alike(3, untrue=0.3, shared=shared, omission=0.0, words=400)
        ]
        pairs = [(a, b) for one, other in combinations(sets, 2) for a, b in zip(one, other, strict=True)]
        return sum(len(a & b) for a, b in pairs) / sum(len(a | b) for a, b in pairs)

    found = [agreement(shared) for shared in (0.0, 0.5, 1.0)]
    assert found[0] < 0.15
    assert found[0] + 0.15 < found[1] < 0.8
    assert found[2] == 1.0


def test_false_things_stand_for_true_ones_and_no_relation_names_what_is_denied(
    scenes: list[tuple[str, dict]],
) -> None:
    """The number of things told of stays; the layout is taken for layout."""
    captioner = alike(1, untrue=0.6, omission=0.0, words=400)[0]
    for image_id, scene in scenes:
        told = captioner.describe_with_errors(scene, image_id)
        # A line that fills up a text speaks of streets in any picture.
        named = set(named_objects(captioner.describe(scene, image_id), "satellite")) - {"street"}
        assert not set(told.omitted) & named
        assert set(told.hallucinated) == named - {thing["name"] for thing in scene["objects"]}
        assert len(told.hallucinated) == len(told.omitted)
        lost, come = (sum(VOCABULARY[n].gross for n in names) for names in (told.omitted, told.hallucinated))
        assert come <= lost  # where no other layout is left, a detail serves
        layout = {n for n, thing in VOCABULARY.items() if thing.gross and "satellite" in thing.views}
        assert come == lost or layout <= set(told.hallucinated) | {o["name"] for o in scene["objects"]}


def test_a_closer_look_takes_half_as_much_for_others(scenes: list[tuple[str, dict]]) -> None:
    captioner = alike(1, untrue=0.6)[0]
    named, false = 0, 0
    for image_id, scene in scenes:
        there = {thing["name"] for thing in scene["objects"]}
        for box in PARTS:
            told = named_objects(captioner.describe_part(scene, image_id, box), "satellite")
            named, false = named + len(told), false + len(set(told) - there)
    assert false / named == pytest.approx(0.3, abs=0.05)


def test_merging_believes_more_where_more_is_taken_for_others(scenes: list[tuple[str, dict]]) -> None:
    shares = []
    for untrue in (0.0, 1.0):
        captioner, kept = alike(1, untrue=untrue)[0], []
        for image_id, scene in scenes:
            there = {thing["name"] for thing in scene["objects"]}
            false = next(name for name, thing in VOCABULARY.items() if name not in there and not thing.gross)
            told = {"description": f"A street and a {false}.", "notes": "none", "rejected": "none"}
            prompt = Prompts().render("merge", "satellite", **told).text
            kept.append(false in named_objects(captioner.merge(scene, image_id, prompt), "satellite"))
        shares.append(np.mean(kept))
    assert shares[0] < 0.75 < shares[1]


@pytest.mark.parametrize(("place", "words"), [(1, 150), (4, 150), (10, 240)])
def test_details_begin_where_they_are_to(scenes: list[tuple[str, dict]], place: int, words: int) -> None:
    for captioner in alike(5, details_at=place, words=words):
        for image_id, scene in scenes[:20]:
            text = captioner.describe(scene, image_id)
            sentences = split_sentences(text)
            detailed = [
                number
                for number, line in enumerate(sentences, 1)
                if any(not VOCABULARY[name].gross for name in named_objects(line, "satellite"))
            ]
            assert not detailed or detailed[0] == place, text
            assert len(text.split()) <= words
            assert len(set(sentences)) == len(sentences)


def test_what_is_said_does_not_depend_on_where_details_stand(scenes: list[tuple[str, dict]]) -> None:
    first, tenth = (alike(1, details_at=place, words=400)[0] for place in (1, 10))
    for image_id, scene in scenes:
        named = [set(named_objects(one.describe(scene, image_id), "satellite")) for one in (first, tenth)]
        # Lines that fill up speak of buildings and trees that were named already.
        assert named[0] <= named[1]
        assert named[1] - named[0] <= {"tree", "street"}


def test_longer_texts_are_asked_for_in_words(scenes: list[tuple[str, dict]]) -> None:
    lengths = [
        np.mean(
            [len(alike(1, words=words)[0].describe(scene, image_id).split()) for image_id, scene in scenes]
        )
        for words in (60, 150, 240)
    ]
    assert lengths[0] < 80 < lengths[1] < 125 < lengths[2] <= 240


def test_so_many_captioners_of_one_quality_are_asked() -> None:
    settings = CaptionSettings.model_validate({"simulation": {"captioners": 9, "untrue": 0.2}})
    nine = choose_captioners("simulated", settings)
    assert [one.identity.name for one in nine] == [f"alike-{k}" for k in range(1, 10)]
    assert len({one.identity.revision for one in nine}) == 9
    assert choose_captioners("alike-3", settings)[0].identity == nine[2].identity
    assert simulated_as(SimulationSettings()) == list(SIMULATED)
    assert simulated_as(SimulationSettings(untrue=0.2)) == [replace(one, untrue=0.2) for one in SIMULATED]
    with pytest.raises(InputError, match="no such captioner"):
        choose_captioners("alike-1")


def test_the_detector_has_the_quality_that_was_stated() -> None:
    settings = CaptionSettings.model_validate(
        {
            "refine": {"enabled": True, "grounder": "simulated"},
            "simulation": {"detector_finds": 0.8, "detector_rejects": 0.6},
        }
    )
    parser: Any = SimpleNamespace()
    tools = make_tools(settings, cast(Ledger, parser), Prompts(), Language(parser=parser))
    assert tools.grounder.version == "simulated-detector 1 0.8 0.6 0"


@pytest.mark.parametrize(("name", "bad"), [("untrue", 1.1), ("words", 39), ("details_at", 21)])
def test_what_is_out_of_range_is_named(name: str, bad: float) -> None:
    with pytest.raises(InputError, match=name):
        replace(SIMULATED[0], **{name: bad})
