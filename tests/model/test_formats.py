"""Checkpoints of other projects come in with the vectors they have at home, or are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.oracles.openai_clip import OpenAIClip
from torch import Tensor

from urbanln.base.errors import ArtefactError, InputError
from urbanln.model.clip import load_clip
from urbanln.model.formats.importing import import_checkpoint

SIZES = {"size": 32, "patch": 16, "width": 128, "heads": 2, "layers": 2,
         "text_width": 64, "text_heads": 1, "text_layers": 2, "dim": 24}  # fmt: skip
TEXTS = ["a park beside a river", "grey roofs, " * 12 + "and a school"]


@pytest.fixture(scope="module")
def theirs() -> OpenAIClip:
    torch.manual_seed(0)
    return OpenAIClip(**SIZES, quick=True).eval()


@pytest.fixture(scope="module")
def longer() -> OpenAIClip:
    torch.manual_seed(1)
    return OpenAIClip(**SIZES, quick=False, context=248, long=True).eval()


def _same_vectors(theirs: OpenAIClip, imported: Any, folder: Path) -> None:
    imported.model.save(folder)
    model = load_clip(folder, context=None)
    pixels = torch.randn(3, 3, 32, 32)
    ids = model.tokenize(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_image(pixels, normalize=False), theirs.encode_image(pixels), rtol=1e-5, atol=1e-5
        )
        torch.testing.assert_close(
            model.encode_text(ids, normalize=False), theirs.encode_text(ids), rtol=1e-5, atol=1e-5
        )


def _prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def _custom_text(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's CustomTextCLIP: the text tower under ``text.``."""
    return {k if k.startswith(("visual.", "logit")) else f"text.{k}": v for k, v in state.items()}


