"""The captions benchmark's joins: what it keeps, reads back, and prints, on a small city without a server."""

from __future__ import annotations

import inspect
from pathlib import Path

import pandas as pd
import pytest
from benchmarks import captions_help as benchmark
from benchmarks import captions_help as downstream

from urbanln.base.files import write_json, write_table
from urbanln.captions.simulation.naming import object_errors
from urbanln.captions.simulation.scene_captioner import SimulatedGrounder
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[City, Path]:
    """A folder as captioning leaves it: refined texts are the first captioner's, one answer refused."""
    folder = tmp_path_factory.mktemp("benchmark")
    city = make_synthetic_city(
        folder / "city", regions=6, seed=4, street_views=1, street_missing=0.0, workers=1
    )
    scenes = benchmark.scenes_of(city)
    rows = [(i, one.name, one.describe(scenes[i], i)) for i in scenes for one in SIMULATED]
    texts = pd.DataFrame(rows, columns=["image_id", "captioner", "caption"])
    refused = texts.assign(caption=texts["caption"].where(texts.index != 4, "I'm sorry, but I can't."))
    for setup in benchmark.SETUPS:
        clean = texts.drop(index=4).assign(setup=setup)
        if setup == benchmark.DESCRIBED:
            clean = pd.concat([clean, refused.assign(setup=benchmark.AS_ANSWERED)], ignore_index=True)
        else:
            clean["caption"] = clean.groupby("image_id")["caption"].transform("first")
        name = benchmark.slug(setup)
        write_json(folder / f"{name}.json", {"failed": {}})
        write_table(folder / f"{name}.parquet", clean, kind="benchmark-texts")
        voted = candidates_table(clean[clean["setup"] == setup])
        write_table(benchmark.voted_path(folder, setup), voted, kind="benchmark-voted")
    return city, folder


def test_measures_tell_setups_and_views_apart(finished: tuple[City, Path]) -> None:
    city, folder = finished
    found = benchmark.measure(city, folder)
    scenes = benchmark.scenes_of(city)
    tiles = [i for i in scenes if scenes[i]["view"] == "satellite"]
    first = [object_errors(SIMULATED[0].describe(scenes[i], i), scenes[i]) for i in tiles]
    missed = 1 - sum(e.hits for e in first) / sum(e.true for e in first)
    shares = found["shares"]["satellite"]
    assert shares[benchmark.DESCRIBED]["simulated-a"]["missed"] == pytest.approx(missed)
    assert all(
        shares[benchmark.UNCHECKED][one.name]["missed"] == pytest.approx(missed, abs=0.2) for one in SIMULATED
    )
    assert shares[benchmark.UNCHECKED][benchmark.VOTE]["missed"] == pytest.approx(missed)
    worst = SIMULATED[-1].name
    assert shares[benchmark.AS_ANSWERED][worst]["texts"] == shares[benchmark.DESCRIBED][worst]["texts"] + 1
    assert shares[benchmark.AS_ANSWERED][worst]["missed"] > shares[benchmark.DESCRIBED][worst]["missed"]
    picks = found["choices"]["satellite"][benchmark.DESCRIBED]
    assert picks["best of all (by truth)"]["best"] == 1 >= picks["vote"]["best"] >= 0


def test_tables_have_a_row_per_captioner_and_way_to_choose(finished: tuple[City, Path]) -> None:
    found = benchmark.measure(*finished)
    text = benchmark.captions_tables([found, found])
    assert text.count("| simulated-a | ") == 4
    assert text.count("| chosen by vote | – | ") == 4
    assert text.count("| best of all (by truth) | 1.000 ± 0.000 | ") == 2


def test_the_tables_say_what_they_assume(finished: tuple[City, Path]) -> None:
    found = [benchmark.measure(*finished)] * 2
    assert benchmark.captions_tables(found).endswith(benchmark.ASSUMED)
    assert "closer look overlooks half" in " ".join(benchmark.ASSUMED.split())
    detector = inspect.signature(SimulatedGrounder).parameters
    for share in (detector["finds"].default, detector["rejects"].default):
        assert f"{share:.0%}".replace("%", " %") in benchmark.ASSUMED


def test_a_folder_of_another_size_is_not_taken_for_this_one(finished: tuple[City, Path]) -> None:
    _, folder = finished
    assert len(benchmark.caption_one(folder, 4, 6).regions) == 6  # all there: nothing is asked
    with pytest.raises(SystemExit, match="6 regions, not 7"):
        benchmark.caption_one(folder, 4, 7)


def test_each_variant_has_one_text_per_tile_and_the_right_ones(finished: tuple[City, Path]) -> None:
    city, folder = finished
    texts = downstream.variant_texts(city, folder)
    tiles = sorted(city.images.loc[city.images["view"] == "satellite", "image_id"])
    assert set(texts) == set(downstream.VARIANTS)
    assert all(frame["image_id"].tolist() == tiles for frame in texts.values())
    assert texts[downstream.BEST]["captioner"].nunique() == 1
    assert (
        texts[downstream.MEDIAN]["captioner"].unique().tolist()
        != texts[downstream.BEST]["captioner"].unique().tolist()
    )
    assert texts[downstream.RANDOM]["captioner"].nunique() > 1
    assert set(texts[downstream.VOTED]["captioner"]) == {"simulated-a"}  # candidates_table takes the first


def test_differences_downstream_are_paired_by_seed() -> None:
    labels = ("gdp", "carbon")
    scored = [
        {
            name: dict.fromkeys(labels, 0.1 * at + shift)
            for at, name in enumerate([*downstream.VARIANTS, downstream.BASE])
        }
        for shift in (0.0, 0.5)
    ]
    text = downstream.downstream_tables(scored)
    row = next(line for line in text.splitlines() if line.startswith(f"| {downstream.MEDIAN} |"))
    assert "+0.100 ± 0.000" in row  # the seeds' own levels cancel
    assert f"| {downstream.RANDOM} | 0.250 ± 3.177 | – |" in text
