"""Each named benchmark runs at its smallest and writes the figures that others read."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import cities, gpu, growth, growth_stages, harness, restart
from PIL import Image

from urbanln.base.config import Settings, load_settings
from urbanln.base.files import read_table
from urbanln.base.parsing import read_json
from urbanln.city.store import City
from urbanln.model.clip import load_clip
from urbanln.tables.vectors import matrix, read_embeddings

_WRITE_NOTHING = {"explore", "audit_pictures", "audit_labels", "audit_captions", "leakage"}


def _run(monkeypatch: pytest.MonkeyPatch, file: Path, *words: str) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words, "--json", str(file)])
    command.main()
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _run(monkeypatch, tmp_path / "f.json", "step", "--model", "tiny", "--batch", "4", "--steps", "1")
    for name in ("ours_ms_per_pair", "plain_ms_per_pair", "plain_fp32_ms_per_pair"):
        assert found[name] > 0
    assert 0 < found["peak_share"] < found["peak_share_whole_forward"] < 1
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()


def test_embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("embed", "--size", "tiny", "--images", "6", "--batch", "4", "--repeat", "1")
    found = _run(monkeypatch, tmp_path / "f.json", *words)
    assert found["ratio"] == pytest.approx(found["images_per_s"] / found["encoder_images_per_s"])
    assert found["lowest_cosine"] > 0.999


def test_grad_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("grad_cache", "--model", "tiny", "--batch", "4", "--micro", "2", "--repeat", "1", "--memory")
    found = _run(monkeypatch, tmp_path / "f.json", *words)
    assert found["memory"] == []
    assert found["time"]["ratio"] == pytest.approx(found["time"]["cached_ms"] / found["time"]["plain_ms"])


def test_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("restart", "--model", "tiny", "--images", "8", "--batch", "4", "--repeat", "1")
    found = _run(monkeypatch, tmp_path / "f.json", *words)
    assert found["cache_bytes"] > 8 * 3 * 96**2, "the pixels of all pictures were kept"
    assert found["cache_bytes"] < 9 * 3 * 96**2 + 4096
    for way in ("first", "restart", "no_cache"):
        assert found[f"{way}_s"] == pytest.approx(sum(found[f"{way}_parts_s"].values()))
        assert list(found[f"{way}_parts_s"]) == list(restart.PARTS)
    assert found["ratio"] == pytest.approx(found["restart_s"] / found["first_s"])
    assert "| s before the first step | first | restart | no cache |" in capsys.readouterr().out


def test_growth_in_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A probe of 200 regions in a process of its own; far more than that would take too long."""
    plot = tmp_path / "g.svg"
    words = ("growth", "--sizes", "200", "200000000", "--stages", "probe", "--plot", str(plot))
    small, large = _run(monkeypatch, tmp_path / "f.json", *words)["rows"]
    assert (small["stage"], small["pictures"], large["pictures"]) == ("probe", 200, 200_000_000)
    assert small["bytes"] > 1000
    assert small["peak_mb"] is None or small["peak_mb"] >= small["idle_mb"] > 10
    assert large["expected_s"] == pytest.approx(1e6 * small["seconds"])
    assert re.search(
        r"\| probe \| [\d.,]+ \| not run: about [\d,]+ s expected \| – \|", capsys.readouterr().out
    )
    assert ET.fromstring(plot.read_text()).tag == "{http://www.w3.org/2000/svg}svg"


def test_growth_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, calls = tmp_path / "f.json", []

    def alone(work: object, stage: str, root: Path, **_: str) -> tuple[dict[str, float], float]:
        calls.append((stage, root))
        if len(calls) == 3:
            raise SystemExit("stopped")
        return {"seconds": 1.0, "cpu_s": 1.0, "bytes": 1, "idle_mb": 1.0}, 2.0

    monkeypatch.setattr(growth, "alone", alone)
    monkeypatch.setattr(growth, "make_data", lambda *_: None)
    words = ("growth", "--sizes", "10", "20", "--stages", "probe", "report", "--keep", str(tmp_path / "data"))
    with pytest.raises(SystemExit, match="stopped"):
        _run(monkeypatch, file, *words)
    assert len(json.loads(file.read_text())["rows"]) == 2
    rows = _run(monkeypatch, file, *words)["rows"]
    expected = [(stage, size) for size in (10, 20) for stage in ("probe", "report")]
    assert [(row["stage"], row["pictures"]) for row in rows] == expected
    assert len(calls) == 5
    assert {root for _, root in calls} == {tmp_path / "data" / "10", tmp_path / "data" / "20"}


