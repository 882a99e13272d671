"""Bases other than CLIP go the whole way: trained, stopped and gone on with, embedded, opened again."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.model.other_bases import make_chinese_clip, make_siglip, make_two_towers
from tests.train.fake_city import tiny_settings

from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.base.files import read_table
from urbanln.captions.settings import CaptionSettings
from urbanln.city.store import City
from urbanln.embed.encode import embed_regions
from urbanln.model.clip import load_clip
from urbanln.stages import bridges
from urbanln.stages.caption import vote_file
from urbanln.train import loop
from urbanln.train.described import settled
from urbanln.train.loop import pretrain

POSITIONS = {"siglip": 196, "vit and bert": 68, "dinov2 and roberta": 68, "chinese": 512}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {
        "siglip": make_siglip(folder / "siglip", second=True),
        "vit and bert": make_two_towers(folder / "bert", rows=32),
        "dinov2 and roberta": make_two_towers(folder / "roberta", "dinov2", "roberta", rows=34),
        "chinese": make_chinese_clip(folder / "chinese"),
    }


def _settings(base: Path, **train: Any) -> Settings:
    train = {"epochs": 1, "batch_size": 10, "lr": 1e-3, "queue_size": 16, "precision": "fp32", **train}
    return load_settings(base={"model": {"name": str(base)}, "train": {"warmup_steps": 0, **train}})


def _stopped_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loop.train_step

    def stop(*args: Any) -> dict[str, float]:
        if args[4] == step:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(loop, "train_step", stop)


REWORDED = {"drop_opening": 0.5, "sample_sentences": 0.5, "pad_front": 0.5}


@pytest.mark.parametrize("kind", POSITIONS)
def test_it_trains_goes_on_and_embeds(
    city: City,
    bases: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    # RoBERTa does not count padding, so none pushes a text back.
    reworded = REWORDED | ({"pad_front": 0.0} if "roberta" in kind else {})
    settings = _settings(bases[kind], checkpoint_minutes=0, **reworded)
    run = pretrain(city, settings, tmp_path / "run")
    assert "Texts are read" in capsys.readouterr().err
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum(row["event"] == "step" for row in rows) == 2
    # The number the base comes to is noted, not that nobody gave one.
    note = tomllib.loads((run / "run.toml").read_text())
    assert note["model"]["context"] == POSITIONS[kind]
    card = (run / "model" / "README.md").read_text()
    assert f"| model.context | {POSITIONS[kind]} |" in card

    with monkeypatch.context() as patched:
        _stopped_at(1, patched)
        with pytest.raises(KeyboardInterrupt):
            pretrain(city, settings, tmp_path / "stopped")
    pretrain(city, settings, tmp_path / "stopped")
    states = [load_clip(one / "model", context=None) for one in (run, tmp_path / "stopped")]
    straight, resumed = (one.state_dict() for one in states)
    assert all(torch.equal(weight, resumed[name]) for name, weight in straight.items())
    assert states[0].context == POSITIONS[kind]

    base = load_clip(bases[kind]).state_dict()
    assert any(not torch.equal(weight, base[name]) for name, weight in straight.items())
    vectors = np.stack(list(embed_regions(run, city)["vector"]))
    assert vectors.shape[1] == states[0].dim
    assert np.isfinite(vectors).all()
    assert np.ptp(vectors, axis=0).max() > 1e-3  # regions are told apart


@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize("setting", ["freeze_vision", "freeze_text"])
def test_frozen_towers_and_layers_stay(
    city: City, bases: dict[str, Path], tmp_path: Path, kind: str, setting: str
) -> None:
    tower = "vision_model" if setting == "freeze_vision" else "text_model"
    base = load_clip(bases[kind]).state_dict()
    moved = {}
    for count in (1, -1):
        run = pretrain(city, _settings(bases[kind], **{setting: count}), tmp_path / f"run{count}")
        after = load_clip(run / "model", context=None).state_dict()
        moved[count] = {name for name in base if not torch.equal(base[name], after[name])}
    assert not [name for name in moved[-1] if tower in name]
    assert moved[-1]
    assert not [name for name in moved[1] if tower in name and ("embeddings" in name or ".0." in name)]
    assert [name for name in moved[1] if tower in name and ".1." in name]


def test_adapters_beside_bert_are_merged_and_go_apart_again(
    city: City, bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["vit and bert"]
    run = pretrain(city, _settings(base, lora_rank=2, lr=0.05, layer_decay=0.5), tmp_path / "run")
    model = load_clip(run / "model", context=None)
    told: dict[str, Any] = {"BASE": str(base), "ADAPTER": str(run / "adapter")}
    exec((run / "adapter" / "README.md").read_text().split("```python\n")[1].split("```")[0], told)
    texts = ["a park beside a river, " * 12, "water"]
    ids, apart = model.tokenize(texts), told["model"].eval()
    assert ids.shape[1] > 32  # positions that the base had not
    with torch.no_grad():
        found = apart.get_text_features(input_ids=ids, attention_mask=(ids != 0).long()).pooler_output
        ours, before = (one.encode_text(ids, normalize=False) for one in (model, load_clip(base)))
    torch.testing.assert_close(found, ours, rtol=0, atol=1e-5)
    assert (ours - before).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("kind", "setting", "value", "word"),
    [
        ("siglip", "freeze_vision", 3, "has 2 layers"),
        ("vit and bert", "patch_dropout", 0.5, "reads all patches"),
        ("dinov2 and roberta", "pad_front", 0.5, "does not count padding"),
    ],
)
def test_what_a_base_cannot_do_is_refused_before_the_first_step(
    city: City, bases: dict[str, Path], tmp_path: Path, kind: str, setting: str, value: float, word: str
) -> None:
    with pytest.raises(InputError, match=word) as caught:
        pretrain(city, _settings(bases[kind], **{setting: value}), tmp_path / "run")
    assert f"train.{setting}" in str(caught.value)


def test_a_context_that_was_asked_for_stays(city: City, bases: dict[str, Path], clip_folder: Path) -> None:
    assert settled(tiny_settings(clip_folder), [city]).model.context == 48
    assert settled(load_settings(), [city]).model.context == 248  # the package's own has 77
    assert settled(_settings(bases["siglip"]), [city]).model.context == 196


def test_captions_are_counted_and_cut_as_the_base_reads_them(bases: dict[str, Path], tmp_path: Path) -> None:
    base, model = str(bases["siglip"]), load_clip(bases["siglip"])
    assert bridges.text_positions(base) == 196
    assert (bridges.text_positions("clip"), bridges.text_positions("tiny")) == (248, 248)
    count, long = bridges.token_counter(base), " ".join(f"Roofs {n} are grey and wide." for n in range(30))
    assert count is not None
    assert count(["a park", long]) == model.count_tokens(["a park", long])
    table = tmp_path / "captions.csv"
    table.write_text(f"image_id,captioner,caption\np,a,{long}\n")
    vote_file(table, None, CaptionSettings(), base)
    (kept,) = read_table(tmp_path / "captions-voted.parquet", kind="captions")["caption"]
    assert count([long])[0] > 248
    assert 150 < count([kept])[0] <= 196
