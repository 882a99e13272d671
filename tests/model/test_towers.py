"""The towers against transformers' own, in fp64: the same vectors, the same gradients, less work."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from urbanln.model.clip import LongClip
from urbanln.model.towers import _pack, draw_patches, image_features, text_features


@pytest.fixture
def model(long_clip: LongClip) -> LongClip:
    return long_clip.double()


def _texts(lengths: list[int]) -> Tensor:
    """Random texts of these lengths, with words behind EOT, as nothing there may matter."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(0, 500, (len(lengths), min(248, max(lengths) + 3)), generator=generator)
    for row, length in zip(ids, lengths, strict=True):
        row[length - 1] = 9_999  # set to EOT by the caller
    return ids


def _ids(model: LongClip, lengths: list[int]) -> Tensor:
    ids = _texts(lengths)
    return ids.masked_fill(ids == 9_999, model.tokenizer.eos_token_id)


def _gradients(model: LongClip, features: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    weight = torch.randn(features.shape, generator=torch.Generator().manual_seed(7)).to(features)
    (features * weight).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _assert_same(model: LongClip, ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    expected, found = _gradients(model, theirs), _gradients(model, ours)
    assert expected.keys() == found.keys()
    largest = max(float(g.abs().max()) for g in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-13 * largest, msg=name)


@pytest.mark.parametrize("lengths", [[5], [9, 9, 9], [3, 40, 7, 7, 2, 21, 64], [248, 2, 30, 100, 77]])
def test_texts_as_transformers_reads_them(model: LongClip, lengths: list[int]) -> None:
    ids = _ids(model, lengths)
    theirs = model.clip.get_text_features(input_ids=ids).pooler_output
    _assert_same(model, text_features(model.clip, ids, lengths), theirs)


def test_pictures_as_transformers_sees_them(model: LongClip) -> None:
    pixels = torch.randn(5, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theirs = model.clip.get_image_features(pixel_values=pixels).pooler_output
    ours = image_features(model.clip, pixels)
    _assert_same(model, ours, theirs)
    with torch.no_grad():
        torch.testing.assert_close(image_features(model.clip, pixels), ours, rtol=1e-12, atol=1e-14)


def test_another_activation_is_called_as_it_is(model: LongClip) -> None:
    for layer in model.clip.vision_model.encoder.layers:
        layer.mlp.activation_fn = torch.nn.GELU()
    pixels = torch.randn(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theirs = model.clip.get_image_features(pixel_values=pixels).pooler_output
    _assert_same(model, image_features(model.clip, pixels), theirs)


def test_a_graph_that_is_kept_gives_the_same_gradient_again(model: LongClip) -> None:
    pixels = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    features = image_features(model.clip, pixels)
    weights = [p for p in model.clip.vision_model.parameters() if p.requires_grad]
    first = torch.autograd.grad(features.sum(), weights, retain_graph=True)
    again = torch.autograd.grad(features.sum(), weights)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_no_texts_have_no_vectors(long_clip: LongClip) -> None:
    assert long_clip.encode_text(torch.empty(0, 5, dtype=torch.long)).shape == (0, long_clip.dim)


@pytest.mark.parametrize("precise", [torch.float64, torch.bfloat16])
def test_attention_in_single_steps_is_attention(
    model: LongClip, monkeypatch: pytest.MonkeyPatch, precise: torch.dtype
) -> None:
    """The way taken in bf16 on a CPU, taken in fp64 too: causal and not, with gradients."""
    from urbanln.model import towers

    generator = torch.Generator().manual_seed(0)
    layer = model.clip.text_model.encoder.layers[0].self_attn
    for causal in (False, True):
        qkv = [torch.randn(2, 2, 6, 16, dtype=torch.float64, generator=generator) for _ in range(3)]
        leaves = [part.to(precise, copy=True).requires_grad_() for part in qkv]
        exact = [part.clone().requires_grad_() for part in qkv]
        ahead = torch.full((6, 6), -torch.inf).triu(1) if causal else None
        found = towers._unfused(layer, *leaves, ahead, 0.0)
        expected = torch.nn.functional.scaled_dot_product_attention(*exact, is_causal=causal)
        tolerance = 1e-12 if precise == torch.float64 else 0.04
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
        found.double().square().sum().backward()
        expected.square().sum().backward()
        for ours, theirs in zip(leaves, exact, strict=True):
            assert ours.grad is not None
            torch.testing.assert_close(
                ours.grad.double(), theirs.grad, rtol=3 * tolerance, atol=3 * tolerance
            )


def test_under_autocast_it_stays_close(long_clip: LongClip) -> None:
    ids = _ids(long_clip, [30, 12, 64, 5])
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = (long_clip.clip.get_text_features(input_ids=ids).pooler_output,
                 long_clip.clip.get_image_features(pixel_values=pixels).pooler_output)  # fmt: skip
        with torch.autocast("cpu", torch.bfloat16):
            found = (
                text_features(long_clip.clip, ids, [30, 12, 64, 5]),
                image_features(long_clip.clip, pixels),
            )
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == torch.float32
        assert float(torch.cosine_similarity(ours.float(), theirs).min()) > 0.999


def test_packing_keeps_every_token_once() -> None:
    sizes = [2, 3, 3, 7, 8, 8, 11, 30, 31, 90, 91, 99]
    pack = _pack(sizes, torch.device("cpu"))
    assert (pack.tokens, len(pack.positions), len(pack.back)) == (sum(sizes), 384, 384)
    tokens = torch.arange(sum(sizes))
    side_by_side = tokens[pack.there]
    assert torch.equal(side_by_side[pack.back[: pack.tokens]], tokens)
    assert pack.positions[: pack.tokens].tolist() == [i for size in sizes for i in range(size)]
    assert tokens[pack.last].tolist() == torch.tensor(sizes).cumsum(0).sub(1).tolist()
    assert sum(count for count, _ in pack.shapes) == len(sizes)
    assert sum(int((behind == 0).sum()) for behind in pack.behind) == sum(sizes)
    padded = sum(count * longest for count, longest in pack.shapes)
    assert padded < 1.4 * sum(sizes) < len(sizes) * max(sizes)


def test_few_sizes_come_up_and_little_is_added() -> None:
    generator = torch.Generator().manual_seed(5)
    packs = []
    for _ in range(50):
        sizes = (120 + 30 * torch.randn(64, generator=generator)).round().clamp(8, 248).int().tolist()
        packs.append(_pack(sorted(sizes), torch.device("cpu")))
    assert len({len(pack.positions) for pack in packs}) <= 10
    assert len({shape for pack in packs for shape in pack.shapes}) <= 20
    assert all(pack.tokens <= len(pack.positions) <= 33 / 32 * pack.tokens for pack in packs)


def test_dropped_patches_are_not_read(model: LongClip) -> None:
    """A vector with some patches depends on these alone, and with all of them is the usual one."""
    pixels = torch.randn(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(4)
    kept = draw_patches(3, 16, 0.5)
    assert kept.shape == (3, 8)
    assert all(len(set(row)) == 8 for row in kept.tolist())
    assert not torch.equal(kept[0].sort().values, kept[1].sort().values)
    hidden = torch.ones(3, 16, dtype=torch.bool).scatter(1, kept, False).view(3, 1, 4, 4)
    noise = 9 * hidden.repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.no_grad():
        some = image_features(model.clip, pixels, kept)
        torch.testing.assert_close(image_features(model.clip, pixels + noise, kept), some)
        usual = image_features(model.clip, pixels)
        assert not torch.allclose(some, usual, atol=1e-3)
        everything = torch.arange(16).expand(3, -1)
        torch.testing.assert_close(image_features(model.clip, pixels, everything), usual)


def test_patches_drop_in_training_alone(long_clip: LongClip) -> None:
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    usual = long_clip.encode_image(pixels)
    long_clip.patch_dropout = 0.5
    assert torch.equal(long_clip.encode_image(pixels), usual)
    long_clip.train()
    assert not torch.allclose(long_clip.encode_image(pixels), usual, atol=1e-3)
