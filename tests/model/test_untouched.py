"""What somebody puts into a tower is never passed over: the plain path then, and else the fast one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.utils import parametrize

from urbanln.model import towers
from urbanln.model.clip import LongClip
from urbanln.model.untouched import what_was_put_there

LENGTHS = [3, 40, 7, 64]
LINEAR = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def _given(model: LongClip) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 500, (4, 70), generator=generator)
    for row, length in zip(ids, LENGTHS, strict=True):
        row[length - 1 :] = model.tokenizer.eos_token_id
    return torch.randn(4, 3, 32, 32, generator=generator), ids


def _agree(model: LongClip, pixels: Tensor, ids: Tensor) -> None:
    clip = model.clip
    torch.testing.assert_close(
        towers.image_features(clip, pixels), clip.get_image_features(pixel_values=pixels).pooler_output
    )
    torch.testing.assert_close(
        towers.text_features(clip, ids, LENGTHS), clip.get_text_features(input_ids=ids).pooler_output
    )


def test_lora_takes_the_fast_path_with_the_gradients_of_the_plain_one(
    long_clip: LongClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, ids = _given(long_clip)
    clip = long_clip.clip
    get_peft_model(clip, LoraConfig(r=2, target_modules=LINEAR, init_lora_weights=False))
    for tower in (clip.vision_model, clip.text_model):
        assert what_was_put_there(tower) is None
    found: list[dict[str, Tensor]] = []
    for reason in (None, "as it is"):
        monkeypatch.setattr(towers, "what_was_put_there", lambda tower, reason=reason: reason)
        long_clip.zero_grad()
        vectors = towers.image_features(clip, pixels), towers.text_features(clip, ids, LENGTHS)
        sum((one**2).sum() for one in vectors).backward()
        found.append({name: p.grad.clone() for name, p in clip.named_parameters() if p.grad is not None})
    fast, plain = found
    assert set(fast) == set(plain)
    assert sum("lora_" in name for name in fast) == 2 * 2 * 2 * len(LINEAR)
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(fast[name], gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)


@pytest.mark.parametrize("config", [{"use_dora": True}, {"target_modules": ["token_embedding"]}])
def test_what_is_not_lora_beside_a_linear_layer_runs_as_it_is(
    long_clip: LongClip, config: dict[str, object]
) -> None:
    pixels, ids = _given(long_clip)
    get_peft_model(
        long_clip.clip, LoraConfig(r=2, **{"target_modules": LINEAR, **config}, init_lora_weights=False)
    ).eval()
    assert what_was_put_there(long_clip.clip.text_model) is not None
    _agree(long_clip, pixels, ids)


class _Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


@pytest.mark.parametrize("name", LINEAR)
def test_an_adapter_on_any_linear_layer_counts(long_clip: LongClip, name: str) -> None:
    pixels, ids = _given(long_clip)
    before = long_clip.clip.get_image_features(pixel_values=pixels).pooler_output
    adapter = LoraConfig(r=2, target_modules=[name], init_lora_weights=False)
    get_peft_model(long_clip.clip, adapter).eval()
    _agree(long_clip, pixels, ids)
    assert not torch.allclose(towers.image_features(long_clip.clip, pixels), before)


def _hook(model: LongClip) -> None:
    for tower in (model.clip.vision_model, model.clip.text_model):
        tower.encoder.layers[-1].mlp.register_forward_hook(lambda *given: given[-1] * 3)


def _parametrized(model: LongClip) -> None:
    for tower in (model.clip.vision_model, model.clip.text_model):
        parametrize.register_parametrization(tower.encoder.layers[0].mlp.fc2, "weight", _Doubled())


def _own_forward(model: LongClip) -> None:
    for tower in (model.clip.vision_model, model.clip.text_model):
        mlp = tower.encoder.layers[0].mlp
        mlp.forward = lambda x, mlp=mlp: 2 * type(mlp).forward(mlp, x)


@pytest.mark.parametrize("change", [_hook, _parametrized, _own_forward])
def test_hooks_parametrizations_and_replaced_calls_count(
    long_clip: LongClip, change: Callable[[LongClip], None]
) -> None:
    pixels, ids = _given(long_clip)
    before = towers.text_features(long_clip.clip, ids, LENGTHS)
    change(long_clip)
    _agree(long_clip, pixels, ids)
    assert not torch.allclose(towers.text_features(long_clip.clip, ids, LENGTHS), before)


def test_a_hook_sees_whole_rows_of_tokens(long_clip: LongClip) -> None:
    pixels, _ = _given(long_clip)
    seen: list[tuple[int, ...]] = []
    layer = long_clip.clip.vision_model.encoder.layers[-1]
    layer.self_attn.q_proj.register_forward_hook(lambda *given: seen.append(tuple(given[-1].shape)))
    towers.image_features(long_clip.clip, pixels)
    patches = long_clip.clip.vision_model.embeddings.num_patches
    assert [shape[:2] for shape in seen] == [(4, 1 + patches)]
    kept = towers.draw_patches(4, patches, 0.5)
    towers.image_features(long_clip.clip, pixels, kept)
    assert seen[1][:2] == (4, 1 + kept.shape[1])


def test_dropped_patches_are_the_same_on_both_paths(long_clip: LongClip) -> None:
    pixels, _ = _given(long_clip)
    kept = towers.draw_patches(4, long_clip.clip.vision_model.embeddings.num_patches, 0.5)
    fast = towers.image_features(long_clip.clip, pixels, kept)
    long_clip.clip.vision_model.encoder.layers[0].register_forward_hook(lambda *given: None)
    torch.testing.assert_close(towers.image_features(long_clip.clip, pixels, kept), fast)


def test_checkpointed_activations_are_checkpointed(long_clip: LongClip) -> None:
    pixels, ids = _given(long_clip)
    long_clip.train()
    fast = (
        towers.image_features(long_clip.clip, pixels).sum()
        + towers.text_features(long_clip.clip, ids, LENGTHS).sum()
    )
    fast.backward()
    wanted = {name: p.grad.clone() for name, p in long_clip.named_parameters() if p.grad is not None}
    long_clip.zero_grad()
    clip = long_clip.clip  # transformers renamed the call
    getattr(clip, "activation_checkpointing_enable", clip.gradient_checkpointing_enable)()
    assert what_was_put_there(long_clip.clip.vision_model.encoder) == "activations are checkpointed"
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    long_clip.clip.vision_model.encoder.layers[0].mlp.register_forward_pre_hook(count)
    plain = (
        towers.image_features(long_clip.clip, pixels).sum()
        + towers.text_features(long_clip.clip, ids, LENGTHS).sum()
    )
    plain.backward()
    assert calls == 2  # once on the way there, once again on the way back
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    found = dict(long_clip.named_parameters())
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name].grad, gradient, rtol=1e-3, atol=1e-5 * largest, msg=name)


def test_a_tower_of_transformers_takes_the_fast_path(long_clip: LongClip) -> None:
    for tower in (long_clip.clip.vision_model, long_clip.clip.text_model):
        assert what_was_put_there(tower) is None
    calls: list[object] = []
    original = type(long_clip.clip.vision_model.encoder).forward
    pixels, _ = _given(long_clip)
    try:
        type(long_clip.clip.vision_model.encoder).forward = lambda self, *a, **k: (
            calls.append(self) or original(self, *a, **k)
        )
        towers.image_features(long_clip.clip, pixels)
        assert not calls
        long_clip.clip.vision_model.encoder.register_forward_hook(lambda *given: None)
        towers.image_features(long_clip.clip, pixels)
        assert calls
    finally:
        type(long_clip.clip.vision_model.encoder).forward = original
