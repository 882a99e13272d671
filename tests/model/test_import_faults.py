"""What is wrong with a checkpoint or with the configuration beside it is told, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.oracles.openai_clip import OpenAIClip
from torch import Tensor

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.formats.importing import import_checkpoint

SIZES = {"size": 32, "patch": 16, "width": 128, "heads": 2, "layers": 1,
         "text_width": 64, "text_heads": 1, "text_layers": 1, "dim": 24}  # fmt: skip
MODEL = {"quick_gelu": True, "vision_cfg": {"head_width": 64}, "text_cfg": {"heads": 1}}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = OpenAIClip(**SIZES, quick=True)
    return {name: tensor.detach() for name, tensor in network.state_dict().items()}


def _refused(file: Path, says: str) -> str:
    with pytest.raises((InputError, ArtefactError), match=says) as caught:
        import_checkpoint(file)
    assert caught.value.remedy
    return str(caught.value.value)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("positional_embedding", ()),
        ("positional_embedding", (2, 0)),
        ("visual.positional_embedding", (0,)),
        ("visual.positional_embedding", (1, 128)),
        ("visual.positional_embedding", (7, 128)),
        ("visual.class_embedding", ()),
        ("visual.conv1.weight", (0,)),
        ("visual.conv1.weight", (128, 3, 16, 8)),
        ("visual.transformer.resblocks.0.attn.in_proj_weight", (1,)),
        ("visual.transformer.resblocks.0.attn.in_proj_weight", (2, 3)),
        ("transformer.resblocks.0.attn.in_proj_bias", ()),
        ("transformer.resblocks.0.mlp.c_fc.weight", ()),
        ("token_embedding.weight", ()),
        ("text_projection", (5, 5, 5)),
        ("ln_final.weight", (2, 64)),
        ("logit_scale", (2,)),
    ],
)
def test_a_tensor_of_any_shape_in_any_place(
    name: str, shape: tuple[int, ...], state: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file({**state, name: torch.zeros(shape)}, tmp_path / "openai.safetensors")
    _refused(tmp_path / "openai.safetensors", "do not fit one another")


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        *(
            (lambda weight, kind=kind: weight.to(kind), str(kind).removeprefix("torch."))
            for kind in (
                torch.int8,
                torch.int32,
                torch.int64,
                torch.bool,
                torch.float8_e4m3fn,
                torch.complex64,
            )
        ),
        (lambda weight: weight.to_sparse(), "sparse_coo"),
        (lambda weight: weight.to("meta"), "without numbers"),
    ],
)
def test_weights_that_are_no_plain_floating_point_numbers(
    changed: Any, how: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    name = "visual.transformer.resblocks.0.mlp.c_fc.weight"
    torch.save({**state, name: changed(state[name])}, tmp_path / "openai.pt")
    assert _refused(tmp_path / "openai.pt", "quantised or packed") == f"{name}: {how}"


def test_a_scale_in_a_row_of_its_own_and_half_precision_come_in(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    other = {
        **state,
        "logit_scale": state["logit_scale"].reshape(1),
        "ln_final.bias": state["ln_final.bias"].half(),
    }
    save_file(other, tmp_path / "openai.safetensors")
    model = import_checkpoint(tmp_path / "openai.safetensors").model
    assert model.logit_scale.shape == ()
    assert float(model.logit_scale.detach()) == float(state["logit_scale"])
    assert model.clip.text_model.final_layer_norm.bias.dtype == torch.float32


def test_tensors_without_names(state: dict[str, Tensor], tmp_path: Path) -> None:
    for content in ({0: torch.ones(2), **state}, [torch.ones(2)], torch.ones(2), {}, None):
        torch.save(content, tmp_path / "openai.pt")
        _refused(tmp_path / "openai.pt", "no weights by name")


@pytest.fixture
def hub(state: dict[str, Tensor], tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_cfg": {**MODEL, "vision_cfg": {"head_width": "64"}}}, "not a configuration"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"head_width": 0}}}, "heads that no attention"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"head_width": -64}}}, "heads that no attention"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"head_width": 48}}}, "heads that no attention"),
        ({"model_cfg": {**MODEL, "text_cfg": {"heads": -1}}}, "heads that no attention"),
        ({"model_cfg": {**MODEL, "text_cfg": {"heads": 3}}}, "multiple of its heads"),
        ({"model_cfg": {**MODEL, "quick_gelu": "false"}}, "not a configuration"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"layers": 12}}}, "another network"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"image_size": 224}}}, "another network"),
        ({"model_cfg": {**MODEL, "embed_dim": 512}}, "another network"),
        ({"model_cfg": {**MODEL, "text_cfg": {"context_length": 248}}}, "another network"),
        ({"model_cfg": {**MODEL, "text_cfg": {"no_causal_mask": True}}}, "not followed"),
        ({"model_cfg": {**MODEL, "text_cfg": {"pool_type": "last"}}}, "not followed"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"pool_type": "avg"}}}, "not followed"),
        ({"model_cfg": {**MODEL, "vision_cfg": {"norm_kwargs": {"eps": 1e-6}}}}, "not followed"),
        ({"model_cfg": MODEL, "preprocess_cfg": [1]}, "not a configuration"),
        ({"model_cfg": MODEL, "preprocess_cfg": {"mean": 0.5}}, "not a configuration"),
        ({"model_cfg": MODEL, "preprocess_cfg": {"mean": ["a", "b", "c"]}}, "not a configuration"),
        ({"model_cfg": MODEL, "preprocess_cfg": {"std": [0, 0, 0]}}, "prepared in a way"),
        ({"model_cfg": MODEL, "preprocess_cfg": {"std": [0.2, 0.2]}}, "prepared in a way"),
        ({"model_cfg": MODEL, "preprocess_cfg": {"interpolation": "random"}}, "prepared in a way"),
        ([1], "not a configuration"),
        ({}, "not a configuration"),
    ],
)
def test_a_configuration_that_cannot_be_followed(config: object, says: str, hub: Path) -> None:
    (hub / "open_clip_config.json").write_text(json.dumps(config))
    _refused(hub, says)


def test_a_configuration_of_this_network_is_followed(hub: Path) -> None:
    vision = {"head_width": 64, "layers": 1, "width": 128, "patch_size": 16, "image_size": [32, 32],
              "patch_dropout": 0.5, "pool_type": "tok", "norm_kwargs": {"eps": 1e-5}}  # fmt: skip
    text = {"heads": 1, "layers": 1, "width": 64, "context_length": 77, "vocab_size": 49408}
    config = {"model_cfg": {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": None}
    (hub / "open_clip_config.json").write_text(json.dumps(config))
    imported = import_checkpoint(hub)
    assert imported.activation == "gelu"
    assert "pictures are prepared as for OpenAI's CLIP: nothing else is said" in imported.lines()
    config["preprocess_cfg"] = {"mean": [0.5, 0.5, 0.5]}
    (hub / "open_clip_config.json").write_text(json.dumps(config))
    imported = import_checkpoint(hub)
    assert imported.model.preprocessing.mean == (0.5, 0.5, 0.5)
    assert "pictures are prepared as its open_clip_config.json says" in imported.lines()


def test_pieces_are_not_put_together(hub: Path, state: dict[str, Tensor]) -> None:
    (hub / "open_clip_model.safetensors").unlink()
    for number in (1, 2):
        half = {name: tensor for i, (name, tensor) in enumerate(state.items()) if i % 2 == number - 1}
        save_file(half, hub / f"model-0000{number}-of-00002.safetensors")
    assert "model-00001-of-00002.safetensors" in _refused(hub, "several pieces")


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("vit_b_32-quickgelu-laion400m_e32-46683a32.pt", "quick_gelu"),
        ("ViT-B-32-laion400m_e31.pt", "quick_gelu"),
        ("vit_b_16-laion400m_e32-55e67d44.pt", "gelu"),
        ("vit_l_14-laion400m_e31-69988bb6.pt", "gelu"),
        ("vit_b_16_plus_240-laion400m_e32-699c4b84.pt", "gelu"),
        ("RS5M_ViT-H-14.pt", "gelu"),
        ("openai/RS5M_ViT-H-14.pt", None),  # one says this, the other that
        ("RemoteCLIP-ViT-B-32.pt", None),
    ],
)
def test_names_say_an_activation_or_ask(
    name: str, activation: str | None, state: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "weights" / name
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    if activation is None:
        _refused(file, "which activation")
    else:
        assert import_checkpoint(file).activation == activation


def test_fewer_layers_than_published_ones_are_said(tmp_path: Path) -> None:
    network = OpenAIClip(size=32, patch=16, width=768, heads=12, layers=1, text_width=64, text_heads=1,
                         text_layers=1, dim=8, quick=True)  # fmt: skip
    torch.save(network.state_dict(), tmp_path / "openai.pt")
    said = import_checkpoint(tmp_path / "openai.pt").lines()
    assert [line for line in said if "is the file whole?" in line] == [
        "warning: its picture tower has 1 layers; published ones of this width have 12: is the file whole?"
    ]
