"""Tables to read: CSV holds every number, LaTeX survives any name, columns follow the splits scored."""

from __future__ import annotations

import copy
import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from urbanln.base.config import ProbeSettings
from urbanln.probe.run import probe_tables
from urbanln.probe.table import scores_csv, scores_latex, scores_markdown

NASTY = r"100% of $a_b & {c}^2 ~ #1 \today | [x]"
N = 80


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    ids = [f"r{i:02d}" for i in range(N)]
    where = pd.DataFrame({"region_id": ids, "lon": 116 + rng.random(N) / 5, "lat": 40 + rng.random(N) / 5})
    where["district"] = np.repeat(["n", "e", "s", "w"], N // 4)
    X = rng.normal(size=(N, 3)).astype("float32")
    table = pd.DataFrame({"region_id": ids, "vector": list(X)})
    settings = ProbeSettings(
        heads=("ridge",), splits=("random", "district"), seeds=2, folds=4, bootstrap=100, curve=(),
        floors=("coordinates-nearest",), buffer_km=0.5,
    )  # fmt: skip
    labels = pd.DataFrame({"region_id": ids, NASTY: np.exp(X[:, 0])})
    return probe_tables({"ours": table, "[base]": table}, labels, where, settings, baseline="[base]").scores


def test_the_caption_counts_the_seeds(scores) -> None:
    one = scores | {"settings": scores["settings"] | {"seeds": 1}}
    assert "rows, mean of 2 seeds, 95 %" in scores_markdown(scores)
    assert "rows, one seed, 95 %" in scores_markdown(one)


def test_csv_holds_every_number(scores) -> None:
    lines = list(csv.DictReader(io.StringIO(scores_csv(scores))))
    assert len(lines) == len(scores["rows"])
    for line, row in zip(lines, scores["rows"], strict=True):
        for key in ("r2", "r2_unit", "rmse", "morans_i", "coverage", "width"):
            assert float(line[key]) == row[key]
        assert [float(v) for v in line["r2_seeds"].split()] == row["r2_seeds"]
        told = {k[3:-5] for k, v in line.items() if k.startswith("vs ") and k.endswith(" diff") and v}
        assert told == set(row["vs"])
        for name, gap in row["vs"].items():
            assert float(line[f"vs {name} low"]) == gap["low"]
    assert lines[0]["indicator"] == NASTY
    assert lines[0]["spearman"] == ""  # a constant has no ranks


def test_no_name_steers_the_terminal_that_shows_the_csv() -> None:
    row = {"indicator": "a\x1b[2J", "features": "b\rc", "r2": 0.5, "r2_seeds": [0.5]}
    row["vs"] = {"d\x07": {"diff": 1}}
    assert scores_csv({"rows": [row]}).splitlines() == [
        r"indicator,features,r2,r2_seeds,vs d\x07 diff,vs d\x07 low,vs d\x07 high",
        r"a\x1b[2J,b\rc,0.5,0.5,1,,",
    ]


def test_columns_follow_the_splits_scored(scores) -> None:
    header = scores_markdown(scores).splitlines()[0]
    names = ["indicator", "features", "head", "random", "districts"]
    rivals = ["districts − strongest floor", "districts − [base]", "districts − map"]
    assert header == f"| {' | '.join([*names, *rivals])} |"
    body = [line for line in scores_markdown(scores).splitlines() if "coordinates + ours" in line]
    joint = next(
        r for r in scores["rows"] if r["features"] == "coordinates + ours" and r["split"] == "district"
    )
    assert f".{abs(round(joint['vs']['map']['diff'] * 100)):02d} [" in body[0].rsplit("|", 2)[1]


def test_latex_is_escaped_and_every_line_has_its_cells(scores) -> None:
    text = scores_latex(scores)
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    cells = {len(re.findall(r"(?<!\\)&", line)) for line in lines}
    assert cells == {7}
    assert len(lines) == 1 + len({(r["features"], r["head"]) for r in scores["rows"]})
    assert r"100\% of \$a\_b \& \{c\}\textasciicircum{}2 \textasciitilde{} \#1 \textbackslash{}today" in text
    assert text.isascii()
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    # A bracket after a line's end would be its optional argument.
    assert not re.search(r"\\\\\s*\[", text)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(scores, tmp_path) -> None:
    page = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n%s\\end{document}\n"
    (tmp_path / "page.tex").write_text(page % scores_latex(scores), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_names_break_no_markdown(scores) -> None:
    wild = copy.deepcopy(scores)
    first = wild["rows"][0]["indicator"]
    name = "a|b\n\\| <script>"
    for row in [*wild["rows"], *wild["verdicts"]]:
        row["indicator"] = name if row["indicator"] == first else row["indicator"]
    wild["notes"] = ["one\n- two <b>"]
    text = scores_markdown(wild)
    assert "<script>" not in text
    assert "- one - two &lt;b>" in text
    assert r"| a\|b \\\| &lt;script> |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}
    assert len(columns) == 1
