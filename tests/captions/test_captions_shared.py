"""The benchmark of shared errors: its measures by hand, what it keeps, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from benchmarks import captions_shared as benchmark
from tests.oracles.capture import HashedVectors

from urbanln.captions.scene_graph import SceneGraph
from urbanln.captions.simulation.naming import named_objects
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.captions.table import candidates_table


class NamesParser:
    """Finds the objects of the synthetic world, and counts what it reads."""

    version = "names"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        self.seen += texts
        return [SceneGraph(tuple(sorted(named_objects(text, "satellite"))), {}, ()) for text in texts]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    out = tmp_path_factory.mktemp("shared")
    vectors = HashedVectors()
    return out, [benchmark.measure_seed(out, seed, 40, NamesParser(), vectors) for seed in (3, 4)]


SCENES = {
    "p": {"view": "satellite", "objects": [{"name": name} for name in ("tree", "park", "river")]},
    "q": {"view": "satellite", "objects": [{"name": name} for name in ("tree", "pond")]},
}
TEXTS = pd.DataFrame(
    [
        ("p", "a", "Trees, a park and a river.", [], []),
        ("p", "b", "Trees and a bus by day and by night.", ["park", "river"], ["bus"]),
        ("p", "c", "A park and a bus.", ["tree", "river"], ["bus"]),
        ("q", "a", "A tree.", ["pond"], []),
        ("q", "b", "A tree, a crane and a pond.", [], ["crane"]),
        ("q", "c", "A bus.", ["tree", "pond"], ["bus"]),
    ],
    columns=["image_id", "captioner", "caption", "omitted", "hallucinated"],
)


def test_measures_by_hand() -> None:
    voted = candidates_table(TEXTS[["image_id", "captioner", "caption"]])
    voted["selected"] = voted["captioner"] == "b"
    found = benchmark.measure(TEXTS, voted, SCENES)["chosen"]
    # b names tree, bus | tree, crane, pond: three of five are there, and so are three of the true five.
    by_b = {"hallucinated": 2 / 5, "missed": 2 / 5, "f1": (2 / 5 + 4 / 5) / 2, "best": 0.5}
    assert found["vote"] == pytest.approx(by_b)
    assert found["longest"] == pytest.approx(by_b)
    assert found[benchmark.BEST]["f1"] == pytest.approx((1 + 2 / 3) / 2)  # a
    assert found[benchmark.BEST]["hallucinated"] == 0
    assert found["random"]["hallucinated"] == pytest.approx(4 / 12)
    assert found["random"]["missed"] == pytest.approx(1 - 8 / 15)
    assert found["random"]["best"] == pytest.approx(1 / 3)


def test_errors_in_common_by_hand() -> None:
    # The bus on p is made up by two of three; the crane and the bus on q by one each.
    assert benchmark.error_overlap(TEXTS, "hallucinated") == pytest.approx((1 + 1) / 4 / 2)
    # b and c miss the river on p, a and c the pond on q; three more are missed by one.
    assert benchmark.error_overlap(TEXTS, "omitted") == pytest.approx(4 / 7 / 2)
    assert benchmark.error_overlap(TEXTS[TEXTS["captioner"] == "a"], "omitted") is None
    assert benchmark.error_overlap(TEXTS.iloc[:1], "hallucinated") is None


def test_captioners_differ_between_cities_and_pictures_do_not_depend_on_sharing() -> None:
    scenes = benchmark.tile_scenes(4, seed=3)
    alone, together = (benchmark.describe(scenes, 3, shared) for shared in (0.0, 0.75))
    assert len(alone) == 4 * len(SIMULATED)
    assert alone["image_id"].tolist() == together["image_id"].tolist()
    assert alone["caption"].tolist() != together["caption"].tolist()
    assert alone["caption"].tolist() != benchmark.describe(scenes, 4, 0.0)["caption"].tolist()


def test_sharing_makes_errors_alike_and_the_vote_worth_less(finished: tuple[Path, list[dict]]) -> None:
    for seed in finished[1]:
        found = list(seed["shared"].values())
        alike = [one["alike"]["hallucinated"] for one in found]
        assert alike == sorted(alike)
        assert alike[-1] > alike[0] + 0.2
    first, last = (
        sum(seed["shared"][share]["chosen"]["vote"]["hallucinated"] for seed in finished[1])
        for share in ("0", "0.75")
    )
    assert last > first


def test_a_finished_seed_is_not_worked_on_again(finished: tuple[Path, list[dict]]) -> None:
    out, found = finished
    parser = NamesParser()
    assert benchmark.measure_seed(out, 3, 40, parser, HashedVectors()) == found[0]
    assert not parser.seen
    with pytest.raises(SystemExit, match="40 regions, not 41"):
        benchmark.measure_seed(out, 3, 41, parser, HashedVectors())


def test_tables_have_a_row_per_share_and_way_to_choose(finished: tuple[Path, list[dict]]) -> None:
    text = benchmark.shared_tables(finished[1])
    lines = text.splitlines()
    for share in ("0%", "25%", "50%", "75%"):
        for how in benchmark.CHOSEN:
            assert sum(line.startswith(f"| {share} | {how} |") for line in lines) == 1
    votes = [seed["shared"]["0.5"]["chosen"]["vote"]["f1"] for seed in finished[1]]
    row = next(line for line in lines if line.startswith("| 50% | vote |"))
    assert f"{sum(votes) / 2:.3f} ±" in row
    gains = [
        seed["shared"]["0.5"]["chosen"]["vote"]["f1"] - seed["shared"]["0.5"]["chosen"]["random"]["f1"]
        for seed in finished[1]
    ]
    gain = next(line for line in lines if line.startswith("| 50% | +") or line.startswith("| 50% | -"))
    assert gain.startswith(f"| 50% | {sum(gains) / 2:+.3f} ±")
