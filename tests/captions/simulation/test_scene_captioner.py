"""Simulated captioners and detector in a run: by the protocol, from the scene beside the picture."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Ask, Captioner, LastingFault, Picture, Prompt, pictures_of
from urbanln.captions.simulation.naming import named_objects
from urbanln.captions.simulation.scene_captioner import SceneCaptioner, SimulatedGrounder
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.city.synthetic import VOCABULARY, make_synthetic_city, read_scene


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    return pictures_of(
        make_synthetic_city(tmp_path_factory.mktemp("scenes") / "a", regions=40, seed=6, workers=1)
    )


def _text(captioner: Captioner, ask: Ask) -> str:
    answer = asyncio.run(captioner.answer(ask))
    assert answer is not None
    return answer.text


def test_all_stages_are_answered_from_the_scene(pictures: list[Picture]) -> None:
    captioner, prompts, picture = SceneCaptioner(SIMULATED[1]), Prompts(), pictures[0]
    assert captioner.prompted
    assert captioner.remote is None
    described = _text(captioner, Ask(picture))
    scene = read_scene(picture.scene_path.with_suffix(""))
    assert described == SIMULATED[1].describe(scene, picture.image_id)
    part = _text(captioner, Ask(picture, "local", box=(0.0, 0.0, 0.5, 0.5)))
    assert len(part.split()) <= 20
    fields = {"description": described, "rejected": "none"}
    merged = _text(
        captioner, Ask(picture, "merge", prompts.render("merge", picture.view, notes=part, **fields))
    )
    assert set(named_objects(part, picture.view)) - set(named_objects(described, picture.view)) <= set(
        named_objects(merged, picture.view)
    )
    again = _text(captioner, Ask(picture, "repair", prompts.render("repair", picture.view, **fields)))
    assert again == described
    with pytest.raises(LastingFault):
        _text(captioner, Ask(picture, "merge", Prompt("write it anew")))


def test_captioners_differ_in_identity_and_prepare_tells_of_missing_scenes(pictures: list[Picture]) -> None:
    captioners = [SceneCaptioner(one) for one in SIMULATED]
    assert len({(c.identity.name, c.identity.revision) for c in captioners}) == len(SIMULATED)
    bare = [Picture("x", "satellite", "x.jpg", "", lambda: b"")]
    assert captioners[0].prepare(pictures) == []
    assert captioners[0].prepare([*pictures, *bare]) == [
        "simulated-a: 1 pictures have no true scene beside them"
    ]
    assert asyncio.run(captioners[0].answer(Ask(bare[0]))) is None
    with pytest.raises(InputError, match="synthetic city"):
        captioners[0].prepare(bare)


def test_the_detector_is_as_good_as_stated(pictures: list[Picture]) -> None:
    grounder = SimulatedGrounder()
    present, absent = [], []
    for picture in pictures:
        true = {thing["name"] for thing in read_scene(picture.scene_path.with_suffix(""))["objects"]}
        names = [name for name, thing in VOCABULARY.items() if picture.view in thing.views]
        scores = grounder.ground(picture, [], names)
        assert all(0 <= score <= 1 for score in scores)
        for name, score in zip(names, scores, strict=True):
            (present if name in true else absent).append(score >= grounder.threshold)
    assert len(present) > 400
    assert np.mean(present) == pytest.approx(0.95, abs=0.03)
    assert np.mean(absent) == pytest.approx(0.25, abs=0.04)


def test_the_detector_says_the_same_of_the_same_thing_and_keeps_what_nobody_knows(
    pictures: list[Picture],
) -> None:
    picture, grounder = pictures[0], SimulatedGrounder(finds=0.5, rejects=0.5)
    one = grounder.ground(picture, [], ["parked car", "red parked cars", "bus"])
    assert one[0] == one[1] != one[2]
    assert one == SimulatedGrounder(0.5, 0.5).ground(
        picture, [(0, 0, 1, 1)], ["parked car", "parked car", "bus"]
    )
    assert grounder.ground(picture, [], ["neighbourhood", ""]) == [1.0, 1.0]
    perfect = SimulatedGrounder(1.0, 1.0)
    true = [thing["name"] for thing in read_scene(picture.scene_path.with_suffix(""))["objects"]]
    assert min(perfect.ground(picture, [], true)) >= perfect.threshold
    assert len({g.version for g in (grounder, perfect, SimulatedGrounder(seed=1))}) == 3
    with pytest.raises(InputError):
        SimulatedGrounder(finds=1.1)
    with pytest.raises(InputError):
        perfect.ground(Picture("x", "street", str(Path("x.jpg")), "", lambda: b""), [], ["tree"])
