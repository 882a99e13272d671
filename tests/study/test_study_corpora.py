"""A study over a corpus of pictures without places: recall in place of R², chance in place of floors."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.study.fake_stages import FakeStages
from tests.train.fake_city import caption_of, make_city, make_clip, make_corpus

import urbanln
from urbanln.base.config import load_settings
from urbanln.base.errors import InputError
from urbanln.captions.table import candidates_table
from urbanln.model.tokens import load_tokenizer
from urbanln.study import work as work_module
from urbanln.study.kept import DONE
from urbanln.study.run import CACHE, plan_lines, run_study
from urbanln.study.spec import Study, load_study
from urbanln.study.stages import make_work

TEXT = """
[study]
name = "words"
cities = ["CORPUS"]
seeds = [0, 1]
reference = "voted"
captioners = "table"

[common.model]
name = "CLIP"
context = 48
keep = 8

[common.train]
epochs = 1
batch_size = 6
lr = 1e-3
warmup_steps = 1
queue_size = 16
precision = "fp32"
workers = 1

[common.embed]
precision = "fp32"

[common.retrieve]
split = "test"
texts = "joined"
bootstrap = 200

[variants.voted]
[variants.random]
captions = "random"
[variants.one]
captions = "single:human1"
[variants.first]
captions = "first-sentence"
[variants.shuffled]
captions = "shuffled-pairs"
[variants.base]
about = "as it came"
pretrain = "none"
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 pictures, six to test on; two humans on each, and both joined."""
    city = make_corpus(tmp_path_factory.mktemp("corpus") / "squares", pictures=36)
    rows = []
    for i, name in enumerate(city.images["image_id"]):
        texts = [caption_of(i % 24, k).capitalize() + "." for k in range(2)]
        said = {"human0": texts[0], "human1": texts[1], "joined": " ".join(texts)}
        rows += [{"image_id": name, "captioner": who, "caption": text} for who, text in said.items()]
    city.save_captions(candidates_table(pd.DataFrame(rows)))
    return city.folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip32")


def _study(folder: Path, corpus: Path, clip: Path, *overrides: str, text: str = TEXT) -> Study:
    file = folder / "study.toml"
    file.write_text(text.replace("CORPUS", str(corpus)).replace("CLIP", str(clip)), encoding="utf-8")
    return load_study(file, overrides)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, corpus: Path, clip: Path) -> Path:
    """The study, run."""
    folder = tmp_path_factory.mktemp("study")
    run_study(_study(folder, corpus, clip), folder / "out", jobs=1)
    return folder


def _rows(done: Path) -> dict[tuple[str, str, str], dict]:
    result = json.loads((done / "out" / "study.json").read_text())
    return {(row["name"], row["split"], row["head"]): row for row in result["rows"]}


def test_recall_is_that_of_the_verb_and_chance_is_the_floor(done: Path, corpus: Path, clip: Path) -> None:
    result = json.loads((done / "out" / "study.json").read_text())
    assert result["pictures"] == {str(corpus): 6}
    assert result["splits"] == ["picture → text", "text → picture"]
    settings = load_settings(
        base={"retrieve": {"texts": "joined", "bootstrap": 200}, "embed": {"precision": "fp32"}}
    )
    table = urbanln.retrieve(corpus, str(clip), settings).table()
    rows = _rows(done)
    assert {name for name, _, _ in rows} == {"voted", "random", "one", "first", "shuffled", "base", "chance"}
    for (direction, rule), part in table.groupby(["direction", "rule"]):
        base, chance = rows["base", direction, rule], rows["chance", direction, rule]
        assert (base["kind"], chance["kind"]) == ("variant", "floor")
        assert base["recall"] == pytest.approx(part["recall"].mean())
        assert chance["recall"] == pytest.approx(part["chance"].mean())
        for k, recall, low, high in part[["k", "recall", "low", "high"]].itertuples(index=False):
            found = base["by_indicator"][f"R@{k}"]
            ends = (found["recall"], found["recall_low"], found["recall_high"])
            assert ends == pytest.approx((recall, low, high)), (
                "one model under two seeds: the verb's interval"
            )
        assert base["by_seed"] == {"0": pytest.approx(base["recall"]), "1": pytest.approx(base["recall"])}


def test_scores_are_means_over_seeds_and_differences_are_paired_by_picture(done: Path) -> None:
    rows = _rows(done)
    for (name, split, head), row in rows.items():
        assert row["recall"] == pytest.approx(np.mean(list(row["by_seed"].values())))
        reference = rows["voted", split, head]
        if name == "voted":
            assert row["diff"] is None
        else:
            assert row["diff"] == pytest.approx(row["recall"] - reference["recall"])
            assert row["diff_low"] - 1e-9 <= row["diff"] <= row["diff_high"] + 1e-9


def test_stages_are_shared_and_page_and_tables_tell_recall(done: Path, corpus: Path, clip: Path) -> None:
    study = _study(done, corpus, clip)
    kinds = Counter(stage.kind for stage in make_work(study).stages.values())
    # Variants that draw anew do so for each seed.
    assert kinds == {
        "city": 1, "candidates": 1, "vote": 1, "captions": 2 + 2 + 1 + 1, "pretrain": 10, "retrieve": 11,
    }  # fmt: skip
    page = (done / "out" / "study.html").read_text(encoding="utf-8")
    assert 'role="region" aria-label="Differences, ' in page
    assert "picture → text, single truth" in page
    assert "Corpora: squares (6 pictures, split test, texts: joined)" in page
    assert "R²" not in page
    told = (done / "out" / "study.md").read_text(encoding="utf-8")
    assert "| variant | mean recall | − voted | what it is |" in told
    assert "| recall per k | R@1 | R@5 | R@10 |" in told
    chance = next(row for row in told.splitlines() if row.startswith("| chance | .167 ["))
    assert chance.count("[") == 3, "each k with its interval: chance of one in six"
    lines = (done / "out" / "study.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("name,kind,split,head,recall,recall_low,recall_high,diff")
    assert lines[0].endswith("recall R@1,recall R@5,recall R@10,recall seed 0,recall seed 1")
    assert len(lines) == 1 + 4 * 7
    said = "\n".join(plan_lines(study, done / "out"))
    assert "retrieve     11: 0 to do, 11 there" in said
    assert "embed" not in said


def test_the_test_pictures_were_in_no_training_and_texts_are_everybodys(done: Path) -> None:
    trained = list((done / "out" / CACHE).glob("pretrain/*/run/metrics.jsonl"))
    assert len(trained) == 10
    for note in trained:
        start = json.loads(note.read_text().splitlines()[0])
        assert (start["train_pictures"], start["pictures_to_test_on"]) == (24, 6)
    notes = (done / "out" / CACHE).glob(f"retrieve/*/{DONE}")
    assert {json.loads(note.read_text())["retrieve"]["texts"] for note in notes} == {"joined"}


def test_tokens_are_those_of_the_base_that_reads_the_texts(done: Path, clip: Path) -> None:
    files = sorted((done / "out" / CACHE).glob("*/*/captions.parquet"))
    count, tiny = load_tokenizer(clip).count_tokens, load_tokenizer("tiny").count_tokens
    differ = 0
    for file in files:
        table = pd.read_parquet(file, columns=["caption", "tokens"])
        texts = list(table["caption"])
        assert list(table["tokens"]) == count(texts), file
        differ += count(texts) != tiny(texts)
    assert differ >= 4, "else this test tells nothing"


def test_only_what_is_missing_is_done_again(
    done: Path, corpus: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(kind: str) -> object:
        do = work_module._WORK[kind]
        return lambda *how: (made.append(kind), do(*how))[1]

    monkeypatch.setattr(work_module, "_WORK", {kind: counted(kind) for kind in work_module._WORK})
    before = (done / "out" / "study.json").read_bytes()
    run_study(_study(done, corpus, clip), done / "out", jobs=1)
    assert made == []
    next((done / "out" / CACHE).glob("retrieve/*/places.parquet")).unlink()
    run_study(_study(done, corpus, clip), done / "out", jobs=1)
    assert made == ["retrieve"]
    assert (done / "out" / "study.json").read_bytes() == before
    run_study(_study(done, corpus, clip, "common.retrieve.bootstrap=300"), done / "out", jobs=1)
    assert made == ["retrieve"], "other resamples need no stage"


def test_what_a_study_over_a_corpus_cannot_do_is_refused(
    tmp_path: Path, corpus: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeStages().install(monkeypatch)
    city = make_city(tmp_path / "city", regions=4)
    for text, what in (
        (TEXT.replace('"CORPUS"', f'"CORPUS", "{city.folder}"'), "stand in one study"),
        (TEXT.replace('"CORPUS"', '"CORPUS", "synthetic:16:0"'), "stand in one study"),
        (TEXT + 'embed = { view = "street" }\n', "of different views"),
        (TEXT.replace('"none"', '"train-blocks"'), "needs places"),
    ):
        with pytest.raises(InputError, match=what):
            make_work(_study(tmp_path, corpus, clip, text=text))
    bare = make_corpus(tmp_path / "bare")
    (bare.folder / "captions.parquet").unlink()
    with pytest.raises(InputError, match="no captions to look for"):
        make_work(_study(tmp_path, bare.folder, clip))
