"""The stage: tables in, scores and predictions out, sentences and tables to read."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from urbanln.base.config import ProbeSettings
from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.base.parsing import read_json
from urbanln.probe.headline import headline
from urbanln.probe.labels import NO_LOGARITHM
from urbanln.probe.run import probe_tables
from urbanln.probe.saved import save_result
from urbanln.probe.table import scores_markdown, scores_rich, scores_table
from urbanln.probe.verdict import make_verdicts, short, with_interval
from urbanln.report.reading import subject

N = 200
SETTINGS = ProbeSettings(
    heads=("ridge",), seeds=2, bootstrap=200, floors=("coordinates-nearest",), joint=False, curve=()
)


def table(X: np.ndarray, rows: slice = slice(None)) -> pd.DataFrame:
    ids = [f"r{i:03d}" for i in range(N)]
    return pd.DataFrame({"region_id": ids[rows], "vector": list(X[rows].astype("float32"))})


def make():
    rng = np.random.default_rng(0)
    lonlat = rng.random((N, 2)) * 0.4 + [116, 40]
    where = pd.DataFrame(
        {"region_id": [f"r{i:03d}" for i in range(N)], "lon": lonlat[:, 0], "lat": lonlat[:, 1]}
    )
    signal = rng.normal(size=(N, 4))
    labels = where[["region_id"]].assign(
        population=np.exp(signal[:, 0] + 4), growth=signal[:, 1] + 0.1 * rng.normal(size=N), flat=1.0
    )
    labels.loc[:9, "population"] = np.nan
    tables = {
        "ours": table(signal),
        "base": table(rng.normal(size=(N, 4))),
        "part": table(signal, slice(0, 180)),
    }
    return tables, labels, where


@pytest.fixture(scope="module")
def result():
    tables, labels, where = make()
    shuffled = labels.sample(frac=1, random_state=0)  # joined by id, not by place
    return probe_tables(
        tables, shuffled, where, SETTINGS, main="ours", baseline="base", units={"population": "people"},
        made_from={"indicators": "abc"},
    )  # fmt: skip


def test_every_indicator_split_features_and_floor_has_a_row(result) -> None:
    keys = [(r["indicator"], r["split"], r["features"], r["head"]) for r in result.scores["rows"]]
    assert len(set(keys)) == len(keys) == 2 * 2 * (2 + 3)
    assert {k[3] for k in keys if k[2] in ("mean", "coordinates-nearest")} == {"none"}
    for row in result.scores["rows"]:
        assert row["n"] == (170 if row["indicator"] == "population" else 180)
        assert row["missing"] == (10 if row["indicator"] == "population" else 0)
        assert row["transform"] == ("log1p" if row["indicator"] == "population" else "none")
        rivals = {"mean": set(), "coordinates-nearest": {"mean"}}
        others = {"mean", "coordinates-nearest", "ours", "base", "part"} - {row["features"]}
        assert set(row["vs"]) == rivals.get(row["features"], others)
    note = next(note for note in result.scores["notes"] if note.startswith("Scored without a logarithm"))
    assert NO_LOGARITHM in note  # in the words of the audit


def test_all_tables_are_scored_on_the_same_regions_and_coverage_is_told(result) -> None:
    regions = result.scores["regions"]
    assert (regions["total"], regions["common"]) == (N, 180)
    assert regions["tables"] == {"ours": 200, "base": 200, "part": 180}
    assert regions["labelled"]["population"] == 170
    rows = {(r["indicator"], r["split"], r["features"]): r for r in result.scores["rows"]}
    for split in ("random", "block"):
        assert rows["growth", split, "ours"]["r2_seeds"] == rows["growth", split, "part"]["r2_seeds"]
    assert any("180 of 200" in note for note in result.scores["notes"])


def test_predictions_are_those_the_scores_were_computed_from(result) -> None:
    frame = result.predictions
    assert frame["region_id"].nunique() == 180
    for row in result.scores["rows"]:
        wanted = [frame[key] == row[key] for key in ("indicator", "split", "features", "head")]
        part = frame[np.logical_and.reduce(wanted)]
        errors = [np.sqrt(((g["truth"] - g["prediction"]) ** 2).mean()) for _, g in part.groupby("seed")]
        assert np.mean(errors) == pytest.approx(row["rmse"])
        assert part.groupby("seed")["region_id"].nunique().eq(row["n"]).all()
    truth = dict(zip(*make()[1][["region_id", "growth"]].to_numpy().T, strict=True))
    growth = frame[frame["indicator"] == "growth"]
    assert (growth["region_id"].map(truth).astype(float) == growth["truth"]).all()
    assert set(frame["fold"]) == set(range(5))


@pytest.mark.parametrize(("level", "floor"), [(-0.5, "mean"), (0.1, "coordinates-nearest")])
def test_the_floor_to_beat_is_the_stronger_one(result, level: float, floor: str) -> None:
    scores = copy.deepcopy(result.scores)
    for row in scores["rows"]:
        if row["split"] == "block" and row["features"] == "coordinates-nearest":
            row["score"] = level
        elif row["split"] == "block" and row["features"] == "ours":
            row["vs"][floor] = {"diff": 0.01, "low": -0.02, "high": 0.04}
        elif row["split"] == "block" and row["features"] == "mean":
            row["score"] = -0.01
    first = make_verdicts(scores)[0]
    assert (first["against"], first["beats"]) == (floor, "undecided")
    said = {"mean": "the mean floor", "coordinates-nearest": "the coordinates floor by neighbours"}
    assert said[floor] in first["sentence"]
    assert ("lies above the mean" in first["sentence"]) == (floor == "mean")


def test_verdicts_follow_the_intervals(result) -> None:
    verdicts = {(v["indicator"], v["against"]): v for v in result.scores["verdicts"]}
    # The labels here do not follow the map, so coordinates do worse than the mean, which is the floor.
    assert set(verdicts) == {(i, a) for i in ("population", "growth") for a in ("mean", "base")}
    for verdict in verdicts.values():
        assert verdict["beats"] == "yes"
        assert verdict["low"] > 0
        assert verdict["sentence"].startswith(f"{verdict['indicator']}: ours (ridge) beats ")
        assert (
            f"under 5 km blocks by {with_interval(verdict['diff'], verdict['low'], verdict['high'])}"
            in verdict["sentence"]
        )
    assert any("saw the pictures of the test regions" in note for note in result.scores["notes"])
    tables, labels, where = make()
    turned = probe_tables(tables, labels, where, SETTINGS, main="base", baseline="ours", transductive=False)
    found = {(v["indicator"], v["against"]): v for v in turned.scores["verdicts"]}
    assert found["growth", "ours"]["beats"] == "no"
    assert found["growth", "ours"]["diff"] == pytest.approx(-verdicts["growth", "base"]["diff"])
    assert "does not beat ours under 5 km blocks: −" in found["growth", "ours"]["sentence"]
    assert not any("saw the pictures" in note for note in turned.scores["notes"])
    assert any(v["beats"] != "yes" for v in found.values() if v["against"] == "mean")


def test_an_indicator_that_cannot_be_scored_is_told_and_the_rest_goes_on(result) -> None:
    (entry,) = result.scores["skipped"]
    assert entry["indicator"] == "flat"
    assert "equal" in entry["reason"]
    tables, labels, where = make()
    with pytest.raises(InputError, match="labels are equal"):
        probe_tables(tables, labels[["region_id", "flat"]], where, SETTINGS)


def test_an_empty_indicator_of_any_type_is_skipped_and_a_bad_vector_names_its_region() -> None:
    tables, labels, where = make()
    labels["void"] = pd.Series([None] * N, dtype=object)
    skipped = probe_tables({}, labels, where, SETTINGS).scores["skipped"]
    assert {entry["indicator"] for entry in skipped} == {"flat", "void"}
    broken = tables["ours"].drop(index=[0, 1])
    broken.at[50, "vector"] = np.full(4, np.nan, dtype="float32")
    with pytest.raises(InputError, match="not finite") as error:
        probe_tables({"ours": broken}, labels, where, SETTINGS)
    assert "region r050" in str(error.value)


def test_the_result_is_strict_json_and_reads_back(result, tmp_path) -> None:
    json.dumps(result.scores, allow_nan=False)
    save_result(tmp_path / "scores", result)
    assert read_json(tmp_path / "scores" / "scores.json") == result.scores
    back = read_table(tmp_path / "scores" / "predictions.parquet", kind="predictions")
    pd.testing.assert_frame_equal(back, result.predictions)
    folds = read_table(tmp_path / "scores" / "folds.parquet", kind="folds")
    pd.testing.assert_frame_equal(folds, result.folds, check_dtype=False)
    held = folds[(folds["side"] == "test") & (folds["indicators"] == "growth")]
    kept = result.predictions[
        (result.predictions["indicator"] == "growth") & (result.predictions["features"] == "ours")
    ]
    keys = ["split", "seed", "fold", "region_id"]
    assert sorted(map(tuple, held[keys].astype(str).to_numpy())) == sorted(
        map(tuple, kept[keys].astype(str).to_numpy())
    )
    assert (tmp_path / "scores" / "scores.md").read_text("utf-8") == scores_markdown(result.scores)
    assert result.scores["made_from"] == {"indicators": "abc"}
    assert (result.scores["kind"], result.scores["schema_version"]) == ("scores", 1)
    block, random = result.scores["splits"]["block"], result.scores["splits"]["random"]
    assert block["nearest_km_min"] > 1 > random["nearest_km_min"]
    assert block["nearest_km_median"] > random["nearest_km_median"]


def test_tables_show_every_score_and_floor(result) -> None:
    wide = scores_table(result.scores)
    assert wide.shape == (5, 4)
    row = next(r for r in result.scores["rows"] if r["features"] == "ours" and r["split"] == "block")
    cell = wide.loc[("ours", "ridge"), (row["indicator"], "block")]
    assert cell == with_interval(row["r2"], row["r2_low"], row["r2_high"])
    markdown = scores_markdown(result.scores)
    assert markdown.count("\n| ") == 2 * 5
    assert cell in markdown
    assert all(v["sentence"] in markdown for v in result.scores["verdicts"])
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(scores_rich(result.scores))
    shown = console.export_text()
    assert cell in shown
    assert "coordinates-nearest" in shown


def test_numbers_are_short() -> None:
    assert [short(v) for v in (0.123, -0.031, 1.204, -0.001, None)] == [".12", "−.03", "1.20", ".00", "–"]
    assert with_interval(0.12, 0.05, 0.19) == ".12 [.05, .19]"
    assert with_interval(0.12, None, None) == ".12"


def test_processes_and_copies_do_not_change_what_is_found() -> None:
    tables, labels, where = make()
    settings = SETTINGS.model_copy(update={"heads": ("mlp",), "splits": ("random",), "folds": 2})
    labels = labels[["region_id", "growth"]]
    copies = {"ours": [tables["ours"], tables["base"]]}
    one, two = (probe_tables(copies, labels, where, settings, jobs=jobs) for jobs in (1, 2))
    assert one.scores == two.scores
    pd.testing.assert_frame_equal(one.predictions, two.predictions)
    plain = {
        name: probe_tables({"ours": tables[name]}, labels, where, settings, jobs=1)
        for name in ("ours", "base")
    }
    rows = [next(r for r in p.scores["rows"] if r["features"] == "ours") for p in (one, *plain.values())]
    assert rows[0]["r2_seeds"] == [rows[1]["r2_seeds"][0], rows[2]["r2_seeds"][1]]


def test_without_vectors_the_floors_stand_alone() -> None:
    _, labels, where = make()
    scores = probe_tables({}, labels, where, SETTINGS).scores
    assert {row["features"] for row in scores["rows"]} == {"mean", "coordinates-nearest"}
    assert {v["against"] for v in scores["verdicts"]} == {"mean"}
    assert not any("saw the pictures" in note for note in scores["notes"])
    assert scores_table(scores).shape == (2, 4)
    assert "blocks − mean" in scores_markdown(scores)


@pytest.mark.parametrize("floors", [("coordinates-gp",), ("coordinates-boosting", "coordinates-gp"), ()])
def test_without_vectors_the_first_floor_that_was_asked_for_is_judged(floors: tuple[str, ...]) -> None:
    """Not the neighbours, where these were left out: the map was scored, and the answer says so."""
    _, labels, where = make()
    settings = SETTINGS.model_copy(update={"floors": floors, "splits": ("block",)})
    scores = probe_tables({}, labels[["region_id", "growth"]], where, settings).scores
    assert [one["features"] for one in scores["verdicts"]] == list(floors[:1])
    assert headline(scores).endswith("the map alone was not scored.") == (not floors)
    if floors:
        assert subject(scores) == floors[0]


def test_a_small_place_is_called_weak() -> None:
    tables, labels, where = make()
    small = where.iloc[:60].assign(
        lon=lambda f: 114 + (f["lon"] - 116) / 25, lat=lambda f: 30 + (f["lat"] - 40) / 25
    )
    settings = SETTINGS.model_copy(update={"block_km": 0.6, "buffer_km": 0.05})
    labels = labels[["region_id", "growth"]]
    scores = probe_tables({"ours": tables["ours"]}, labels, small, settings).scores
    notes = " ".join(scores["notes"])
    assert f"Only {scores['splits']['block']['n_blocks']} blocks: the intervals are a rough guide." in notes
    assert "Only 60 regions" in notes
    assert "under 0.6 km blocks" in scores["verdicts"][0]["sentence"]


def test_groups_keep_repeated_tiles_apart_from_their_twins() -> None:
    tables, labels, where = make()
    groups = {f"r{i:03d}": i // 2 for i in range(N)}
    result = probe_tables(
        {"ours": tables["ours"]}, labels[["region_id", "growth"]], where, SETTINGS, groups=groups
    )
    folds = result.predictions.assign(group=result.predictions["region_id"].map(groups))
    together = folds.groupby(["split", "seed", "features", "group"])["fold"].nunique()
    assert (together["random"] == 1).all()
    alone = probe_tables({"ours": tables["ours"]}, labels[["region_id", "growth"]], where, SETTINGS)
    sizes = [r.scores["splits"]["block"]["train_min"] for r in (result, alone)]
    assert sizes[0] < sizes[1]  # twins across blocks left the training


@pytest.fixture(scope="module")
def full():
    tables, labels, where = make()
    where["district"] = np.where(where["lon"] > 116.2, "east", "west")
    settings = ProbeSettings(
        heads=("ridge", "boosting"), splits=("random", "block", "district", "city"), seeds=1, folds=3,
        bootstrap=100, curve=(20,),
    )  # fmt: skip
    vectors = {"ours": tables["ours"], "base": tables["base"]}
    call = (vectors, labels[["region_id", "population"]], where, settings)
    return call, probe_tables(*call, baseline="base", jobs=1)


def test_the_map_stands_beside_the_vectors_under_the_head_of_the_verdict(full) -> None:
    rows = {(r["split"], r["features"], r["head"]): r for r in full[1].scores["rows"]}
    floors = {"mean", "coordinates-nearest", "coordinates-boosting", "coordinates-gp"}
    assert {split for split, *_ in rows} == {"random", "block", "district"}
    for split in ("random", "block", "district"):
        joint = {
            who: r for (s, *who_), r in rows.items() if s == split and (who := tuple(who_))[0] not in floors
        }
        assert set(joint) == {
            ("ours", "ridge"), ("ours", "boosting"), ("base", "ridge"), ("base", "boosting"),
            ("map", "ridge"), ("coordinates + ours", "ridge"), ("coordinates + base", "ridge"),
        }  # fmt: skip
        assert set(joint["ours", "boosting"]["vs"]) == floors | {"base"}
        assert set(joint["map", "ridge"]["vs"]) == floors
        both = joint["coordinates + ours", "ridge"]
        assert set(both["vs"]) == floors | {"map"}
        assert both["vs"]["map"]["diff"] == pytest.approx(both["r2"] - joint["map", "ridge"]["r2"])
        assert both["vs"]["map"]["low"] > 0
    against = [v["against"] for v in full[1].scores["verdicts"]]
    assert against[2] == "base"
    assert against[1] in {"map", "coordinates-nearest", "coordinates-boosting", "coordinates-gp"}
    assert {p["split"] for p in full[1].scores["curves"]} == {"block"}


def test_a_split_that_cannot_be_made_is_told_unless_it_is_the_only_one(full) -> None:
    (tables, labels, where, settings), result = full
    (entry,) = result.scores["skipped_splits"]
    assert (entry["indicator"], entry["split"]) == ("population", "city")
    assert "one city" in entry["reason"]
    assert any(note.startswith("No city split: population") for note in result.scores["notes"])
    only = settings.model_copy(update={"splits": ("city",)})
    with pytest.raises(InputError, match="one city only"):
        probe_tables(tables, labels, where, only)
    # A block split that cannot be made is not passed over in silence: the verdict would be the random one.
    with pytest.raises(InputError, match="smaller block edge"):
        probe_tables(tables, labels, where, settings.model_copy(update={"block_km": 500.0}))


def test_every_split_tells_what_it_lets_through(full) -> None:
    splits = full[1].scores["splits"]
    assert (splits["district"]["folds"], splits["block"]["folds"]) == (2, 3)
    assert splits["block"]["nearest_km_min"] > 0.999
    assert (splits["random"]["edge_km"], splits["block"]["edge_km"]) == (None, 5.0)
    assert set(splits["block"]["by_indicator"]) == {"population"}
    twins = full[0][1].assign(population=lambda f: f["population"].round(-1))
    tables, _, where, settings = full[0]
    quick = settings.model_copy(update={"heads": ("ridge",), "floors": (), "joint": False, "curve": ()})
    found = probe_tables(tables, twins, where, quick).scores
    leak = found["splits"]["block"]["by_indicator"]["population"]
    assert leak["twins"] > 0.5
    assert any("to the last digit" in sentence for sentence in leak["found"])
    assert any("Block split, population:" in note for note in found["notes"])


def test_intervals_are_those_the_coverage_was_counted_from(full) -> None:
    frame = full[1].predictions
    for row in full[1].scores["rows"]:
        keys = ("indicator", "split", "features", "head")
        part = frame[np.logical_and.reduce([frame[key] == row[key] for key in keys])]
        inside = (part["low"] <= part["truth"]) & (part["truth"] <= part["high"])
        assert inside.mean() == pytest.approx(row["coverage"], abs=0.01)  # ends are float32
        assert (part["high"] - part["low"]).median() == pytest.approx(row["width"], rel=1e-4)


def test_floors_and_the_map_do_not_depend_on_processes(full) -> None:
    call, one = full
    two = probe_tables(*call, baseline="base", jobs=2)
    assert one.scores == two.scores
    pd.testing.assert_frame_equal(one.predictions, two.predictions)


def test_a_label_is_scored_alike_alone_and_among_others() -> None:
    """Labels that share rows are predicted together, one with holes by itself; order is no matter."""
    tables, labels, where = make()
    labels = labels[["region_id", "population", "growth"]].assign(holes=labels["growth"])
    labels.loc[::7, "holes"] = np.nan
    settings = SETTINGS.model_copy(update={"heads": ("ridge", "mlp"), "splits": ("random",), "seeds": 1})

    def scored(*names: str) -> dict[tuple[str, ...], float]:
        found = probe_tables({"ours": tables["ours"]}, labels[["region_id", *names]], where, settings)
        return {(row["indicator"], row["features"], row["head"]): row["r2"] for row in found.scores["rows"]}

    together = scored("holes", "growth", "population")
    alone = scored("growth") | scored("holes") | scored("population")
    assert together == pytest.approx(alone, abs=1e-9)


def test_several_cities_are_held_out_whole_and_lie_apart() -> None:
    tables, labels, where = make()
    where["city"] = np.where(np.arange(N) % 2, "a", "b")  # on top of each other in degrees
    settings = SETTINGS.model_copy(update={"splits": ("random", "city")})
    found = probe_tables({"ours": tables["ours"]}, labels[["region_id", "growth"]], where, settings)
    city = dict(zip(where["region_id"], where["city"], strict=True))
    held = found.folds[(found.folds["split"] == "city") & (found.folds["side"] == "test")]
    assert (
        held.assign(city=held["region_id"].map(city)).groupby(["seed", "fold"])["city"].nunique().eq(1).all()
    )
    assert found.scores["splits"]["city"]["nearest_km_min"] is None
    assert found.scores["verdicts"][0]["split"] == "city"
    assert "with whole cities held out" in found.scores["verdicts"][0]["sentence"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tables": {"ours": pd.DataFrame({"region_id": ["x"], "vector": [np.ones(3)]})}},
            "no region has a vector",
        ),
        ({"tables": {"mean": table(np.ones((N, 2)))}}, "name of a floor"),
        ({"tables": {"ours": table(np.ones((N, 2))).drop(columns="vector")}}, "lacks a column"),
        ({"tables": {"ours": pd.concat([table(np.ones((N, 2)))] * 2)}}, "stands twice"),
        ({"tables": {"ours": table(np.full((N, 2), np.nan))}}, "not finite"),
        ({"tables": {"ours": []}}, "is empty"),
        ({"main": "theirs"}, "main table is not among"),
        ({"baseline": "theirs"}, "baseline table is not among"),
        ({"indicators": pd.DataFrame({"region_id": ["r000"], "income": ["high"]})}, "labels are not numbers"),
        ({"indicators": pd.DataFrame({"region_id": ["r000"]})}, "no indicator"),
    ],
)
def test_bad_input_is_one_clear_error(change: dict, message: str) -> None:
    tables, labels, where = make()
    call = {"tables": tables, "indicators": labels, **change}
    with pytest.raises(InputError, match=message):
        probe_tables(call.pop("tables"), call.pop("indicators"), where, SETTINGS, **call)


def test_ragged_vectors_and_one_region() -> None:
    tables, labels, where = make()
    ragged = tables["ours"].assign(vector=[np.ones(2 + i % 2) for i in range(N)])
    with pytest.raises(InputError, match="differ in length"):
        probe_tables({"ours": ragged}, labels, where, SETTINGS)
    with pytest.raises(InputError, match="only one region"):
        probe_tables({"ours": tables["ours"]}, labels, where.iloc[20:21], SETTINGS)


def test_the_stage_needs_no_torch_and_no_city() -> None:
    code = (
        "import sys, urbanln.probe.run, urbanln.probe.table\n"
        "print([m for m in ('torch', 'transformers', 'urbanln.city') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