WRITERS: dict[str, tuple[str, Callable[[dict[str, Tensor]], Any]]] = {
    "bare": ("RS5M_ViT-B-32.pt", lambda state: state),
    "ddp": ("farslip.bin", lambda state: _prefixed(state, "module.")),
    "trainer": (
        "openai.pth",
        lambda state: {"epoch": 3, "state_dict": _prefixed(state, "module._orig_mod.")},
    ),
    "custom text": ("x-quickgelu.pt", _custom_text),
    "half precision": ("openai.pt", lambda state: {k: v.half().float() for k, v in state.items()}),
    "with numbers": ("openai.pt", lambda state: {**state, "context_length": torch.tensor(77)}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_checkpoint_has_the_vectors_it_has_at_home(kind: str, theirs: OpenAIClip, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    torch.save(write(theirs.state_dict()), tmp_path / name)
    imported = import_checkpoint(tmp_path / name, licence="MIT")
    if kind == "half precision":
        theirs = OpenAIClip(**SIZES, quick=True).eval()
        theirs.load_state_dict(torch.load(tmp_path / name, weights_only=True))
    assert imported.activation == "quick_gelu"
    assert imported.origin["licence"] == "MIT"
    assert imported.sizes.vision_heads == 2
    _same_vectors(theirs, imported, tmp_path / "out")


def test_a_folder_of_open_clip_says_its_activation_heads_and_preprocessing(
    theirs: OpenAIClip, tmp_path: Path
) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(theirs.state_dict(), folder / "open_clip_model.safetensors")
    torch.save(theirs.state_dict(), folder / "open_clip_pytorch_model.bin")
    config = {
        "model_cfg": {"quick_gelu": True, "vision_cfg": {"head_width": 64}, "text_cfg": {"heads": 1}},
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "interpolation": "bilinear",
                           "resize_mode": "squash"},
    }  # fmt: skip
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    imported = import_checkpoint(folder)
    assert imported.origin["licence"] == "mit"
    assert imported.origin["file"] == "open_clip_model.safetensors"
    _same_vectors(theirs, imported, tmp_path / "out")
    kept = load_clip(tmp_path / "out", context=None).preprocessing
    assert (kept.mean, kept.resample, kept.scaled) == ((0.5, 0.4, 0.3), 2, (32, 32))


def test_long_clip_keeps_its_248_positions(longer: OpenAIClip, tmp_path: Path) -> None:
    torch.save(longer.state_dict(), tmp_path / "longclip.pt")
    imported = import_checkpoint(tmp_path / "longclip.pt", activation="gelu")
    assert (imported.model.context, imported.model.keep) == (248, 20)
    assert imported.model.record.stretched_from == 77
    _same_vectors(longer, imported, tmp_path / "out")
    with pytest.raises(InputError, match="a table is stretched once"):
        load_clip(tmp_path / "out", context=900)


def test_an_activation_nobody_named_is_asked_for(theirs: OpenAIClip, tmp_path: Path) -> None:
    torch.save(theirs.state_dict(), tmp_path / "RemoteCLIP-ViT-B-32.pt")
    with pytest.raises(InputError, match="which activation") as refused:
        import_checkpoint(tmp_path / "RemoteCLIP-ViT-B-32.pt")
    assert "--activation quick_gelu" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("visual.transformer.resblocks.1.mlp.c_fc.bias"), "half a checkpoint: 1 of"),
        (lambda s: s.pop("visual.conv1.weight"), "incomplete"),
        (lambda s: s.update({"token_embedding.weight": torch.randn(1000, 64)}), "another vocabulary"),
        (lambda s: s.update({"visual.proj": torch.randn(99, 24)}), "do not fit one another"),
        (lambda s: s.update({"visual.layer1.0.conv1.weight": torch.randn(1)}), "ResNet"),
        (lambda s: s.update({"visual.trunk.norm.weight": torch.randn(1)}), "timm"),
        (lambda s: s.update({"text_decoder.ln.weight": torch.randn(1)}), "CoCa"),
        (lambda s: s.update({"visual.conv1.lora_A": torch.randn(1)}), "no place in one"),
        (lambda s: s.update({"ln_final.bias": torch.full((64,), float("nan"))}), "no numbers"),
        (lambda s: s.update({"ln_final.bias": torch.zeros(64, dtype=torch.int8)}), "quantised"),
    ],
)
def test_what_is_no_whole_clip_is_refused(
    change: Callable[[dict[str, Tensor]], object], says: str, theirs: OpenAIClip, tmp_path: Path
) -> None:
    state = dict(theirs.state_dict())
    change(state)
    torch.save(state, tmp_path / "openai.pt")
    with pytest.raises((InputError, ArtefactError), match=says) as refused:
        import_checkpoint(tmp_path / "openai.pt")
    assert refused.value.remedy
    assert refused.value.where == tmp_path / "openai.pt"


class _Stranger:
    """An object that only a pickle can hold."""


def test_nothing_in_a_file_is_run(theirs: OpenAIClip, tmp_path: Path) -> None:
    torch.save({"state_dict": theirs.state_dict(), "args": _Stranger()}, tmp_path / "openai.pt")
    with pytest.raises(InputError, match="more than tensors"):
        import_checkpoint(tmp_path / "openai.pt")
    archive = tmp_path / "openai-jit.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(str(archive))
    with pytest.raises(InputError, match="TorchScript"):
        import_checkpoint(archive)
    whole = (tmp_path / "openai.pt").read_bytes()
    (tmp_path / "openai.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtefactError, match="cut off"):
        import_checkpoint(tmp_path / "openai.pt")


@pytest.mark.parametrize("data", [b"", bytes(4096), b"weights.txt" + bytes(600)])
def test_what_is_no_archive_and_no_pickle_is_not_unpacked(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpacked(*_: object, **__: object) -> None:
        pytest.fail("torch was handed it")

    monkeypatch.setattr(torch, "load", unpacked)
    (tmp_path / "openai.pt").write_bytes(data)
    with pytest.raises(ArtefactError, match="not a readable file of weights") as refused:
        import_checkpoint(tmp_path / "openai.pt")
    assert refused.value.where == tmp_path / "openai.pt"


def test_a_pickle_from_before_archives_is_read(theirs: OpenAIClip, tmp_path: Path) -> None:
    torch.save(theirs.state_dict(), tmp_path / "openai.pt", _use_new_zipfile_serialization=False)
    _same_vectors(theirs, import_checkpoint(tmp_path / "openai.pt"), tmp_path / "out")
