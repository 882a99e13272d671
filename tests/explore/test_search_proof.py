"""The benchmark of the search: its rules by hand, its measure against a slow oracle, what its parts print."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from benchmarks import text_search as benchmark
from benchmarks.search_measures import Means, average_precision, joined
from benchmarks.search_queries import ABSENT, IN_OTHER_WORDS, QUERIES, RELATION, Query, holds
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from tests.explore.world import colour_of, make_content

from urbanln.captions.simulation.naming import named_objects
from urbanln.city.synthetic.fields import make_cells
from urbanln.city.synthetic.satellite import draw_tile
from urbanln.city.synthetic.scene import VOCABULARY
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking

SCENE = {
    "view": "satellite",
    "objects": [
        {"name": "detached house", "attributes": ["red-roofed"], "at": [[0.1, 0.9]]},
        {"name": "solar roof", "attributes": ["dark blue"], "at": [[0.1, 0.9], [0.5, 0.6]]},
    ],
    "relations": [["solar roof", "on", "detached house"]],
}


def by_hand(scores: list[float], right: list[bool]) -> float:
    """The mean over all orders in which no smaller score stands before a larger one."""
    found = []
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            hits = [place for place, row in enumerate(order, 1) if right[row]]
            found.append(sum(number / place for number, place in enumerate(hits, 1)) / len(hits))
    return float(np.mean(found))


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_average_precision_is_that_of_all_orders_of_equal_scores(rows: list[tuple[int, bool]]) -> None:
    scores, right = [float(score) for score, _ in rows], [hit for _, hit in rows]
    right[0] = True
    assert average_precision(np.array(scores), np.array(right)) == pytest.approx(by_hand(scores, right))


def test_average_precision_without_equal_scores_is_the_usual_one() -> None:
    rng = np.random.default_rng(0)
    scores, right = rng.normal(size=300), rng.random(300) < 0.1
    wanted = average_precision_score(right, scores)
    assert average_precision(scores, right) == pytest.approx(wanted)
    # What has no score stands last.
    more = average_precision(np.append(scores, np.nan), np.append(right, True))
    assert more == pytest.approx((wanted * right.sum() + (right.sum() + 1) / 301) / (right.sum() + 1))


def test_orders_are_joined_by_their_ranks() -> None:
    both = joined(np.array([0.9, 0.5, 0.1, np.nan]), np.array([10.0, 30.0, 20.0, 0.0]))
    assert np.argsort(-both).tolist() == [1, 0, 2, 3]
    assert both.tolist() == [-2.0, -1.5, -2.5, -4.0]


def test_differences_are_paired_and_blocks_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(size=400)
    means = Means({"a": hard + 1, "b": hard})
    assert means.of("a", "b") == pytest.approx((1, 1, 1))
    blocks = np.repeat(np.arange(20), 20)
    low, high = means.of("a")[1:]
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    wide = Means({"a": rng.normal(size=20)[blocks]}, blocks).of("a")
    assert wide[2] - wide[1] > 3 * (high - low), "rows of a block are no independent draws"
    assert means.show("a", "b") == "1.000 [1.000, 1.000]"
    assert Means({"a": [0.25, 0.25], "b": [0.5, 0.5]}).show("a", "b", 2) == "−.25 [−.25, −.25]"


def test_what_is_right_by_hand() -> None:
    def right(
        *things: str, attribute: str = "", other: tuple[str, str] | None = None, side: str = ""
    ) -> bool:
        return holds(Query("", "", things, attribute, other, side), SCENE)

    assert right("detached house")
    assert right("pond", "detached house", attribute="red-roofed")
    assert not right("solar roof", attribute="red-roofed"), "another one's attribute"
    assert right("solar roof", other=("on", "detached house"))
    assert not right("solar roof", other=("on", "apartment block"))
    assert right("detached house", side="south")
    assert right("detached house", side="west")
    assert right("solar roof", side="middle"), "one of two"
    assert not right("solar roof", side="north")
    assert not right("solar roof", side="east")
    assert not right(), "what this world has not"


def test_queries_name_what_is_right_for_them() -> None:
    assert (len(QUERIES), len(IN_OTHER_WORDS), len(ABSENT)) == (30, 10, 30)
    assert {name for query in (*QUERIES, *ABSENT) for name in query.things} <= set(VOCABULARY)
    for query in QUERIES:
        assert set(named_objects(query.text, "satellite")) & {*query.things} or query.text.endswith("houses")
    for query in IN_OTHER_WORDS:
        assert not named_objects(query.text, "satellite")


def test_true_scenes_hold_what_is_asked_and_nothing_of_what_is_absent() -> None:
    cells, _ = make_cells(30, seed=5, cell_km=1.0, street_views=0, street_missing=0.0)
    scenes = [draw_tile(cell, 48)[1] for cell in cells]
    found = {query.text: sum(holds(query, scene) for scene in scenes) for query in (*QUERIES, *ABSENT)}
    assert not any(found[query.text] for query in ABSENT)
    assert sum(found[query.text] > 0 for query in QUERIES) >= 25  # a river may lie elsewhere
    assert any(found[query.text] for query in QUERIES if query.side and query.kind == RELATION)


def test_a_query_is_scored_as_the_page_answers_it() -> None:
    asking = Asking(Answers(make_content()))
    right = np.array([colour_of(row) == "red" for row in range(36)])
    row = benchmark._ask(asking, Query("red", "objects", ("pond",)), right)
    assert row["pictures"] == row["captions"] == row["keywords"] == row["both"] == pytest.approx(1)
    assert row["right"] == pytest.approx(1 / 3)
    assert row["chance"] == pytest.approx(0.4, abs=0.05)
    none = benchmark._ask(asking, Query("a volcano", "absent"), np.zeros(36, bool))
    assert "chance" not in none
    assert "claimed by pictures" in none


def test_classes_are_read_from_names_of_pictures() -> None:
    names = [
        "baseballfield_1",
        "railwaystation_22",
        "storagetanks_3",
        "denseresidential_4",
        "airport_5",
        "farmland_6",
        "bareland_7",
        "00623",
    ]
    assert [benchmark.class_of(one) for one in names] == [
        "baseball field", "railway station", "storage tanks", "dense residential", "airport",
        "farmland", "bare land", "",
    ]  # fmt: skip


def test_tables() -> None:
    rows = [
        {"asked": "a", "kind": "objects", "query": query, "city": city, "right": 0.1, "chance": 0.1,
         "keywords": 0.5, "pictures": value, "captions": 0.5, "both": 0.6, "claimed by pictures": value > 0.3,
         "claimed by captions": False, "order by pictures": False, "order by captions": False}
        for query, value in (("p", 0.25), ("q", 0.5)) for city in "xy"
    ]  # fmt: skip
    text = benchmark.precision_table(rows, ["asked", "kind"])
    assert "| a | objects | 2 | .100 | .500 [.500, .500] | .375 [.250, .500] |" in text
    assert "| 2 | .50 [.00, 1.00] | .00 [.00, .00] |" in benchmark.claims_table(rows).replace(
        "order", ""
    ).replace(" .00 [.00, .00] | .00 [.00, .00] |", " .00 [.00, .00] |", 1)
    assert "| a | pictures | 0.400 (2) | 0.150 (2) |" in benchmark.claims_and_precision(rows)
    labels = pd.DataFrame({"alike": [1.0, 2.0], "random": [2.0, 4.0], "nearest": [1.0, 1.0]})
    told = labels.assign(vectors="v", label="year", scale="none", block=[0, 1]).to_dict("records")
    assert "| year | none | v | 2 | 1.5 [1.0, 2.0] | 3.0 [2.0, 4.0] | 1.0 [1.0, 1.0] | −1.5" in (
        benchmark.labels_table(told)
    )