def test_tiles_beyond_the_drawn_ones_differ_in_their_bytes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cities, "_DISTINCT", 2)
    city = cities.tiles(tmp_path / "city", np.zeros((5, 2)), np.zeros(5), edge=64)
    data = [city.image_bytes(path) for path in city.images["path"]]
    assert len(set(data)) == 5
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(data[i]))) for i in (1, 3)))


def test_growth_fails_with_what_the_stage_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "COMMAND", (sys.executable, "-c", "raise SystemExit('the disk is full')"))
    with pytest.raises(SystemExit, match="probe failed:\nthe disk is full"):
        harness.alone(growth_stages.run, "probe", tmp_path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("growth")
    growth_stages.make_data(folder, 24, ["vote"])
    return folder


@pytest.mark.parametrize("stage", list(growth_stages.STAGES))
def test_each_stage_does_its_work(stage: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if stage == "vote" and importlib.util.find_spec("spacy") is None:
        pytest.skip("needs spacy")
    monkeypatch.setenv("URBANLN_CACHE", str(root / "cache"))
    monkeypatch.setattr(growth_stages, "load_settings", _small)
    found = growth_stages.run(stage, root)
    assert found["seconds"] > 0
    assert found["cpu_s"] > 0
    assert (found["bytes"] > 0) is (stage not in _WRITE_NOTHING)
    looks = {
        "ingest": _ingested, "cache": _kept, "epoch": _trained, "embed": _embedded, "vote": _voted,
        "probe": _probed, "report": _reported, "export": _exported,
    }  # fmt: skip
    looks.get(stage, lambda *_: None)(root, found)


def _small(base: dict[str, Any] | None = None) -> Settings:
    """The stage's settings, with batches and blocks that 24 pictures on 24 km² fill."""
    less = {"train": {"batch_size": 8, "queue_size": 16}, "probe": {"block_km": 1, "buffer_km": 0.1}}
    own = base or {}
    return load_settings(base={name: {**own.get(name, {}), **part} for name, part in less.items()})


def _ingested(root: Path, found: dict[str, Any]) -> None:
    made, city = City.open(root / "ingested"), City.open(root / "city")
    assert made.images["sha256"].nunique() == len(made.images) == 24
    assert made.indicators["label"].tolist() == pytest.approx(city.indicators["label"].tolist())


def _reported(root: Path, found: dict[str, Any]) -> None:
    assert found["bytes"] == (root / "report.html").stat().st_size > 50_000


def _exported(root: Path, found: dict[str, Any]) -> None:
    assert (root / "page" / "index.html").is_file()
    assert len(list((root / "page" / "pictures").glob("*.jpg"))) == 24


def _kept(root: Path, found: dict[str, Any]) -> None:
    assert found["bytes"] >= 24 * 3 * 96**2


def _trained(root: Path, found: dict[str, Any]) -> None:
    assert (root / "run" / "model").is_dir()
    assert '"done"' in (root / "run" / "metrics.jsonl").read_text()


def _embedded(root: Path, found: dict[str, Any]) -> None:
    vectors = matrix(read_embeddings(root / "embeddings.parquet"))
    assert vectors.shape == (24, 128)
    assert len({row.tobytes() for row in vectors}) == 24, "no two pictures are equal"
    assert found["bytes"] > 2 * vectors.nbytes, "the table and the parts beside it"


def _voted(root: Path, found: dict[str, Any]) -> None:
    table = read_table(root / "city" / "captions.parquet", kind="captions")
    assert len(table) == 3 * 24
    assert table["agreement"].notna().all()
    assert 60 < table["caption"].str.split().str.len().mean() < 120


def _probed(root: Path, found: dict[str, Any]) -> None:
    rows = read_json(root / "scores" / "scores.json")["rows"]
    assert {row["features"] for row in rows} == {"mean", "coordinates-nearest", "vectors"}


def test_the_plot_tells_straight_lines_from_others() -> None:
    rows = [
        {"stage": s, "pictures": n, "seconds": n**p / 1e3, "peak_mb": 100.0 + n, "idle_mb": 90.0, "bytes": 1}
        for s, p in (("cache", 1), ("probe", 2))
        for n in (10, 100, 1000)
    ] + [{"stage": "probe", "pictures": 10_000, "expected_s": 1e5}]
    svg = ET.fromstring(growth.draw(rows))
    paths = {p.get("class"): p for p in svg.iter("{http://www.w3.org/2000/svg}path")}
    slopes = {}
    for name in ("cache", "probe"):
        line = next(p for p in svg.iter("{http://www.w3.org/2000/svg}path") if p.get("class") == name)
        points = [tuple(map(float, pair.split())) for pair in (line.get("d") or "")[1:].split("L")]
        assert len(points) == 3
        slopes[name] = (points[0][1] - points[2][1]) / (points[2][0] - points[0][0])
    assert slopes["probe"] == pytest.approx(2 * slopes["cache"], rel=0.01)
    assert set(paths) == {"cache", "probe"}
    words = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"time, s", "peak memory above idle, MB", "pictures", "cache", "probe", "1,000"} <= set(words)


def test_gpu_without_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(gpu, "pick_device", lambda: torch.device("cpu"))
    with pytest.raises(SystemExit) as stop:
        gpu.main([])
    assert stop.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "no CUDA GPU" in told.err
    assert told.err.count("\n") == 1


def test_all_of_gpu_but_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip_folder: Path) -> None:
    monkeypatch.setattr(gpu, "matrix_product_rate", lambda *where: 1e12)
    monkeypatch.setattr(gpu, "model_of", lambda size: load_clip(clip_folder, context=48, keep=8))
    taken: list[gpu.Case] = []
    take = gpu.Training.take

    def take_or_not(bench: gpu.Training, case: gpu.Case) -> dict[str, Any]:
        taken.append(case)
        if len(taken) == 3:
            raise torch.OutOfMemoryError("a GPU of another size")
        return take(bench, case)

    monkeypatch.setattr(gpu.Training, "take", take_or_not)
    file = tmp_path / "gpu.json"
    gpu.main(["--cpu-trial", "--json", str(file)])
    found = json.loads(file.read_text())
    rows = found["rows"]
    assert [row.get("failed") for row in rows] == [None, None, "out of memory", *[None] * 10]
    assert {(r["batch"], r["micro_batch"], r["compiled"]) for r in rows if r["what"] == "training"} == {
        (2, 0, False), (2, 0, True), (4, 2, False), (4, 2, True), (4, 0, False)
    }  # fmt: skip
    for row in rows:
        assert row.get("peak_share", 0.5) > 0
        if row["what"] == "training" and "failed" not in row:
            assert row["loss_difference"] < 1e-2  # the plain step, ours, in micro-batches, compiled
        assert math.isclose(row.get("per_s", 1), row["batch"] / row.get("ms", row["batch"] * 1e3) * 1e3)
    assert [row["way"] for row in rows if row["what"] == "embedding"] == ["encoder alone"] * 2 + [
        "from JPEG files"
    ]
    assert len(taken) == 10


@pytest.mark.parametrize("wrong", [100.0, math.nan])
def test_gpu_fails_where_a_compiler_computes_something_else(
    wrong: float, monkeypatch: pytest.MonkeyPatch, clip_folder: Path
) -> None:
    monkeypatch.setattr(gpu, "matrix_product_rate", lambda *where: 1e12)
    monkeypatch.setattr(gpu, "model_of", lambda size: load_clip(clip_folder, context=48, keep=8))
    take = gpu.Training.take

    def take_wrongly(bench: gpu.Training, case: gpu.Case) -> dict[str, Any]:
        return take(bench, case) | ({"losses": (wrong, wrong)} if case.compiled and not case.micro else {})

    monkeypatch.setattr(gpu.Training, "take", take_wrongly)
    with pytest.raises(SystemExit) as stop:
        gpu.main(["--cpu-trial"])
    assert stop.value.code == 1
