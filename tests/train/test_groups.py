"""What learns how fast: rates of groups by hand, and what they do to a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.model.conftest import SENTENCES
from tests.model.other_bases import make_siglip
from tests.train.fake_city import tiny_settings

from urbanln.city.store import City
from urbanln.model.adapters import adapt
from urbanln.model.clip import LongClip, load_clip, new_clip
from urbanln.model.tokens import train_clip_tokenizer
from urbanln.train.frozen import freeze
from urbanln.train.groups import parameter_groups
from urbanln.train.loop import pretrain


@pytest.fixture
def model() -> LongClip:
    """Two layers in each tower."""
    tokenizer = train_clip_tokenizer(SENTENCES * 3, 600)
    return new_clip(tokenizer, image_size=16, patch=8, width=16, layers=2, heads=2, dim=8)


def _shares(model: LongClip, decay: float) -> dict[str, float]:
    shares = {
        id(weight): group["share"]
        for group in parameter_groups(model, 0.1, decay)
        for weight in group["params"]
    }
    return {name: shares[id(weight)] for name, weight in model.named_parameters() if id(weight) in shares}


def test_layers_learn_slower_the_further_they_are_from_the_end(model: LongClip) -> None:
    shares = _shares(model, 0.5)
    assert set(shares) == {name for name, _ in model.named_parameters()}
    by_hand = {
        "clip.logit_scale": 1.0,
        "clip.visual_projection.weight": 1.0,
        "clip.text_projection.weight": 1.0,
        "clip.vision_model.post_layernorm.weight": 1.0,
        "clip.text_model.final_layer_norm.bias": 1.0,
        "clip.vision_model.encoder.layers.1.mlp.fc1.weight": 0.5,
        "clip.text_model.encoder.layers.1.layer_norm1.bias": 0.5,
        "clip.vision_model.encoder.layers.0.self_attn.q_proj.weight": 0.25,
        "clip.text_model.encoder.layers.0.self_attn.q_proj.bias": 0.25,
        "clip.vision_model.pre_layrnorm.weight": 0.125,
        "clip.vision_model.embeddings.class_embedding": 0.125,
        "clip.text_model.embeddings.token_embedding.weight": 0.125,
        "clip.text_model.embeddings.position_embedding.tail": 0.125,
    }
    assert {name: shares[name] for name in by_hand} == by_hand
    decays = {group["share"]: set() for group in parameter_groups(model, 0.1, 0.5)}
    for group in parameter_groups(model, 0.1, 0.5):
        decays[group["share"]].add(group["weight_decay"])
        assert {weight.ndim >= 2 for weight in group["params"]} == {group["weight_decay"] > 0}
    assert decays == {share: {0.0, 0.1} for share in (1.0, 0.5, 0.25, 0.125)}


def test_without_decay_all_learn_alike_in_two_groups(model: LongClip) -> None:
    assert set(_shares(model, 1.0).values()) == {1.0}
    assert len(parameter_groups(model, 0.1)) == 2


def test_heads_of_siglip_stand_behind_its_layers(tmp_path: Path) -> None:
    shares = _shares(load_clip(make_siglip(tmp_path / "siglip")), 0.5)  # two layers in each tower
    assert shares["clip.vision_model.head.probe"] == shares["clip.text_model.head.weight"] == 1.0
    assert shares["clip.vision_model.encoder.layers.1.mlp.fc1.weight"] == 0.5
    assert shares["clip.text_model.encoder.layers.0.mlp.fc1.bias"] == 0.25
    assert shares["clip.vision_model.embeddings.patch_embedding.weight"] == 0.125
    assert shares["clip.text_model.embeddings.position_embedding.tail"] == 0.125


def test_adapters_and_frozen_layers_keep_the_places_of_their_layers(model: LongClip) -> None:
    train = tiny_settings(Path("unused"), lora_rank=2, freeze_vision=1).train
    freeze(model, train)
    adapt(model, train)
    shares = _shares(model, 0.5)
    assert not [name for name in shares if "vision_model.encoder.layers.0." in name]
    assert shares["clip.vision_model.encoder.layers.1.mlp.fc1.lora_A.default.weight"] == 0.5
    assert shares["clip.text_model.encoder.layers.0.mlp.fc1.lora_B.default.weight"] == 0.25
    assert shares["clip.logit_scale"] == 1.0


def test_a_step_follows_the_share(city: City, clip_folder: Path, tmp_path: Path) -> None:
    """Without decay of weights and in one step, Adam moves each weight by its rate whatever the gradient."""
    rates = {"epochs": 1, "batch_size": 18, "warmup_steps": 0, "weight_decay": 0.0, "lr": 1e-3}
    before = dict(load_clip(clip_folder, context=48, keep=8).clip.named_parameters())
    run = pretrain(city, tiny_settings(clip_folder, layer_decay=0.5, **rates), tmp_path / "run")
    assert (run / "metrics.jsonl").read_text().count('"event": "step"') == 1
    after = dict(load_clip(run / "model", context=None).clip.named_parameters())
    for name, share in (
        ("visual_projection.weight", 1.0),
        ("vision_model.encoder.layers.0.mlp.fc2.weight", 0.5),
        ("vision_model.embeddings.patch_embedding.weight", 0.25),
    ):
        moved = (after[name] - before[name]).detach().abs().median()
        torch.testing.assert_close(float(moved), 1e-3 * share, rtol=0.02, atol=0)
