"""Errors that simulated captioners have in common: none unless asked for, and then at the same rates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from urbanln.base.errors import InputError
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.simulation.naming import named_objects
from urbanln.captions.simulation.simulated import SIMULATED, Described, SimulatedCaptioner

_PLACES = [[0.2, 0.3], [0.4, 0.8], [0.7, 0.6]]
# Not drawn: the hashes are to depend on the captioners alone.
SCENE: dict[str, Any] = {
    "schema_version": 1,
    "view": "satellite",
    "region_id": "r",
    "objects": [
        {"name": name, "count": 3, "attributes": attributes, "place": "centre", "share": 0.1, "at": _PLACES}
        for name, attributes in (
            ("apartment block", ["tall", "grey-roofed"]),
            ("street", []),
            ("park", []),
            ("tree", []),
            ("parking lot", ["half full"]),
            ("pond", []),
            ("parked car", ["red", "silver"]),
            ("swimming pool", []),
            ("tennis court", ["clay"]),
            ("bus", ["yellow"]),
            ("crane", []),
        )
    ],
    "relations": [["bus", "beside", "parking lot"]],
}
HALVES = ((0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0))
# Made with the version before errors could be shared.
HASHES = {"describe": "b91fd28912fc5a95", "local": "331fa0b2b08c3898", "merge": "7afc25fdb32147ff"}
REVISIONS = ["d25a6b0287f1", "e7f2589cd104", "d814e86c90c1", "e8249b8cdb92", "ae439fc462e5"]


def _texts(captioner: SimulatedCaptioner) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {"describe": [], "local": [], "merge": []}
    for image_id in ("p", "q", "r0007_satellite"):
        text = captioner.describe(SCENE, image_id)
        told = {"description": text, "notes": "- a greenhouse\n- a pond", "rejected": "crane"}
        prompt = Prompts().render("merge", "satellite", **told).text
        texts["describe"].append(text)
        texts["local"] += [captioner.describe_part(SCENE, image_id, box) for box in HALVES]
        texts["merge"].append(captioner.merge(SCENE, image_id, prompt))
    return texts


def test_without_sharing_every_text_is_what_it_was() -> None:
    told = [_texts(captioner) for captioner in SIMULATED]
    assert set(HASHES) == set(told[0])
    for stage, expected in HASHES.items():
        lines = "\n".join(text for texts in told for text in texts[stage])
        assert hashlib.sha256(lines.encode()).hexdigest()[:16] == expected, stage


def test_the_revision_changes_with_sharing_only() -> None:
    assert [captioner.revision for captioner in SIMULATED] == REVISIONS
    revisions = {replace(SIMULATED[0], shared=share).revision for share in (0.0, 0.25, 0.5)}
    assert len(revisions) == 3
    assert REVISIONS[0] in revisions


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_named(bad: float) -> None:
    with pytest.raises(InputError, match="shared"):
        SimulatedCaptioner("x", shared=bad)


def _told(captioner: SimulatedCaptioner, pictures: int) -> list[Described]:
    return [captioner.describe_with_errors(SCENE, f"p{k}") for k in range(pictures)]


def _sizes(sets: Sequence[Sequence[str]]) -> np.ndarray:
    return np.array([len(one) for one in sets], dtype=float)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_rates_stay_as_without_sharing(share: float) -> None:
    for captioner in (SIMULATED[1], SIMULATED[4]):
        alone, together = _told(captioner, 800), _told(replace(captioner, shared=share), 800)
        for what in ("hallucinated", "omitted"):
            a, b = (_sizes([getattr(t, what) for t in told]) for told in (alone, together))
            error = np.sqrt((a.var() + b.var()) / len(a))
            assert abs(a.mean() - b.mean()) < 3.5 * error, (captioner.name, what)
            assert error < 0.1 * a.mean()  # a tenth more or less would nearly always be found
            assert b.std() == pytest.approx(a.std(), rel=0.15)


def _in_common(one: Sequence[Described], other: Sequence[Described], what: str) -> float:
    """Share of the first one's errors that the second one makes too."""
    pairs = [(getattr(a, what), getattr(b, what)) for a, b in zip(one, other, strict=True)]
    return sum(len(set(a) & set(b)) for a, b in pairs) / sum(len(a) for a, _ in pairs)


def test_as_much_is_in_common_as_is_shared() -> None:
    equals = [replace(SIMULATED[4], name=name) for name in ("x", "y")]
    for what in ("hallucinated", "omitted"):
        shares = (0.0, 0.25, 0.5, 0.75, 1.0)
        found = []
        for share in shares:
            one, other = (_told(replace(captioner, shared=share), 200) for captioner in equals)
            found.append(_in_common(one, other, what))
        # What is not shared falls together by chance only, as often as without sharing.
        chance = found[0]
        expected = [chance + share * (1 - chance) for share in shares]
        assert found == pytest.approx(expected, abs=0.06)
        assert chance < 0.7
        assert found[-1] > 0.98


def test_a_careful_captioner_errs_where_careless_ones_do() -> None:
    told = {one.name: _told(replace(one, shared=1.0), 150) for one in SIMULATED}
    for careful, careless in combinations(told.values(), 2):
        assert _in_common(careful, careless, "hallucinated") > 0.95
    # Another seed has other errors in common.
    other = _told(replace(SIMULATED[4], shared=1.0, seed=1), 150)
    assert _in_common(told["simulated-e"], other, "hallucinated") < 0.5


def test_parts_and_merged_texts_share_errors_too() -> None:
    few = {**SCENE, "objects": [SCENE["objects"][k] for k in (1, 5, 9)], "relations": []}
    description = "A street, a pond and a bus."
    prompt = (
        Prompts().render("merge", "satellite", description=description, notes="none", rejected="none").text
    )

    def named(captioner: SimulatedCaptioner, stage: str, image_id: str) -> set[str]:
        if stage == "merge":
            return set(named_objects(captioner.merge(few, image_id, prompt), "satellite"))
        return set(named_objects(captioner.describe_part(few, image_id, HALVES[1]), "satellite"))

    for stage in ("local", "merge"):
        same = {}
        for share in (0.0, 1.0):
            one, other = (replace(SIMULATED[4], name=name, omission=1.0, shared=share) for name in ("x", "y"))
            pictures = [f"p{k}" for k in range(150)]
            same[share] = np.mean([named(one, stage, p) == named(other, stage, p) for p in pictures])
        assert same[1.0] == 1.0
        assert same[0.0] < 0.7
