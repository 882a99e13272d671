"""Real street photographs, where URBANLN_WUHAN names the folder: ingest to report by the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from tests.cli.test_cli import run

from urbanln.base.files import table_note
from urbanln.city.store import City

FOLDER = os.environ.get("URBANLN_WUHAN", "")
LABELS = ("score_safety", "score_lively", "score_wealthy")
PICTURES = 120

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="URBANLN_WUHAN does not name the folder of street photographs"
)


def test_street_photographs_from_ingest_to_report(tmp_path: Path) -> None:
    # Every fourth photograph: a smaller cut that still spans the whole area.
    table = pd.read_csv(Path(FOLDER) / "metadata.csv").iloc[::4].head(PICTURES)
    table.to_csv(tmp_path / "table.csv", index=False)
    city, labels = tmp_path / "city", [part for label in LABELS for part in ("--label", label)]
    weak = ["--set", "probe.block_km=0.25", "--set", "probe.buffer_km=0.075", "--set", "probe.seeds=2"]
    for command in (
        ["ingest", FOLDER, tmp_path / "table.csv", "--out", city, "--image-column", "image_file",
         "--view", "street", *labels],
        ["caption", city, "--captioner", "measured"],
        ["pretrain", city, "--out", tmp_path / "run", "--set", "train.epochs=1",
         "--set", "train.batch_size=16", "--set", "train.fit=letterbox"],
        ["embed", city, "--model", tmp_path / "run", "--out", tmp_path / "v.parquet"],
        ["embed", city, "--model", "pixels", "--out", tmp_path / "pixels.parquet"],
        ["embed", city, "--model", "text", "--out", tmp_path / "text.parquet"],
        ["probe", city, "--vectors", tmp_path / "v.parquet", "--out", tmp_path / "s", *weak],
        ["report", city, "--scores", tmp_path / "s", "--run", tmp_path / "run", "--out", tmp_path / "r.html"],
    ):  # fmt: skip
        assert run(*command) == 0, command
    for table in ("v.parquet", "pixels.parquet", "text.parquet"):
        assert table_note(tmp_path / table)["view"] == "street", "the only view there is, named by nobody"
    place = City.open(city)
    assert len(place.images) == PICTURES
    assert place.captions["caption"].nunique() == PICTURES
    scores = json.loads((tmp_path / "s" / "scores.json").read_text())
    scored = {row["indicator"] for row in scores["rows"] if row["features"] == "v"}
    assert scored == set(LABELS)
    assert all(-5 < row["r2"] < 1 for row in scores["rows"])
    assert "synthetic" not in (tmp_path / "r.html").read_text().split("</head>")[1][:2000].lower()
