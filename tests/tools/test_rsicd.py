"""RSICD's printed captions are read and never run, joined, and swapped by a share that is kept to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from urbanln.base.errors import InputError

FILE = Path(__file__).parents[2] / "tools" / "rsicd.py"


@pytest.fixture(scope="module")
def rsicd() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rsicd", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_printed_array_is_read_as_numpy_printed_it(rsicd: ModuleType) -> None:
    texts = ["a road .", 'he said "a boat"', "a boat's wake", 'it\'s a "park"', "two, or three [boats]"]
    assert rsicd.read_printed(str(np.array(texts, dtype=object))) == texts
    assert rsicd.read_printed(str(np.array(texts, dtype=object)).replace(" ", "\n ", 1))[1:] == texts[1:]


@pytest.mark.parametrize("cell", ["__import__('os')", "['a' + 'b']", "[1, 2]", "", "['a'", "[f('a')]"])
def test_anything_else_in_a_cell_is_refused(rsicd: ModuleType, cell: str) -> None:
    with pytest.raises(InputError, match="no printed array"):
        rsicd.read_printed(cell)


def test_a_part_has_five_finished_sentences_a_picture(rsicd: ModuleType, tmp_path: Path) -> None:
    said = ["many planes  are parked .", "A road", "trees.", "a long , long bridge .", "two boats, "]
    rows = pd.DataFrame({"captions": [str(np.array(said, dtype=object))], "filepath": ["test/a_1.jpg"]})
    rows.to_csv(tmp_path / "test.csv", index=False)
    part = rsicd.read_part(tmp_path, "test")
    assert part["image"].tolist() == ["test/a_1.jpg"]
    assert " ".join(part["sentences"][0]) == (
        "Many planes are parked. A road. Trees. A long , long bridge. Two boats."
    )
    rows["captions"] = "['one' 'two']"
    rows.to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(InputError, match="not 5 captions"):
        rsicd.read_part(tmp_path, "test")


def test_objects_are_found_where_they_are_named(rsicd: ModuleType) -> None:
    text = "Two parking lots and a lot beside the railway station"
    found = rsicd.mentions(text, ["lot", "parking lot", "railway station", "river"])
    assert [(text[start:end], name) for start, end, name in found] == [
        ("parking lots", "parking lot"),
        ("lot", "lot"),
        ("railway station", "railway station"),
    ]


SENTENCES = ["Trees stand by a river and a road.", "A bridge is over the river, near two houses."]
OBJECTS = [["tree", "river", "road"], ["bridge", "river", "house"]]
WRONG = ("church", "beach", "railway station", "city", "forest", "field")
POOL = {"tree": 5, "river": 4, **dict.fromkeys(WRONG, 2)}


def _named(told: list[str]) -> set[str]:
    """Which of the wrong objects a text names."""
    text = " ".join(told).lower().replace("cities", "city")
    return {name for name in WRONG if name in text}


def test_swaps_keep_to_their_share_and_never_name_what_is_there(rsicd: ModuleType) -> None:
    found = {0.2: 0, 0.4: 0, 0.6: 0}
    for seed in range(300):
        for share in found:
            told, count, objects = rsicd.swap(SENTENCES, OBJECTS, share, POOL, np.random.default_rng(seed))
            assert objects == 5
            assert len(_named(told)) == count
            assert ("river" in told[0]) == ("river" in told[1])  # wherever it is named
            found[share] += count
    for share, count in found.items():
        assert count / (300 * 5) == pytest.approx(share, abs=0.02)


def test_what_is_swapped_at_a_low_share_is_swapped_at_a_high_one(rsicd: ModuleType) -> None:
    for seed in range(20):
        few, many = (
            _named(rsicd.swap(SENTENCES, OBJECTS, share, POOL, np.random.default_rng(seed))[0])
            for share in (0.3, 0.9)
        )
        assert few < many


def test_no_share_leaves_the_text_as_it_is(rsicd: ModuleType) -> None:
    assert rsicd.swap(SENTENCES, OBJECTS, 0.0, POOL, np.random.default_rng(0))[0] == SENTENCES
    told = rsicd.swap(["Trees by a tree."], [["tree"]], 1.0, {"city": 1}, np.random.default_rng(0))[0]
    assert told == ["Cities by a city."]


def test_shuffled_texts_are_other_training_pictures_and_each_stands_once(rsicd: ModuleType) -> None:
    splits = ["train"] * 6 + ["valid", "test"]
    parts = pd.DataFrame({"split": splits, "sentences": [[f"A {n}.", "B."] for n in range(8)]})
    own = [f"A {n}. B." for n in range(8)]
    told = rsicd.other_texts(parts, 0)
    assert sorted(told) == own
    assert all(one != other for one, other in zip(told[:6], own[:6], strict=True))
    assert told[6:] == own[6:]
