"""A model's card tells the scores of its own vectors, beside their floors; those of others are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub.repocard_data import model_index_to_eval_results
from tests.stages.test_stages import QUICK
from tests.train.fake_city import make_city, tiny_settings

from urbanln.base.errors import ArtefactError, InputError
from urbanln.cli.app import main
from urbanln.model.card import card_of
from urbanln.model.clip import load_clip
from urbanln.stages.card_scores import card_sections
from urbanln.train.loop import pretrain


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> Path:
    """A run and the scores of its vectors beside those of another model."""
    folder = tmp_path_factory.mktemp("scored")
    city = make_city(folder / "al|pha", regions=30, captions=1)
    pretrain(city, tiny_settings(clip_folder, epochs=1), folder / "run")
    for name, model in (("run.parquet", folder / "run"), ("base.gpkg", clip_folder)):
        assert _run("embed", city.folder, "--model", model, "--out", folder / name) == 0
    sets = [part for one in [*QUICK, 'probe.splits=["random","block"]'] for part in ("--set", one)]
    tables = ["--vectors", f"ours={folder / 'run.parquet'}", "--vectors", f"base={folder / 'base.gpkg'}"]
    assert _run("probe", city.folder, *tables, "--out", folder / "scores", *sets) == 0
    return folder


def _scores(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "scores" / "scores.json").read_text())


def _changed(folder: Path, out: Path, **values: object) -> Path:
    scores = {key: value for key, value in {**_scores(folder), **values}.items() if value is not ...}
    out.mkdir(exist_ok=True)
    (out / "scores.json").write_text(json.dumps(scores))
    return out


def test_the_card_stands_by_floor_interval_seeds_and_verdict(scored: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export = ["export-model", scored / "run", "--to", "transformers", "--out"]
    assert _run(*export, out, "--scores", scored / "scores") == 0
    card, before = (out / "README.md").read_text(), (scored / "run" / "model" / "README.md").read_text()
    assert "## Scores" not in before
    scores = _scores(scored)
    (block,) = [
        row
        for row in scores["rows"]
        if (row["split"], row["features"], row["head"]) == ("block", "ours", "ridge")
    ]
    told = card.partition("## Scores")[2].partition("## Limits")[0]
    assert "Labels of al\\|pha (synthetic), from frozen vectors" in told
    cells = [
        cell.strip() for cell in told.split("| label | block split, 4 km |")[1].splitlines()[0].split("|")
    ]
    floor = max((row for row in scores["rows"] if row["split"] == "block" and row["head"] == "none"),
                key=lambda row: row["r2"])  # fmt: skip

    def plain(value: float) -> str:
        return f"{value:.2f}".replace("-", "−").replace("0.", ".", 1)

    assert cells[:5] == [
        "ridge",
        f"{plain(block['r2'])} \\[{plain(block['r2_low'])}, {plain(block['r2_high'])}\\]",
        {"mean": "mean", "coordinates-nearest": "coordinates, neighbours"}[floor["features"]],
        plain(floor["r2"]),
        cells[4],
    ]
    assert plain(abs(block["vs"][floor["features"]]["diff"])) in cells[4]
    assert cells[5:7] == ["30", "2"]
    assert (
        sum(line.startswith("| label | ") and "split" in line for line in told.splitlines()) == 3
    )  # its head
    assert scores["verdicts"][0]["sentence"].replace("[", "\\[").replace("]", "\\]") in told
    for note in scores["notes"]:
        assert note.replace("[", "\\[").replace("]", "\\]").replace("_", "\\_") in told
    # All else is as the run wrote it.
    assert (
        card.replace(f"## Scores{told}", "").replace(card.split("---\n")[1], before.split("---\n")[1])
        == before
    )
    assert card_of(out) == card
    # A second export with other scores tells those alone.
    again = tmp_path / "again"
    assert _run(*export[:1], out, *export[2:], again, "--scores", scored / "scores") == 0
    assert (again / "README.md").read_text().replace('"again"', '"out"') == card


def test_what_machines_read_is_yaml_that_hubs_take_and_never_without_the_floor(
    scored: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _run("export-model", scored / "run", "--to", "open_clip", "--out", out, "--scores", scored / "scores")
    front = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert front["library_name"] == "open_clip"
    name, results = model_index_to_eval_results(front["model-index"])
    assert name == "out"
    assert len(results) == 2 * 2  # two splits, vectors and floor
    assert {result.dataset_name for result in results} == {"al|pha (synthetic): label"}
    assert sum("strongest floor" in result.metric_name for result in results) == 2
    found = {row["split"]: round(row["r2"], 4) for row in _scores(scored)["rows"]
             if (row["features"], row["head"]) == ("ours", "ridge")}  # fmt: skip
    assert found["random"] in [result.metric_value for result in results]


def test_scores_of_other_vectors_are_refused(scored: Path, tmp_path: Path) -> None:
    from urbanln.model.source import find_source

    teacher = find_source(scored / "run" / "teacher").weights_hash()
    with pytest.raises(InputError, match="not of this model") as caught:
        card_sections([scored / "scores"], teacher)
    assert caught.value.value == "ours, base"
    out = tmp_path / "out"
    arguments = ["--to", "open_clip", "--out", out, "--scores", scored / "scores"]
    assert _run("export-model", scored / "run", "--encoder", "teacher", *arguments) == 2
    assert not out.exists()
    nothing = _changed(scored, tmp_path / "floors", models={}, main=None)
    with pytest.raises(InputError, match="not of this model"):
        card_sections([nothing], teacher)


def test_retrieval_stands_by_chance_and_both_rules(scored: Path, tmp_path: Path) -> None:
    from urbanln.model.source import find_source

    file, own = tmp_path / "found.json", find_source(scored / "run" / "model").weights_hash()
    models = ["--model", "tiny", "--model", scored / "run", "--set", "retrieve.bootstrap=100"]
    assert _run("retrieve", scored / "al|pha", *models, "--out", file) == 0
    (section,) = card_sections([file], own)
    assert section.title == "Retrieval on al|pha (synthetic), split all"
    rows = [row for row in json.loads(file.read_text())["rows"] if row["model"] == str(scored / "run")]
    assert len(section.rows) == len(rows) == 2 * 2 * 3
    for told, row in zip(section.rows, rows, strict=True):
        assert told[:3] == [row["direction"], row["rule"], str(row["k"])]
        assert told[3].startswith(f"{row['recall']:.3f}".removeprefix("0"))
        assert told[4] == f"{row['chance']:.3f}".removeprefix("0")
    assert "It was trained on pictures of this split, which flatters it." in section.sentences
    out = tmp_path / "out"
    both = ["--scores", scored / "scores", "--scores", file]
    assert _run("export-model", scored / "run", "--to", "transformers", "--out", out, *both) == 0
    card = (out / "README.md").read_text()
    assert card.count("\n### ") == 2
    assert "| direction | right answers | k | recall at k | chance |" in card
    with pytest.raises(InputError, match="not of this model"):
        card_sections([file], "0" * 64)
    file.write_text(json.dumps({**json.loads(file.read_text()), "rows": [{"model": 1}]}))
    with pytest.raises(ArtefactError, match="damaged"):
        card_sections([file], own)


def test_the_table_that_is_not_judged_has_no_verdict(scored: Path, clip_folder: Path) -> None:
    from urbanln.model.source import find_source

    (section,) = card_sections([scored / "scores"], find_source(clip_folder).weights_hash())
    assert "No verdict here: that of these scores is about ours." in section.sentences
    assert len(section.rows) == 2


def test_labels_of_classes_stand_by_their_own_score(scored: Path, tmp_path: Path) -> None:
    """Never called R²: not in the table, and not in what machines read."""
    weights = _scores(scored)["models"]["ours"][0]
    rows = [{**row, "kind": "classes", "score_name": "macro_f1"} for row in _scores(scored)["rows"]]
    for row in rows:
        del row["r2"], row["r2_low"], row["r2_high"]
    (section,) = card_sections([_changed(scored, tmp_path / "classes", rows=rows)], weights)
    assert all(row[3].endswith("macro F1") for row in section.rows)
    assert "where it is not said to be macro F1" in section.sentences[0]
    first = section.results[0]
    assert {metric["type"] for metric in first["metrics"]} == {"f1"}
    assert first["task"]["type"] == "tabular-classification"
    with pytest.raises(ArtefactError, match="damaged"):
        card_sections([_changed(scored, tmp_path / "other", rows=[{**rows[0], "score_name": "f2"}])], weights)
    with pytest.raises(ArtefactError, match="damaged"):
        bare = {key: value for key, value in rows[0].items() if key != "score"}
        card_sections([_changed(scored, tmp_path / "bare", rows=[bare])], weights)


def test_scores_that_do_not_know_their_model_say_so(
    scored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = _changed(scored, tmp_path / "older", models=..., cities=...)
    (section,) = card_sections([older / "scores.json"], "0" * 64)
    assert "The scores do not say which model made these vectors." in section.sentences
    assert "does not say which model made the vectors ours" in capsys.readouterr().err
    assert section.title == "Labels of a city that the scores do not name, from frozen vectors"
    with pytest.raises(ArtefactError, match="damaged"):
        card_sections([_changed(scored, tmp_path / "damaged", models={"ours": [3]})], "0" * 64)
    with pytest.raises(InputError, match="no such file"):
        card_sections([tmp_path / "nowhere"], "0" * 64)


@pytest.mark.parametrize("to", ["transformers", "open_clip", "sentence-transformers"])
def test_every_export_has_a_card_also_of_a_model_that_came_without(
    to: str, clip_folder: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(clip_folder, tmp_path / "source"))
    (source / "README.md").write_text("# Mine\n\nWritten by me.\n")
    assert card_of(source) == ""
    out = tmp_path / "out"
    assert _run("export-model", source, "--to", to, "--out", out) == 0
    card = (out / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["library_name"] == to
    opened = {"transformers": "AutoTokenizer", "open_clip": "local-dir:", "onnx": "vision.onnx",
              "sentence-transformers": "SentenceTransformer("}  # fmt: skip
    for name, words in opened.items():
        assert (words in card) == (name == to)
    if to == "transformers":
        assert load_clip(out, context=None).dim == 16
