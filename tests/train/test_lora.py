"""Adapters train in place of the towers; what is saved is a network like any other."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.model.other_bases import make_siglip, make_two_towers
from tests.train.fake_city import tiny_settings
from tests.train.test_resume import _curve, _weights
from torch import Tensor, nn
from transformers import CLIPModel

from urbanln.base.config import load_settings
from urbanln.base.errors import InputError, MissingExtraError
from urbanln.base.files import hash_file
from urbanln.city.store import City
from urbanln.model.adapters import adapt, merge, merged_weight, plain_parameters
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.stretch import plain_state
from urbanln.model.teacher import MomentumTeacher
from urbanln.train.loop import pretrain

LORA = {"lora_rank": 2, "lora_alpha": 4, "lr": 5e-2}
TEXTS = ["red ground, roofs above water", "there is blue land; it is dim " * 3]


def _vectors(model: LongClip) -> tuple[Tensor, Tensor]:
    pixels = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.eval()(pixels, model.tokenize(TEXTS))


def _adapted(folder: Path, **train: object) -> LongClip:
    settings = tiny_settings(folder, **{**LORA, **train})
    model = load_clip(folder, context=48, keep=8)
    adapt(model, settings.train)
    return model


def _moved(model: LongClip) -> None:
    """Give what trains other values."""
    generator = torch.Generator().manual_seed(7)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.05 * torch.randn(weight.shape, generator=generator)


def test_every_linear_layer_of_the_towers_has_an_adapter_and_vectors_begin_equal(clip_folder: Path) -> None:
    plain, model = load_clip(clip_folder, context=48, keep=8), _adapted(clip_folder)
    for one, other in zip(_vectors(model), _vectors(plain), strict=True):
        torch.testing.assert_close(one, other)
    linear = {
        name
        for name, module in plain.clip.named_modules()
        if type(module) is nn.Linear and not name.endswith("_projection")
    }
    trained = {name for name, weight in model.clip.named_parameters() if weight.requires_grad}
    table = "text_model.embeddings.position_embedding.tail"
    assert trained == {f"{name}.lora_{part}.default.weight" for name in linear for part in "AB"} | {
        "logit_scale",
        table,
    }
    assert len(linear) == 2 * 6  # one layer each: four of attention, two of the feed-forward part
    few = _adapted(clip_folder, lora_targets="attention")
    found = {name.partition(".lora_")[0] for name, _ in few.clip.named_parameters() if ".lora_" in name}
    assert found == {name for name in linear if "self_attn" in name}
    assert [(name, weight.shape) for name, weight, _ in plain_parameters(model)] == [
        (name, weight.shape) for name, weight in plain.named_parameters()
    ]


def test_positions_nobody_stretched_stay(clip_folder: Path) -> None:
    model = load_clip(clip_folder, context=32, keep=8)
    adapt(model, tiny_settings(clip_folder, **LORA).train)
    assert not any(p.requires_grad for name, p in model.named_parameters() if "position" in name)


def test_adapters_begin_the_same_whatever_was_drawn_before(clip_folder: Path) -> None:
    first = _adapted(clip_folder)
    torch.rand(100)
    state = torch.get_rng_state()
    second, third = _adapted(clip_folder), _adapted(clip_folder, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    name = "clip.text_model.encoder.layers.0.mlp.fc1.lora_A.default.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], third.state_dict()[name])


def test_merged_it_is_plain_and_gives_the_same_vectors(clip_folder: Path) -> None:
    plain, model = load_clip(clip_folder, context=48, keep=8), _adapted(clip_folder)
    _moved(model)
    before, base = _vectors(model), _vectors(plain)
    merge(model)
    assert [name for name, _ in model.named_modules()] == [name for name, _ in plain.named_modules()]
    for one, other, first in zip(_vectors(model), before, base, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
        assert not torch.allclose(other, first, atol=1e-2)


def test_the_teacher_averages_the_merged_weights(clip_folder: Path) -> None:
    settings = tiny_settings(clip_folder, **LORA).train
    model = load_clip(clip_folder, context=48, keep=8)
    teacher = MomentumTeacher(model, 0.75)
    adapt(model, settings)
    assert teacher.max_difference() == 0
    name = "clip.vision_model.encoder.layers.0.mlp.fc1"
    base = model.get_submodule(name).base_layer.weight.clone()
    expected = base.double()
    for _ in range(3):
        _moved(model)
        layer = model.get_submodule(name)
        product = layer.lora_B["default"].weight.double() @ layer.lora_A["default"].weight.double()
        expected = 0.75 * expected + 0.25 * (base.double() + 4 / 2 * product)
        teacher.update()
    found = teacher.model.get_parameter(f"{name}.weight")
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)
    assert not torch.allclose(found, base, atol=1e-2)
    assert torch.equal(base, model.get_submodule(name).base_layer.weight)
    torch.testing.assert_close(merged_weight(base, layer).double(), base.double() + 2 * product)
    assert teacher.max_difference() > 0.01
    # Kept rows of text positions, biases and norms are the base's.
    for kept in ("vision_model.post_layernorm.weight", "vision_model.encoder.layers.0.mlp.fc1.bias"):
        assert torch.equal(
            teacher.model.clip.get_parameter(kept), load_clip(clip_folder).clip.get_parameter(kept)
        )
    tail = "clip.text_model.embeddings.position_embedding.tail"
    assert not torch.equal(teacher.model.get_parameter(tail), model.get_parameter(tail))


def _plain(folder: Path) -> CLIPModel:
    return CLIPModel.from_pretrained(folder).eval()


def _plain_vectors(clip: CLIPModel, model: LongClip) -> list[Tensor]:
    ids = model.tokenize(TEXTS)
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = clip.get_image_features(pixel_values=pixels), clip.get_text_features(input_ids=ids)
    return [one.pooler_output for one in found]


def test_a_run_saves_merged_models_and_the_adapter_beside(
    city: City, clip_folder: Path, tmp_path: Path
) -> None:
    run = pretrain(city, tiny_settings(clip_folder, **LORA), tmp_path / "run")
    model, before = load_clip(run / "model", context=None), load_clip(clip_folder, context=48, keep=8)
    for part in ("model", "teacher"):
        names = set(load_file(run / part / "model.safetensors"))
        assert names == set(load_file(clip_folder / "model.safetensors"))
    vectors = _plain_vectors(_plain(run / "model"), model)
    for one, other, first in zip(vectors, _ours(model), _ours(before), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
        assert not torch.allclose(one, first, atol=1e-2)
    # Rows of the table that are new have learnt, the kept ones not.
    positions = [one.clip.text_model.embeddings.position_embedding.weight for one in (model, before)]
    assert torch.equal(positions[0][:8], positions[1][:8])
    assert not torch.allclose(positions[0][8:40], positions[1][8:40], atol=1e-3)
    # By the words of its README the base, the adapter and what trained beside it are the model.
    readme = (run / "adapter" / "README.md").read_text()
    told: dict[str, object] = {"BASE": str(clip_folder), "ADAPTER": str(run / "adapter")}
    exec(readme.split("```python\n")[1].split("```")[0], told)
    peft_model = told["model"]
    assert isinstance(peft_model, PeftModel)
    for one, other in zip(_plain_vectors(peft_model.eval(), model), vectors, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    record = (run / "adapter" / "urbanln.json").read_text()
    assert hash_file(clip_folder / "model.safetensors") in record
    assert str(clip_folder) not in record + (run / "adapter" / "adapter_config.json").read_text()


OTHERS: dict[str, tuple[Callable[[Path], Path], str, int]] = {
    "siglip": (make_siglip, "text_model.embeddings.position_embedding.weight", 196),
    "vit and bert": (
        lambda folder: make_two_towers(folder, rows=32),
        "text_model.embeddings.position_embeddings.weight", 68,
    ),
    "dinov2 and roberta": (
        lambda folder: make_two_towers(folder, "dinov2", "roberta", rows=34),
        "text_model.embeddings.position_embeddings.weight", 70,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_other_bases_have_adapters_in_their_layers_and_are_merged(
    kind: str, city: City, tmp_path: Path
) -> None:
    make, table, rows = OTHERS[kind]
    base = make(tmp_path / "base")
    train = {**LORA, "epochs": 1, "batch_size": 10, "queue_size": 16, "precision": "fp32", "layer_decay": 0.5}
    run = pretrain(city, load_settings(base={"model": {"name": str(base)}, "train": train}), tmp_path / "run")
    before = plain_state(load_clip(base, context=None).clip)
    after = load_file(run / "model" / "model.safetensors")
    assert set(before) == set(after)
    assert len(after[table]) == rows
    changed = {name for name in before if name != table and not torch.equal(before[name], after[name])}
    layers = {name for name in before if re.search(r"\.layers?\.\d\.", name) and before[name].ndim == 2}
    assert changed == {"logit_scale"} | {name for name in layers if name.endswith("weight")}
    told: dict[str, object] = {"BASE": str(base), "ADAPTER": str(run / "adapter")}
    exec((run / "adapter" / "README.md").read_text().split("```python\n")[1].split("```")[0], told)
    apart = told["model"]
    assert isinstance(apart, PeftModel)
    together = apart.merge_and_unload().state_dict()
    for name, weight in after.items():
        torch.testing.assert_close(together[name], weight, rtol=0, atol=1e-6, msg=name)


def _ours(model: LongClip) -> list[Tensor]:
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return [model.encode_image(pixels, False), model.encode_text(model.tokenize(TEXTS), False)]


def test_stopped_and_resumed_it_ends_the_same_and_a_lost_adapter_is_written_anew(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urbanln.train import loop

    settings, step = tiny_settings(clip_folder, **LORA, checkpoint_minutes=0), loop.train_step
    straight, out = pretrain(city, settings, tmp_path / "straight"), tmp_path / "run"

    def stop_at_four(*args: object) -> dict[str, float]:
        if args[4] == 4:
            raise KeyboardInterrupt
        return step(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train_step", stop_at_four)
    with pytest.raises(KeyboardInterrupt):
        pretrain(city, settings, out)
    monkeypatch.undo()
    pretrain(city, settings, out)
    adapter = sorted(file.name for file in (out / "adapter").iterdir())
    assert adapter == ["README.md", "adapter_config.json", "adapter_model.safetensors", "trained.safetensors",
                       "urbanln.json"]  # fmt: skip
    for _ in range(2):
        assert _curve(out) == _curve(straight)
        assert _weights(out) == _weights(straight)
        for name in adapter:
            assert hash_file(out / "adapter" / name) == hash_file(straight / "adapter" / name)
        (out / "adapter" / "adapter_model.safetensors").unlink()
        pretrain(city, settings, out)


@pytest.mark.parametrize(
    "train", [{"micro_batch": 4}, {"freeze_vision": -1}, {"freeze_text": -1}, {"patch_dropout": 0.5}]
)
def test_micro_batches_frozen_towers_and_dropped_patches_go_with_adapters(
    city: City, clip_folder: Path, tmp_path: Path, train: dict[str, object]
) -> None:
    plain = pretrain(city, tiny_settings(clip_folder, **LORA), tmp_path / "plain")
    run = pretrain(city, tiny_settings(clip_folder, **LORA, **train), tmp_path / "run")
    base = load_file(clip_folder / "model.safetensors")
    after = {part: load_file(run / part / "model.safetensors") for part in ("model", "teacher")}
    for part, weights in after.items():
        whole = load_file(plain / part / "model.safetensors")
        for name in base:
            if "position_embedding" in name:
                continue
            adapted = name.endswith("weight") and ".layers." in name and "norm" not in name
            frozen = any(train.get(f"freeze_{tower}") and name.startswith(f"{tower}_model.")
                         for tower in ("vision", "text"))  # fmt: skip
            assert torch.equal(weights[name], base[name]) == (
                name != "logit_scale" and (not adapted or frozen)
            )
            if "micro_batch" in train:
                torch.testing.assert_close(weights[name], whole[name], rtol=1e-3, atol=2e-3)


def test_a_rate_for_weights_is_said_to_be_low_for_adapters(
    city: City, clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for lr, low in ((3e-6, True), (1e-4, False)):
        pretrain(city, tiny_settings(clip_folder, **{**LORA, "lr": lr, "epochs": 1}), tmp_path / str(lr))
        assert ("adapters want a rate of 1e-4 or so" in capsys.readouterr().err) == low


def test_nothing_to_adapt_is_refused(clip_folder: Path) -> None:
    model = load_clip(clip_folder, context=48, keep=8)
    model.clip.requires_grad_(False)
    with pytest.raises(InputError, match="left for adapters"):
        adapt(model, tiny_settings(clip_folder, **LORA).train)


def test_a_run_does_not_go_on_with_other_adapters(city: City, clip_folder: Path, tmp_path: Path) -> None:
    out = pretrain(city, tiny_settings(clip_folder), tmp_path / "run")
    with pytest.raises(InputError, match=r"another train\.lora_rank"):
        pretrain(city, tiny_settings(clip_folder, **{**LORA, "lr": 1e-3}), out)
    assert not (out / "adapter").exists()


def test_without_peft_nothing_is_begun(
    city: City, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError) as caught:
        pretrain(city, tiny_settings(clip_folder, **LORA), tmp_path / "run")
    assert caught.value.remedy == "pip install 'urbanln[lora]'"
    assert not (tmp_path / "run").exists()
    assert pretrain(city, tiny_settings(clip_folder, epochs=1), tmp_path / "run").is_dir()
